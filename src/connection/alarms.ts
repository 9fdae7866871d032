/** Everything that one connection waits for, on one timer. */

import { type Clock, earlier, type Instant, NEVER, reached, type Wakeup } from "../base/time.js";

/** What may come due. The owner's `alarm` has one case for each. */
export const ALARMS = [
  "heartbeat",
  "idle",
  "lifetime",
  "message",
  "pause",
  "waits",
  "write",
  "close",
  "linger",
] as const;

export type AlarmName = (typeof ALARMS)[number];

/**
 * Instants by name, lazily armed: to move one later is to store a number, and costs a timer only if it came
 * earlier than everything else. So activity that keeps pushing the idle limit away never touches the timer wheel.
 */
export class Alarms {
  readonly #clock: Clock;
  readonly #ring: (name: AlarmName, now: Instant) => void;
  readonly #due: Instant[] = ALARMS.map(() => NEVER);
  #armedAt: Instant = NEVER;
  #wakeup: Wakeup | undefined;
  #stopped = false;

  constructor(clock: Clock, ring: (name: AlarmName, now: Instant) => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings `name` at `at`, and no more at the instant it was set to before. `NEVER` clears it. */
  set(name: AlarmName, at: Instant): void {
    this.#due[ALARMS.indexOf(name)] = at;
    if (!reached(this.#armedAt, at) && !this.#stopped) this.#arm(at);
  }

  clear(name: AlarmName): void {
    this.#due[ALARMS.indexOf(name)] = NEVER;
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#stopped = true;
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
  }

  #arm(at: Instant): void {
    this.#wakeup?.cancel();
    this.#armedAt = at;
    this.#wakeup = at === NEVER ? undefined : this.#clock.wakeAt(at, this.#wake);
  }

  readonly #wake = (now: Instant): void => {
    this.#armedAt = NEVER;
    this.#wakeup = undefined;
    for (const [index, name] of ALARMS.entries()) {
      if (this.#stopped) return;
      if (!reached(this.#due[index] as Instant, now)) continue;
      this.#due[index] = NEVER;
      this.#ring(name, now);
    }
    if (!this.#stopped) this.#arm(this.#due.reduce(earlier, this.#armedAt));
  };
}

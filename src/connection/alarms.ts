/** Everything that one connection waits for, on one timer. */

import { type Clock, earlier, type Instant, NEVER, reached, type Wakeup } from "../base/time.js";
import { Timer } from "../engine/wheel.js";
import { SystemClock } from "../transport/clock.js";

/** All but one of what may come due, in the order in which it takes effect behind that one. */
const OTHERS = ["idle", "lifetime", "message", "pause", "waits", "write", "close", "linger"] as const;

/** What may come due. The owner's `rang` has one case for each. */
export type AlarmName = "heartbeat" | (typeof OTHERS)[number];

// How late a heartbeat may be, as a part of how far off it is.
const SLACK = 1 / 256;

/**
 * Instants by name, lazily armed: to move one later is to store a number, and costs a timer only if it came
 * earlier than everything else. So activity that keeps pushing the idle limit away never touches the timer wheel.
 *
 * Each connection has them for all its life, so it is itself what stands in the wheel of the system's clock. Any other clock
 * is asked for a wakeup.
 */
export abstract class Alarms extends Timer {
  abstract readonly options: { readonly clock: Clock };
  /** Apart from the others, since it is the one that a connection has on which nothing happens. */
  #heartbeat: Instant | undefined;
  /** The others, by their place among `OTHERS`; undefined while none is set. */
  #others: Instant[] | undefined;
  #wakeup: Wakeup | undefined;
  /** While they ring, what is set is armed when all of them have. */
  #state: "waiting" | "ringing" | "stopped" = "waiting";

  /** `name` has come due. */
  abstract rang(name: AlarmName, now: Instant): void;

  /** Rings `name` at `at`, and no more at the instant it was set to before. `NEVER` clears it. */
  set(name: AlarmName, at: Instant): void {
    const next = this.#next();
    this.#put(name, at);
    if (this.#state === "waiting" && !reached(next, at)) this.#arm(at);
  }

  clear(name: AlarmName): void {
    this.#put(name, NEVER);
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#state = "stopped";
    this.#disarm();
  }

  /** Called by the clock. */
  override wake(now: Instant): void {
    this.#wakeup = undefined;
    if (this.#state === "waiting") this.#state = "ringing";
    try {
      this.#ringIfDue("heartbeat", now);
      if (this.#others !== undefined) {
        for (const name of OTHERS) this.#ringIfDue(name, now);
        if (this.#others?.every((at) => at === NEVER)) this.#others = undefined;
      }
    } finally {
      this.#goOn();
    }
  }

  #goOn(): void {
    if (this.#state !== "ringing") return;
    this.#state = "waiting";
    this.#arm(this.#next());
  }

  #ringIfDue(name: AlarmName, now: Instant): void {
    if (this.#state === "stopped" || !reached(this.#at(name), now)) return;
    this.#put(name, NEVER);
    this.rang(name, now);
  }

  #next(): Instant {
    const heartbeat = this.#at("heartbeat");
    return this.#others === undefined ? heartbeat : this.#others.reduce(earlier, heartbeat);
  }

  #at(name: AlarmName): Instant {
    return (name === "heartbeat" ? this.#heartbeat : this.#others?.[OTHERS.indexOf(name)]) ?? NEVER;
  }

  #put(name: AlarmName, at: Instant): void {
    if (name === "heartbeat") this.#heartbeat = at === NEVER ? undefined : at;
    else if (this.#others !== undefined || at !== NEVER) {
      this.#others ??= OTHERS.map(() => NEVER);
      this.#others[OTHERS.indexOf(name)] = at;
    }
  }

  /** A wakeup that comes before `at` finds nothing due and arms anew: to set and clear an alarm for each write costs no timer. */
  #arm(at: Instant): void {
    if (at === NEVER) return;
    const { clock } = this.options;
    // Nobody waits for the heartbeat: those of many connections may be a little late, and come together.
    const slack = at === this.#heartbeat ? SLACK : 0;
    if (clock instanceof SystemClock) {
      clock.armBy(this, at, slack);
      return;
    }
    this.#wakeup?.cancel();
    this.#wakeup = clock.wakeAt(at, (now) => this.wake(now));
  }

  #disarm(): void {
    this.cancel();
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
  }
}

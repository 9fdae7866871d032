/** Everything that one connection waits for, on one timer. */

import { between, type Clock, earlier, type Instant, NEVER, reached, type Wakeup } from "../base/time.js";
import { Timer } from "../engine/wheel.js";
import { SystemClock } from "../transport/clock.js";

/** All but one of what may come due, in the order in which it takes effect behind that one. */
const OTHERS = ["idle", "lifetime", "message", "pause", "waits", "write", "close", "linger"] as const;

/** What may come due. The owner's `rang` has one case for each. */
export type AlarmName = "heartbeat" | (typeof OTHERS)[number];

// How late a heartbeat may be, as a part of how far off it is; and at most, in milliseconds. A Ping is in nobody's way, and of
// a hundred that leave together each costs less than of forty. With many more at once the others would have to wait for them.
// Behind a Ping the waits are no longer than what passes for a stall, so that this is far from being one.
const SLACK = 1 / 64;
const MOST_SLACK = 128;

/**
 * Instants by name, lazily armed: to move one later is to store a number, and costs a timer only if it came
 * earlier than everything else. So activity that keeps pushing the idle limit away never touches the timer wheel.
 *
 * Each connection has them for all its life, so it is itself what stands in the wheel of the system's clock. Any other clock
 * is asked for a wakeup. Private methods are static, here and in all that a connection consists of: for others V8 keeps a
 * word in each object, for each class.
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
    const next = Alarms.#next(this);
    Alarms.#put(this, name, at);
    if (this.#state === "waiting" && !reached(next, at)) Alarms.#arm(this, at, this.options.clock.now());
  }

  /** Sets the heartbeat later than it was. For what happens so seldom that to move the timer is less than to be woken in vain. */
  postpone(at: Instant, now: Instant): void {
    this.#heartbeat = at;
    const { clock } = this.options;
    if (this.#state === "waiting" && this.#others === undefined && clock instanceof SystemClock) {
      this.cancel();
      Alarms.#arm(this, at, now);
    }
  }

  clear(name: AlarmName): void {
    Alarms.#put(this, name, NEVER);
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#state = "stopped";
    this.cancel();
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
  }

  /** Called by the clock. */
  override wake(now: Instant): void {
    this.#wakeup = undefined;
    if (this.#state === "waiting") this.#state = "ringing";
    try {
      Alarms.#ringIfDue(this, "heartbeat", now);
      if (this.#others !== undefined) {
        for (const name of OTHERS) Alarms.#ringIfDue(this, name, now);
        if (this.#others?.every((at) => at === NEVER)) this.#others = undefined;
      }
    } finally {
      Alarms.#goOn(this, now);
    }
  }

  static #goOn(alarms: Alarms, now: Instant): void {
    if (alarms.#state !== "ringing") return;
    alarms.#state = "waiting";
    Alarms.#arm(alarms, Alarms.#next(alarms), now);
  }

  static #ringIfDue(alarms: Alarms, name: AlarmName, now: Instant): void {
    if (alarms.#state === "stopped" || !reached(Alarms.#at(alarms, name), now)) return;
    Alarms.#put(alarms, name, NEVER);
    alarms.rang(name, now);
  }

  static #next(alarms: Alarms): Instant {
    const heartbeat = Alarms.#at(alarms, "heartbeat");
    return alarms.#others === undefined ? heartbeat : alarms.#others.reduce(earlier, heartbeat);
  }

  static #at(alarms: Alarms, name: AlarmName): Instant {
    return (name === "heartbeat" ? alarms.#heartbeat : alarms.#others?.[OTHERS.indexOf(name)]) ?? NEVER;
  }

  static #put(alarms: Alarms, name: AlarmName, at: Instant): void {
    if (name === "heartbeat") alarms.#heartbeat = at === NEVER ? undefined : at;
    else if (alarms.#others !== undefined || at !== NEVER) {
      alarms.#others ??= OTHERS.map(() => NEVER);
      alarms.#others[OTHERS.indexOf(name)] = at;
    }
  }

  /** A wakeup that comes before `at` finds nothing due and arms anew: to set and clear an alarm for each write costs no timer. */
  static #arm(alarms: Alarms, at: Instant, now: Instant): void {
    if (at === NEVER) return;
    const { clock } = alarms.options;
    if (clock instanceof SystemClock) {
      clock.armBy(alarms, at, at === alarms.#heartbeat ? Math.min(between(now, at) * SLACK, MOST_SLACK) : 0);
      return;
    }
    alarms.#wakeup?.cancel();
    alarms.#wakeup = clock.wakeAt(at, (then) => alarms.wake(then));
  }
}

/** A hierarchical timer wheel: it holds hundreds of thousands of timers, and arms or cancels each in constant time. */

import { after, between, type Instant, reached, type Wakeup } from "../../base/time.ts";
import { ListLink } from "../queue/intrusive-list.ts";

// 32 slots, so that the bits of one integer show which slots of a level hold timers.
const SLOTS = 32;
// 32 ** 9 ticks of 4 ms are 4,400 years. Later instants are never reached.
const LEVELS = 9;
const LIMIT = SLOTS ** LEVELS;

/** A timer. It is itself the element of the wheel's lists, so arming it allocates nothing. */
export abstract class Timer extends ListLink {
  /** The tick at which the timer fires. Only the wheel sets it. */
  tick = 0;

  abstract wake(now: Instant): void;

  /** True if the timer is armed and has not fired. */
  get armed(): boolean {
    return this.next !== this;
  }

  /** Disarms the timer. Has no effect after the timer has fired. */
  cancel(): void {
    this.unlink();
  }
}

/** A timer for callers of `add`: it calls a function, and is the `Wakeup` that cancels the call. */
class Call extends Timer implements Wakeup {
  readonly #wake: (now: Instant) => void;

  constructor(wake: (now: Instant) => void) {
    super();
    this.#wake = wake;
  }

  wake(now: Instant): void {
    this.#wake(now);
  }
}

/** One level of the wheel: 32 slots. One slot covers as many ticks as all slots of the level below together. */
class Level {
  /** The number of ticks that one slot covers. */
  readonly #span: number;
  /** The number of ticks that all slots together cover. */
  readonly #reach: number;
  /** The head of each slot's list. A head is not a timer. */
  readonly #slots: (ListLink | undefined)[] = [];
  // One bit for each slot that may hold timers. If `cancel` empties a slot, its bit stays set until `first` clears it, because a
  // timer does not know its slot.
  #occupied = 0;

  constructor(span: number) {
    this.#span = span;
    this.#reach = span * SLOTS;
  }

  /** True if both ticks are in the same turn of this level: all their digits (base 32) above this level are equal. */
  holds(tick: number, other: number): boolean {
    return Math.floor(tick / this.#reach) === Math.floor(other / this.#reach);
  }

  insert(timer: Timer): void {
    const slot = this.#slot(timer.tick);
    timer.unlink();
    slot.append(timer);
  }

  /** Moves all timers of the list with the head `link` to this level. All are due at `tick`. This level must be empty. */
  moveAll(link: ListLink, tick: number): void {
    this.#slot(tick).replace(link);
  }

  get size(): number {
    let size = 0;
    for (const slot of this.#slots) for (let at = slot?.next; at !== slot; at = at?.next) size += 1;
    return size;
  }

  /** The head of the first slot that holds timers. */
  first(): ListLink | undefined {
    for (; this.#occupied !== 0; this.#occupied &= this.#occupied - 1) {
      const slot = this.#slots[this.#firstDigit()] as ListLink;
      if (slot.next !== slot) return slot;
    }
    return undefined;
  }

  /**
   * The first tick of the first slot with timers. `current` must be in the same turn. Call `first` before, which updates the
   * bits.
   */
  begin(current: number): number {
    return Math.floor(current / this.#reach) * this.#reach + this.#firstDigit() * this.#span;
  }

  #slot(tick: number): ListLink {
    const digit = Math.floor(tick / this.#span) % SLOTS;
    const slot = this.#slots[digit] ?? new ListLink();
    this.#slots[digit] = slot;
    this.#occupied |= 1 << digit;
    return slot;
  }

  #firstDigit(): number {
    return 31 - Math.clz32(this.#occupied & -this.#occupied);
  }
}

/**
 * A hashed hierarchical timer wheel. It reads no clock: its owner passes the time to `advance`, and `next` returns when the owner
 * has to call `advance` again.
 *
 * Time is counted in ticks. A timer is on the lowest level for which its tick and the current tick have equal digits (base 32)
 * above that level. When the current tick reaches its slot, the timer moves to a lower level. On level 0 it fires. So all timers
 * of a level are due before all timers of the level above, and the first slot with timers holds the earliest timers of its level.
 */
export class TimerWheel {
  readonly #start: Instant;
  readonly #length: number;
  readonly #finest = new Level(1);
  readonly #levels: readonly Level[] = [
    this.#finest,
    ...Array.from({ length: LEVELS - 1 }, (_, level) => new Level(SLOTS ** (level + 1))),
  ];
  /** All timers of earlier ticks have fired. During `advance`, the timers of this tick fire. */
  #current = 0;
  /** The last tick of the `advance` in progress. Outside of `advance` it equals `#current`. */
  #horizon = 0;

  /** `tick` is the resolution in milliseconds. The tick of a timer is less than that later than its instant. */
  constructor(start: Instant, tick: number = 4) {
    this.#start = start;
    this.#length = tick;
  }

  /**
   * The number of timers that will fire. Counted by a walk over all timers, so that `arm` and `cancel` need no counter. A timer
   * for an instant that is never reached is not in the wheel and not counted.
   */
  get size(): number {
    return this.#levels.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Calls `wake` once, during an `advance` to the tick of `at`, which is less than one tick later than `at`. `wake` receives the
   * instant that was passed to `advance`. If `at` is already reached, `wake` is called at the tick after the last `advance`.
   * Throws RangeError if the instant is NaN.
   */
  add(at: Instant, wake: (now: Instant) => void): Wakeup {
    const timer = new Call(wake);
    this.arm(timer, at);
    return timer;
  }

  /**
   * Arms `timer` for `at`, as `add` does. If it is already armed, the new instant replaces the old one. The timer may fire up to
   * `slack` milliseconds later, so that timers that are due at about the same time fire together.
   */
  arm(timer: Timer, at: Instant, slack: number = 0): void {
    const tick = this.#tickWithin(at, slack);
    timer.cancel();
    this.#insert(timer, tick);
  }

  /** As `arm`, but does nothing if `timer` is already armed for the same tick or an earlier one. */
  armBy(timer: Timer, at: Instant, slack: number = 0): void {
    const tick = this.#tickWithin(at, slack);
    if (timer.armed && timer.tick <= tick) return;
    timer.cancel();
    this.#insert(timer, tick);
  }

  #tickWithin(at: Instant, slack: number): number {
    // Rounds up to a multiple of the highest power of two that the slack allows, so that timers with similar instants share a
    // tick.
    const step = slack > this.#length ? 2 ** Math.floor(Math.log2(slack / this.#length)) : 1;
    // Never a tick of the `advance` in progress: otherwise a wake that adds a timer that is already due makes `advance` endless.
    const tick = Math.max(Math.ceil(this.#tickFrom(at) / step) * step, this.#horizon + 1);
    if (Number.isNaN(tick)) throw new RangeError("Cannot add a wakeup: its instant is not a number");
    return tick;
  }

  #insert(timer: Timer, tick: number): void {
    if (tick >= LIMIT) return;
    timer.tick = tick;
    this.#insertByLevel(timer);
  }

  /**
   * When to call `advance` next; undefined if no timer is armed. The instant is later than the last `advance`, and not later than
   * the tick of the earliest timer. It is earlier if distant timers must first move to a lower level.
   */
  next(): Instant | undefined {
    const level = this.#lowest();
    return level && this.#instantOf(level.begin(this.#current));
  }

  /**
   * Fires all timers that are due at `now`: in the order of their ticks, and within one tick in the order of arming. No timer
   * fires early. A wake may add and cancel timers. If a wake throws, the other timers still fire, and then the first error is
   * thrown.
   */
  advance(now: Instant): void {
    const by = this.#tickBy(now);
    if (by > this.#horizon) this.#horizon = Math.min(by, LIMIT - 1);
    let failure: { readonly error: unknown } | undefined;
    for (let level = this.#lowest(); level !== undefined; level = this.#lowest()) {
      const tick = level.begin(this.#current);
      if (tick > this.#horizon) break;
      this.#current = tick;
      const slot = level.first() as ListLink;
      if (level !== this.#finest) {
        this.#moveDown(slot);
        continue;
      }
      // A wake may call `advance`. Then all timers of this slot have fired, and the slot may now belong to a later turn.
      while (slot.next !== slot && this.#current === tick) {
        const timer = slot.next as Timer;
        timer.cancel();
        try {
          timer.wake(now);
        } catch (error) {
          failure ??= { error };
        }
      }
    }
    this.#current = this.#horizon;
    if (failure !== undefined) throw failure.error;
  }

  /**
   * Moves the timers of a slot that the current tick has reached to lower levels. The timers that are due at the first tick of
   * the slot move to level 0 as one list.
   */
  #moveDown(slot: ListLink): void {
    for (let link = slot.next; link !== slot; ) {
      const timer = link as Timer;
      link = link.next;
      if (timer.tick > this.#current) this.#insertByLevel(timer);
    }
    if (slot.next !== slot) this.#finest.moveAll(slot, this.#current);
  }

  #insertByLevel(timer: Timer): void {
    // The highest level holds every tick below the limit.
    for (const level of this.#levels) {
      if (!level.holds(timer.tick, this.#current)) continue;
      level.insert(timer);
      return;
    }
  }

  /** The lowest level that holds timers. It holds the earliest timer. */
  #lowest(): Level | undefined {
    for (const level of this.#levels) if (level.first() !== undefined) return level;
    return undefined;
  }

  #instantOf(tick: number): Instant {
    return after(this.#start, tick * this.#length);
  }

  // Divisions of fractional instants have rounding errors, so both conversions are checked against `#instantOf`. A tick that is
  // too low in `#tickFrom` fires a timer early. A tick that is too low in `#tickBy` makes `next` return an instant that has no
  // effect.

  /** The first tick that is not before `at`. */
  #tickFrom(at: Instant): number {
    const tick = Math.ceil(between(this.#start, at) / this.#length);
    return reached(at, this.#instantOf(tick)) ? tick : tick + 1;
  }

  /** The last tick that is not after `now`. */
  #tickBy(now: Instant): number {
    const tick = Math.floor(between(this.#start, now) / this.#length);
    if (!reached(this.#instantOf(tick), now)) return tick - 1;
    return reached(this.#instantOf(tick + 1), now) ? tick + 1 : tick;
  }
}

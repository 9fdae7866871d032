/** A timer wheel: hundreds of thousands of wakeups, each armed and cancelled in constant time. */

import { after, between, type Instant, reached, type Wakeup } from "../base/time.js";
import { Link } from "./ring.js";

// 32 slots, so that one integer tells with a bit each which of a level's slots are taken.
const SLOTS = 32;
// 32 ** 9 ticks of 4 ms are 4,400 years: what lies behind them is never reached.
const LEVELS = 9;
const LIMIT = SLOTS ** LEVELS;

/** Something that is woken at its time. It stands in the wheel itself, so that to arm it costs no memory. */
export abstract class Timer extends Link {
  /** When it fires: the wheel's to set. */
  tick = 0;

  abstract wake(now: Instant): void;

  /** Whether it is to be woken. */
  get armed(): boolean {
    return this.next !== this;
  }

  /** It will not be woken. Does nothing once it has been. */
  cancel(): void {
    this.unlink();
  }
}

/** For those who bring a function and keep what cancels it. */
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

/** One wheel of the clockwork: 32 slots, each for as many ticks as all slots of the level below together. */
class Level {
  /** Ticks that one slot stands for. */
  readonly #span: number;
  /** Ticks that all slots stand for. */
  readonly #reach: number;
  /** Each begins with a link that carries no timer. */
  readonly #slots: (Link | undefined)[] = [];
  // The bit of a slot that was emptied by cancelling is cleared by `first`, so that `cancel` need not know its slot.
  #taken = 0;

  constructor(span: number) {
    this.#span = span;
    this.#reach = span * SLOTS;
  }

  /** Whether one turn of this level holds both ticks: whether they share every digit above it. */
  holds(tick: number, other: number): boolean {
    return Math.floor(tick / this.#reach) === Math.floor(other / this.#reach);
  }

  put(timer: Timer): void {
    const slot = this.#slot(timer.tick);
    timer.unlink();
    slot.append(timer);
  }

  /** Takes all that stand behind `link`, which are due at `tick`: nobody is on this level. */
  take(link: Link, tick: number): void {
    this.#slot(tick).replace(link);
  }

  get size(): number {
    let size = 0;
    for (const slot of this.#slots) for (let at = slot?.next; at !== slot; at = at?.next) size += 1;
    return size;
  }

  /** The first slot with timers in it. */
  first(): Link | undefined {
    for (; this.#taken !== 0; this.#taken &= this.#taken - 1) {
      const slot = this.#slots[this.#firstDigit()] as Link;
      if (slot.next !== slot) return slot;
    }
    return undefined;
  }

  /** The first tick of the first slot, for a current tick in the same turn. To be asked only behind `first`. */
  begin(current: number): number {
    return Math.floor(current / this.#reach) * this.#reach + this.#firstDigit() * this.#span;
  }

  #slot(tick: number): Link {
    const digit = Math.floor(tick / this.#span) % SLOTS;
    const slot = this.#slots[digit] ?? new Link();
    this.#slots[digit] = slot;
    this.#taken |= 1 << digit;
    return slot;
  }

  #firstDigit(): number {
    return 31 - Math.clz32(this.#taken & -this.#taken);
  }
}

/**
 * A hashed hierarchical timer wheel. Its owner tells it the time and asks it when to do so next.
 *
 * Time is counted in ticks. A timer stands on the lowest level on which its tick and the current one share every higher
 * digit (in base 32); when its slot's turn comes, it moves down, and on level 0 it fires. So everything on a level is due
 * before everything on the next, and a level's first taken slot is its earliest.
 */
export class TimerWheel {
  readonly #start: Instant;
  readonly #length: number;
  readonly #finest = new Level(1);
  readonly #levels: readonly Level[] = [
    this.#finest,
    ...Array.from({ length: LEVELS - 1 }, (_, level) => new Level(SLOTS ** (level + 1))),
  ];
  /** Every tick before this one has fired; during `advance`, this is the one that fires. */
  #current = 0;
  /** The tick that `advance` goes to; outside of it, the current one. */
  #horizon = 0;

  /** `tick` is the resolution in milliseconds: a timer fires less than that after its instant. */
  constructor(start: Instant, tick: number = 4) {
    this.#start = start;
    this.#length = tick;
  }

  /**
   * Timers that will fire, counted one by one: who is armed and cancelled all the time keeps no account of it. One for an
   * instant that is never reached is not counted, and takes no room.
   */
  get size(): number {
    return this.#levels.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Calls `wake` once, from an `advance` to `at` or to less than a tick behind it, with the instant given to `advance`.
   * What is already due fires with the tick that follows the last `advance`. RangeError for an instant that is no number.
   */
  add(at: Instant, wake: (now: Instant) => void): Wakeup {
    const timer = new Call(wake);
    this.arm(timer, at);
    return timer;
  }

  /**
   * Wakes `timer` as `add` does, and no more at the instant that it was armed for before. It may be `slack` milliseconds later
   * than that: then timers that are due at about the same time are woken together.
   */
  arm(timer: Timer, at: Instant, slack: number = 0): void {
    const tick = this.#tickWithin(at, slack);
    timer.cancel();
    this.#put(timer, tick);
  }

  /** Wakes `timer` as `arm` does; but one that is to be woken before that stays as it is. */
  armBy(timer: Timer, at: Instant, slack: number = 0): void {
    const tick = this.#tickWithin(at, slack);
    if (timer.armed && timer.tick <= tick) return;
    timer.cancel();
    this.#put(timer, tick);
  }

  #tickWithin(at: Instant, slack: number): number {
    // A tick that can be divided by as high a power of two as the slack allows is one that others choose as well.
    const step = slack > this.#length ? 2 ** Math.floor(Math.log2(slack / this.#length)) : 1;
    // Not into the ticks of an advance that is under way: a wake that always adds what is already due must not keep it going.
    const tick = Math.max(Math.ceil(this.#tickFrom(at) / step) * step, this.#horizon + 1);
    if (Number.isNaN(tick)) throw new RangeError("Cannot add a wakeup: its instant is not a number");
    return tick;
  }

  #put(timer: Timer, tick: number): void {
    if (tick >= LIMIT) return;
    timer.tick = tick;
    this.#place(timer);
  }

  /**
   * When to call `advance` next; undefined while nothing is armed. Later than the last `advance`, and never later than
   * the earliest timer's tick; earlier when timers that are far off have first to move to a finer level.
   */
  next(): Instant | undefined {
    const level = this.#lowest();
    return level && this.#instantOf(level.begin(this.#current));
  }

  /**
   * Fires what is due by `now`, in the order of due ticks and within one tick in the order of adding; nothing early.
   * A wake may add and cancel. One that throws does not stop the others: the first error is thrown when all have fired.
   */
  advance(now: Instant): void {
    const by = this.#tickBy(now);
    if (by > this.#horizon) this.#horizon = Math.min(by, LIMIT - 1);
    let failure: { readonly error: unknown } | undefined;
    for (let level = this.#lowest(); level !== undefined; level = this.#lowest()) {
      const tick = level.begin(this.#current);
      if (tick > this.#horizon) break;
      this.#current = tick;
      const slot = level.first() as Link;
      if (level !== this.#finest) {
        this.#refine(slot);
        continue;
      }
      // A wake may itself advance. Then all in this slot have fired, and it may be another turn's.
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

  /** Moves those of a slot whose turn has come down: all at once those that are due with its beginning. */
  #refine(slot: Link): void {
    for (let link = slot.next; link !== slot; ) {
      const timer = link as Timer;
      link = link.next;
      if (timer.tick > this.#current) this.#place(timer);
    }
    if (slot.next !== slot) this.#finest.take(slot, this.#current);
  }

  #place(timer: Timer): void {
    // The highest level holds every tick below the limit.
    for (const level of this.#levels) {
      if (!level.holds(timer.tick, this.#current)) continue;
      level.put(timer);
      return;
    }
  }

  /** The lowest level with timers on it, which has the earliest. */
  #lowest(): Level | undefined {
    for (const level of this.#levels) if (level.first() !== undefined) return level;
    return undefined;
  }

  #instantOf(tick: number): Instant {
    return after(this.#start, tick * this.#length);
  }

  // Quotients of fractional instants are rounded. Both conversions are therefore checked against `#instantOf`: a tick
  // too low here would fire a timer early, a tick too low there would have `next` name an instant that never comes.

  /** The first tick that is not before `at`. */
  #tickFrom(at: Instant): number {
    const tick = Math.ceil(between(this.#start, at) / this.#length);
    return reached(at, this.#instantOf(tick)) ? tick : tick + 1;
  }

  /** The last tick that has come by `now`. */
  #tickBy(now: Instant): number {
    const tick = Math.floor(between(this.#start, now) / this.#length);
    if (!reached(this.#instantOf(tick), now)) return tick - 1;
    return reached(this.#instantOf(tick + 1), now) ? tick + 1 : tick;
  }
}

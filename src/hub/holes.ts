/** The holes in what the subscription of a topic delivers. Each is healed from the log, told as a gap, or ends with the subscription. */

/** What the hub counts. */
export interface HoleCounts {
  holes: number;
  healedHoles: number;
  toldHoles: number;
  endedHoles: number;
}

/** Most holes whose end is not known yet. Beyond them the last one is made longer. */
const MAX_OPEN = 10_000;

/** The offsets behind `after`, up to `to`. */
interface Run {
  readonly after: number;
  to: number;
}

/** A hole is a run of offsets of one epoch that the subscription has passed over: an entry behind them has arrived. */
export class Holes {
  readonly #counts: HoleCounts;
  /** The highest offset that has arrived, or that need not arrive. */
  #arrived = 0;
  #open: Run[] | undefined;
  /** The last gap of this epoch. */
  #gap: Run | undefined;

  constructor(counts: HoleCounts) {
    this.#counts = counts;
  }

  /** Another epoch, or the first one: what the log has up to `offset` need not arrive. The members have a gap. */
  begin(offset: number): void {
    for (const _ of this.#open ?? []) this.#counts.toldHoles += 1;
    this.#open = undefined;
    this.#gap = undefined;
    this.#arrived = offset;
  }

  /** The same entries belong to another epoch. Those up to `offset` may have arrived under its name, before it was known here. */
  renamed(offset: number): void {
    this.#arrived = Math.max(this.#arrived, offset);
  }

  /** The subscription has delivered an entry. `passed`: the offset up to which all was passed on, or told as a gap. */
  arrived(offset: number, previous: number, passed: number): void {
    const after = this.#arrived;
    if (offset <= after) return;
    this.#arrived = offset;
    if (previous <= after) return;
    const last = this.#open?.at(-1);
    if (last !== undefined && this.#open?.length === MAX_OPEN) {
      last.to = previous;
      return;
    }
    this.#counts.holes += 1;
    const hole = { after, to: previous };
    if (previous <= passed) this.#settle(hole);
    else {
      this.#open ??= [];
      this.#open.push(hole);
    }
  }

  /** The history does not reach back: the offsets behind `after`, up to `to`, are a gap. */
  told(after: number, to: number): void {
    const gap = { after, to };
    this.#gap = gap;
    this.#open = this.#open?.filter((hole) => {
      const told = overlap(hole, gap);
      if (told) this.#counts.toldHoles += 1;
      return !told;
    });
  }

  /** All that has arrived was passed on. */
  verified(): void {
    if (this.#open === undefined) return;
    for (const hole of this.#open) this.#settle(hole);
    this.#open = undefined;
  }

  /** The subscription has ended. The entries that are missing are not needed any more. */
  end(): void {
    this.#counts.endedHoles += this.#open?.length ?? 0;
    this.#open = undefined;
  }

  #settle(hole: Run): void {
    if (this.#gap !== undefined && overlap(hole, this.#gap)) this.#counts.toldHoles += 1;
    else this.#counts.healedHoles += 1;
  }
}

function overlap(one: Run, other: Run): boolean {
  return one.after < other.to && other.after < one.to;
}

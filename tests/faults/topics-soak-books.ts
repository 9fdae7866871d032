/** The books of the soak of topics: what was published and confirmed, what the log has, and what each client got. */

import assert from "node:assert/strict";
import type { EnvelopeEvent, GapReason, Position } from "../../src/index.ts";

export const TOPIC = "room";
/** At 200 messages a second: the history of some seconds, so that a client that stays away longer has a gap. */
export const TOPIC_OPTIONS = { history: { messages: 600, bytes: 16_777_216, age: 300_000 } };

/** The answer of a node for one message: without a place if it is unknown whether the broker has it, or was refused. */
export interface Confirmation {
  readonly text: string;
  readonly epoch?: string;
  readonly offset?: number;
}

type Place = Pick<Position, "epoch" | "offset">;

/** A published message. `began` and `confirmed` are moments of one counter. */
interface Published {
  readonly began: number;
  confirmed: number;
  place: Place | undefined;
}

/** A gap that a client was told. */
interface ToldGap {
  readonly reason: GapReason;
  readonly from: Place;
  readonly to: Place;
  readonly count: number | undefined;
}

export class Books {
  /** Confirmed messages whose place in the log was read. */
  audited = 0;
  readonly gaps: ToldGap[] = [];
  readonly #published: Map<number, Published> = new Map();
  /** For each epoch the number at each offset, in the order in which they were first seen. */
  readonly #epochs: Map<string, number[]> = new Map();
  /** The epochs and offsets that were read in the log itself. */
  readonly #read: Map<string, Set<number>> = new Map();
  #moment = 0;

  get epochs(): readonly string[] {
    return [...this.#epochs.keys()];
  }

  get published(): number {
    return this.#published.size;
  }

  get confirmed(): number {
    return Array.from(this.#published.values()).filter(({ place }) => place !== undefined).length;
  }

  begin(number: number): void {
    this.#published.set(number, { began: this.#tick(), confirmed: Infinity, place: undefined });
  }

  confirm(number: number, place: Place): void {
    const message = this.#published.get(number);
    assert.ok(message !== undefined && message.place === undefined, `${number} is confirmed once`);
    message.confirmed = this.#tick();
    message.place = place;
    this.saw(place, number);
  }

  /** A message is at a place: in the log, in the hands of a client, or as its publisher was told. All must agree. */
  saw({ epoch, offset }: Place, number: number): void {
    assert.ok(this.#published.has(number), `${number} was published`);
    let numbers = this.#epochs.get(epoch);
    if (numbers === undefined) {
      numbers = [];
      this.#epochs.set(epoch, numbers);
    }
    const before = numbers[offset];
    assert.ok(before === undefined || before === number, `${epoch}:${offset} is ${before}, and ${number}`);
    numbers[offset] = number;
  }

  /** A message was read in the log. */
  read(place: Place, number: number): void {
    this.saw(place, number);
    const offsets = this.#read.get(place.epoch) ?? new Set();
    offsets.add(place.offset);
    this.#read.set(place.epoch, offsets);
  }

  /** The balance of the end. Returns what it counted. */
  balance(): Record<string, number> {
    const sums = { repeated: 0, unread: 0, falseAlarms: 0, epochsWithoutLoss: 0 };
    const seen = new Set<number>();
    for (const [epoch, numbers] of this.#epochs) {
      const known = Object.values(numbers);
      assert.equal(new Set(known).size, known.length, `each message is once in the history ${epoch}`);
      // A message in doubt whose history was emptied is published again: its id was lost with the history.
      for (const number of known) {
        if (seen.has(number)) sums.repeated += 1;
        seen.add(number);
      }
    }
    for (const [number, { place }] of this.#published) {
      assert.ok(place !== undefined, `${number} was confirmed in the end`);
      if (this.#read.get(place.epoch)?.has(place.offset)) this.audited += 1;
      else sums.unread += 1;
    }
    this.#assertOrder();
    for (const gap of this.gaps) {
      const missed = this.#missedBy(gap);
      if (gap.count !== undefined) assert.equal(gap.count, missed, `the count of ${JSON.stringify(gap)}`);
      if (missed > 0) continue;
      if (gap.reason === "epoch") sums.epochsWithoutLoss += 1;
      else sums.falseAlarms += 1;
    }
    return sums;
  }

  /** A message that was confirmed before another one began is before it in the log. */
  #assertOrder(): void {
    const epochs = this.epochs;
    const rank = ({ place }: Published): number => epochs.indexOf(place?.epoch ?? "") * 2 ** 32 + (place?.offset ?? 0);
    let earliest = Infinity;
    for (const message of [...this.#published.values()].sort((a, b) => rank(b) - rank(a))) {
      assert.ok(message.began < earliest, `order of the log at ${JSON.stringify(message.place)}`);
      earliest = Math.min(earliest, message.confirmed);
    }
  }

  /** How many messages are known between the two sides of a gap. */
  #missedBy({ from, to }: ToldGap): number {
    const epochs = this.epochs;
    const [first, last] = [epochs.indexOf(from.epoch), epochs.indexOf(to.epoch)];
    let missed = 0;
    for (const [index, numbers] of [...this.#epochs.values()].entries()) {
      if (index < first || index > last) continue;
      const start = index === first ? from.offset + 1 : 0;
      const end = index === last ? to.offset + 1 : numbers.length;
      missed += Object.keys(numbers.slice(start, Math.max(start, end))).length;
    }
    return missed;
  }

  #tick(): number {
    this.#moment += 1;
    return this.#moment;
  }
}

/** The account of one client. Each event must follow the one before it. */
export class ClientBooks {
  messages = 0;
  readonly #books: Books;
  #last: Place | undefined;

  constructor(books: Books) {
    this.#books = books;
  }

  get last(): Place | undefined {
    return this.#last;
  }

  take(event: EnvelopeEvent): void {
    const last = this.#last;
    if (event.type === "message") {
      assert.ok(last !== undefined && event.offset === last.offset + 1, `${event.offset} follows ${last?.offset}`);
      this.#last = { epoch: last.epoch, offset: event.offset };
      this.#books.saw(this.#last, Number(event.message));
      this.messages += 1;
      return;
    }
    if (event.type === "joined") {
      const { position, gap } = event;
      if (gap !== undefined) this.#gap(gap);
      else if (last !== undefined) assert.deepEqual(placeOf(position), last, "a member continues where it was");
      this.#last = placeOf(position);
      return;
    }
    assert.equal(event.type, "gap", JSON.stringify(event));
    if (event.type === "gap") this.#gap(event);
  }

  #gap({ reason, from, to, count }: ToldGap): void {
    assert.deepEqual(placeOf(from), this.#last, "a gap is told in its place");
    this.#books.gaps.push({ reason, from: placeOf(from), to: placeOf(to), count });
    this.#last = placeOf(to);
  }
}

function placeOf({ epoch, offset }: Place): Place {
  return { epoch, offset };
}

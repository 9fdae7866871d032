/** Follows the log of one topic: one subscription, the latest entries, and the repair of what is missing between them. */

import { after, between, type Instant, instant, later, reached } from "../base/time.ts";
import type {
  BrokerEntry,
  BrokerListener,
  BrokerSubscription,
  HistoryLimits,
  ReadRequest,
  Slice,
} from "../broker/broker.ts";
import { type KeptEntry, keptEntry } from "./entry.ts";
import { Holes } from "./holes.ts";
import { type LiveLog, type LogOwner, type LogSetup, positionOf, readableOffset } from "./live-log.ts";
import type { Gap, GapReason, Position } from "./position.ts";
import { compareLog, type Known, restartIn } from "./reconcile.ts";
import { Ring, type RingOwner } from "./ring.ts";

/** Most live entries that are held while the log is suspect, and their bytes. Beyond them the log is read again instead. */
const MAX_HELD = 10_000;
const MAX_HELD_BYTES = 16_777_216;

/** The pauses before a read is repeated, in milliseconds. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5_000;

/** How often a read is repeated that lacks entries which have arrived before it, as one of a replica. */
const MAX_STALE = 3;

/** Between two verifications for the positions of clients, in milliseconds. */
const LEAST_PAUSE = 100;

/**
 * | state | live entries |
 * |---|---|
 * | `starting` | are held until the newest entry of the log is known |
 * | `live` | are passed on if they continue the entries before them; otherwise the log is suspect |
 * | `suspect` | are held until the log was read and verified |
 * | `closed` | are ignored |
 */
type LogState = "starting" | "live" | "suspect" | "closed";

export class KeptLog implements LiveLog, BrokerListener, RingOwner {
  readonly #topic: string;
  readonly #history: HistoryLimits;
  readonly #setup: LogSetup;
  readonly #owner: LogOwner;
  readonly ring: Ring;
  readonly #subscription: BrokerSubscription;
  epoch = "";
  offset = 0;
  /** The entry at `offset`. Undefined if this hub has never had it. */
  last: KeptEntry | undefined;
  /** The last entry that was removed from the ring. */
  removed: KeptEntry | undefined;
  #state: LogState = "starting";
  #filled = false;
  #filling: Promise<void> | undefined;
  /** True from `interrupted` to `restored`. */
  #interrupted = false;
  /** Counts the verifications, so that one that was overtaken ends. */
  #verification = 0;
  #held: BrokerEntry[] = [];
  #heldBytes = 0;
  #overrun = false;
  #waiting: (() => void)[] = [];
  readonly #holes: Holes;
  #healedEntries = 0;
  #verifiedAt: Instant;
  /** When the read began that has verified it. */
  #readAt: Instant = instant(-Infinity);

  /** `whole`: the first read is one of the whole history. */
  constructor(topic: string, history: HistoryLimits, whole: boolean, setup: LogSetup, owner: LogOwner) {
    this.#topic = topic;
    this.#history = history;
    this.#setup = setup;
    this.#owner = owner;
    this.#holes = new Holes(setup.counts);
    this.#verifiedAt = setup.clock.now();
    this.ring = new Ring(history, setup.budget, this);
    // Not an object of its own with five functions: there can be 100,000 topics.
    this.#subscription = setup.broker.subscribe(topic, this);
    this.#filled = whole;
    this.#subscription.ready.then(
      () => {
        if (this.#state !== "closed" && !this.#interrupted) void this.#verify();
      },
      () => undefined,
    );
  }

  /** True if the entries up to `offset` are verified, and live entries are passed on. */
  get live(): boolean {
    return this.#state === "live";
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  get position(): Position {
    return positionOf(this);
  }

  /** Resolves when the log is live or closed. */
  verified(): Promise<void> {
    if (this.#state === "live" || this.#state === "closed") return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  trim(): void {
    this.ring.trim(this.#setup.clock.now());
  }

  async verifiedAfter(since: Instant): Promise<void> {
    // Later, not at the same instant: that read may have begun before the position was known.
    while (this.#state !== "closed" && between(since, this.#readAt) <= 0) {
      // A client can make positions up, so it must not be able to cause many reads.
      const soonest = after(this.#readAt, LEAST_PAUSE);
      const { clock } = this.#setup;
      if (this.#state === "live" && !reached(soonest, clock.now())) await this.#until(soonest);
      if (this.#state === "live") void this.#verify();
      await this.verified();
    }
  }

  probe(): void {
    this.trim();
    if (this.#state !== "live") return;
    const { clock, probeInterval } = this.#setup;
    const now = clock.now();
    const since = this.last === undefined ? this.#verifiedAt : later(this.#verifiedAt, this.last.at);
    // Half, because the turn of this topic comes once in the interval.
    if (between(since, now) >= probeInterval / 2) void this.#verify();
  }

  /** Resolves when the ring has what the log has, as far as the limits allow. One read, for all callers. */
  fill(): Promise<void> {
    if (this.#filled) return Promise.resolve();
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  get filled(): boolean {
    return this.#filled;
  }

  close(): void {
    this.#state = "closed";
    this.#subscription.close();
    this.#holes.end();
    this.#held = [];
    this.ring.clear();
    this.#settleWaiting();
  }

  // RingOwner

  entryRemoved(entry: KeptEntry): void {
    this.removed = entry;
  }

  entryEvicted(): void {
    this.#filled = false;
  }

  async #fill(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      await this.verified();
      if (this.#state === "closed") return;
      const { epoch, ring } = this;
      const before = ring.first?.offset ?? this.offset + 1;
      const messages = this.#history.messages - ring.size;
      const bytes = this.#history.bytes - ring.bytes;
      if (messages <= 0 || bytes <= 0) break;
      const slice = await this.#read({ before, reverse: true, messages, bytes });
      if (slice === undefined || this.epoch !== epoch || slice.epoch !== epoch) {
        if (slice !== undefined && this.#state === "live") this.#suspect(new Error("the log has another epoch"));
        await this.#pause(attempt);
        continue;
      }
      const older = this.#chain([...slice.entries].reverse(), undefined);
      const newest = older.at(-1);
      const next = ring.first;
      if (next !== undefined && newest !== undefined && next.offset === before) next.previous = newest.offset;
      // Entries may have been removed from the ring meanwhile: then older ones are not adjacent any more.
      const adjacent = next === undefined ? this.offset === before - 1 : next.offset === before;
      if (!adjacent) continue;
      ring.unshift(older);
      break;
    }
    this.#filled = true;
  }

  // BrokerListener

  interrupted(cause: unknown): void {
    this.#interrupted = true;
    this.#suspect(cause);
  }

  restored(): void {
    this.#interrupted = false;
    if (this.#state !== "closed") void this.#verify();
  }

  invalid(error: Error, offset: number | undefined): void {
    this.#owner.unreadable(error, offset);
  }

  entry(entry: BrokerEntry): void {
    if (entry.offset === 0) {
      const problem = "it is not kept: another hub uses this topic without a history";
      this.#owner.unreadable(new Error(problem), undefined);
      return;
    }
    this.#noteArrival(entry);
    if (this.#state === "live") {
      const fits = this.#judge(entry);
      if (fits === "next") this.#append(entry);
      else if (fits !== "old")
        this.#suspect(new Error(`entry ${entry.offset} does not follow entry ${this.offset}`), entry);
    } else if (this.#state !== "closed") this.#hold(entry);
  }

  #noteArrival({ epoch, offset, previous = offset - 1 }: BrokerEntry): void {
    if (epoch === this.epoch) this.#holes.arrived(offset, previous, this.offset);
  }

  /** `next`: it continues the entries. `old`: it is one of them. `other`: neither. */
  #judge({ epoch, offset, previous, message }: BrokerEntry): "next" | "old" | "other" {
    if (epoch !== this.epoch) return "other";
    if (offset > this.offset) return (previous ?? offset - 1) === this.offset ? "next" : "other";
    const own = offset === this.offset ? this.last : this.ring.at(offset);
    return own === undefined || Buffer.compare(own.bytes, message) === 0 ? "old" : "other";
  }

  #hold(entry: BrokerEntry): void {
    this.#held.push(entry);
    this.#heldBytes += entry.message.length;
    if (this.#held.length <= MAX_HELD && this.#heldBytes <= MAX_HELD_BYTES) return;
    this.#dropHeld();
    this.#overrun = true;
  }

  #dropHeld(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }

  #suspect(cause: unknown, entry?: BrokerEntry): void {
    if (this.#state === "closed") return;
    if (this.#state === "live") {
      this.#state = "suspect";
      this.#owner.suspected(cause);
    }
    if (entry !== undefined) this.#hold(entry);
    if (!this.#interrupted) void this.#verify();
    else this.#verification += 1;
  }

  /** Reads until the entries are those of the log, and passes on those that were missing. */
  async #verify(): Promise<void> {
    this.#verification += 1;
    const verification = this.#verification;
    const overtaken = (): boolean => this.#verification !== verification || this.#state === "closed";
    const starting = this.#state === "starting";
    if (this.#state === "live") this.#state = "suspect";
    let readAt = this.#readAt;
    for (let attempt = 0; !overtaken(); ) {
      const heldBefore = this.#held.length;
      this.#overrun = false;
      readAt = this.#setup.clock.now();
      const slice = starting && this.epoch === "" ? await this.#readFirst() : await this.#read(this.#onward());
      if (overtaken()) return;
      const outcome = slice === undefined ? "again" : await this.#apply(slice, overtaken);
      if (overtaken()) return;
      if (outcome === "more") continue;
      if (outcome === "done" && this.#passHeld(heldBefore, attempt < MAX_STALE)) break;
      attempt += 1;
      await this.#pause(attempt);
    }
    if (overtaken()) return;
    const healed = this.#healedEntries;
    this.#healedEntries = 0;
    this.#state = "live";
    this.#holes.verified();
    this.#verifiedAt = this.#setup.clock.now();
    this.#readAt = readAt;
    if (!starting) this.#owner.healed(healed);
    this.#settleWaiting();
  }

  #onward(): Partial<ReadRequest> {
    // From the own last entry on, to see that it is still the same one.
    const { messages, bytes } = this.#history;
    return {
      after: Math.max(this.offset - 1, 0),
      messages: messages + 1,
      bytes: bytes + (this.last?.bytes.length ?? 0),
    };
  }

  async #readFirst(): Promise<Slice | undefined> {
    const { messages, bytes } = this.#history;
    return this.#read({ reverse: true, messages: this.#filled ? messages : 1, bytes });
  }

  /** `more`: the log has more entries. `again`: it has changed meanwhile. */
  async #apply(slice: Slice, overtaken: () => boolean): Promise<"done" | "more" | "again"> {
    if (this.epoch === "") {
      this.#adopt(slice);
      return "done";
    }
    const verdict = compareLog(this.#known(), slice, this.#setup.broker.honours.contiguous, this.#mayBeTrimmed(slice));
    if (verdict.kind === "unlike") return this.#restart(slice, overtaken);
    if (verdict.kind === "renewed") {
      this.epoch = slice.epoch;
      this.#holes.renamed(slice.top);
      this.#owner.renewed();
    } else if (verdict.kind === "trimmed") {
      this.#tellGap("trimmed", { epoch: this.epoch, offset: verdict.to, check: 0 }, undefined, verdict.count);
    }
    const fresh = slice.entries.filter(({ offset }) => offset > this.offset);
    for (const entry of fresh) this.#append(entry, true);
    if (this.offset >= slice.top) return "done";
    if (fresh.length > 0) return "more";
    // All that followed was removed since, by its age.
    const count = this.#setup.broker.honours.contiguous ? slice.top - this.offset : undefined;
    this.#tellGap("trimmed", { epoch: this.epoch, offset: slice.top, check: 0 }, undefined, count);
    return "done";
  }

  /** True if entries that have followed the last verified one may have been removed. */
  #mayBeTrimmed({ entries }: Slice): boolean {
    const { messages, bytes, age } = this.#history;
    const size = entries.reduce((sum, { message }) => sum + message.length, 0);
    // Half, because a message that was removed may have been a long one.
    return entries.length >= messages || size >= bytes / 2 || between(this.#verifiedAt, this.#setup.clock.now()) >= age;
  }

  #known(): Known {
    return { epoch: this.epoch, offset: this.offset, last: this.last, ring: this.ring };
  }

  /** The first slice, which has the newest entries first. */
  #adopt(slice: Slice): void {
    this.epoch = slice.epoch;
    this.offset = slice.top;
    this.#holes.begin(slice.top);
    for (const entry of this.#chain([...slice.entries].reverse(), undefined)) {
      this.ring.push(entry);
      if (entry.offset === slice.top) this.last = entry;
    }
  }

  /** The log has another history than before. */
  async #restart(slice: Slice, overtaken: () => boolean): Promise<"more" | "again"> {
    const { broker } = this.#setup;
    if (slice.epoch === this.epoch) {
      this.#owner.forked();
      try {
        await broker.renew(this.#topic, slice.epoch);
      } catch (error) {
        this.#owner.readFailed(error);
        return "again";
      }
      if (overtaken()) return "again";
    }
    const { messages, bytes } = this.#history;
    const whole = await this.#read({ after: 0, messages, bytes });
    if (whole === undefined || overtaken() || whole.epoch === this.epoch) return "again";
    const forked = slice.epoch === this.epoch;
    const { after: to, reason } = restartIn(this.#known(), whole);
    const older = this.#chain(
      whole.entries.filter(({ offset }) => offset <= to),
      undefined,
    );
    const newest = older.at(-1);
    const kept = newest?.offset === to ? newest : undefined;
    const why: GapReason = forked ? "fork" : reason;
    this.#tellGap(why, { epoch: whole.epoch, offset: to, check: kept?.check ?? 0 }, kept, undefined);
    this.#holes.begin(whole.top);
    // The hub knows the whole history now: clients come back to it, and it may change again.
    this.#filled = true;
    for (const entry of older) this.ring.push(entry);
    for (const entry of whole.entries) if (entry.offset > this.offset) this.#append(entry, true);
    return "more";
  }

  #tellGap(reason: GapReason, to: Position, last: KeptEntry | undefined, count: number | undefined): void {
    const gap: Gap = { type: "gap", topic: this.#topic, reason, from: this.position, to, count };
    this.epoch = to.epoch;
    this.offset = to.offset;
    this.last = last;
    this.removed = last;
    this.ring.clear();
    this.#filled = reason === "trimmed";
    if (reason === "trimmed") this.#holes.told(gap.from.offset, to.offset);
    this.#owner.gapFound(gap);
  }

  /**
   * Passes on the entries that came since the read began. The ones before it are in what was read, or are not in the log any more. If
   * they are behind its end, the read may be stale: then it is repeated, while `patient`. Returns false if it must be repeated.
   */
  #passHeld(heldBefore: number, patient: boolean): boolean {
    if (this.#overrun) return false;
    const held = this.#held;
    for (const [index, entry] of held.entries()) {
      this.#noteArrival(entry);
      const earlier = index < heldBefore;
      const stale = entry.epoch === this.epoch && entry.offset > this.offset;
      if (earlier && !(stale && patient)) continue;
      const fits = earlier ? "other" : this.#judge(entry);
      if (fits === "next") this.#append(entry);
      else if (fits === "other") {
        this.#held = held.slice(index);
        return false;
      }
    }
    this.#dropHeld();
    return true;
  }

  #append(entry: BrokerEntry, missed: boolean = false): void {
    const kept = this.#kept(entry, readableOffset(this));
    this.ring.push(kept);
    this.last = kept;
    this.offset = kept.offset;
    if (missed) this.#healedEntries += 1;
    this.#owner.appended(kept);
  }

  /** The entries, each with the one before it. */
  #chain(entries: readonly BrokerEntry[], previous: number | undefined): KeptEntry[] {
    let before = previous;
    return entries.map((entry) => {
      const kept = this.#kept(entry, before);
      before = kept.offset;
      return kept;
    });
  }

  #kept({ offset, previous, message }: BrokerEntry, before: number | undefined): KeptEntry {
    const at = this.#setup.clock.now();
    const kept = keptEntry({ offset, previous: before ?? previous ?? offset - 1, bytes: message, at });
    if (kept.problem !== undefined) this.#owner.unreadable(kept.problem, offset);
    return kept;
  }

  async #read(request: Partial<ReadRequest>): Promise<Slice | undefined> {
    const { broker, readTimeout: timeout } = this.#setup;
    this.#owner.reading();
    try {
      return await broker.read(this.#topic, { messages: 0, bytes: 0, ...request, history: this.#history, timeout });
    } catch (error) {
      this.#owner.readFailed(error);
      return undefined;
    }
  }

  #pause(attempt: number): Promise<void> {
    const { clock, random } = this.#setup;
    const length = Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE) * (0.5 + random() / 2);
    return this.#until(after(clock.now(), length));
  }

  #until(at: Instant): Promise<void> {
    return new Promise((resolve) => {
      this.#setup.clock.wakeAt(at, () => resolve());
    });
  }

  #settleWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** A member of a topic that is behind: it gets what is missing from the ring, as fast as its send queue drains. */

import type { GroupMember, PreparedMessage, Sendable } from "../core.ts";
import { atEndOfTurn, type EndOfTurnTask } from "../transport/end-of-turn.ts";
import type { SkipReason, TopicEncoder } from "./encoder.ts";
import type { KeptEntry } from "./entry.ts";
import { type LiveLog, positionAt } from "./live-log.ts";
import { type Gap, gapBehind, type Position } from "./position.ts";

/** Loads the state of the application at a position, and returns the messages that show it to the member. */
export type LoadState = (position: Position) => StateMessages | PromiseLike<StateMessages>;

/** `undefined`: none, for a function that has sent them itself. */
export type StateMessages = Sendable | readonly Sendable[] | undefined;

/** A member of a topic. */
export type TopicMember = GroupMember & {
  /** Resolves when the send queue is empty. */
  drain(): Promise<void>;
};

/** The topic, as a member that is behind uses it. */
export interface CursorTopic {
  readonly topic: string;
  readonly log: LiveLog;
  readonly encoder: TopicEncoder;
  readonly contiguous: boolean;
  /** True if a member that is behind gets only the newest message of each key. */
  readonly latest: boolean;
  /** Resolves when the send queue of the member is empty. Rejects when the member has ended. */
  drained(member: TopicMember): Promise<void>;
  /** The form of an entry for members. Null if they get nothing for it. */
  encoded(entry: KeptEntry): PreparedMessage | null;
  /** Makes a message by a function of the encoder. */
  made(make: () => Sendable | undefined): Sendable | undefined;
  /** The member has everything: it gets the next messages with the others. */
  caughtUp(cursor: MemberCursor): void;
  gapTold(gap: Gap): void;
  /** The state could not be loaded. */
  stateFailed(cursor: MemberCursor, error: unknown): void;
  /** A message does not fit into the empty send queue of the member. */
  neverFits(cursor: MemberCursor): void;
  /** The member has ended. */
  ended(cursor: MemberCursor): void;
}

/** After so many refusals in a row, each by a send queue that was empty before, a message does not fit into it. */
const MAX_REFUSALS = 16;

/** What a member gets at most before its send queue is empty again. */
const BATCH = { messages: 64, bytes: 65_536 };

/**
 * The place of a member that has joined from an earlier position, or that did not accept messages fast enough. It holds no messages.
 * When it has reached the newest entry, the member returns to the fan-out of the others in the same turn.
 */
export class MemberCursor implements EndOfTurnTask {
  readonly #topic: CursorTopic;
  readonly member: TopicMember;
  readonly #load: LoadState | undefined;
  /** The last entry that it has, or that it does not need. */
  #offset: number;
  /** The last offset of which it knows. */
  #shown: number;
  #gap: Gap | undefined;
  /** Messages that come before the next entry. */
  #pending: Sendable[] = [];
  /** Entries that it does not get, because they are its own. */
  #excepted: Set<number> | undefined;
  /** True while it waits for its send queue, the log or its state. */
  #busy = false;
  #over = false;
  #refusals = 0;

  constructor(topic: CursorTopic, member: TopicMember, offset: number, load: LoadState | undefined) {
    this.#topic = topic;
    this.member = member;
    this.#offset = offset;
    this.#shown = offset;
    this.#load = load;
  }

  /** Sends `first` before the entries. */
  begin(first: readonly Sendable[]): void {
    this.#pending.push(...first);
    this.turnEnded();
  }

  /** Continues when the send queue is empty. */
  wait(): void {
    this.#waitFor(this.#topic.drained(this.member));
  }

  /** Sends `first`, and then the state at `position`, before the entries. Rejects if the state cannot be loaded. */
  async beginWithState(first: readonly Sendable[], position: Position): Promise<void> {
    this.#busy = true;
    try {
      this.#pending.push(...first, ...(await this.#stateAt(position)));
    } finally {
      this.#busy = false;
    }
    this.turnEnded();
  }

  /** The entry with this offset is its own. */
  except(offset: number): void {
    this.#excepted ??= new Set();
    this.#excepted.add(offset);
  }

  /** The entries belong to another epoch from now on. */
  renewed(): void {
    const gap = this.#gap;
    if (gap === undefined) this.#skip(this.#shown, "renewed");
    // The messages behind the gap have the new epoch.
    else this.#gap = { ...gap, to: { ...gap.to, epoch: this.#topic.log.epoch } };
  }

  /** All members have a gap. This one may have missed more: what it had not got yet, and an earlier gap. */
  gapFound(gap: Gap): void {
    this.#gap = gapBehind(gap, this.#gap, this.#shown, this.#topic.contiguous);
    this.#offset = gap.to.offset;
    this.#excepted = undefined;
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#over = true;
  }

  turnEnded(): void {
    let [messages, bytes] = [0, 0];
    while (!this.#busy && !this.#over) {
      if (messages >= BATCH.messages || bytes >= BATCH.bytes) {
        this.wait();
        return;
      }
      const [first] = this.#pending;
      if (first !== undefined) {
        if (!this.#send(first)) return;
        this.#pending.shift();
        messages += 1;
        continue;
      }
      if (this.#gap !== undefined) {
        this.#tellGap(this.#gap);
        continue;
      }
      const entry = this.#next();
      if (entry === undefined) continue;
      const encoded = this.#topic.encoded(entry);
      const own = this.#excepted?.delete(entry.offset) === true;
      if (encoded === null || own) {
        this.#offset = entry.offset;
        if (own) this.#skip(entry.offset, "except");
        continue;
      }
      if (entry.previous !== this.#shown) {
        this.#skip(entry.previous, "coalesced");
        if (this.#pending.length > 0) continue;
      }
      if (!this.#send(encoded)) return;
      this.#offset = entry.offset;
      this.#shown = entry.offset;
      messages += 1;
      bytes += entry.bytes.length;
    }
  }

  /** The next entry. Undefined if there is none now: then it is known what follows. */
  #next(): KeptEntry | undefined {
    const { log, latest } = this.#topic;
    if (this.#offset >= log.offset) {
      this.#topic.caughtUp(this);
      return undefined;
    }
    const { first } = log.ring;
    if (!latest && (first === undefined || first.previous > this.#offset)) {
      if (log.filled) this.#fallBehind(first?.previous ?? log.offset);
      else this.#waitFor(log.fill());
      return undefined;
    }
    const entry = latest ? this.#newest() : log.ring.after(this.#offset);
    if (entry === undefined) this.#offset = log.offset;
    return entry;
  }

  /** The first entry behind the last one that no later entry of its key replaces. */
  #newest(): KeptEntry | undefined {
    const { ring } = this.#topic.log;
    const last = new Map<string | undefined, KeptEntry>();
    for (let entry = ring.after(this.#offset); entry !== undefined; entry = ring.after(entry.offset))
      if (entry.problem === undefined) last.set(entry.content.key, entry);
    let found: KeptEntry | undefined;
    for (const entry of last.values()) if (found === undefined || entry.offset < found.offset) found = entry;
    return found;
  }

  #fallBehind(to: number): void {
    const { topic, log, contiguous } = this.#topic;
    const from = { epoch: log.epoch, offset: this.#shown, check: positionAt(log, this.#shown).check };
    const count = contiguous ? to - this.#shown : undefined;
    this.#gap = { type: "gap", topic, reason: "trimmed", from, to: positionAt(log, to), count };
    this.#offset = to;
  }

  #tellGap(gap: Gap): void {
    const { encoder, log } = this.#topic;
    this.#gap = undefined;
    const load = this.#load;
    // The state is that of now, so nothing before it is needed.
    const told = load === undefined ? gap : { ...gap, to: log.position, count: undefined };
    this.#offset = told.to.offset;
    this.#shown = told.to.offset;
    this.#topic.gapTold(told);
    this.#push(encoder.gap === undefined ? undefined : () => encoder.gap?.(told));
    if (load === undefined) return;
    this.#busy = true;
    this.#stateAt(told.to).then(
      (messages) => {
        this.#pending.push(...messages);
        this.#busy = false;
        this.turnEnded();
      },
      (error: unknown) => {
        if (!this.#over) this.#topic.stateFailed(this, error);
      },
    );
  }

  async #stateAt(position: Position): Promise<readonly Sendable[]> {
    const state = await this.#load?.(position);
    if (state === undefined) return [];
    return Array.isArray(state) ? (state as readonly Sendable[]) : [state as Sendable];
  }

  #skip(offset: number, reason: SkipReason): void {
    const { encoder, topic, log } = this.#topic;
    this.#shown = offset;
    this.#push(
      encoder.skipped === undefined ? undefined : () => encoder.skipped?.(topic, positionAt(log, offset), reason),
    );
  }

  #push(make: (() => Sendable | undefined) | undefined): void {
    const message = make === undefined ? undefined : this.#topic.made(make);
    if (message !== undefined) this.#pending.push(message);
  }

  /** Returns false if the message must wait. */
  #send(message: Sendable): boolean {
    if (this.member.trySend(message as PreparedMessage, { overflow: "reject" }) !== "refused") {
      this.#refusals = 0;
      return true;
    }
    this.#refusals += 1;
    if (this.#refusals <= MAX_REFUSALS) this.wait();
    else this.#topic.neverFits(this);
    return false;
  }

  #waitFor(wait: Promise<void>): void {
    this.#busy = true;
    wait.then(
      () => {
        this.#busy = false;
        if (!this.#over) atEndOfTurn(this);
      },
      () => {
        if (!this.#over) this.#topic.ended(this);
      },
    );
  }
}

/** A topic that has members or followers in this process: its log, and who gets the entries. */

import {
  ClosedError,
  type GroupMember,
  type MemberMessageOptions,
  memberIsEnding,
  type Prepared,
  type PreparedMessage,
  prepared,
  type RefusalOwner,
  type Sendable,
} from "../core.ts";
import { GroupMembers } from "../group/members.ts";
import type { TopicEncoder } from "./encoder.ts";
import { type KeptEntry, topicEntry } from "./entry.ts";
import { Follower } from "./follower.ts";
import type { HubContext } from "./hub-context.ts";
import { KeptLog } from "./kept-log.ts";
import { type LiveLog, type LogOwner, readableOffset } from "./live-log.ts";
import { LooseLog } from "./loose-log.ts";
import { type CursorTopic, type LoadState, MemberCursor, type TopicMember } from "./member-cursor.ts";
import type { SettledTopic } from "./options.ts";
import type { Gap } from "./position.ts";
import type { Start } from "./start.ts";

const NO_HISTORY = { messages: 0, bytes: 0, age: 1 };
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** What a member that refuses a message has and needs: the offset before the message, the gap that it tells, or a new epoch. */
interface Delivery {
  readonly before: number;
  readonly gap?: Gap;
  readonly renewed?: boolean;
}

export class LiveTopic implements LogOwner, RefusalOwner, CursorTopic {
  readonly topic: string;
  readonly options: SettledTopic;
  readonly log: LiveLog;
  readonly contiguous: boolean;
  readonly latest: boolean;
  readonly encoder: TopicEncoder;
  readonly #hub: HubContext;
  readonly #members: GroupMembers = new GroupMembers((member) => this.#memberLeft(member));
  /** The members that are behind. */
  // A hub can have 100,000 topics, and an empty map takes 200 bytes.
  #cursors: Map<GroupMember, MemberCursor> | undefined;
  /** The members whose state is loaded after a gap. */
  #loads: Map<GroupMember, LoadState> | undefined;
  #followers: Set<Follower> | undefined;
  /** Calls that need this object, although they are no members yet. */
  #holds = 0;

  constructor(topic: string, options: SettledTopic, whole: boolean, hub: HubContext) {
    this.topic = topic;
    this.options = options;
    this.#hub = hub;
    const { broker } = hub.setup;
    const { history = NO_HISTORY } = options;
    const kept = broker.honours.log && options.history !== undefined;
    this.contiguous = !kept || broker.honours.contiguous;
    this.latest = options.overflow === "latest";
    this.encoder = hub.encoder;
    this.log = kept
      ? new KeptLog(topic, history, whole, hub.setup, this)
      : new LooseLog(topic, history, hub.newEpoch(), hub.setup, this);
  }

  get size(): number {
    return this.#members.size;
  }

  /** Number of members that are behind. */
  get behind(): number {
    return this.#cursors?.size ?? 0;
  }

  has(member: GroupMember): boolean {
    return this.#members.has(member);
  }

  members(): readonly GroupMember[] {
    return this.#members.list();
  }

  hold(): void {
    this.#holds += 1;
  }

  release(): void {
    this.#holds -= 1;
    this.#endIfUnused();
  }

  /** Adds a member at `start`. The promise resolves when its state is loaded; undefined if there is none to load. */
  add(member: TopicMember, start: Start, load: LoadState | undefined): Promise<void> | undefined {
    if (!this.#members.join(member)) return undefined;
    this.#hub.counts.members += 1;
    if (load !== undefined) {
      this.#loads ??= new Map();
      this.#loads.set(member, load);
    }
    try {
      return this.#begin(member, start, load);
    } catch (error) {
      // Its framing cannot encode what it would get first.
      this.remove(member);
      throw error;
    }
  }

  #begin(member: TopicMember, start: Start, load: LoadState | undefined): Promise<void> | undefined {
    const { position, gap } = start;
    if (gap !== undefined) this.#countGap(gap, 1);
    const { encoder, topic } = this;
    const joined = this.made(() => encoder.joined?.(topic, position, gap));
    const told = joined ?? (gap === undefined ? undefined : this.made(() => encoder.gap?.(gap)));
    const first = told === undefined ? [] : [told];
    const loads = load !== undefined && !start.resumed;
    const behind = position.offset < readableOffset(this.log);
    if (!loads && !behind && first.every((message) => trySend(member, message))) return undefined;
    const cursor = this.#park(member, position.offset, load);
    if (loads) return cursor.beginWithState(first, position);
    cursor.begin(first);
    return undefined;
  }

  /** Removes a member. */
  remove(member: GroupMember): void {
    this.#members.leave(member);
  }

  /** Removes a member that stays connected. */
  leave(member: GroupMember): void {
    if (!this.#members.has(member)) return;
    const { encoder, topic } = this;
    // Before the topic ends, with its last member.
    const left = this.made(() => encoder.left?.(topic));
    this.#members.leave(member);
    if (left !== undefined) trySend(member, left);
  }

  follow(start: Start): Follower {
    const budget = this.options.history === undefined ? this.#hub.setup.budget : undefined;
    const told = (gap: Gap): void => this.gapTold(gap);
    const follower = new Follower(this.topic, this.log, start, this.contiguous, told, budget);
    this.#followers ??= new Set();
    this.#followers.add(follower);
    return follower;
  }

  unfollow(follower: Follower): void {
    follower.end();
    this.#followers?.delete(follower);
  }

  close(): void {
    this.log.close();
    for (const cursor of this.#cursors?.values() ?? []) cursor.stop();
    for (const member of this.#members.list()) this.#members.leave(member);
    for (const follower of this.#followers ?? []) follower.wake();
  }

  // LogOwner

  appended(entry: KeptEntry): void {
    this.#hub.counts.entries += 1;
    const except = entry.problem === undefined ? this.#hub.takeExcept(this.topic, entry) : undefined;
    if (this.#members.size > this.#behind) this.#deliver(entry, except);
    if (except !== undefined) this.#cursors?.get(except)?.except(entry.offset);
    for (const follower of this.#followers ?? []) follower.appended(entry);
  }

  gapFound(gap: Gap): void {
    const { encoder } = this;
    for (const cursor of this.#cursors?.values() ?? []) cursor.gapFound(gap);
    for (const follower of this.#followers ?? []) follower.gapFound(gap);
    // Their state is loaded again: each gets it at its own pace.
    for (const [member, load] of this.#loads ?? []) {
      if (this.#cursors?.has(member)) continue;
      const cursor = this.#park(member, gap.from.offset, load);
      cursor.gapFound(gap);
      cursor.begin([]);
    }
    const told = this.#members.size - this.#behind;
    if (told > 0) this.#countGap(gap, told);
    const message = this.made(() => encoder.gap?.(gap));
    if (message !== undefined) this.#send(prepared(message, {}), { before: gap.from.offset, gap }, undefined);
  }

  renewed(): void {
    const { encoder, topic } = this;
    const { position, ring } = this.log;
    // Their positions have the former epoch.
    for (const entry of ring) entry.encoded = undefined;
    for (const cursor of this.#cursors?.values() ?? []) cursor.renewed();
    for (const follower of this.#followers ?? []) follower.renewed();
    const message = this.made(() => encoder.skipped?.(topic, position, "renewed"));
    if (message !== undefined) this.#send(prepared(message, {}), { before: position.offset, renewed: true }, undefined);
  }

  healed(entries: number): void {
    const { counts, observe } = this.#hub;
    counts.healedEntries += entries;
    observe?.({ type: "healed", topic: this.topic, entries });
  }

  suspected(cause: unknown): void {
    this.#hub.observe?.({ type: "suspect", topic: this.topic, cause });
  }

  unreadable(error: unknown, offset: number | undefined): void {
    this.#hub.unreadable(this.topic, offset, error);
  }

  reading(): void {
    this.#hub.counts.reads += 1;
  }

  readFailed(error: unknown): void {
    this.#hub.observe?.({ type: "readFailed", topic: this.topic, error });
  }

  forked(): void {
    this.#hub.counts.forks += 1;
    this.#hub.observe?.({ type: "fork", topic: this.topic });
  }

  // RefusalOwner

  refused(member: GroupMember, options: MemberMessageOptions): void {
    const { before, gap, renewed } = options as MemberMessageOptions & Delivery;
    if (!this.#members.has(member) || this.#cursors?.has(member)) return;
    const cursor = this.#park(member, before, this.#loads?.get(member));
    if (gap !== undefined) {
      cursor.gapFound(gap);
      // It is counted when the member gets it.
      this.#hub.counts.gaps[gap.reason] -= 1;
    }
    if (renewed === true) cursor.renewed();
    cursor.wait();
  }

  // CursorTopic

  drained(member: TopicMember): Promise<void> {
    return this.#hub.drained(member);
  }

  encoded(entry: KeptEntry): PreparedMessage | null {
    if (entry.encoded === undefined) entry.encoded = this.#encode(entry) ?? null;
    return entry.encoded;
  }

  made(make: () => Sendable | undefined): Sendable | undefined {
    try {
      return make();
    } catch (error) {
      this.#hub.report(error);
      return undefined;
    }
  }

  #told(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#hub.report(error);
    }
  }

  caughtUp(cursor: MemberCursor): void {
    this.#unpark(cursor);
    this.#members.unpark(cursor.member);
  }

  gapTold(gap: Gap): void {
    this.#countGap(gap, 1);
  }

  stateFailed(cursor: MemberCursor, error: unknown): void {
    this.#hub.report(error);
    this.remove(cursor.member);
    void cursor.member.close(INTERNAL_ERROR);
  }

  ended(cursor: MemberCursor): void {
    this.remove(cursor.member);
  }

  neverFits(cursor: MemberCursor): void {
    this.remove(cursor.member);
    void cursor.member.close(TRY_AGAIN_LATER, "a message of a topic does not fit into the send queue");
  }

  #deliver(entry: KeptEntry, except: GroupMember | undefined): void {
    const encoded =
      this.#behind === 0 ? this.#encode(entry) : (this.encoded(entry) as (Prepared & PreparedMessage) | null);
    if (encoded != null) this.#send(encoded, { before: entry.previous }, except);
    if (except === undefined || !this.#members.has(except) || this.#cursors?.has(except)) return;
    const { encoder, topic } = this;
    const skipped = this.made(() => encoder.skipped?.(topic, this.log.position, "except"));
    if (skipped === undefined || trySend(except, skipped)) return;
    const cursor = this.#park(except, entry.previous, this.#loads?.get(except));
    cursor.except(entry.offset);
    cursor.wait();
  }

  #send(message: Prepared & PreparedMessage, delivery: Delivery, except: GroupMember | undefined): void {
    const closes = this.options.overflow === "close";
    const overflow = closes ? ("close" as const) : ("reject" as const);
    const options = { ...delivery, overflow, refusal: closes ? undefined : this };
    try {
      this.#members.deliver(message, options, except);
    } catch (error) {
      // The framing of a member cannot encode it. All others have the message.
      this.#hub.report(error);
    }
  }

  #encode(entry: KeptEntry): (Prepared & PreparedMessage) | undefined {
    if (entry.problem !== undefined) return undefined;
    const { encoder, topic, log } = this;
    const message = this.made(() => encoder.message(topicEntry(topic, log.epoch, entry), entry.previous));
    if (message === undefined) return undefined;
    try {
      return prepared(message, {});
    } catch (error) {
      this.#hub.report(error);
      return undefined;
    }
  }

  /** The number of members that are behind. */
  get #behind(): number {
    return this.#cursors?.size ?? 0;
  }

  #park(member: GroupMember, offset: number, load: LoadState | undefined): MemberCursor {
    this.#members.park(member);
    const cursor = new MemberCursor(this, member as TopicMember, offset, load);
    this.#cursors ??= new Map();
    this.#cursors.set(member, cursor);
    this.log.ring.use();
    this.#hub.counts.behind += 1;
    return cursor;
  }

  #unpark({ member }: MemberCursor): void {
    const cursor = this.#cursors?.get(member);
    if (cursor === undefined) return;
    cursor.stop();
    this.#cursors?.delete(member);
    this.#hub.counts.behind -= 1;
    if (this.#behind > 0) return;
    this.log.ring.release();
    for (const entry of this.log.ring) entry.encoded = undefined;
  }

  #memberLeft(member: GroupMember): void {
    const cursor = this.#cursors?.get(member);
    if (cursor !== undefined) this.#unpark(cursor);
    this.#loads?.delete(member);
    this.#hub.counts.members -= 1;
    this.#hub.memberAbsent(this.topic, member);
    this.#endIfUnused();
  }

  #countGap(gap: Gap, members: number): void {
    this.#hub.counts.gaps[gap.reason] += members;
    this.#hub.observe?.({ type: "gap", gap, members });
  }

  #endIfUnused(): void {
    if (this.#holds > 0 || this.#members.size > 0 || (this.#followers?.size ?? 0) > 0 || this.log.closed) return;
    this.log.close();
    this.#told(() => this.encoder.ended?.(this.topic));
    this.#hub.topicEnded(this.topic);
  }
}

function trySend(member: GroupMember, message: Sendable): boolean {
  return memberIsEnding(member) || member.trySend(message as PreparedMessage, { overflow: "reject" }) !== "refused";
}

/** The hub or the topic is closed. */
export function topicClosed(reason: string): ClosedError {
  return new ClosedError({ closeCode: 1000, reason, by: "local", wasClean: true });
}

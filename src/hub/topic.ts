/** A topic: what an application publishes to, joins and reads. */

import { asData } from "../base/bytes.ts";
import { present, throwIfAborted } from "../base/forms.ts";
import {
  COUNT,
  DURATION,
  judgeFunction,
  judgeNames,
  judgeNumber,
  judgeOptions,
  judgeSignal,
  judgeString,
} from "../base/judge.ts";
import type { GroupMember, Message } from "../core.ts";
import { judgeMember } from "../group/members.ts";
import type { TopicEntry } from "./entry.ts";
import type { LoadState, TopicMember } from "./member-cursor.ts";
import type { SettledTopic } from "./options.ts";
import { type Gap, judgePosition, type Position } from "./position.ts";
import type { PresentMember } from "./presence-table.ts";
import type { PresenceEvent } from "./presence-watch.ts";
import { MAX_KEY } from "./wire-form.ts";

/** The longest state of a member, as JSON. */
const MAX_STATE = 4_096;

/** Options of a message that is published. */
export interface PublishOptions {
  /**
   * A second message with this id within two minutes is not published, if the broker can recognise it (`broker.honours.once`). So a
   * call that has rejected in doubt can be repeated. At most 255 bytes.
   */
  readonly id?: string | undefined;
  /** Under the policy `latest`, a slow member gets only the newest message of each key. At most 255 bytes. */
  readonly key?: string | undefined;
  /** A member of this hub that does not get the message, such as its author. */
  readonly except?: GroupMember | undefined;
}

/** Options of a message that is published, and waited for. */
export interface PublishWaitOptions extends PublishOptions {
  /** Longest wait, in milliseconds. @default the hub's `publishTimeout` */
  readonly timeout?: number | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/** The place of a published message. */
export interface PublishResult {
  /** Empty for a message that is not kept. */
  readonly epoch: string;
  /** 0 for a message that is not kept. */
  readonly offset: number;
  /** True if a message with this id was published before: `epoch` and `offset` are those of the first one. */
  readonly duplicate: boolean;
}

/** How a member appears in `presence()`. */
export interface MemberPresence {
  /** At most 255 bytes. Several members may have the same one, as the devices of a user. @default a random id */
  readonly id?: string | undefined;
  /** A value that JSON can represent, in at most 4,096 bytes. */
  readonly state?: unknown;
}

/** Who is in a topic. */
export interface PresenceResult {
  /** The members at all hubs. Empty for `count()`. */
  readonly members: readonly PresentMember[];
  readonly count: number;
  /** False if a hub has not answered in time: its members are missing. */
  readonly complete: boolean;
}

/** Options of `join`. */
export interface JoinOptions {
  /** Begin behind this position, as a client has stored it. Without it, or if it is too old, the member begins with new messages. */
  readonly after?: Position | undefined;
  /** Begin with the last messages, this number of them. With `after` only if that position cannot be continued. @default 0 */
  readonly last?: number | undefined;
  /**
   * Loads what the application shows, as from a database. The hub reads the position first, then calls this function, sends what it
   * returns, and then the messages behind the position: so nothing is missing between both. It is called again after each gap.
   */
  readonly state?: LoadState | undefined;
  /** How the member appears in `presence()`, in a topic with the option `presence`. @default a random id, and no state */
  readonly presence?: MemberPresence | undefined;
  /** Longest wait, in milliseconds. @default the hub's `joinTimeout` */
  readonly timeout?: number | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/** Where a member has begun. */
export interface JoinResult {
  /** The member gets the messages behind this position. */
  readonly position: Position;
  /** True if the position in `after` is continued, without a gap. */
  readonly resumed: boolean;
  /** The number of older messages that it gets first. */
  readonly replayed: number;
  /** What is missing behind `after`. */
  readonly gap: Gap | undefined;
}

/** Options of `history`. */
export interface HistoryOptions {
  /** Read behind this position: newer messages, or with `reverse` older ones. */
  readonly after?: Position | undefined;
  /** How many messages at most. @default 100 */
  readonly limit?: number | undefined;
  /** The newest message first. @default false */
  readonly reverse?: boolean | undefined;
  /** Longest wait, in milliseconds. @default the hub's `readTimeout` */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A part of the history. */
export interface HistoryResult {
  readonly entries: readonly TopicEntry[];
  /** Where a further call continues, as `after`: behind the last of `entries`. Without entries, behind the newest message. */
  readonly position: Position;
  /** What is missing between `after` and the first of `entries`. */
  readonly gap: Gap | undefined;
}

/** Options of `follow`. */
export interface FollowOptions {
  /**
   * Begin behind this position. If the history does not reach back to it, the loop begins with a gap.
   * @default behind the newest message
   */
  readonly after?: Position | undefined;
  /** Ends the loop: it throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** The longest wait of a call. */
export type WaitLimits = Pick<HistoryOptions, "timeout" | "signal">;

/** The hub, as a topic uses it. */
export interface TopicHub {
  publish(topic: string, settings: SettledTopic, message: Message, options: PublishWaitOptions): Promise<PublishResult>;
  tryPublish(topic: string, settings: SettledTopic, message: Message, options: PublishOptions): boolean;
  join(
    topic: string,
    settings: SettledTopic,
    member: TopicMember,
    options: JoinOptions,
    shown: string,
  ): Promise<JoinResult>;
  leave(topic: string, member: GroupMember): void;
  members(topic: string): readonly GroupMember[];
  history(topic: string, settings: SettledTopic, options: HistoryOptions): Promise<HistoryResult>;
  update(topic: string, member: GroupMember, state: string): boolean;
  presence(topic: string, counts: boolean, options: WaitLimits): Promise<PresenceResult>;
  watch(topic: string, signal: AbortSignal | undefined): AsyncGenerator<PresenceEvent, void, undefined>;
  follow(
    topic: string,
    settings: SettledTopic,
    options: FollowOptions,
  ): AsyncGenerator<TopicEntry | Gap, void, undefined>;
}

/**
 * A stream of messages with a history, which the hubs of several processes share by its name. The object itself is small and holds
 * nothing: two objects of one hub with one name are the same topic.
 */
export interface Topic {
  readonly name: string;

  /**
   * Publishes a message to all members of the topic, at all hubs. Resolves when the broker has confirmed it. It has then its place
   * in the history, which is the order in which all members get it.
   *
   * Rejects with LimitError or ClosedError if nothing was sent, and with TimeoutError or InDoubtError if the broker may have the
   * message: it can be repeated with the same `id`. Invalid arguments reject with a TypeError or RangeError.
   */
  publish(message: Message, options?: PublishWaitOptions): Promise<PublishResult>;

  /**
   * Publishes a message at most once, without waiting. Returns false if too many messages are on their way to the broker. If the
   * broker does not accept it later, only `stats` and `observe` of the hub show it.
   */
  tryPublish(message: Message, options?: PublishOptions): boolean;

  /**
   * Adds a member: a connection, or a `ReconnectingConnection`. It gets the messages of the topic in their order, each once, until it
   * leaves or ends. Resolves when it is known where it begins. Has no effect if it is already a member.
   *
   * Rejects with TimeoutError if the broker does not answer in time, with ClosedError if the hub is closed or `leave` is called, with
   * LimitError if there are too many topics, and with the error of `state`.
   */
  join(member: TopicMember, options?: JoinOptions): Promise<JoinResult>;

  /** Removes a member. It stays connected. Has no effect if it is no member. */
  leave(member: GroupMember): void;

  /** The members in this process. A copy. */
  readonly members: readonly GroupMember[];

  /**
   * Reads messages from the log of the broker. A topic that is not kept has none, except those that this hub remembers while the topic
   * has members. Rejects with TimeoutError or ClosedError if the broker does not answer.
   */
  history(options?: HistoryOptions): Promise<HistoryResult>;

  /** The position behind the newest message. For a page that is rendered before its client joins. */
  position(options?: Pick<HistoryOptions, "timeout" | "signal">): Promise<Position>;

  /**
   * Reads the messages in a loop, for code of the server. A gap is an element of its own, in its place. The loop may be as slow as it
   * likes: nothing is queued for it, and it has a gap if it falls behind the history. In a topic without history it gets the messages
   * that arrive while it runs: up to 1,000 of them, or 1 MiB, wait for it, and it has a gap instead of older ones. It throws ClosedError
   * when the hub is closed.
   */
  follow(options?: FollowOptions): AsyncGenerator<TopicEntry | Gap, void, undefined>;

  /**
   * Asks all hubs who is in the topic. Needs the option `presence`: otherwise it rejects with a TypeError. Rejects with a TimeoutError
   * if this hub cannot reach the broker.
   */
  presence(options?: WaitLimits): Promise<PresenceResult>;

  /** As `presence()`, without the list: `count` is the number of members at all hubs. */
  count(options?: WaitLimits): Promise<PresenceResult>;

  /**
   * Who is in the topic, and each change, in a loop: first all members, then who joins, leaves or has another state. When a hub dies,
   * its members leave together, after 15 s. A loop that is too slow gets the list of all members again.
   */
  watch(options?: Pick<FollowOptions, "signal">): AsyncGenerator<PresenceEvent, void, undefined>;

  /** Changes the state with which a member appears in `presence()`. Returns false if it is not in the topic. */
  update(member: GroupMember, state: unknown): boolean;
}

/** Validates the arguments of the calls. */
export class TopicOfHub implements Topic {
  readonly name: string;
  readonly #hub: TopicHub;
  readonly #settings: SettledTopic;

  constructor(hub: TopicHub, name: string, settings: SettledTopic) {
    this.#hub = hub;
    this.name = name;
    this.#settings = settings;
  }

  async publish(message: Message, options: PublishWaitOptions = {}): Promise<PublishResult> {
    const data = judgePublish(message, options, ["timeout", "signal"]);
    const { timeout, signal } = options;
    if (timeout !== undefined) judgeNumber("timeout", timeout, DURATION);
    judgeSignal(signal);
    throwIfAborted(signal);
    return this.#hub.publish(this.name, this.#settings, data, options);
  }

  tryPublish(message: Message, options: PublishOptions = {}): boolean {
    return this.#hub.tryPublish(this.name, this.#settings, judgePublish(message, options, []), options);
  }

  async join(member: TopicMember, options: JoinOptions = {}): Promise<JoinResult> {
    judgeMember("join", member);
    if (typeof (member as Partial<TopicMember>).drain !== "function")
      throw new TypeError("Cannot join: expected a member with drain(), which resolves when its send queue is empty");
    judgeOptions(options);
    const { after, last, state, presence, timeout, signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    if (after !== undefined) judgePosition("after", after);
    if (last !== undefined) judgeNumber("last", last, { least: 0, whole: true });
    if (state !== undefined) judgeFunction("state", state);
    if (presence !== undefined) this.#judgePresence(presence);
    if (timeout !== undefined) judgeNumber("timeout", timeout, DURATION);
    judgeSignal(signal);
    throwIfAborted(signal);
    const shown = presence === undefined ? undefined : jsonOf(presence.state);
    return this.#hub.join(this.name, this.#settings, member, options, shown ?? "");
  }

  leave(member: GroupMember): void {
    this.#hub.leave(this.name, member);
  }

  get members(): readonly GroupMember[] {
    return this.#hub.members(this.name);
  }

  async history(options: HistoryOptions = {}): Promise<HistoryResult> {
    judgeOptions(options);
    const { after, limit, reverse, timeout, signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    if (after !== undefined) judgePosition("after", after);
    if (limit !== undefined) judgeNumber("limit", limit, { ...COUNT, least: 0 });
    if (timeout !== undefined) judgeNumber("timeout", timeout, DURATION);
    judgeSignal(signal);
    throwIfAborted(signal);
    return this.#hub.history(this.name, this.#settings, options);
  }

  async position(options: Pick<HistoryOptions, "timeout" | "signal"> = {}): Promise<Position> {
    return (await this.history({ ...options, limit: 1, reverse: true })).position;
  }

  follow(options: FollowOptions = {}): AsyncGenerator<TopicEntry | Gap, void, undefined> {
    judgeOptions(options);
    const { after, signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    if (after !== undefined) judgePosition("after", after);
    judgeSignal(signal);
    return this.#hub.follow(this.name, this.#settings, options);
  }

  async presence(options: WaitLimits = {}): Promise<PresenceResult> {
    return this.#ask(options, false);
  }

  async count(options: WaitLimits = {}): Promise<PresenceResult> {
    return this.#ask(options, true);
  }

  watch(options: Pick<FollowOptions, "signal"> = {}): AsyncGenerator<PresenceEvent, void, undefined> {
    this.#needPresence();
    judgeOptions(options);
    const { signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    judgeSignal(signal);
    return this.#hub.watch(this.name, signal);
  }

  update(member: GroupMember, state: unknown): boolean {
    this.#needPresence();
    return this.#hub.update(this.name, member, jsonOf(state));
  }

  #ask(options: WaitLimits, counts: boolean): Promise<PresenceResult> {
    this.#needPresence();
    judgeOptions(options);
    const { timeout, signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    if (timeout !== undefined) judgeNumber("timeout", timeout, DURATION);
    judgeSignal(signal);
    throwIfAborted(signal);
    return this.#hub.presence(this.name, counts, options);
  }

  #judgePresence(presence: MemberPresence): void {
    this.#needPresence();
    judgeOptions(presence, "presence");
    const { id, state: _, ...rest } = presence;
    judgeNames(Object.keys(rest), () => false, "presence.");
    if (id === undefined) return;
    judgeString("presence.id", id);
    judgeBytes("presence.id", id, MAX_KEY);
  }

  #needPresence(): void {
    if (!this.#settings.presence) throw new TypeError("Cannot use the presence of a topic without the option presence");
  }
}

function judgePublish(message: unknown, options: PublishOptions, others: readonly string[]): Message {
  judgeOptions(options);
  const { id, key, except, ...rest } = present(options);
  judgeNames(Object.keys(rest), (name) => others.includes(name));
  if (id !== undefined) judgeString("id", id);
  if (key !== undefined) {
    judgeString("key", key);
    judgeBytes("key", key, MAX_KEY);
  }
  if (except !== undefined) judgeMember("publish with except", except);
  return asData(message) as Message;
}

function judgeBytes(name: string, text: string, most: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > most) throw new RangeError(`Cannot use ${name} of ${bytes} bytes: expected at most ${most}`);
}

/** The state of a member as JSON; empty if there is none. */
function jsonOf(state: unknown): string {
  const text = JSON.stringify(state) as string | undefined;
  if (text === undefined) return "";
  judgeBytes("state", text, MAX_STATE);
  return text;
}

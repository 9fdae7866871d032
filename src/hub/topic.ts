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
import { MAX_KEY } from "./wire-form.ts";

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
  /** Begin behind this position. @default behind the newest message */
  readonly after?: Position | undefined;
  /** Ends the loop: it throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** The hub, as a topic uses it. */
export interface TopicHub {
  publish(topic: string, settings: SettledTopic, message: Message, options: PublishWaitOptions): Promise<PublishResult>;
  tryPublish(topic: string, settings: SettledTopic, message: Message, options: PublishOptions): boolean;
  join(topic: string, settings: SettledTopic, member: TopicMember, options: JoinOptions): Promise<JoinResult>;
  leave(topic: string, member: GroupMember): void;
  members(topic: string): readonly GroupMember[];
  history(topic: string, settings: SettledTopic, options: HistoryOptions): Promise<HistoryResult>;
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
   * likes: nothing is queued for it, and it has a gap if it falls behind the history. It throws ClosedError when the hub is closed.
   */
  follow(options?: FollowOptions): AsyncGenerator<TopicEntry | Gap, void, undefined>;
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
    const { after, last, state, timeout, signal, ...rest } = present(options);
    judgeNames(Object.keys(rest), () => false);
    if (after !== undefined) judgePosition("after", after);
    if (last !== undefined) judgeNumber("last", last, { least: 0, whole: true });
    if (state !== undefined) judgeFunction("state", state);
    if (timeout !== undefined) judgeNumber("timeout", timeout, DURATION);
    judgeSignal(signal);
    throwIfAborted(signal);
    return this.#hub.join(this.name, this.#settings, member, options);
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
}

function judgePublish(message: unknown, options: PublishOptions, others: readonly string[]): Message {
  judgeOptions(options);
  const { id, key, except, ...rest } = present(options);
  judgeNames(Object.keys(rest), (name) => others.includes(name));
  if (id !== undefined) judgeString("id", id);
  if (key !== undefined) {
    judgeString("key", key);
    const bytes = Buffer.byteLength(key);
    if (bytes > MAX_KEY) throw new RangeError(`Cannot use key of ${bytes} bytes: expected at most ${MAX_KEY}`);
  }
  if (except !== undefined) judgeMember("publish with except", except);
  return asData(message) as Message;
}

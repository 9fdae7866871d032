/** What the topics of a hub have in common: the calls of the application, the broker, and the limits. */

import { guarded } from "../base/events.ts";
import { reasonOf } from "../base/forms.ts";
import { between, type Clock, type Instant } from "../base/time.ts";
import type { Broker } from "../broker/broker.ts";
import { publishRefused } from "../broker/failures.ts";
import { memoryBroker } from "../broker/memory.ts";
import { errorReporter, type GroupMember, isText, LimitError, type Message, TimeoutError } from "../core.ts";
import { randomToken } from "../transport/random.ts";
import { timerOf, unlessAborted, WaitLimit } from "../transport/wait-limit.ts";
import type { TopicEncoder } from "./encoder.ts";
import type { KeptEntry, TopicEntry } from "./entry.ts";
import { HubCounts, type HubEvent, type HubStats, type TopicFacts } from "./events.ts";
import { Excepts } from "./excepts.ts";
import type { Follower } from "./follower.ts";
import { readHistory } from "./history.ts";
import { HistoryBudget } from "./history-budget.ts";
import type { HubContext } from "./hub-context.ts";
import { hubMetrics } from "./hub-metrics.ts";
import type { LogSetup } from "./live-log.ts";
import { LiveTopic, topicClosed } from "./live-topic.ts";
import type { LoadState, TopicMember } from "./member-cursor.ts";
import type { SettledHub, SettledTopic } from "./options.ts";
import type { Gap } from "./position.ts";
import { Presence } from "./presence.ts";
import { presentMember } from "./presence-table.ts";
import type { PresenceEvent } from "./presence-watch.ts";
import { Prober } from "./prober.ts";
import { PublishNumbers } from "./publish-numbers.ts";
import { type Start, startOf, type Wish } from "./start.ts";
import type {
  FollowOptions,
  HistoryOptions,
  HistoryResult,
  JoinOptions,
  JoinResult,
  MemberPresence,
  PresenceResult,
  PublishOptions,
  PublishResult,
  PublishWaitOptions,
  TopicHub,
  WaitLimits,
} from "./topic.ts";
import { encodeHubMessage } from "./wire-form.ts";

/** How long a hub that ends waits until its last message is with the broker, in milliseconds. */
const LONGEST_FAREWELL = 1_000;

export class HubCore implements TopicHub, HubContext {
  readonly setup: LogSetup;
  readonly encoder: TopicEncoder;
  readonly counts: HubCounts = new HubCounts();
  readonly observe: ((event: HubEvent) => void) | undefined;
  readonly report: (error: unknown) => void;
  readonly #options: SettledHub;
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #node = randomToken();
  readonly #numbers = new PublishNumbers();
  readonly #excepts = new Excepts();
  readonly #presence: Presence;
  readonly #topics = new Map<string, LiveTopic>();
  readonly #prober: Prober;
  /** The pending calls of `join`. */
  readonly #joins = new Map<
    string,
    Map<GroupMember, { readonly limit: WaitLimit; readonly joined: Promise<JoinResult> }>
  >();
  /** The pending calls of `drain`: one for each member, however many topics it has and however often it joins. */
  readonly #drains = new WeakMap<TopicMember, Promise<void>>();
  readonly #ending = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(options: SettledHub) {
    this.#options = options;
    this.#clock = options.clock;
    this.#broker = options.broker ?? memoryBroker({ clock: options.clock });
    this.encoder = options.encoder;
    const report = errorReporter(options.onError);
    this.report = (error) => report(error, { place: "topic", connection: undefined });
    this.observe =
      options.observe &&
      guarded(options.observe, (error) => report(error, { place: "observe", connection: undefined }));
    const { readTimeout, probeInterval, random } = options;
    const { counts } = this;
    const budget = new HistoryBudget(options.maxHistoryBytes, counts);
    this.setup = { broker: this.#broker, clock: this.#clock, readTimeout, probeInterval, random, counts, budget };
    this.#presence = new Presence({
      broker: this.#broker,
      clock: this.#clock,
      node: this.#node,
      counts: this.counts,
      announce: (channel, text) => this.#announce(channel, text),
      lastNumber: (channel) => this.#numbers.last(channel),
      unreadable: (topic, offset, error) => this.unreadable(topic, offset, error),
      report: this.report,
    });
    this.#prober = new Prober(this.#clock, probeInterval, this.#topics);
    hubMetrics.add(this.counts);
  }

  get names(): readonly string[] {
    return [...this.#topics.keys()];
  }

  get topics(): TopicFacts[] {
    return Array.from(this.#topics, ([name, { size, behind, log }]) => ({
      name,
      members: size,
      behind,
      position: log.position,
    }));
  }

  get stats(): HubStats {
    const { gaps, ...counts } = this.counts;
    return { ...counts, gaps: { ...gaps } };
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#ending.abort(topicClosed("the hub is closed"));
    for (const joins of this.#joins.values())
      for (const { limit } of joins.values()) limit.abort(reasonOf(this.#ending.signal));
    const told = this.#presence.close();
    for (const topic of this.#topics.values()) topic.close();
    this.#topics.clear();
    this.counts.topics = 0;
    hubMetrics.remove(this.counts);
    this.#prober.stop();
    // The members leave at once at the other hubs, if they hear of it; otherwise when the lease ends.
    const { expired, cancel } = timerOf(this.#clock, LONGEST_FAREWELL);
    await Promise.race([told, expired]);
    cancel();
    await this.#broker.close();
  }

  // TopicHub

  async publish(
    topic: string,
    settings: SettledTopic,
    message: Message,
    { id, key, except, timeout = this.#options.publishTimeout, signal }: PublishWaitOptions,
  ): Promise<PublishResult> {
    this.#throwIfClosed();
    const { counts } = this;
    const { maxPublishing } = this.#options;
    if (counts.publishing >= maxPublishing)
      throw publishRefused("maxPublishing", maxPublishing, counts.publishing + 1, message as Uint8Array);
    const number = this.#numbers.next(topic);
    const bytes = encodeHubMessage({ data: message, text: isText(message), key, node: this.#node, number });
    if (except !== undefined) this.#excepts.add(topic, number, except);
    counts.publishes += 1;
    counts.publishing += 1;
    try {
      const options = { history: settings.history, id, fence: undefined, timeout, signal };
      const published = await this.#broker.publish(topic, bytes, options);
      if (published.duplicate) this.#excepts.take(topic, number);
      return published;
    } catch (error) {
      this.#publishFailed(topic, number, error);
      throw error;
    } finally {
      counts.publishing -= 1;
    }
  }

  #publishFailed(topic: string, number: number, error: unknown): void {
    const { code } = error as { readonly code?: unknown };
    if (code !== "TIMEOUT" && code !== "IN_DOUBT") {
      this.#excepts.take(topic, number);
      return;
    }
    this.counts.inDoubt += 1;
    this.observe?.({ type: "inDoubt", topic, error });
  }

  tryPublish(topic: string, settings: SettledTopic, message: Message, options: PublishOptions): boolean {
    if (this.#closed !== undefined || this.counts.publishing >= this.#options.maxPublishing) return false;
    this.publish(topic, settings, message, options).catch((error: unknown) => {
      this.observe?.({ type: "publishFailed", topic, error });
    });
    return true;
  }

  /** Publishes a message of the hub itself. */
  async #announce(channel: string, text: string): Promise<void> {
    const number = this.#numbers.next(channel);
    const bytes = encodeHubMessage({ data: text, text: true, key: undefined, node: this.#node, number });
    const timeout = this.#options.publishTimeout;
    const options = { history: undefined, id: undefined, fence: undefined, timeout, signal: undefined };
    try {
      await this.#broker.publish(channel, bytes, options);
    } catch (error) {
      this.observe?.({ type: "publishFailed", topic: channel, error });
    }
  }

  join(
    topic: string,
    settings: SettledTopic,
    member: TopicMember,
    options: JoinOptions,
    shown: string,
  ): Promise<JoinResult> {
    const pending = this.#joins.get(topic)?.get(member);
    if (pending !== undefined) return pending.joined;
    const started = this.#joinNow(topic, settings, member, options, shown);
    if (started !== undefined) return Promise.resolve(started);
    const detail = "the broker has not answered, or the state was not loaded";
    const limit = this.#limit("join", "joinTimeout", options.timeout, options.signal, detail);
    const joined = this.#join(topic, settings, member, options, shown, limit.signal).finally(() => {
      limit.end();
      const joins = this.#joins.get(topic);
      joins?.delete(member);
      if (joins?.size === 0) this.#joins.delete(topic);
    });
    const joins = this.#joins.get(topic) ?? new Map();
    this.#joins.set(topic, joins.set(member, { limit, joined }));
    return joined;
  }

  /** The join of a member for which nothing must be waited. Without it, each of thousands of members would need a timer. */
  #joinNow(
    topic: string,
    settings: SettledTopic,
    member: TopicMember,
    { after, last, state, presence }: JoinOptions,
    shown: string,
  ): JoinResult | undefined {
    const live = this.#topics.get(topic);
    if (state !== undefined || live?.log.live !== true) return undefined;
    const start = startOf(topic, live.log, { after, last, state: false }, live.contiguous);
    const { gap } = start ?? {};
    if (start === undefined || (gap !== undefined && gap.reason !== "trimmed")) return undefined;
    return this.#add(live, settings, member, start, undefined, presence, shown).result;
  }

  /** Adds the member. `loaded` resolves when its state is loaded; undefined if there is none. */
  #add(
    live: LiveTopic,
    settings: SettledTopic,
    member: TopicMember,
    start: Start,
    state: LoadState | undefined,
    presence: MemberPresence | undefined,
    shown: string,
  ): { readonly result: JoinResult; readonly loaded: Promise<void> | undefined } {
    if (live.has(member)) {
      const { position } = live.log;
      return { result: { position, resumed: false, replayed: 0, gap: undefined }, loaded: undefined };
    }
    const replayed = live.log.ring.countAfter(start.position.offset);
    const loaded = live.add(member, start, state);
    if (settings.presence && live.has(member)) this.#presence.joined(live.topic, member, presence?.id, shown);
    const { position, resumed, gap } = start;
    return { result: { position, resumed, replayed, gap }, loaded };
  }

  /** The limit of a call, by its own timeout or an option of the hub. */
  #limit(
    operation: "join" | "history",
    option: "joinTimeout" | "readTimeout",
    timeout: number | undefined,
    signal: AbortSignal | undefined,
    detail: string,
  ): WaitLimit {
    const began = this.#clock.now();
    const bound = timeout ?? this.#options[option];
    const limit = timeout === undefined ? option : "timeout";
    const expired = (now: Instant): TimeoutError =>
      new TimeoutError({ operation, limit, bound, after: between(began, now), retriable: true, detail });
    return new WaitLimit(this.#clock, bound, expired, signal);
  }

  async #join(
    topic: string,
    settings: SettledTopic,
    member: TopicMember,
    { after, last, state, presence }: JoinOptions,
    shown: string,
    signal: AbortSignal,
  ): Promise<JoinResult> {
    this.#throwIfClosed();
    const live = this.#live(topic, settings, after !== undefined || (last ?? 0) > 0);
    live.hold();
    try {
      const { result, loaded } = await this.#begin(live, { after, last, state: state !== undefined }, signal, (start) =>
        this.#add(live, settings, member, start, state, presence, shown),
      );
      if (loaded !== undefined) await this.#unlessRemoved(live, member, unlessAborted(loaded, signal));
      return result;
    } finally {
      live.release();
    }
  }

  async #unlessRemoved(live: LiveTopic, member: TopicMember, loaded: Promise<void>): Promise<void> {
    try {
      await loaded;
    } catch (error) {
      live.remove(member);
      throw error;
    }
  }

  /** Calls `begin` as soon as it is known where to begin: in the same turn, so that no entry arrives between both. */
  async #begin<T>(
    live: LiveTopic,
    wish: Wish,
    signal: AbortSignal | undefined,
    begin: (start: Start) => T,
  ): Promise<T> {
    const { log } = live;
    const since = this.#clock.now();
    let verified = false;
    for (;;) {
      await unlessAborted(log.verified(), signal);
      if (log.closed) throw topicClosed("the hub is closed");
      if (!log.live) continue;
      const start = startOf(live.topic, log, wish, live.contiguous);
      // The position may be ahead of this hub, or of an epoch that it does not know yet.
      if (start?.gap !== undefined && start.gap.reason !== "trimmed" && !verified) {
        await unlessAborted(log.verifiedAfter(since), signal);
        verified = true;
      } else if (start !== undefined) return begin(start);
      else await unlessAborted(log.fill(), signal);
    }
  }

  leave(topic: string, member: GroupMember): void {
    this.#joins.get(topic)?.get(member)?.limit.abort(topicClosed("the member has left the topic"));
    this.#topics.get(topic)?.leave(member);
  }

  memberAbsent(topic: string, member: GroupMember): void {
    this.#presence.left(topic, member);
  }

  update(topic: string, member: GroupMember, state: string): boolean {
    return this.#presence.updated(topic, member, state);
  }

  async presence(topic: string, counts: boolean, { timeout, signal }: WaitLimits): Promise<PresenceResult> {
    this.#throwIfClosed();
    const limit = this.#limit("history", "readTimeout", timeout, signal, "the hubs have not answered");
    try {
      const { answers, complete, count } = await unlessAborted(this.#presence.ask(topic, counts), limit.signal);
      this.#throwIfClosed();
      const members = counts
        ? []
        : [...answers].flatMap(([hub, answer]) => answer.members.map((listed) => presentMember(hub, listed)));
      return { members, count, complete };
    } finally {
      limit.end();
    }
  }

  async *watch(topic: string, signal: AbortSignal | undefined): AsyncGenerator<PresenceEvent, void, undefined> {
    this.#throwIfClosed();
    const ends = signal === undefined ? this.#ending.signal : AbortSignal.any([signal, this.#ending.signal]);
    const watch = this.#presence.watch(topic);
    const reader = watch.add();
    try {
      for (;;) {
        const event = reader.next();
        if (event === undefined) await unlessAborted(reader.waits(), ends);
        else yield event;
        if (ends.aborted) throw reasonOf(ends);
      }
    } finally {
      watch.remove(reader);
    }
  }

  members(topic: string): readonly GroupMember[] {
    return this.#topics.get(topic)?.members() ?? [];
  }

  history(topic: string, settings: SettledTopic, options: HistoryOptions): Promise<HistoryResult> {
    this.#throwIfClosed();
    const live = this.#topics.get(topic);
    return readHistory(this.#broker, topic, settings, live, {
      ...options,
      timeout: options.timeout ?? this.#options.readTimeout,
    });
  }

  async *follow(
    topic: string,
    settings: SettledTopic,
    { after, signal }: FollowOptions,
  ): AsyncGenerator<TopicEntry | Gap, void, undefined> {
    this.#throwIfClosed();
    const live = this.#live(topic, settings, after !== undefined);
    const { log } = live;
    live.hold();
    let follower: Follower | undefined;
    try {
      const ends = signal === undefined ? this.#ending.signal : AbortSignal.any([signal, this.#ending.signal]);
      follower = await this.#begin(live, { after, last: undefined, state: false }, ends, (start) => live.follow(start));
      for (;;) {
        const next = follower.next();
        if (next === undefined) await unlessAborted(follower.changed(), ends);
        else if (next === "fill") await unlessAborted(log.fill(), ends);
        else yield next;
        if (ends.aborted) throw reasonOf(ends);
      }
    } finally {
      if (follower !== undefined) live.unfollow(follower);
      live.release();
    }
  }

  // HubContext

  newEpoch(): string {
    return randomToken();
  }

  unreadable(topic: string, offset: number | undefined, error: unknown): void {
    this.counts.unreadable += 1;
    this.observe?.({ type: "unreadable", topic, offset, error });
    const { message } = error as Error;
    const place = offset === undefined ? "" : ` ${offset}`;
    this.report(
      new RangeError(`Cannot read entry${place} of topic ${JSON.stringify(topic)}: ${message}`, { cause: error }),
    );
  }

  takeExcept(topic: string, { node, number }: KeptEntry): GroupMember | undefined {
    return node === this.#node ? this.#excepts.take(topic, number) : undefined;
  }

  drained(member: TopicMember): Promise<void> {
    const pending = this.#drains.get(member);
    if (pending !== undefined) return pending;
    const drained = member.drain().finally(() => this.#drains.delete(member));
    this.#drains.set(member, drained);
    return drained;
  }

  topicEnded(topic: string): void {
    this.#topics.delete(topic);
    this.counts.topics = this.#topics.size;
  }

  #live(topic: string, settings: SettledTopic, whole: boolean): LiveTopic {
    const known = this.#topics.get(topic);
    if (known !== undefined) return known;
    const { maxTopics } = this.#options;
    if (this.#topics.size >= maxTopics)
      throw new LimitError({ operation: "join", limit: "maxTopics", maximum: maxTopics, actual: maxTopics + 1 });
    const live = new LiveTopic(topic, settings, whole, this);
    this.#topics.set(topic, live);
    this.counts.topics = this.#topics.size;
    this.#prober.start();
    return live;
  }

  #throwIfClosed(): void {
    if (this.#closed !== undefined) throw topicClosed("the hub is closed");
  }
}

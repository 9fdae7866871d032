/** Who is in the topics, at all hubs. Each hub lists its own members; the others ask it, and are told of changes. */

import { after, between, type Clock, type Instant } from "../base/time.ts";
import type { Broker, BrokerEntry, BrokerSubscription } from "../broker/broker.ts";
import type { GroupMember } from "../core.ts";
import { atEndOfTurn, type EndOfTurnTask } from "../transport/end-of-turn.ts";
import { randomToken } from "../transport/random.ts";
import type { HubCounts } from "./events.ts";
import {
  type Answer,
  type Change,
  channelOfHub,
  channelOfTopic,
  HUBS,
  type HubCall,
  type Listed,
  readAnswer,
  readCall,
} from "./presence-form.ts";
import { PresenceQuestion } from "./presence-question.ts";
import { PresenceWatch } from "./presence-watch.ts";
import { decodeHubMessage } from "./wire-form.ts";

/** How often a hub says that it lives, and after which silence it is gone, in milliseconds. */
export const HEARTBEAT = 5_000;
export const LEASE = 15_000;

/**
 * If an own heartbeat is late by this or more, in milliseconds, this process did not run meanwhile. A shorter stop cannot end the lease of
 * another hub: that hub was heard at most 5 s before the stop.
 */
const LATE = HEARTBEAT / 2;

/** How many members one message lists, and how many bytes of them. */
const MAX_LISTED = 500;
const MAX_LISTED_BYTES = 65_536;

/** The hub, as its presence uses it. */
export interface PresenceHub {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly node: string;
  readonly counts: HubCounts;
  /** Publishes a JSON text to a channel that is not kept. Never rejects. */
  announce(channel: string, text: string): Promise<void>;
  /** The number of the last message of this hub in the channel. */
  lastNumber(channel: string): number;
  unreadable(topic: string, offset: number | undefined, error: unknown): void;
  report(error: unknown): void;
}

/** The members of this hub in one topic. */
interface LocalTopic {
  readonly members: Map<GroupMember, Listed>;
  /** Changes of this turn. */
  changes: Change[];
}

export class Presence implements EndOfTurnTask {
  readonly #hub: PresenceHub;
  readonly #topics = new Map<string, LocalTopic>();
  readonly #changed = new Set<string>();
  /** The topics whose last changes may have been lost on the way: nothing that follows shows it. */
  readonly #unconfirmed = new Set<string>();
  readonly #watches = new Map<string, PresenceWatch>();
  /** The other hubs, and when each was heard last. */
  readonly #heard = new Map<string, Instant>();
  readonly #questions = new Map<number, PresenceQuestion>();
  #subscriptions: BrokerSubscription[] = [];
  #ready: Promise<void> | undefined;
  #startedAt: Instant;
  #sentAt: Instant | undefined;
  /** When the next heartbeat is due. */
  #beatAt: Instant | undefined;
  #lastKey = 0;
  #lastQuestion = 0;
  #interrupted = false;
  #closed = false;

  constructor(hub: PresenceHub) {
    this.#hub = hub;
    this.#startedAt = hub.clock.now();
  }

  /** Resolves when this hub hears the others. Begins on the first call. */
  start(): Promise<void> {
    this.#ready ??= this.#start();
    return this.#ready;
  }

  /** Resolves when the other hubs can know of it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const watch of this.#watches.values()) watch.close();
    for (const question of this.#questions.values()) question.end();
    for (const subscription of this.#subscriptions) subscription.close();
    if (this.#ready !== undefined) await this.#hub.announce(HUBS, JSON.stringify({ type: "bye" } satisfies HubCall));
  }

  // The members of this hub

  joined(topic: string, member: GroupMember, id: string | undefined, state: string): void {
    void this.start();
    this.#lastKey += 1;
    const listed: Listed = [this.#lastKey, id ?? randomToken(), state];
    const local = this.#topics.get(topic) ?? { members: new Map(), changes: [] };
    this.#topics.set(topic, local);
    local.members.set(member, listed);
    this.#change(topic, local, ["+", ...listed]);
  }

  /** Returns false if the member is not in the topic. */
  updated(topic: string, member: GroupMember, state: string): boolean {
    const local = this.#topics.get(topic);
    const before = local?.members.get(member);
    if (local === undefined || before === undefined) return false;
    const listed: Listed = [before[0], before[1], state];
    local.members.set(member, listed);
    this.#change(topic, local, ["~", ...listed]);
    return true;
  }

  left(topic: string, member: GroupMember): void {
    const local = this.#topics.get(topic);
    const listed = local?.members.get(member);
    if (local === undefined || listed === undefined) return;
    local.members.delete(member);
    this.#change(topic, local, ["-", listed[0]]);
  }

  turnEnded(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (this.#closed) return;
    for (const topic of changed) {
      const local = this.#topics.get(topic);
      if (local === undefined) continue;
      const { changes } = local;
      local.changes = [];
      if (local.members.size === 0) this.#topics.delete(topic);
      if (changes.length > 0) this.#unconfirmed.add(topic);
      for (const part of parts(changes))
        void this.#hub.announce(channelOfTopic(topic), JSON.stringify({ changes: part }));
    }
  }

  #change(topic: string, local: LocalTopic, change: Change): void {
    local.changes.push(change);
    this.#changed.add(topic);
    if (this.#changed.size === 1 && local.changes.length === 1) atEndOfTurn(this);
  }

  // Questions

  /** What all hubs answer, this one included, by hub. Resolves at the latest after some seconds, with the answers until then. */
  async ask(topic: string, counts: boolean): Promise<PresenceQuestion> {
    await this.start();
    this.#lastQuestion += 1;
    const id = this.#lastQuestion;
    const young = between(this.#startedAt, this.#hub.clock.now()) < HEARTBEAT;
    const question = new PresenceQuestion(this.#hub.clock, [...this.#living()], young);
    this.#questions.set(id, question);
    this.#call({ type: "ask", id, topic, counts });
    // The changes of this turn are in the list already, so they are announced before its version is read.
    this.turnEnded();
    for (const answer of this.#answers(id, topic, counts)) question.answered(this.#hub.node, answer);
    try {
      await question.done;
    } finally {
      this.#questions.delete(id);
    }
    return question;
  }

  watch(topic: string): PresenceWatch {
    let watch = this.#watches.get(topic);
    if (watch === undefined) {
      watch = new PresenceWatch(this.#hub.broker, topic, () => this.ask(topic, false), {
        unused: () => this.#watches.delete(topic),
        report: (error) => this.#hub.report(error),
      });
      this.#watches.set(topic, watch);
    }
    return watch;
  }

  #answers(id: number, topic: string, counts: boolean): Answer[] {
    const members = [...(this.#topics.get(topic)?.members.values() ?? [])];
    const version = this.#hub.lastNumber(channelOfTopic(topic));
    const common = { id, version, count: members.length };
    const listed = counts || members.length === 0 ? [[]] : parts(members);
    return listed.map((part, index) => ({ ...common, part: index, parts: listed.length, members: part }));
  }

  // The other hubs

  async #start(): Promise<void> {
    const { broker, clock, node } = this.#hub;
    this.#startedAt = clock.now();
    const own = broker.subscribe(
      channelOfHub(node),
      this.#listener(channelOfHub(node), (from, text) => this.#answered(from, text)),
    );
    const all = broker.subscribe(
      HUBS,
      this.#listener(HUBS, (from, text) => this.#called(from, text)),
    );
    this.#subscriptions = [own, all];
    await Promise.all([own.ready, all.ready]);
    this.#sentAt = clock.now();
    this.#call({ type: "hello" });
    this.#beatLater();
  }

  #beatLater(): void {
    const { clock } = this.#hub;
    this.#beatAt = after(clock.now(), HEARTBEAT);
    clock.wakeAt(this.#beatAt, (now) => {
      if (this.#closed) return;
      if (this.#wasStopped(now)) this.#renewLeases(now);
      this.#sentAt = now;
      this.#call({ type: "alive" });
      if (!this.#interrupted) this.#expire(now);
      this.#confirm();
      this.#beatLater();
    });
  }

  /** Announces no changes, with the next number: who has missed the changes before it notices that. */
  #confirm(): void {
    for (const topic of this.#unconfirmed)
      void this.#hub.announce(channelOfTopic(topic), JSON.stringify({ changes: [] }));
    this.#unconfirmed.clear();
  }

  #expire(now: Instant): void {
    for (const [hub, at] of this.#heard) if (between(at, now) >= LEASE) this.#gone(hub);
  }

  /** This process did not run. What the others have sent meanwhile is not read yet, so their silence says nothing. */
  #wasStopped(now: Instant): boolean {
    return this.#beatAt !== undefined && between(this.#beatAt, now) >= LATE;
  }

  #renewLeases(now: Instant): void {
    for (const hub of this.#heard.keys()) this.#heard.set(hub, now);
  }

  #gone(hub: string): void {
    this.#heard.delete(hub);
    for (const watch of this.#watches.values()) watch.hubGone(hub);
    for (const question of this.#questions.values()) question.gone(hub);
  }

  *#living(): Generator<string, undefined> {
    const now = this.#hub.clock.now();
    const all = this.#wasStopped(now);
    for (const [hub, at] of this.#heard) if (all || between(at, now) < LEASE) yield hub;
  }

  #called(from: string, text: string): void {
    const call = readCall(text);
    if (call === undefined) return;
    const { clock, node, counts } = this.#hub;
    if (from === node) {
      // Own heartbeats come back: that is the way of every message.
      if (call.type !== "ask" && this.#sentAt !== undefined) counts.lag = between(this.#sentAt, clock.now());
      this.#sentAt = undefined;
      return;
    }
    if (call.type === "bye") {
      this.#gone(from);
      return;
    }
    const isNew = !this.#heard.has(from);
    this.#heard.set(from, clock.now());
    if (call.type === "hello") this.#call({ type: "alive" });
    // It may have been silent for a while, or its first members may have been announced before.
    if (isNew) for (const watch of this.#watches.values()) watch.askAgain();
    if (call.type !== "ask") return;
    this.turnEnded();
    for (const answer of this.#answers(call.id, call.topic, call.counts))
      void this.#hub.announce(channelOfHub(from), JSON.stringify(answer));
  }

  #answered(from: string, text: string): void {
    const answer = readAnswer(text);
    if (answer !== undefined) this.#questions.get(answer.id)?.answered(from, answer);
  }

  #call(call: HubCall): void {
    void this.#hub.announce(HUBS, JSON.stringify(call));
  }

  #listener(channel: string, got: (from: string, text: string) => void): Parameters<Broker["subscribe"]>[1] {
    return {
      entry: ({ message }: BrokerEntry) => {
        try {
          const { node, data } = decodeHubMessage(message);
          if (typeof data === "string") got(node, data);
        } catch (error) {
          this.#hub.unreadable(channel, undefined, error);
        }
      },
      interrupted: () => {
        this.#interrupted = true;
      },
      restored: () => {
        this.#interrupted = false;
        // Nothing could be heard of the others meanwhile.
        this.#renewLeases(this.#hub.clock.now());
        this.#call({ type: "hello" });
        for (const watch of this.#watches.values()) watch.askAgain();
      },
      invalid: (error, offset) => this.#hub.unreadable(channel, offset, error),
    };
  }
}

/** The list in parts that fit into one message each. */
function parts<T extends Listed | Change>(list: readonly T[]): T[][] {
  const all: T[][] = [];
  let part: T[] = [];
  let bytes = 0;
  for (const one of list) {
    const size = one.reduce((sum: number, value) => sum + (typeof value === "string" ? value.length : 8), 0);
    if (part.length === MAX_LISTED || (part.length > 0 && bytes + size > MAX_LISTED_BYTES)) {
      all.push(part);
      part = [];
      bytes = 0;
    }
    part.push(one);
    bytes += size;
  }
  if (part.length > 0) all.push(part);
  return all;
}

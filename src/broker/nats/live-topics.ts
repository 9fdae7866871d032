/** The subscriptions to topics: one NATS subscription for each topic, however many listeners it has. */

import type { BrokerEntry, BrokerListener, BrokerSubscription } from "../broker.ts";
import { brokerClosed, brokerUnreachable } from "../failures.ts";
import type { Msg, MsgHdrs, NatsConnection, Subscription } from "./client.ts";
import { EarlyEntries } from "./early-entries.ts";
import type { Subjects } from "./subjects.ts";

/** One call of `subscribe`. */
interface Listening {
  readonly listener: BrokerListener;
  /** Settles `ready`; undefined when it is settled. */
  settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined;
}

interface LiveTopic {
  readonly name: string;
  readonly listening: Set<Listening>;
  subscription: Subscription | undefined;
  /** True if the server has the subscription, or had it when the connection was lost. */
  confirmed: boolean;
  /** The offset of the last entry since the connection was established; 0 if there was none. */
  last: number;
  /** Entries that came before the one that precedes them. */
  early: EarlyEntries | undefined;
  /** True while it is being found out why offsets have gone back. */
  checking: boolean;
}

export interface LiveTopicsOwner {
  /** The connection, also while it is being prepared or lost. */
  readonly connection: NatsConnection | undefined;
  /** True if everything arrives. */
  readonly usable: boolean;
  readonly closed: boolean;
  /** The name of the stream of the log; undefined without a log. */
  readonly stream: string | undefined;
  epoch(topic: string): string;
  /** Resolves when the server has handled all that was sent before. */
  flush(): Promise<void>;
  /** An offset of a topic is not above `last`. Resolves with true if the log is another one than before: it is at an earlier offset. */
  isAnotherLog(topic: string, last: number): Promise<boolean>;
}

const OFFSET = /^\d{1,15}$/;

export class LiveTopics {
  readonly #owner: LiveTopicsOwner;
  readonly #subjects: Subjects;
  readonly #topics = new Map<string, LiveTopic>();
  #unconfirmed: LiveTopic[] = [];

  constructor(owner: LiveTopicsOwner, subjects: Subjects) {
    this.#owner = owner;
    this.#subjects = subjects;
  }

  subscribe(name: string, listener: BrokerListener): BrokerSubscription {
    let settle: Listening["settle"];
    const ready = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    // A caller may never look at it.
    ready.catch(() => undefined);
    const listening: Listening = { listener, settle };
    const topic = this.#topics.get(name) ?? this.#add(name);
    topic.listening.add(listening);
    if (topic.confirmed && this.#owner.usable) settled(listening);
    return { ready, close: () => this.#leave(topic, listening, brokerClosed) };
  }

  /** The last offset that was received since the connection was established; 0 if there was none. */
  lastOf(name: string): number {
    return this.#topics.get(name)?.last ?? 0;
  }

  /** Subscribes to all topics on a new connection. */
  attach(connection: NatsConnection): void {
    for (const topic of this.#topics.values()) {
      topic.confirmed = false;
      this.#subscribe(topic, connection);
    }
  }

  /** The server has all subscriptions. */
  up(): void {
    for (const topic of [...this.#topics.values()]) {
      const known = topic.confirmed;
      topic.confirmed = true;
      for (const listening of [...topic.listening]) {
        if (listening.settle !== undefined) settled(listening);
        else if (known && topic.listening.has(listening)) listening.listener.restored();
      }
    }
  }

  down(cause: unknown): void {
    for (const topic of [...this.#topics.values()]) {
      this.#deliverEarly(topic);
      topic.last = 0;
      this.#interrupt(topic, cause);
    }
  }

  close(): void {
    for (const topic of [...this.#topics.values()]) {
      for (const listening of topic.listening) this.#leave(topic, listening, brokerClosed);
    }
  }

  #add(name: string): LiveTopic {
    const topic: LiveTopic = {
      ...{ name, listening: new Set<Listening>(), subscription: undefined, confirmed: false },
      ...{ last: 0, early: undefined, checking: false },
    };
    this.#topics.set(name, topic);
    if (this.#owner.connection !== undefined) this.#subscribe(topic, this.#owner.connection);
    if (this.#owner.usable) this.#confirmLater(topic);
    return topic;
  }

  #subscribe(topic: LiveTopic, connection: NatsConnection): void {
    topic.subscription = connection.subscribe(this.#subjects.live(topic.name), {
      callback: (error, message) => {
        if (error === null) this.#receive(topic, message);
        else this.#refused(topic, error);
      },
    });
  }

  /** One flush for all topics of a turn. */
  #confirmLater(topic: LiveTopic): void {
    this.#unconfirmed.push(topic);
    if (this.#unconfirmed.length > 1) return;
    queueMicrotask(async () => {
      const topics = this.#unconfirmed;
      this.#unconfirmed = [];
      try {
        await this.#owner.flush();
      } catch {
        // The connection was lost: `up` confirms them when it is back.
        return;
      }
      for (const one of topics) {
        if (one.subscription === undefined) continue;
        one.confirmed = true;
        for (const listening of one.listening) settled(listening);
      }
    });
  }

  #leave(topic: LiveTopic, listening: Listening, reason: () => Error): void {
    if (!topic.listening.delete(listening)) return;
    listening.settle?.reject(reason());
    listening.settle = undefined;
    if (topic.listening.size > 0) return;
    this.#topics.delete(topic.name);
    this.#forgetEarly(topic);
    if (!this.#owner.closed) topic.subscription?.unsubscribe();
    topic.subscription = undefined;
  }

  #interrupt(topic: LiveTopic, cause: unknown): void {
    for (const listening of [...topic.listening]) {
      if (listening.settle === undefined && topic.listening.has(listening)) listening.listener.interrupted(cause);
    }
  }

  /** The login has no permission for this subject. nats.js has removed the subscription. */
  #refused(topic: LiveTopic, error: Error): void {
    topic.subscription = undefined;
    this.#interrupt(topic, error);
    for (const listening of [...topic.listening]) {
      if (listening.settle !== undefined) this.#leave(topic, listening, () => brokerUnreachable(error));
    }
  }

  #receive(topic: LiveTopic, message: Msg): void {
    let entry: BrokerEntry;
    let offset: number | undefined;
    try {
      const found = headersOf(message);
      if (found === undefined) {
        entry = { epoch: "", offset: 0, previous: undefined, message: new Uint8Array(message.data) };
      } else {
        offset = numberIn(found, "Nats-Sequence");
        entry = this.#entryOf(topic, found, offset, message.data);
      }
    } catch (error) {
      const problem = `topic ${JSON.stringify(topic.name)}, offset ${offset ?? "unknown"}: ${(error as Error).message}`;
      const invalid = new Error(`Cannot read a message of ${problem}`, { cause: error });
      this.#each(topic, (listener) => listener.invalid(invalid, offset));
      return;
    }
    if (entry.offset === 0) this.#each(topic, (listener) => listener.entry(entry));
    else if (entry.offset <= topic.last) void this.#check(topic, entry.offset);
    else if (topic.last === 0 || entry.previous === topic.last) this.#deliver(topic, entry);
    else this.#keep(topic, entry);
  }

  /** Delivers an entry, and those that have waited for it. */
  #deliver(topic: LiveTopic, entry: BrokerEntry): void {
    for (let next: BrokerEntry | undefined = entry; next !== undefined; next = topic.early?.after(topic.last)) {
      const one = next;
      topic.last = one.offset;
      this.#each(topic, (listener) => listener.entry(one));
    }
    if (topic.early?.size === 0) this.#forgetEarly(topic);
  }

  #keep(topic: LiveTopic, entry: BrokerEntry): void {
    topic.early ??= new EarlyEntries(() => this.#deliverEarly(topic));
    if (!topic.early.add(entry)) this.#deliverEarly(topic);
  }

  /** What precedes them has not come: it is missing, which the listeners see by `previous`. */
  #deliverEarly(topic: LiveTopic): void {
    const entries = topic.early?.all() ?? [];
    this.#forgetEarly(topic);
    for (const entry of entries) this.#deliver(topic, entry);
  }

  #forgetEarly(topic: LiveTopic): void {
    topic.early?.close();
    topic.early = undefined;
  }

  #entryOf(topic: LiveTopic, found: MsgHdrs, offset: number | undefined, data: Uint8Array): BrokerEntry {
    const stream = found.get("Nats-Stream");
    if (stream !== this.#owner.stream) throw new Error(`it is from another stream, ${JSON.stringify(stream)}`);
    const last = numberIn(found, "Nats-Last-Sequence");
    if (offset === undefined || offset === 0) throw new Error("its Nats-Sequence is no offset");
    if (last === undefined || last >= offset) throw new Error("its Nats-Last-Sequence is no offset before it");
    // If the last entry was removed from the log before this one was stored, the server does not know it any more.
    const previous = Math.max(last, topic.last);
    // A copy: nats.js returns a part of the chunk that it has read, which would stay in memory as a whole.
    return { epoch: this.#owner.epoch(topic.name), offset, previous, message: new Uint8Array(data) };
  }

  /**
   * The entry has come too late, and those that follow it were delivered with a hole; or the stream was removed and made again, or
   * restored to an earlier state, while this node was connected.
   */
  async #check(topic: LiveTopic, offset: number): Promise<void> {
    if (topic.checking) return;
    topic.checking = true;
    const { last } = topic;
    try {
      // Without an answer, the probe finds out that the server is away.
      if (!(await this.#owner.isAnotherLog(topic.name, last)) || !this.#owner.usable || topic.last < last) return;
      this.#forgetEarly(topic);
      topic.last = 0;
      this.#interrupt(topic, new Error(`offset ${offset} has followed ${last}: the log is another one than before`));
      for (const listening of [...topic.listening]) {
        if (listening.settle === undefined && topic.listening.has(listening)) listening.listener.restored();
      }
    } catch {
      // See above.
    } finally {
      topic.checking = false;
    }
  }

  #each(topic: LiveTopic, call: (listener: BrokerListener) => void): void {
    if (topic.listening.size === 1) {
      for (const { listener } of topic.listening) call(listener);
      return;
    }
    for (const listening of [...topic.listening]) {
      if (topic.listening.has(listening)) call(listening.listener);
    }
  }
}

function settled(listening: Listening): void {
  listening.settle?.resolve();
  listening.settle = undefined;
}

/** The header fields of a message that came through the log; undefined for one that is not kept. Throws if they are malformed. */
function headersOf(message: Msg): MsgHdrs | undefined {
  const found = message.headers;
  return found?.has("Nats-Stream") ? found : undefined;
}

function numberIn(found: MsgHdrs, name: string): number | undefined {
  const text = found.get(name);
  return OFFSET.test(text) ? Number(text) : undefined;
}

/** A broker whose server loses, delays and doubles what it delivers, forgets its newest entries, or starts again without its log. */

import type {
  Broker,
  BrokerEntry,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  Published,
  ReadRequest,
  Slice,
} from "../../src/broker/broker.ts";
import type { Grown } from "./clients.ts";

interface Subscribed {
  readonly node: FaultyBroker;
  readonly listener: BrokerListener;
  /** On the way to the node. */
  readonly queue: BrokerEntry[];
}

/** What happens to the next delivery of a subscription. */
export type Delivery = "pass" | "lose" | "double";

/** The server: one topic is enough for a test. */
export class FaultyServer {
  readonly keeps: number;
  readonly contiguous: boolean;
  epoch = "epoch 1";
  log: Grown[] = [];
  tip: Grown | undefined;
  /** All entries that were ever in the log. */
  readonly all: Grown[] = [];
  readonly subscriptions: Set<Subscribed> = new Set();
  renewals = 0;
  reads = 0;
  #epochs = 1;
  #offset = 0;

  constructor(keeps: number, contiguous: boolean) {
    this.keeps = keeps;
    this.contiguous = contiguous;
  }

  get top(): number {
    return this.tip?.offset ?? 0;
  }

  append(message: Uint8Array): Grown {
    // A broker such as JetStream numbers the entries of all topics together.
    this.#offset = this.contiguous ? this.top + 1 : Math.max(this.#offset, this.top) + 1 + (message.length % 3);
    const entry: Grown = { offset: this.#offset, parent: this.tip, message };
    this.tip = entry;
    this.all.push(entry);
    this.log.push(entry);
    if (this.log.length > this.keeps) this.log.shift();
    for (const { queue } of this.subscriptions) queue.push(this.entryOf(entry));
    return entry;
  }

  entryOf({ offset, parent, message }: Grown): BrokerEntry {
    return { epoch: this.epoch, offset, previous: this.contiguous ? undefined : (parent?.offset ?? 0), message };
  }

  /** The first delivery of the subscription with this index. */
  deliver(index: number, how: Delivery): void {
    const subscription = [...this.subscriptions][index];
    const entry = subscription?.queue.shift();
    if (subscription === undefined || entry === undefined || how === "lose") return;
    subscription.listener.entry(entry);
    if (how === "double") subscription.listener.entry(entry);
  }

  deliverAll(): void {
    for (const { listener, queue } of [...this.subscriptions])
      for (const entry of queue.splice(0)) listener.entry(entry);
  }

  /** A replica that was behind is the server now. What is on its way is lost, and all nodes notice that. */
  rollBack(entries: number): void {
    for (let count = 0; count < entries && this.tip !== undefined; count += 1) {
      this.tip = this.tip.parent;
      if (this.log.length > 0) this.log.pop();
    }
    this.#interruptAll();
  }

  /** The server starts again without its log. */
  empty(): void {
    this.renewEpoch();
    this.log = [];
    this.tip = undefined;
    this.#offset = 0;
    this.#interruptAll();
  }

  renewEpoch(): void {
    this.#epochs += 1;
    this.epoch = `epoch ${this.#epochs}`;
  }

  #interruptAll(): void {
    for (const node of new Set([...this.subscriptions].map((subscription) => subscription.node))) node.interrupt();
  }
}

/** The connection of one node. */
export class FaultyBroker implements Broker {
  readonly honours: BrokerHonours;
  readonly #server: FaultyServer;
  /** True from an interruption to its end. */
  away = false;
  /** The next reads fail. */
  failures = 0;

  constructor(server: FaultyServer) {
    this.#server = server;
    const { contiguous } = server;
    this.honours = { log: true, contiguous, survives: "node", once: false, fence: false };
  }

  async publish(_: string, message: Uint8Array, __: BrokerPublishOptions): Promise<Published> {
    if (this.away) throw new Error("away");
    const { offset } = this.#server.append(message);
    return { epoch: this.#server.epoch, offset, duplicate: false };
  }

  subscribe(_: string, listener: BrokerListener): BrokerSubscription {
    const subscription: Subscribed = { node: this, listener, queue: [] };
    this.#server.subscriptions.add(subscription);
    if (this.away) listener.interrupted(new Error("away"));
    return { ready: Promise.resolve(), close: () => void this.#server.subscriptions.delete(subscription) };
  }

  async read(_: string, { after = 0, before = Infinity, reverse, messages }: ReadRequest): Promise<Slice> {
    const server = this.#server;
    server.reads += 1;
    if (this.away) throw new Error("away");
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("too late");
    }
    const { epoch, top, log } = server;
    const found = log.filter(({ offset }) => offset > after && offset < before);
    if (reverse) found.reverse();
    const first = log[0]?.offset ?? top + 1;
    return {
      epoch,
      first,
      top,
      entries: found.slice(0, messages).map((entry) => ({ ...server.entryOf(entry), previous: undefined })),
    };
  }

  async renew(_: string, epoch: string): Promise<string> {
    if (this.away) throw new Error("away");
    if (this.#server.epoch === epoch) {
      this.#server.renewals += 1;
      this.#server.renewEpoch();
    }
    return this.#server.epoch;
  }

  async close(): Promise<void> {
    for (const subscription of [...this.#server.subscriptions])
      if (subscription.node === this) this.#server.subscriptions.delete(subscription);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What is on its way to this node is lost. */
  interrupt(): void {
    for (const { node, queue, listener } of [...this.#server.subscriptions]) {
      if (node !== this) continue;
      queue.length = 0;
      if (!this.away) listener.interrupted(new Error("the connection was lost"));
    }
    this.away = true;
  }

  restore(): void {
    if (!this.away) return;
    this.away = false;
    for (const { node, queue, listener } of [...this.#server.subscriptions]) {
      if (node !== this) continue;
      queue.length = 0;
      listener.restored();
    }
  }
}

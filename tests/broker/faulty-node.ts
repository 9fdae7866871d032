/** A node of the faulty server: the broker that its hub uses. */

import { reasonOf } from "../../src/base/forms.ts";
import { after, between } from "../../src/base/time.ts";
import { judgePublication, judgeTopicName } from "../../src/broker/arguments.ts";
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
import {
  brokerClosed,
  brokerTimedOut,
  brokerUnreachable,
  publishInDoubt,
  publishRefused,
} from "../../src/broker/failures.ts";
import { type Deferred, deferred } from "../kit/deferred.ts";
import { FAULTY_HONOURS, type FaultyCall, type LinkedServer, Pipe } from "./faulty-link.ts";

/** The pause between two attempts to connect, in milliseconds. */
const PAUSE = 200;
/** Most calls without an answer. */
const MAX_CALLS = 1_000;
const SHORT = 5_000;

interface Subscriber {
  readonly topic: string;
  readonly listener: BrokerListener;
  readonly ready: Deferred;
  /** True when the server has the subscription, on the present connection. */
  subscribed: boolean;
  interrupted: boolean;
  open: boolean;
}

export class FaultyNode implements Broker {
  readonly honours: BrokerHonours = FAULTY_HONOURS;
  readonly #server: LinkedServer;
  readonly #up: Pipe;
  readonly #down: Pipe;
  readonly #subscribers = new Set<Subscriber>();
  readonly #topics = new Map<string, Set<Subscriber>>();
  readonly #calls = new Map<FaultyCall, (error: unknown) => void>();
  #connected = true;
  #closed = false;

  constructor(server: LinkedServer) {
    this.#server = server;
    this.#up = new Pipe(server);
    this.#down = new Pipe(server);
  }

  get connected(): boolean {
    return this.#connected && !this.#closed;
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    judgePublication(topic, message, options.id);
    return this.#call<Published>({ ask: "publish", topic, message, options }, options.timeout, options.signal);
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    return this.#call<Slice>({ ask: "read", topic, request }, request.timeout, request.signal);
  }

  renew(topic: string, epoch: string): Promise<string> {
    return this.#call<string>({ ask: "renew", topic, epoch }, SHORT, undefined);
  }

  claim(topic: string, producer: string, attempt: number): Promise<boolean> {
    return this.#call<boolean>({ ask: "claim", topic, producer, attempt }, SHORT, undefined);
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    const ready = deferred();
    ready.promise.catch(() => undefined);
    const subscriber = { topic, listener, ready, subscribed: false, interrupted: false, open: !this.#closed };
    if (this.#closed) ready.reject(brokerClosed());
    else {
      this.#subscribers.add(subscriber);
      const all = this.#topics.get(topic) ?? new Set();
      this.#topics.set(topic, all.add(subscriber));
      if (this.#connected) this.#subscribeAll([subscriber]);
    }
    return {
      ready: ready.promise,
      close: () => {
        subscriber.open = false;
        this.#subscribers.delete(subscriber);
        const all = this.#topics.get(topic);
        if (all?.delete(subscriber) && all.size === 0) this.#topics.delete(topic);
        ready.reject(brokerClosed());
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.remove(this);
    this.#fail(brokerClosed());
    for (const subscriber of this.#subscribers) {
      subscriber.open = false;
      subscriber.ready.reject(brokerClosed());
    }
    this.#subscribers.clear();
    this.#topics.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The server sends an entry to this node, if the node has subscribed to the topic. */
  deliver(topic: string, entry: BrokerEntry): void {
    if (!this.#connected) return;
    const subscribed = [...(this.#topics.get(topic) ?? [])].filter((subscriber) => subscriber.subscribed);
    if (subscribed.length === 0) return;
    this.#down.send(() => {
      for (const { open, listener } of subscribed) if (open) listener.entry(entry);
    });
  }

  /** The connection is lost. The node connects again. */
  lose(cause: Error): void {
    if (!this.connected) return;
    this.#connected = false;
    this.#fail(cause);
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.subscribed && !subscriber.interrupted) {
        subscriber.interrupted = true;
        subscriber.listener.interrupted(cause);
      }
      subscriber.subscribed = false;
    }
    this.#connectLater();
  }

  /** Reports an interruption without one. */
  suspect(cause: Error): void {
    for (const { listener, subscribed, interrupted } of [...this.#subscribers]) {
      if (!subscribed || interrupted) continue;
      listener.interrupted(cause);
      listener.restored();
    }
  }

  /** Passes what has arrived while the server was frozen. */
  flush(): void {
    this.#up.flush();
    this.#down.flush();
  }

  #connectLater(): void {
    const { clock } = this.#server;
    clock.wakeAt(after(clock.now(), PAUSE), () => {
      if (this.#closed || this.#connected) return;
      if (!this.#server.passes) {
        this.#connectLater();
        return;
      }
      this.#connected = true;
      this.#subscribeAll([...this.#subscribers]);
    });
  }

  /** One command for all. */
  #subscribeAll(subscribers: readonly Subscriber[]): void {
    this.#up.send(() => {
      this.#server.commands += 1;
      for (const subscriber of subscribers) subscriber.subscribed = true;
      this.#down.send(() => {
        for (const subscriber of subscribers) {
          if (!subscriber.open) continue;
          subscriber.ready.resolve();
          if (!subscriber.interrupted) continue;
          subscriber.interrupted = false;
          subscriber.listener.restored();
        }
      });
    });
  }

  /** Ends all calls. */
  #fail(cause: unknown): void {
    this.#up.drop();
    this.#down.drop();
    for (const [call, fail] of [...this.#calls]) {
      const closed = this.#closed ? brokerClosed() : brokerUnreachable(cause);
      fail(call.ask === "publish" ? publishInDoubt(call.message, cause) : closed);
    }
  }

  async #call<Result>(call: FaultyCall, timeout: number, signal: AbortSignal | undefined): Promise<Result> {
    if (this.#closed) throw brokerClosed();
    if (signal?.aborted) throw reasonOf(signal);
    if (!this.#connected) throw brokerUnreachable(undefined);
    const message = call.ask === "publish" ? call.message : new Uint8Array();
    if (this.#calls.size >= MAX_CALLS) throw publishRefused("maxCalls", MAX_CALLS, this.#calls.size + 1, message);
    const { clock } = this.#server;
    const began = clock.now();
    const { promise, resolve, reject } = deferred<Result>();
    const timer = clock.wakeAt(after(began, timeout), (now) => {
      const facts = { after: between(began, now), retriable: call.ask !== "publish" };
      reject(brokerTimedOut(call.ask === "publish" ? "publish" : "history", timeout, facts));
    });
    const aborted = (): void => {
      const reason = reasonOf(signal as AbortSignal);
      reject(call.ask === "publish" ? publishInDoubt(message, reason) : reason);
    };
    signal?.addEventListener("abort", aborted, { once: true });
    this.#calls.set(call, reject);
    this.#up.send(() => {
      try {
        const result = this.#server.execute(call) as Result;
        this.#down.send(() => resolve(result));
      } catch (error) {
        this.#down.send(() => reject(error));
      }
    });
    try {
      return await promise;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", aborted);
      this.#calls.delete(call);
    }
  }
}

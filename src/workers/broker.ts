/** The broker of one worker. The logs of topics are in the first process, and each call is a request to it. */

import { reasonOf } from "../base/forms.ts";
import { after, between, type Clock, type Instant, type Wakeup } from "../base/time.ts";
import { judgePublication, judgeTopicName } from "../broker/arguments.ts";
import type {
  Broker,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  Published,
  ReadRequest,
  Slice,
} from "../broker/broker.ts";
import { brokerClosed, brokerTimedOut, producerFenced, publishInDoubt, publishRefused } from "../broker/failures.ts";
import { LimitError } from "../core.ts";
import { atEndOfTurn } from "../transport/end-of-turn.ts";
import type { WorkerExchange } from "./exchange.ts";
import type { MailboxLimits, MailSize } from "./mailbox.ts";
import type { FromWorker, LogAnswer, LogRequest, Place, ToWorker } from "./messages.ts";

/** What the workers' broker promises. */
export const WORKER_HONOURS: BrokerHonours = Object.freeze({
  log: true,
  contiguous: true,
  survives: "node",
  once: true,
  fence: true,
});

/** How long `renew` and `claim` wait for the first process, in milliseconds. */
const SHORT = 5_000;
const NO_BYTES = { length: 0 };

/** A request without an answer yet. */
interface Pending {
  readonly request: LogRequest;
  readonly answer: (answer: LogAnswer) => void;
  readonly fail: (error: unknown) => void;
}

interface Bounds {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

export class WorkerBroker implements Broker {
  readonly honours: BrokerHonours = WORKER_HONOURS;
  readonly #exchange: WorkerExchange;
  readonly #limits: MailboxLimits;
  readonly #clock: Clock;
  readonly #subscriptions = new Set<{ readonly listener: BrokerListener; readonly close: () => void }>();
  readonly #pending = new Map<number, Pending>();
  #number = 0;
  /** The requests of this turn, which leave as one message. */
  #asks: [number: number, request: LogRequest][] = [];
  #sizes: MailSize[] = [];
  #closed = false;
  #idleListeners: (() => void)[] = [];

  constructor(exchange: WorkerExchange, limits: MailboxLimits, clock: Clock) {
    this.#exchange = exchange;
    this.#limits = limits;
    this.#clock = clock;
    exchange.onMissed = (messages) => this.#missed(messages);
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    judgePublication(topic, message, options.id);
    const { history, id, fence, timeout, signal } = options;
    this.#throwIfOver(signal);
    if (history === undefined && fence === undefined) {
      if (!this.#exchange.publishUnkept(topic, message)) throw this.#noRoom(message);
      return { epoch: "", offset: 0, duplicate: false };
    }
    const request = { ask: "publish", topic, message, options: { history, id, fence } } as const;
    return this.#ask<Published>(request, [topic, message], { timeout, signal });
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    let open = !this.#closed;
    if (!open) {
      const ready = Promise.reject(brokerClosed());
      // Prevents an unhandled rejection.
      ready.catch(() => undefined);
      return { ready, close: () => undefined };
    }
    let end = (_: unknown): void => undefined;
    const receive = (message: Uint8Array, [epoch, offset]: Place = ["", 0]): void => {
      if (open) listener.entry({ epoch, offset, previous: undefined, message });
    };
    const subscribed = this.#exchange.subscribeTopic(topic, receive);
    const ready = new Promise<void>((resolve, reject) => {
      end = reject;
      void subscribed.ready.then(resolve);
    });
    ready.catch(() => undefined);
    const subscription = {
      listener,
      close: () => {
        open = false;
        this.#subscriptions.delete(subscription);
        subscribed.close();
        end(brokerClosed());
      },
    };
    this.#subscriptions.add(subscription);
    return { ready, close: subscription.close };
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    const { timeout, signal, ...wanted } = request;
    this.#throwIfOver(signal);
    return this.#ask<Slice>({ ask: "read", topic, request: { ...wanted, timeout } }, [topic, NO_BYTES], {
      timeout,
      signal,
    });
  }

  async renew(topic: string, epoch: string): Promise<string> {
    judgeTopicName(topic);
    this.#throwIfOver(undefined);
    return this.#ask<string>({ ask: "renew", topic, epoch }, [topic, NO_BYTES], { timeout: SHORT, signal: undefined });
  }

  async claim(topic: string, producer: string, attempt: number): Promise<boolean> {
    judgeTopicName(topic);
    this.#throwIfOver(undefined);
    const bounds = { timeout: SHORT, signal: undefined };
    return this.#ask<boolean>({ ask: "claim", topic, producer, attempt }, [topic, NO_BYTES], bounds);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const subscription of this.#subscriptions) subscription.close();
    for (const { request, fail } of this.#pending.values()) {
      fail(request.ask === "publish" ? publishInDoubt(request.message, brokerClosed()) : brokerClosed());
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Handles the answers of the first process. One that comes after the end of its call has no effect. */
  handle({ answers }: Extract<ToWorker, { readonly holdfast: "answers" }>): void {
    for (const [number, answer] of answers) this.#pending.get(number)?.answer(answer);
  }

  /** Resolves when all requests were answered, or have failed. */
  async flushed(): Promise<void> {
    if (this.#pending.size > 0) await new Promise<void>((resolve) => this.#idleListeners.push(resolve));
  }

  /** Sends all requests of one event loop turn as one message. */
  turnEnded(): void {
    const [asks, sizes] = [this.#asks, this.#sizes];
    [this.#asks, this.#sizes] = [[], []];
    this.#exchange.mailbox.send({ holdfast: "asks", asks } satisfies FromWorker, sizes);
  }

  #ask<Result>(request: LogRequest, size: MailSize, { timeout, signal }: Bounds): Promise<Result> {
    const message = request.ask === "publish" ? request.message : undefined;
    // The answers are bounded as well: a first process that does not answer would make them grow.
    if (this.#pending.size >= this.#limits.maxQueuedMessages || !this.#exchange.mailbox.reserve(size)) {
      throw this.#noRoom(message);
    }
    this.#number += 1;
    const number = this.#number;
    if (this.#asks.push([number, request]) === 1) atEndOfTurn(this);
    this.#sizes.push(size);
    return new Promise((resolve, reject) => {
      const began = this.#clock.now();
      const inDoubt = (): void => {
        const reason = reasonOf(signal as AbortSignal);
        fail(message === undefined ? reason : publishInDoubt(message, reason));
      };
      const timer: Wakeup = this.#clock.wakeAt(after(began, timeout), (now) =>
        fail(timedOut(request, timeout, began, now)),
      );
      const end = (): void => {
        this.#pending.delete(number);
        timer.cancel();
        signal?.removeEventListener("abort", inDoubt);
        if (this.#pending.size > 0) return;
        for (const listener of this.#idleListeners.splice(0)) listener();
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const answer = (given: LogAnswer): void => {
        end();
        if ("result" in given) resolve(given.result as Result);
        else if ("fenced" in given) reject(producerFenced(given.fenced.producer, given.fenced.attempt));
        else reject(publishRefused(given.limit, given.maximum, given.actual, message ?? new Uint8Array()));
      };
      this.#pending.set(number, { request, answer, fail });
      signal?.addEventListener("abort", inDoubt, { once: true });
    });
  }

  /** The messages that were missed may be of any topic. */
  #missed(messages: number): void {
    const cause = this.#tooMany(messages);
    for (const { listener } of [...this.#subscriptions]) listener.interrupted(cause);
    for (const { listener } of [...this.#subscriptions]) listener.restored();
  }

  #tooMany(messages: number): LimitError {
    const { maxQueuedMessages: maximum } = this.#limits;
    const problem = `this worker has missed ${messages} messages, because too much was waiting for it`;
    return new LimitError({ operation: "receive", problem, limit: "maxQueuedMessages", maximum, actual: maximum });
  }

  #noRoom(message: Uint8Array | undefined): LimitError {
    const { maxQueuedMessages: maximum } = this.#limits;
    const problem = "too much waits on its way to the first process";
    const operation = message === undefined ? "read" : "publish";
    return new LimitError({
      operation,
      problem,
      limit: "maxQueuedMessages",
      maximum,
      actual: maximum,
      returned: message,
    });
  }

  #throwIfOver(signal: AbortSignal | undefined): void {
    if (this.#closed) throw brokerClosed();
    if (signal?.aborted) throw reasonOf(signal);
  }
}

function timedOut({ ask, ...request }: LogRequest, timeout: number, began: Instant, now: Instant): Error {
  const operation = ask === "publish" ? "publish" : "history";
  const repeatable =
    ask !== "publish" || (request as { options: { id?: string | undefined } }).options.id !== undefined;
  return brokerTimedOut(operation, timeout, { after: between(began, now), retriable: repeatable });
}

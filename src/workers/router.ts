/** Forwards each message of a worker to the other workers that subscribe to its channel, once to each, and serves the logs. */

import type { Clock } from "../base/time.ts";
import { LogStore, type LogStoreLimits } from "../broker/log-store.ts";
import { ClosedError, LimitError } from "../core.ts";
import { randomToken } from "../transport/random.ts";
import type { Post } from "./cluster.ts";
import { Mailbox, type MailboxLimits, type MailSize } from "./mailbox.ts";
import {
  type FromWorker,
  type LogAnswer,
  type LogRequest,
  type Mail,
  TOPIC_CHANNEL,
  type ToWorker,
} from "./messages.ts";

export interface RouterLimits extends MailboxLimits {
  /** The limits of the logs of all topics. */
  readonly maxLogBytes: number;
  readonly maxLogTopics: number;
}

export class MessageRouter {
  readonly #workers = new Set<RoutedWorker>();
  readonly #limits: RouterLimits;
  readonly #logs: LogStore;

  constructor(limits: RouterLimits, clock: Clock) {
    this.#limits = limits;
    const isSubscribed = (topic: string): boolean =>
      [...this.#workers].some((worker) => worker.subscribes(TOPIC_CHANNEL + topic));
    const { maxLogBytes: maxBytes, maxLogTopics: maxTopics } = limits;
    const stored: LogStoreLimits = { maxBytes, maxTopics };
    this.#logs = new LogStore(clock, randomToken, isSubscribed, stored);
  }

  /** Forgets all logs. */
  clear(): void {
    this.#logs.clear();
  }

  /**
   * Calls `missed` with the number of messages that the worker did not get: when it begins to miss messages, when it has caught
   * up, and when it has ended.
   */
  add(post: Post, missed: (messages: number) => void): RoutedWorker {
    const worker = new RoutedWorker(this.#workers, this.#logs, post, this.#limits, missed);
    this.#workers.add(worker);
    return worker;
  }
}

/** The part of the router for one worker. */
export class RoutedWorker {
  readonly #workers: Set<RoutedWorker>;
  readonly #logs: LogStore;
  readonly #mailbox: Mailbox;
  readonly #post: Post;
  readonly #onMissed: (messages: number) => void;
  readonly #channels = new Set<string>();
  /**
   * Number of messages for which there was no room: `#missed` since the last notice to the worker, `#unreported` since the last
   * call of `#onMissed`.
   */
  #missed = 0;
  #unreported = 0;
  /** Reads that wait for room, and whether they wait until the mailbox is empty. */
  #waiting = false;
  #reads: (readonly [number: number, request: LogRequest & { readonly ask: "read" }])[] = [];

  constructor(
    workers: Set<RoutedWorker>,
    logs: LogStore,
    post: Post,
    limits: MailboxLimits,
    missed: (messages: number) => void,
  ) {
    this.#workers = workers;
    this.#logs = logs;
    this.#post = post;
    this.#mailbox = new Mailbox(post, limits);
    this.#onMissed = missed;
  }

  /** Handles a message of the worker. */
  handle(message: Extract<FromWorker, { readonly holdfast: "channels" | "mail" | "asks" }>): void {
    if (message.holdfast === "mail") {
      for (const worker of this.#workers) if (worker !== this) worker.#forward(message.mail);
      return;
    }
    if (message.holdfast === "asks") {
      this.#answerAll(message.asks);
      return;
    }
    for (const [channel, subscribed] of message.changes) {
      if (subscribed) this.#channels.add(channel);
      else this.#channels.delete(channel);
    }
    this.#post({ holdfast: "confirmed", announcement: message.announcement } satisfies ToWorker, () => undefined);
  }

  subscribes(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** Removes the worker, which has ended. */
  remove(): void {
    this.#workers.delete(this);
    this.#reads = [];
    this.#reportMissed();
  }

  #answerAll(asks: readonly (readonly [number: number, request: LogRequest])[]): void {
    const answers: (readonly [number: number, answer: LogAnswer])[] = [];
    const mail: Mail[] = [];
    for (const [number, request] of asks) {
      if (request.ask === "read") this.#reads.push([number, request]);
      else answers.push([number, this.#answer(request, mail)]);
    }
    // Also to this worker: its subscriptions get its own messages in the order of the log.
    if (mail.length > 0) for (const worker of this.#workers) worker.#forward(mail);
    if (answers.length > 0) this.#post({ holdfast: "answers", answers } satisfies ToWorker, () => undefined);
    this.#answerReads();
  }

  /** Adds the entry of a published message to `mail`. */
  #answer(request: Exclude<LogRequest, { readonly ask: "read" }>, mail: Mail[]): LogAnswer {
    const { topic } = request;
    if (request.ask === "renew") return { result: this.#logs.renew(topic, request.epoch) };
    if (request.ask === "claim") return { result: this.#logs.claim(topic, request.producer, request.attempt) };
    const { message, options } = request;
    try {
      const { published, entry } = this.#logs.publish(topic, message, options);
      const place = entry === undefined || entry.offset === 0 ? undefined : ([entry.epoch, entry.offset] as const);
      if (entry !== undefined)
        mail.push(place === undefined ? [TOPIC_CHANNEL + topic, message] : [TOPIC_CHANNEL + topic, message, place]);
      return { result: published };
    } catch (error) {
      if (error instanceof ClosedError && options.fence !== undefined) return { fenced: options.fence };
      if (error instanceof LimitError) return { limit: error.limit, maximum: error.maximum, actual: error.actual };
      throw error;
    }
  }

  /** Answers the reads for which there is room. A read is done when it is answered, so those that wait hold no entries. */
  #answerReads(): void {
    while (!this.#waiting) {
      const [next] = this.#reads;
      if (next === undefined) return;
      const [number, { topic, request }] = next;
      const slice = this.#logs.read(topic, request);
      const size: MailSize = [topic, { length: slice.entries.reduce((sum, { message }) => sum + message.length, 0) }];
      if (!this.#mailbox.reserve(size, true)) {
        this.#waiting = true;
        this.#mailbox.whenEmpty(() => {
          this.#waiting = false;
          this.#answerReads();
        });
        return;
      }
      this.#reads.shift();
      const answers = [[number, { result: slice }]] as const;
      this.#mailbox.send({ holdfast: "answers", answers } satisfies ToWorker, [size]);
    }
  }

  #forward(all: readonly Mail[]): void {
    const mail: Mail[] = [];
    for (const one of all) {
      if (!this.#channels.has(one[0])) continue;
      // After a missed message, no message is sent before the notice of the gap.
      if (this.#missed === 0 && this.#mailbox.reserve(one)) mail.push(one);
      else this.#countMissed();
    }
    if (mail.length > 0) this.#mailbox.send({ holdfast: "mail", mail, missed: 0 } satisfies ToWorker, mail);
  }

  #countMissed(): void {
    this.#missed += 1;
    this.#unreported += 1;
    if (this.#missed > 1) return;
    this.#reportMissed();
    this.#mailbox.whenEmpty(() => {
      this.#post({ holdfast: "mail", mail: [], missed: this.#missed } satisfies ToWorker, () => undefined);
      this.#missed = 0;
      this.#reportMissed();
    });
  }

  #reportMissed(): void {
    const messages = this.#unreported;
    this.#unreported = 0;
    if (messages > 0) this.#onMissed(messages);
  }
}

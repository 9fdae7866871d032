/** Forwards each message of a worker to the other workers that subscribe to its channel, once to each. */

import type { Post } from "./cluster.ts";
import { Mailbox, type MailboxLimits } from "./mailbox.ts";
import type { FromWorker, Mail, ToWorker } from "./messages.ts";

export class MessageRouter {
  readonly #workers = new Set<RoutedWorker>();
  readonly #limits: MailboxLimits;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  /**
   * Calls `missed` with the number of messages that the worker did not get: when it begins to miss messages, when it has caught
   * up, and when it has ended.
   */
  add(post: Post, missed: (messages: number) => void): RoutedWorker {
    const worker = new RoutedWorker(this.#workers, post, this.#limits, missed);
    this.#workers.add(worker);
    return worker;
  }
}

/** The part of the router for one worker. */
export class RoutedWorker {
  readonly #workers: Set<RoutedWorker>;
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

  constructor(workers: Set<RoutedWorker>, post: Post, limits: MailboxLimits, missed: (messages: number) => void) {
    this.#workers = workers;
    this.#post = post;
    this.#mailbox = new Mailbox(post, limits);
    this.#onMissed = missed;
  }

  /** Handles a message of the worker. */
  handle(message: Extract<FromWorker, { readonly holdfast: "channels" | "mail" }>): void {
    if (message.holdfast === "mail") {
      for (const worker of this.#workers) if (worker !== this) worker.#forward(message.mail);
      return;
    }
    for (const [channel, subscribed] of message.changes) {
      if (subscribed) this.#channels.add(channel);
      else this.#channels.delete(channel);
    }
    this.#post({ holdfast: "confirmed", announcement: message.announcement } satisfies ToWorker, () => undefined);
  }

  /** Removes the worker, which has ended. */
  remove(): void {
    this.#workers.delete(this);
    this.#reportMissed();
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

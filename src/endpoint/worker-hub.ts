/** Where the messages of all workers pass: each goes on to those who hear its channel, and to nobody twice. */

import type { Post } from "../transport/processes.js";
import { Mailbox, type MailboxLimits } from "./worker-mailbox.js";
import type { FromWorker, Mail, ToWorker } from "./worker-messages.js";

export class WorkerHub {
  readonly #seats = new Set<Seat>();
  readonly #limits: MailboxLimits;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  /** `missed` is told how many messages a worker did not get: when it begins to miss some, and when it has caught up. */
  join(post: Post, missed: (messages: number) => void): Seat {
    const seat = new Seat(this.#seats, post, this.#limits, missed);
    this.#seats.add(seat);
    return seat;
  }
}

/** One worker's. */
export class Seat {
  readonly #seats: Set<Seat>;
  readonly #mailbox: Mailbox;
  readonly #post: Post;
  readonly #tellMissed: (messages: number) => void;
  readonly #channels = new Set<string>();
  /** Messages that had no room: since it was last told, and since that was last reported. */
  #missed = 0;
  #unreported = 0;

  constructor(seats: Set<Seat>, post: Post, limits: MailboxLimits, missed: (messages: number) => void) {
    this.#seats = seats;
    this.#post = post;
    this.#mailbox = new Mailbox(post, limits);
    this.#tellMissed = missed;
  }

  /** Its worker said something. */
  heard(message: Extract<FromWorker, { readonly holdfast: "channels" | "mail" }>): void {
    if (message.holdfast === "mail") {
      for (const seat of this.#seats) if (seat !== this) seat.#give(message.mail);
      return;
    }
    for (const [channel, heard] of message.changes) {
      if (heard) this.#channels.add(channel);
      else this.#channels.delete(channel);
    }
    this.#post({ holdfast: "known", round: message.round } satisfies ToWorker, () => undefined);
  }

  /** Its worker has ended. */
  leave(): void {
    this.#seats.delete(this);
    this.#reportMissed();
  }

  #give(all: readonly Mail[]): void {
    const mail: Mail[] = [];
    for (const one of all) {
      if (!this.#channels.has(one[0])) continue;
      // Behind one that is missing, none goes before its worker can be told of the gap.
      if (this.#missed === 0 && this.#mailbox.take(one)) mail.push(one);
      else this.#miss();
    }
    if (mail.length > 0) this.#mailbox.send({ holdfast: "mail", mail, missed: 0 } satisfies ToWorker, mail);
  }

  #miss(): void {
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
    if (messages > 0) this.#tellMissed(messages);
  }
}

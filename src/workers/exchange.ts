/** The exchange of one worker, which reaches the other workers through the process that started them all. */

import type { Exchange, ExchangeReceiver, ExchangeSubscription } from "../group/exchange.ts";
import { atEndOfTurn } from "../transport/end-of-turn.ts";
import type { Post } from "./cluster.ts";
import { Mailbox, type MailboxLimits } from "./mailbox.ts";
import { type FromWorker, type Mail, type Place, TOPIC_CHANNEL, type ToWorker } from "./messages.ts";

/** One announcement of channels. `confirmed` resolves when the first process has confirmed it. */
interface Announcement {
  readonly confirmed: Promise<void>;
  readonly confirm: () => void;
}

/** Called with each message of a channel. `place` is there if the channel is a topic and its log keeps the message. */
export type MailReceiver = (message: Uint8Array, place: Place | undefined) => void;

interface Channel {
  /** One object for each subscription: a program may subscribe twice with one function. */
  readonly subscribers: Set<{ readonly receive: MailReceiver }>;
  readonly ready: Promise<void>;
}

/** The exchange between workers, which also counts lost messages. */
export interface CountingExchange extends Exchange {
  /** Number of messages that were refused because too many already waited. `publish` returned false for them. */
  readonly refusedMessages: number;
  /** Number of messages of other workers that this process missed because too many were waiting for it. */
  readonly missedMessages: number;
}

export class WorkerExchange implements CountingExchange {
  /** What leaves this process, also for the broker. */
  readonly mailbox: Mailbox;
  /** Called when this process has missed messages, before the next message. */
  onMissed: (messages: number) => void = () => undefined;
  readonly #post: Post;
  readonly #report: (error: unknown) => void;
  readonly #channels = new Map<string, Channel>();
  /** The channels that were announced to the first process as subscribed. */
  readonly #announced = new Set<string>();
  /** The channels that may differ from their announcement. A channel is here only once, however often it changes. */
  readonly #changed = new Set<string>();
  readonly #announcements = new Map<number, Announcement>();
  #announcementNumber = 0;
  #nextAnnouncement: Announcement | undefined;
  #mail: Mail[] = [];
  #scheduled = false;
  #refused = 0;
  #missed = 0;

  constructor(post: Post, limits: MailboxLimits, report: (error: unknown) => void) {
    this.#post = post;
    this.mailbox = new Mailbox(post, limits);
    this.#report = report;
  }

  get refusedMessages(): number {
    return this.#refused;
  }

  get missedMessages(): number {
    return this.#missed;
  }

  publish(channel: string, message: Uint8Array, except?: ExchangeReceiver): boolean {
    judgeChannel(channel);
    const mail: Mail = [channel, message];
    const accepted = this.#carry(mail);
    if (!accepted) this.#refused += 1;
    this.#deliver(mail, except);
    return accepted;
  }

  subscribe(channel: string, receive: ExchangeReceiver): ExchangeSubscription {
    judgeChannel(channel);
    return this.#subscribe(channel, receive);
  }

  /** Publishes a message of a topic that is not kept. Returns false if there is no room: then no subscription gets it. */
  publishUnkept(topic: string, message: Uint8Array): boolean {
    const mail: Mail = [TOPIC_CHANNEL + topic, message];
    const accepted = this.#carry(mail);
    if (accepted) this.#deliver(mail, undefined);
    return accepted;
  }

  subscribeTopic(topic: string, receive: MailReceiver): ExchangeSubscription {
    return this.#subscribe(TOPIC_CHANNEL + topic, receive);
  }

  #carry(mail: Mail): boolean {
    if (!this.mailbox.reserve(mail)) return false;
    this.#mail.push(mail);
    this.#schedule();
    return true;
  }

  #subscribe(channel: string, receive: MailReceiver): ExchangeSubscription {
    let subscribed = this.#channels.get(channel);
    if (subscribed === undefined) {
      this.#nextAnnouncement ??= newAnnouncement();
      subscribed = { subscribers: new Set(), ready: this.#nextAnnouncement.confirmed };
      this.#channels.set(channel, subscribed);
      this.#channelChanged(channel);
    }
    const { subscribers, ready } = subscribed;
    const subscriber = { receive };
    subscribers.add(subscriber);
    return {
      ready,
      close: () => {
        if (!subscribers.delete(subscriber) || subscribers.size > 0) return;
        this.#channels.delete(channel);
        this.#channelChanged(channel);
      },
    };
  }

  /** Handles a message of the first process. */
  handle(message: Extract<ToWorker, { readonly holdfast: "confirmed" | "mail" }>): void {
    if (message.holdfast === "confirmed") {
      this.#announcements.get(message.announcement)?.confirm();
      this.#announcements.delete(message.announcement);
      return;
    }
    this.#missed += message.missed;
    if (message.missed > 0) this.onMissed(message.missed);
    for (const mail of message.mail) this.#deliver(mail, undefined);
  }

  /** Resolves when all published messages have left this process. */
  async flushed(): Promise<void> {
    this.turnEnded();
    await new Promise<void>((resolve) => this.mailbox.whenEmpty(resolve));
  }

  /** Sends all messages that were published in one event loop turn as one message. */
  turnEnded(): void {
    this.#scheduled = false;
    this.#announce();
    if (this.#mail.length === 0) return;
    const mail = this.#mail;
    this.#mail = [];
    this.mailbox.send({ holdfast: "mail", mail } satisfies FromWorker, mail);
  }

  #deliver(mail: Mail, except: ExchangeReceiver | undefined): void {
    const [channel, message, place] = mail;
    const subscribers = this.#channels.get(channel)?.subscribers;
    if (subscribers === undefined) return;
    for (const subscriber of [...subscribers]) {
      if (subscriber.receive === except || !subscribers.has(subscriber)) continue;
      try {
        subscriber.receive(message, place);
      } catch (error) {
        this.#report(error);
      }
    }
  }

  #channelChanged(channel: string): void {
    this.#changed.add(channel);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    atEndOfTurn(this);
  }

  #announce(): void {
    // One announcement at a time: if the first process does not read, an announcement of each change would accumulate.
    if (this.#announcements.size > 0 || (this.#changed.size === 0 && this.#nextAnnouncement === undefined)) return;
    const changes: [string, boolean][] = [];
    for (const channel of this.#changed) {
      const subscribed = this.#channels.has(channel);
      if (subscribed === this.#announced.has(channel)) continue;
      changes.push([channel, subscribed]);
      if (subscribed) this.#announced.add(channel);
      else this.#announced.delete(channel);
    }
    this.#changed.clear();
    const announcement = this.#nextAnnouncement ?? newAnnouncement();
    this.#nextAnnouncement = undefined;
    this.#announcementNumber += 1;
    this.#announcements.set(this.#announcementNumber, announcement);
    void announcement.confirmed.then(() => this.#schedule());
    this.#post(
      { holdfast: "channels", announcement: this.#announcementNumber, changes } satisfies FromWorker,
      () => undefined,
    );
  }
}

/** Throws RangeError for a channel that is a topic. */
function judgeChannel(channel: string): void {
  if (!channel.startsWith(TOPIC_CHANNEL)) return;
  throw new RangeError(`Cannot use channel ${JSON.stringify(channel)}: topics have the names that begin with this`);
}

function newAnnouncement(): Announcement {
  let confirm = (): void => undefined;
  const confirmed = new Promise<void>((resolve) => {
    confirm = resolve;
  });
  return { confirmed, confirm };
}

/** The exchange of one worker, whose messages go to the others by way of the process that has started them all. */

import type { Post } from "../transport/processes.js";
import { atTurnEnd } from "../transport/turn.js";
import type { Exchange, Receive, Subscription } from "./exchange.js";
import { Mailbox, type MailboxLimits } from "./worker-mailbox.js";
import type { FromWorker, Mail, ToWorker } from "./worker-messages.js";

/** An announcement of channels, and who waits until it is known. */
interface Round {
  readonly known: Promise<void>;
  readonly tell: () => void;
}

interface Channel {
  readonly receivers: Set<Receive>;
  readonly ready: Promise<void>;
}

/** What an exchange of workers can tell beyond what it is asked to carry. */
export interface CountingExchange extends Exchange {
  /** Messages that were not taken, because too much waited already: those for which `publish` answered false. */
  readonly refusedMessages: number;
  /** Messages of others that have not come, because too much was waiting for this process. */
  readonly missedMessages: number;
}

export class WorkerExchange implements CountingExchange {
  readonly #mailbox: Mailbox;
  readonly #post: Post;
  readonly #report: (error: unknown) => void;
  readonly #channels = new Map<string, Channel>();
  /** Channels that the other side takes for heard. */
  readonly #announced = new Set<string>();
  /** Channels about which it may be wrong. One of each, however often they change. */
  readonly #changed = new Set<string>();
  readonly #rounds = new Map<number, Round>();
  #round = 0;
  #next: Round | undefined;
  #mail: Mail[] = [];
  #due = false;
  #refused = 0;
  #missed = 0;

  constructor(post: Post, limits: MailboxLimits, report: (error: unknown) => void) {
    this.#post = post;
    this.#mailbox = new Mailbox(post, limits);
    this.#report = report;
  }

  get refusedMessages(): number {
    return this.#refused;
  }

  get missedMessages(): number {
    return this.#missed;
  }

  publish(channel: string, message: Uint8Array, except?: Receive): boolean {
    const mail: Mail = [channel, message];
    const taken = this.#mailbox.take(mail);
    if (taken) {
      this.#mail.push(mail);
      this.#hurry();
    } else {
      this.#refused += 1;
    }
    this.#deliver(mail, except);
    return taken;
  }

  subscribe(channel: string, receive: Receive): Subscription {
    let known = this.#channels.get(channel);
    if (known === undefined) {
      this.#next ??= newRound();
      known = { receivers: new Set(), ready: this.#next.known };
      this.#channels.set(channel, known);
      this.#change(channel);
    }
    const { receivers, ready } = known;
    receivers.add(receive);
    return {
      ready,
      close: () => {
        if (!receivers.delete(receive) || receivers.size > 0) return;
        this.#channels.delete(channel);
        this.#change(channel);
      },
    };
  }

  /** Something came from the other side. */
  heard(message: Exclude<ToWorker, { readonly holdfast: "stop" }>): void {
    if (message.holdfast === "known") {
      this.#rounds.get(message.round)?.tell();
      this.#rounds.delete(message.round);
      return;
    }
    this.#missed += message.missed;
    for (const mail of message.mail) this.#deliver(mail, undefined);
  }

  /** Resolves when all that was published has left this process. */
  async left(): Promise<void> {
    this.turnEnded();
    await new Promise<void>((resolve) => this.#mailbox.whenEmpty(resolve));
  }

  /** What was published during a turn leaves as one message. */
  turnEnded(): void {
    this.#due = false;
    this.#announce();
    if (this.#mail.length === 0) return;
    const mail = this.#mail;
    this.#mail = [];
    this.#mailbox.send({ holdfast: "mail", mail } satisfies FromWorker, mail);
  }

  #deliver(mail: Mail, except: Receive | undefined): void {
    const [channel, message] = mail;
    const receivers = this.#channels.get(channel)?.receivers;
    if (receivers === undefined) return;
    for (const receive of [...receivers]) {
      if (receive === except || !receivers.has(receive)) continue;
      try {
        receive(message);
      } catch (error) {
        this.#report(error);
      }
    }
  }

  #change(channel: string): void {
    this.#changed.add(channel);
    this.#hurry();
  }

  #hurry(): void {
    if (this.#due) return;
    this.#due = true;
    atTurnEnd(this);
  }

  #announce(): void {
    // One announcement at a time: a process that does not read must not be told of every change.
    if (this.#rounds.size > 0 || (this.#changed.size === 0 && this.#next === undefined)) return;
    const changes: [string, boolean][] = [];
    for (const channel of this.#changed) {
      const heard = this.#channels.has(channel);
      if (heard === this.#announced.has(channel)) continue;
      changes.push([channel, heard]);
      if (heard) this.#announced.add(channel);
      else this.#announced.delete(channel);
    }
    this.#changed.clear();
    const round = this.#next ?? newRound();
    this.#next = undefined;
    this.#round += 1;
    this.#rounds.set(this.#round, round);
    void round.known.then(() => this.#hurry());
    this.#post({ holdfast: "channels", round: this.#round, changes } satisfies FromWorker, () => undefined);
  }
}

function newRound(): Round {
  let tell = (): void => undefined;
  const known = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { known, tell };
}

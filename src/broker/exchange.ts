/** Carries the messages of groups over a broker, so that their members can be on several machines. */

import { type Complete, present } from "../base/forms.ts";
import { COUNT, DURATION, judgeFunction, judgeNames, judgeNumber, judgeOptions } from "../base/judge.ts";
import { ClosedError } from "../core.ts";
import type { Exchange, ExchangeReceiver, ExchangeSubscription } from "../group/exchange.ts";
import { printError } from "../transport/error-report.ts";
import { randomToken } from "../transport/random.ts";
import { judgeTopicName } from "./arguments.ts";
import type { Broker, BrokerSubscription } from "./broker.ts";

/** Options of `exchangeOf`. */
export interface BrokerExchangeOptions {
  /** How long the broker may take to confirm a message, in milliseconds. After it the message counts as lost. @default 5_000 */
  readonly timeout?: number | undefined;
  /** The maximum of bytes of messages that the broker has not confirmed. Further messages are refused. @default 16_777_216 */
  readonly maxQueuedBytes?: number | undefined;
  /** The maximum number of these messages. @default 65_536 */
  readonly maxQueuedMessages?: number | undefined;
  /**
   * Called with the error of a message that the broker did not confirm, once until it confirms one again; with that of a message of
   * another program, or of another version of this library, once for each channel; and with what a receiver throws. It must not
   * throw. @default writes to stderr
   */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** The exchange of a broker. It counts what may have been lost, and repairs nothing: groups have no past. */
export interface BrokerExchange extends Exchange {
  /** The number of messages that were refused, because too many were not confirmed. `publish` returned false for them. */
  readonly refusedMessages: number;
  /** The number of messages that the broker did not confirm: other processes may not have got them. */
  readonly lostMessages: number;
  /** How often messages of other processes may have been missed on a channel, such as after a lost connection to the server. */
  readonly interruptions: number;
}

/** The default of each option of `exchangeOf` that has a plain value. */
export const EXCHANGE_DEFAULTS: Complete<Omit<BrokerExchangeOptions, "onError">> = Object.freeze({
  timeout: 5_000,
  maxQueuedBytes: 16_777_216,
  maxQueuedMessages: 65_536,
});

/** The topics of groups begin with this. Those of a hub may not. */
const GROUP_TOPIC = "\u0000group ";

// The first byte of a message. While machines are updated one by one, old and new versions of the library exchange messages.
const VERSION = 1;
// In bytes: the version, and the name of the exchange that has published the message.
const HEAD = 12;

interface Channel {
  readonly subscription: BrokerSubscription;
  /** One object for each subscription: a program may subscribe twice with one function. */
  readonly subscribers: Set<{ readonly receive: ExchangeReceiver }>;
  reported: boolean;
}

class TopicExchange implements BrokerExchange {
  readonly #broker: Broker;
  readonly #options: Complete<Omit<BrokerExchangeOptions, "onError">>;
  readonly #report: (error: unknown) => void;
  /** Names this exchange in its messages: the broker returns them, and their receivers here have them already. */
  readonly #head: Uint8Array;
  readonly #channels = new Map<string, Channel>();
  #messages = 0;
  #bytes = 0;
  #confirming = true;
  #refused = 0;
  #lost = 0;
  #interruptions = 0;

  constructor(broker: Broker, options: typeof EXCHANGE_DEFAULTS, report: (error: unknown) => void) {
    this.#broker = broker;
    this.#options = options;
    this.#report = report;
    this.#head = Buffer.concat([Uint8Array.of(VERSION), Buffer.from(randomToken(), "latin1")]);
  }

  get refusedMessages(): number {
    return this.#refused;
  }

  get lostMessages(): number {
    return this.#lost;
  }

  get interruptions(): number {
    return this.#interruptions;
  }

  publish(channel: string, message: Uint8Array, except?: ExchangeReceiver): boolean {
    const topic = topicOf(channel);
    const bytes = this.#bytes + HEAD + message.length;
    const accepted = bytes <= this.#options.maxQueuedBytes && this.#messages < this.#options.maxQueuedMessages;
    if (accepted) void this.#send(topic, Buffer.concat([this.#head, message]));
    else this.#refused += 1;
    this.#deliver(channel, message, except);
    return accepted;
  }

  subscribe(channel: string, receive: ExchangeReceiver): ExchangeSubscription {
    const topic = topicOf(channel);
    let found = this.#channels.get(channel);
    if (found === undefined) {
      const subscription = this.#broker.subscribe(topic, {
        entry: ({ message }) => this.#received(channel, message),
        interrupted: () => {
          this.#interruptions += 1;
        },
        restored: () => undefined,
        invalid: (error) => this.#unreadable(channel, error),
      });
      found = { subscription, subscribers: new Set(), reported: false };
      this.#channels.set(channel, found);
    }
    const { subscription, subscribers } = found;
    const subscriber = { receive };
    subscribers.add(subscriber);
    return {
      ready: subscription.ready,
      close: () => {
        if (!subscribers.delete(subscriber) || subscribers.size > 0) return;
        this.#channels.delete(channel);
        subscription.close();
      },
    };
  }

  async #send(topic: string, message: Uint8Array): Promise<void> {
    this.#messages += 1;
    this.#bytes += message.length;
    const { timeout } = this.#options;
    try {
      await this.#broker.publish(topic, message, {
        ...{ history: undefined, id: undefined, fence: undefined, signal: undefined },
        timeout,
      });
      this.#confirming = true;
    } catch (error) {
      this.#lost += 1;
      // The application has closed the broker: that is no problem to report.
      if (this.#confirming && !(error instanceof ClosedError && error.by === "local")) this.#report(error);
      this.#confirming = false;
    } finally {
      this.#messages -= 1;
      this.#bytes -= message.length;
    }
  }

  #received(channel: string, message: Uint8Array): void {
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
    if (bytes[0] !== VERSION || bytes.length < HEAD) {
      const problem = `it is of another version of this library (${bytes[0]}), or not of a group`;
      this.#unreadable(
        channel,
        new RangeError(`Cannot read a message to group ${JSON.stringify(channel)}: ${problem}`),
      );
    } else if (bytes.compare(this.#head, 0, HEAD, 0, HEAD) !== 0)
      this.#deliver(channel, bytes.subarray(HEAD), undefined);
  }

  #unreadable(channel: string, error: unknown): void {
    const found = this.#channels.get(channel);
    if (found === undefined || found.reported) return;
    found.reported = true;
    this.#report(error);
  }

  #deliver(channel: string, message: Uint8Array, except: ExchangeReceiver | undefined): void {
    const subscribers = this.#channels.get(channel)?.subscribers;
    if (subscribers === undefined) return;
    for (const subscriber of [...subscribers]) {
      if (subscriber.receive === except || !subscribers.has(subscriber)) continue;
      try {
        subscriber.receive(message);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}

function topicOf(channel: string): string {
  const topic = GROUP_TOPIC + channel;
  judgeTopicName(topic);
  return topic;
}

function printExchangeError(error: unknown): void {
  printError(error, { place: "exchange", connection: undefined });
}

/**
 * An exchange for groups, on any broker: `new Group({ name, exchange: exchangeOf(broker) })`. It uses the broker without its log. The
 * exchange does not close the broker. A group's name has at most 248 bytes of UTF-8 here; a longer one is a RangeError. Throws
 * TypeError or RangeError for an invalid argument.
 */
export function exchangeOf(broker: Broker, options: BrokerExchangeOptions = {}): BrokerExchange {
  if (typeof broker?.publish !== "function" || typeof broker.subscribe !== "function") {
    throw new TypeError("Cannot use broker: expected an object with publish() and subscribe()");
  }
  judgeOptions(options);
  const given = present(options);
  judgeNames(Object.keys(given), (name) => name === "onError" || Object.hasOwn(EXCHANGE_DEFAULTS, name));
  const { onError = printExchangeError, ...settled } = { ...EXCHANGE_DEFAULTS, ...given };
  for (const name of ["maxQueuedBytes", "maxQueuedMessages"] as const) judgeNumber(name, settled[name], COUNT);
  judgeNumber("timeout", settled.timeout, DURATION);
  judgeFunction("onError", onError);
  return new TopicExchange(broker, settled as typeof EXCHANGE_DEFAULTS, onError);
}

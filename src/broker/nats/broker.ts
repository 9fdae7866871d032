/** The broker on NATS: its log is a stream of JetStream, and live messages pass through core NATS. */

import { throwIfAborted } from "../../base/forms.ts";
import { judgePublication, judgeTopicName } from "../arguments.ts";
import type {
  Broker,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  Published,
  ReadRequest,
  Slice,
} from "../broker.ts";
import { brokerClosed } from "../failures.ts";
import { headers, type NatsConnection } from "./client.ts";
import { type NatsConnectionOwner, ServerConnection } from "./connection.ts";
import { LiveTopics, type LiveTopicsOwner } from "./live-topics.ts";
import { LogReader } from "./log-reader.ts";
import { type NatsBrokerOptions, type NatsSettings, natsSettings } from "./options.ts";
import { Requests } from "./requests.ts";
import { errorOf, isStreamLost, LogStream, objectOf } from "./stream.ts";
import { Subjects, tokenOf } from "./subjects.ts";

const NOT_KEPT: Published = Object.freeze({ epoch: "", offset: 0, duplicate: false });
/** How long a subscription may take to be confirmed before the connection counts as lost; the probe finds it. */
const FLUSH_TIMEOUT = 10_000;
/** How long it may take to find out whether the stream is another one. */
const INFO_TIMEOUT = 4_000;

/** What the broker on NATS promises. */
export function natsHonours(log: boolean, storage: "file" | "memory"): BrokerHonours {
  const survives = !log ? "nothing" : storage === "file" ? "broker" : "node";
  return Object.freeze({ log, contiguous: false, survives, once: log, fence: false });
}

class NatsBroker implements Broker, NatsConnectionOwner, LiveTopicsOwner {
  readonly honours: BrokerHonours;
  readonly #settings: NatsSettings;
  readonly #subjects: Subjects;
  readonly #server: ServerConnection;
  readonly #requests: Requests;
  readonly #topics: LiveTopics;
  /** Undefined without a log. */
  readonly #log: { readonly stream: LogStream; readonly reader: LogReader } | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: NatsSettings) {
    this.#settings = settings;
    this.#subjects = new Subjects(settings.prefix);
    this.#server = new ServerConnection(settings, this);
    this.#requests = new Requests(this.#server, settings);
    this.#topics = new LiveTopics(this, this.#subjects);
    if (settings.log) {
      const stream = new LogStream(settings, this.#subjects, this.#requests);
      this.#log = { stream, reader: new LogReader(stream, this.#requests, () => hasBatches(this.connection)) };
    }
    this.honours = natsHonours(settings.log, settings.stream.storage);
    this.#server.open();
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    const { history, id, timeout, signal } = options;
    judgePublication(topic, message, id);
    const request = { payload: message, message, timeout, signal };
    if (history === undefined || this.#log === undefined) {
      await this.#requests.publish({ ...request, subject: this.#subjects.live(topic) });
      return NOT_KEPT;
    }
    const { stream } = this.#log;
    // Ids are those of the stream, so that of the message alone would be one of all topics.
    const named = id === undefined ? undefined : headers();
    named?.set("Nats-Msg-Id", `${tokenOf(topic)}.${tokenOf(id ?? "")}`);
    const answer = await this.#requests.send({ ...request, subject: this.#subjects.log(topic), headers: named });
    return this.#guarded(() => {
      const { seq, duplicate, ...rest } = objectOf(answer, "publish");
      const error = errorOf(rest, "publish");
      if (error !== undefined) throw error;
      stream.published(topic, history.messages);
      return { epoch: stream.epoch(topic), offset: Number(seq), duplicate: duplicate === true };
    });
  }

  /** If the stream is not there any more, the broker prepares it again. */
  async #guarded<Result>(call: () => Result | Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      if (isStreamLost(error)) this.#server.lost(error);
      throw error;
    }
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    if (this.closed) {
      const ready = Promise.reject(brokerClosed());
      ready.catch(() => undefined);
      return { ready, close: () => undefined };
    }
    return this.#topics.subscribe(topic, listener);
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    throwIfAborted(request.signal);
    this.#server.use();
    if (this.#log === undefined) return { epoch: "", first: 1, top: 0, entries: [] };
    const { reader } = this.#log;
    return this.#guarded(() => reader.read(topic, this.#subjects.log(topic), request, this.#topics.lastOf(topic)));
  }

  async renew(topic: string, epoch: string): Promise<string> {
    judgeTopicName(topic);
    this.#server.use();
    return this.#log === undefined ? "" : this.#log.stream.renew(topic, epoch);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const ended = this.#server.close();
    this.#requests.fail(undefined, true);
    this.#topics.close();
    await ended;
  }

  // What the connection calls.

  attach(connection: NatsConnection): void {
    const { inboxPrefix } = this.#settings.connection;
    this.#requests.attach(connection, typeof inboxPrefix === "string" ? inboxPrefix : undefined);
    if (this.#log !== undefined) {
      connection.subscribe(this.#subjects.everyEpoch, {
        callback: (error, { subject }) => {
          // A failure is found by the next read or reconnect.
          if (error === null) this.#log?.stream.epochChanged(subject).catch(() => undefined);
        },
      });
    }
    this.#topics.attach(connection);
  }

  async prepare(connection: NatsConnection): Promise<void> {
    await this.#log?.stream.prepare(connection);
  }

  up(): void {
    this.#topics.up();
  }

  down(cause: unknown): void {
    this.#requests.fail(cause, false);
    this.#topics.down(cause);
  }

  answered(): void {
    this.#requests.probed();
  }

  refused(error: Error): void {
    this.#requests.refused(error);
  }

  // What the topics call.

  get connection(): NatsConnection | undefined {
    return this.#server.connection;
  }

  get usable(): boolean {
    return this.#server.usable;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  get stream(): string | undefined {
    return this.#log?.stream.name;
  }

  epoch(topic: string): string {
    return this.#log?.stream.epoch(topic) ?? "";
  }

  flush(): Promise<void> {
    return this.#server.flush(FLUSH_TIMEOUT);
  }

  async isAnotherLog(topic: string, last: number): Promise<boolean> {
    const epoch = this.epoch(topic);
    const info = await this.#log?.stream.info(this.#subjects.log(topic), INFO_TIMEOUT, undefined);
    return info !== undefined && (info.last < last || this.epoch(topic) !== epoch);
  }
}

/** Direct gets of several messages exist from 2.11 on. */
function hasBatches(connection: NatsConnection | undefined): boolean {
  const [major = 0, minor = 0] = (connection?.info?.version ?? "").split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 11);
}

/**
 * A broker for topics over several machines, on NATS. It connects at once and again after each loss, without end; until then
 * `publish` rejects with ClosedError. With JetStream, which is the default, each topic has a log.
 *
 * `servers` are addresses such as `nats://127.0.0.1:4222` or `tls://user:password@host:4222`. A wrong option throws TypeError or
 * RangeError. docs/nats.md describes how to run the server.
 */
export function natsBroker(servers: string | readonly string[], options: NatsBrokerOptions = {}): Broker {
  return new NatsBroker(natsSettings(servers, options));
}

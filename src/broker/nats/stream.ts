/** The streams of JetStream that keep the log of all topics and their epochs. */

import { isObject } from "../../base/forms.ts";
import { TransportError } from "../../core.ts";
import { randomToken } from "../../transport/random.ts";
import { ONCE_WINDOW } from "../broker.ts";
import { brokerUnreachable } from "../failures.ts";
import { headers, type Msg, type NatsConnection } from "./client.ts";
import type { NatsSettings } from "./options.ts";
import type { Requests } from "./requests.ts";
import type { Subjects } from "./subjects.ts";

/** Longest time of one request that prepares the streams, in milliseconds. */
const API_TIMEOUT = 2_500;
const NANOSECONDS = 1_000_000;
/** A topic is trimmed after so many messages, or after as many as it keeps, if these are more. */
const TRIM_EVERY = 100;
const MAX_UNTRIMMED = 10_000;
const MARKERS_AT_ONCE = 100;
const NO_STREAM = 10059;
const NO_MESSAGE = 10037;
const STREAM_EXISTS = 10058;
const WRONG_LAST_SEQUENCE = 10071;

/** Why a call of the JetStream API failed. */
export class ApiError extends TransportError {
  readonly number: number;

  constructor(call: string, number: number, description: string) {
    super({ errno: `NATS-${number}`, syscall: call, detail: description });
    this.number = number;
  }
}

/** The part of the state of a stream that is used. */
export interface StreamInfo {
  readonly created: string;
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  /** How many messages the subject has that was given to `info`. */
  readonly kept: number;
  /** The time of the server in milliseconds since 1970, if it says it. */
  readonly now: number | undefined;
  readonly config: Readonly<Record<string, unknown>>;
}

interface Marker {
  readonly sequence: number;
  readonly value: string;
}

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

export class LogStream {
  readonly name: string;
  readonly #settings: NatsSettings;
  readonly #subjects: Subjects;
  readonly #requests: Requests;
  /** Names this life of the stream: it changes if the stream was lost and made again. */
  #created = "";
  /** The topics whose epoch was renewed, which is seldom. */
  readonly #markers = new Map<string, Marker>();
  /** The state of the stream from which all of them were read. */
  #markersFrom = "";
  /** How many messages this node has published since it trimmed a topic. */
  readonly #untrimmed = new Map<string, number>();

  constructor(settings: NatsSettings, subjects: Subjects, requests: Requests) {
    this.name = settings.stream.name;
    this.#settings = settings;
    this.#subjects = subjects;
    this.#requests = requests;
  }

  get #epochs(): string {
    return `${this.name}_EPOCHS`;
  }

  /** Finds or creates both streams, and reads what the epochs are made of. */
  async prepare(connection: NatsConnection): Promise<void> {
    const log = await this.#ensure(this.name, this.#logConfig(), connection);
    this.#judge(log);
    const { subjects, created, last } = await this.#ensure(this.#epochs, this.#epochConfig(), connection);
    // After a fork there may be one for each topic.
    if (this.#markersFrom !== `${created} ${last}`) {
      this.#markers.clear();
      for (let from = 0; from < subjects.length; from += MARKERS_AT_ONCE) {
        const some = subjects.slice(from, from + MARKERS_AT_ONCE);
        await Promise.all(some.map((subject) => this.#readMarker(subject, connection)));
      }
      this.#markersFrom = `${created} ${last}`;
    }
    this.#created = epochOf(log.created);
  }

  /** The epoch of a topic. */
  epoch(topic: string): string {
    const marker = this.#markers.get(topic);
    return marker === undefined ? this.#created : `${this.#created}.${marker.value}`;
  }

  /** The state of the log, and how many messages a subject has in it. */
  async info(subject: string, timeout: number, signal: AbortSignal | undefined): Promise<StreamInfo> {
    const answer = await this.#call(`STREAM.INFO.${this.name}`, { subjects_filter: subject }, { timeout, signal });
    const info = infoOf(answer, subject);
    this.#created = epochOf(info.created);
    return info;
  }

  /**
   * A message of a topic was published, of which so many are to be kept. If that is less than the stream keeps, the oldest messages
   * are removed now and then: up to twice the limit and 100 messages are stored, and reads return what is within it.
   */
  published(topic: string, messages: number): void {
    if (messages >= this.#settings.stream.messages) return;
    const count = (this.#untrimmed.get(topic) ?? 0) + 1;
    if (count < Math.max(messages, TRIM_EVERY)) {
      // Without the counts of many topics, these are trimmed later.
      if (this.#untrimmed.size >= MAX_UNTRIMMED) this.#untrimmed.clear();
      this.#untrimmed.set(topic, count);
      return;
    }
    this.#untrimmed.delete(topic);
    const bounds = { timeout: API_TIMEOUT, signal: undefined };
    const purge = { filter: this.#subjects.log(topic), keep: messages };
    // After a failure the next one removes more.
    this.#call(`STREAM.PURGE.${this.name}`, purge, bounds).catch(() => undefined);
  }

  /** Another node has changed the epoch of a topic. What it says is read from the stream, since anybody can publish to a subject. */
  async epochChanged(subject: string): Promise<void> {
    await this.#readMarker(subject, undefined);
  }

  /** Gives a topic a new epoch if it still has this one. */
  async renew(topic: string, epoch: string): Promise<string> {
    const subject = this.#subjects.epoch(topic);
    if (epoch !== this.epoch(topic)) return this.epoch(topic);
    const value = randomToken();
    const expected = headers();
    expected.set("Nats-Expected-Last-Subject-Sequence", String(this.#markers.get(topic)?.sequence ?? 0));
    const request = { subject, payload: Buffer.from(value), headers: expected, timeout: API_TIMEOUT };
    const answer = objectOf(await this.#requests.send(request), "renew the epoch");
    const error = errorOf(answer, "renew the epoch");
    if (error !== undefined && error.number !== WRONG_LAST_SEQUENCE) throw error;
    if (error === undefined) this.#markers.set(topic, { sequence: Number(answer["seq"]), value });
    else await this.#readMarker(subject, undefined);
    return this.epoch(topic);
  }

  /**
   * A message of the log as the leader of the stream has it. Direct gets are answered by any server of the cluster, also by one that
   * is behind.
   */
  async get(
    query: { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj: string },
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly sequence: number; readonly time: string; readonly message: Uint8Array } | undefined> {
    return this.#get(this.name, query, { timeout, signal });
  }

  async #get(
    stream: string,
    query: object,
    bounds: ApiBounds,
  ): Promise<{ readonly sequence: number; readonly time: string; readonly message: Uint8Array } | undefined> {
    try {
      const { message } = await this.#call(`STREAM.MSG.GET.${stream}`, query, bounds);
      if (!isObject(message)) throw new ApiError("read a message", 500, "the answer has no message");
      const { seq, data, time } = message;
      const bytes = new Uint8Array(Buffer.from(typeof data === "string" ? data : "", "base64"));
      return { sequence: Number(seq), time: String(time), message: bytes };
    } catch (error) {
      if (error instanceof ApiError && error.number === NO_MESSAGE) return undefined;
      throw error;
    }
  }

  async #readMarker(subject: string, connection: NatsConnection | undefined): Promise<void> {
    const topic = this.#subjects.topicOfEpoch(subject);
    if (topic === undefined) return;
    const bounds = { timeout: API_TIMEOUT, signal: undefined, connection };
    const found = await this.#get(this.#epochs, { last_by_subj: subject }, bounds);
    const known = this.#markers.get(topic);
    // A later one may have been read meanwhile.
    if (found === undefined || (known !== undefined && known.sequence > found.sequence)) return;
    this.#markers.set(topic, { sequence: found.sequence, value: Buffer.from(found.message).toString() });
  }

  async #ensure(
    name: string,
    config: object,
    connection: NatsConnection,
  ): Promise<StreamInfo & { subjects: string[] }> {
    const bounds = { timeout: API_TIMEOUT, signal: undefined, connection };
    const state = async (): Promise<Readonly<Record<string, unknown>>> =>
      this.#call(`STREAM.INFO.${name}`, { subjects_filter: ">" }, bounds);
    try {
      const answer = await state().catch(async (error: unknown) => {
        if (!(error instanceof ApiError) || error.number !== NO_STREAM) throw error;
        return this.#call(`STREAM.CREATE.${name}`, config, bounds);
      });
      return { ...infoOf(answer, ""), subjects: subjectsOf(answer) };
    } catch (error) {
      // Another node has created it meanwhile, with other limits.
      if (!(error instanceof ApiError) || error.number !== STREAM_EXISTS) throw error;
      const answer = await state();
      return { ...infoOf(answer, ""), subjects: subjectsOf(answer) };
    }
  }

  /** Throws if the stream cannot be the log of topics. */
  #judge({ config }: StreamInfo): void {
    const { src, dest } = this.#subjects.republish;
    const republish = isObject(config["republish"]) ? config["republish"] : {};
    const subjects: unknown = config["subjects"];
    const problem =
      Array.isArray(subjects) && subjects.includes(src)
        ? republish["src"] === src && republish["dest"] === dest
          ? config["allow_direct"] === true
            ? undefined
            : "allow_direct"
          : `republish from ${src} to ${dest}`
        : `the subject ${src}`;
    if (problem === undefined) return;
    throw new TransportError({
      errno: "EINVAL",
      syscall: "use the stream",
      detail: `the existing stream ${this.name} needs ${problem}`,
    });
  }

  #logConfig(): object {
    const { messages, bytes, age, storage, replicas } = this.#settings.stream;
    return {
      ...this.#commonConfig(this.name, this.#subjects.everyLog, messages),
      ...{ storage, num_replicas: replicas, max_bytes: finite(bytes), max_age: finite(age, NANOSECONDS) ?? 0 },
      ...{ duplicate_window: ONCE_WINDOW * NANOSECONDS, republish: this.#subjects.republish },
      description: "The messages of Holdfast's topics. Each topic is a subject.",
    };
  }

  #epochConfig(): object {
    const { storage, replicas } = this.#settings.stream;
    return {
      ...this.#commonConfig(this.#epochs, this.#subjects.everyEpoch, 1),
      ...{ storage, num_replicas: replicas, max_bytes: -1, max_age: 0 },
      description: "The topics of Holdfast whose epoch was renewed.",
    };
  }

  #commonConfig(name: string, subject: string, messages: number): object {
    return {
      ...{ name, subjects: [subject], retention: "limits", discard: "old", allow_direct: true },
      ...{ max_msgs_per_subject: finite(messages), max_msgs: -1, max_msg_size: -1, max_consumers: -1 },
    };
  }

  async #call(call: string, body: object, bounds: ApiBounds): Promise<Readonly<Record<string, unknown>>> {
    const { timeout, signal, connection } = bounds;
    const request = { subject: `$JS.API.${call}`, payload: encode(body), timeout, signal };
    const answer = objectOf(await this.#requests.send(request, connection), call);
    const error = errorOf(answer, call);
    if (error !== undefined) throw error;
    return answer;
  }
}

interface ApiBounds {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Given while the broker is not usable yet. */
  readonly connection?: NatsConnection | undefined;
}

/** -1 means no limit to the server. */
function finite(value: number, unit: number = 1): number | undefined {
  return value === Number.POSITIVE_INFINITY ? (unit === 1 ? -1 : undefined) : value * unit;
}

/** Nothing has read a request: JetStream, the stream or its leader is not there. */
export class UnansweredError extends Error {
  constructor(call: string) {
    super(`no JetStream has answered ${call}: is it enabled, and is its stream there?`);
  }
}

/** The body of an answer. Throws a ClosedError with an UnansweredError as its cause if nothing has read the request. */
export function objectOf(answer: Msg, call: string): Readonly<Record<string, unknown>> {
  if (isUnanswered(answer)) throw brokerUnreachable(new UnansweredError(call));
  try {
    const body: unknown = JSON.parse(answer.string());
    if (isObject(body)) return body;
  } catch {
    // It is reported below.
  }
  throw new ApiError(call, 500, "the answer cannot be understood");
}

/** True if the error says that the stream is not there. */
export function isStreamLost(error: unknown): boolean {
  return error instanceof ApiError ? error.number === NO_STREAM : (error as Error).cause instanceof UnansweredError;
}

/** True if the server says that nothing subscribes to the subject of the request. */
function isUnanswered(answer: Msg): boolean {
  return answer.data.length === 0 && answer.headers?.code === 503;
}

/** The error in an answer. */
export function errorOf({ error }: Readonly<Record<string, unknown>>, call: string): ApiError | undefined {
  if (!isObject(error)) return undefined;
  return new ApiError(call, Number(error["err_code"] ?? error["code"] ?? 500), String(error["description"] ?? ""));
}

function infoOf(answer: Readonly<Record<string, unknown>>, subject: string): StreamInfo {
  const { created, state, config, ts } = answer;
  if (typeof created !== "string" || !isObject(state) || !isObject(config)) {
    throw new ApiError("read the state of the stream", 500, "the answer cannot be understood");
  }
  const now = typeof ts === "string" ? Date.parse(ts) : Number.NaN;
  return {
    ...{ created, config, now: Number.isNaN(now) ? undefined : now },
    ...{ first: Number(state["first_seq"]), last: Number(state["last_seq"]), bytes: Number(state["bytes"]) },
    kept: isObject(state["subjects"]) ? Number(state["subjects"][subject] ?? 0) : 0,
  };
}

function subjectsOf({ state }: Readonly<Record<string, unknown>>): string[] {
  return isObject(state) && isObject(state["subjects"]) ? Object.keys(state["subjects"]) : [];
}

/** A short form of the time at which a stream was created: `2026-11-30T13:30:13.123456789Z`. */
export function epochOf(created: string): string {
  const fraction = /\.(\d+)/.exec(created)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(created) / 1_000);
  return BigInt(`${seconds}${fraction.padEnd(9, "0").slice(0, 9)}`).toString(36);
}

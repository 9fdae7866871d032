/** Reads the log of a topic, by direct gets of the messages of one subject. */

import { between } from "../../base/time.ts";
import { systemClock } from "../../transport/clock.ts";
import type { BrokerEntry, HistoryLimits, ReadRequest, Slice } from "../broker.ts";
import { brokerTimedOut } from "../failures.ts";
import type { Msg } from "./client.ts";
import type { Requests } from "./requests.ts";
import { ApiError, type LogStream, objectOf } from "./stream.ts";

/** Messages and bytes of one answer of a server that has batches. */
const BATCH = 256;
const BATCH_BYTES = 4 * 1024 * 1024;
/** On a server without batches, so many parts of the log are read at the same time. */
const PARTS = 8;
/** How many messages are looked for at first when a log is read backwards. */
const FIRST_BACK = 8;
const END_OF_BATCH = 204;
const NOT_FOUND = 404;

interface Found {
  readonly offset: number;
  /** In milliseconds since 1970, by the clock of the server. */
  readonly time: number;
  readonly message: Uint8Array;
}

/** What the log of a topic had at the beginning of a read. */
interface LogState {
  readonly epoch: string;
  readonly top: number;
  /** The offset of the oldest message that the stream has, and how many it has. */
  readonly kept: number;
  readonly count: number;
  /** The time of the server in milliseconds since 1970. */
  readonly now: number;
  /** The size of the newest message in bytes, by which those of the others are guessed. */
  readonly size: number;
}

/** One call of `read`. */
interface Reading {
  readonly subject: string;
  /** Returns the time that is left, in milliseconds. Throws TimeoutError if there is none. */
  readonly remaining: () => number;
  readonly signal: AbortSignal | undefined;
}

export class LogReader {
  readonly #stream: LogStream;
  readonly #requests: Requests;
  /** Whether the server answers a get with several messages: from 2.11 on. */
  readonly #hasBatches: () => boolean;

  constructor(stream: LogStream, requests: Requests, hasBatches: () => boolean) {
    this.#stream = stream;
    this.#requests = requests;
    this.#hasBatches = hasBatches;
  }

  /** `last` is the last offset that this node has received of the topic, if nothing can be missing since; otherwise 0. */
  async read(topic: string, subject: string, request: ReadRequest, last: number): Promise<Slice> {
    const { after = 0, reverse = false, history, timeout, signal } = request;
    const reading: Reading = { subject, remaining: remainingOf(timeout), signal };
    const [info, newest, direct] = await Promise.all([
      this.#stream.info(subject, timeout, signal),
      this.#stream.get({ last_by_subj: subject }, timeout, signal),
      this.#next(reading, 1),
    ]);
    const epoch = this.#stream.epoch(topic);
    const oldest = direct ?? (newest && (await this.#nextOfLeader(reading, 1)));
    if (newest === undefined || oldest === undefined) return emptySlice(epoch, info.last, after, last);
    const state: LogState = {
      ...{ epoch, top: newest.sequence, kept: oldest.offset, count: info.kept, now: info.now ?? Date.now() },
      size: newest.message.length,
    };
    return reverse ? this.#readBack(reading, state, request) : this.#readOn(reading, state, request, history);
  }

  async #readOn(reading: Reading, state: LogState, request: ReadRequest, history: HistoryLimits): Promise<Slice> {
    const { epoch, top, kept, count, now } = state;
    const after = request.after ?? 0;
    // The limits count from the top, so everything up to there is read. If the log reaches back so far, from behind `after` on.
    const linked = after >= kept;
    const start = linked ? after + 1 : kept;
    const found =
      linked || count <= history.messages
        ? await this.#walk(reading, start, top, state, history)
        : await this.#walkBack(reading, top, state, history, (some) => some.length > history.messages);
    const window = within(found, history, now);
    const previous = found[found.length - window.length - 1]?.offset ?? (linked ? after : 0);
    const first = window.length < found.length || !linked ? (window[0]?.offset ?? top + 1) : kept;
    return { epoch, first, top, entries: chosen(entriesOf(window, epoch, previous), request) };
  }

  /** Reads only as far back as the request needs: then `first` is that of the stream. */
  async #readBack(reading: Reading, state: LogState, request: ReadRequest): Promise<Slice> {
    const { epoch, top, kept, now } = state;
    const { before = Number.POSITIVE_INFINITY, history, messages, bytes } = request;
    const enough = (some: readonly Found[]): boolean => {
      if (some.length > history.messages) return true;
      const wanted = some.filter(({ offset }) => offset < before);
      return wanted.length > messages || sizeOf(wanted) > bytes || sizeOf(some) > history.bytes;
    };
    const found = await this.#walkBack(reading, top, state, history, enough);
    const window = within(found, history, now);
    const limited = window.length < found.length || found[0]?.offset === kept;
    const entries = entriesOf(window, epoch, found[found.length - window.length - 1]?.offset ?? 0);
    return { epoch, first: limited ? (window[0]?.offset ?? top + 1) : kept, top, entries: chosen(entries, request) };
  }

  /**
   * The messages up to `end`, from one on that is found by guessing how dense they are, since the server cannot count backwards. `enough`
   * says of the newest ones whether they are.
   */
  async #walkBack(
    reading: Reading,
    end: number,
    state: LogState,
    history: HistoryLimits,
    enough: (found: readonly Found[]) => boolean,
  ): Promise<readonly Found[]> {
    const { top, kept, count } = state;
    const density = Math.max(count, 1) / (top - kept + 1);
    let found: readonly Found[] = [];
    let start = end + 1;
    for (let wanted = FIRST_BACK; start > kept && !enough(found); wanted *= 4) {
      const last = start - 1;
      start = Math.max(kept, start - Math.ceil(wanted / density));
      found = [...(await this.#walk(reading, start, last, state, history)), ...found];
    }
    return found;
  }

  /** The messages from `start` to `end`, without those that are beyond the limits in any case. */
  async #walk(
    reading: Reading,
    start: number,
    end: number,
    { size, count }: LogState,
    history: HistoryLimits,
  ): Promise<readonly Found[]> {
    if (start > end) return [];
    if (this.#hasBatches()) return this.#walkBatches(reading, start, end, history);
    const parts = end - start < PARTS * 2 || size * count > BATCH_BYTES ? 1 : PARTS;
    const length = Math.ceil((end - start + 1) / parts);
    const walks = Array.from({ length: parts }, (_, part) => {
      const from = start + part * length;
      return this.#walkSingly(reading, from, Math.min(from + length - 1, end), history);
    });
    return (await Promise.all(walks)).flat();
  }

  async #walkSingly(reading: Reading, start: number, end: number, history: HistoryLimits): Promise<Found[]> {
    const found = new Tail(history);
    for (let next = start; next <= end; ) {
      const one = (await this.#next(reading, next)) ?? (await this.#nextOfLeader(reading, next));
      if (one === undefined || one.offset > end) break;
      found.push(one);
      next = one.offset + 1;
    }
    return found.entries;
  }

  async #walkBatches(reading: Reading, start: number, end: number, history: HistoryLimits): Promise<Found[]> {
    const found = new Tail(history);
    for (let next = start; next <= end; ) {
      let batch = await this.#batch(reading, next);
      if (batch.length === 0) {
        const one = await this.#nextOfLeader(reading, next);
        batch = one === undefined ? [] : [one];
      }
      for (const one of batch) if (one.offset <= end) found.push(one);
      const lastOffset = batch.at(-1)?.offset;
      if (lastOffset === undefined || lastOffset < next) break;
      next = lastOffset + 1;
    }
    return found.entries;
  }

  /** The first message of the subject from this offset on. */
  async #next({ subject, remaining, signal }: Reading, from: number): Promise<Found | undefined> {
    const answer = await this.#requests.send({
      ...{ subject: `$JS.API.DIRECT.GET.${this.#stream.name}`, timeout: remaining(), signal },
      payload: Buffer.from(JSON.stringify({ seq: from, next_by_subj: subject })),
    });
    return foundIn(answer);
  }

  /** The same, from the server that leads the stream: the one that has answered before may be behind it. */
  async #nextOfLeader({ subject, remaining, signal }: Reading, from: number): Promise<Found | undefined> {
    const found = await this.#stream.get({ seq: from, next_by_subj: subject }, remaining(), signal);
    if (found === undefined) return undefined;
    return { offset: found.sequence, time: Date.parse(found.time), message: found.message };
  }

  async #batch({ subject, remaining, signal }: Reading, from: number): Promise<Found[]> {
    const found: Found[] = [];
    let failure: unknown;
    await this.#requests.send({
      ...{ subject: `$JS.API.DIRECT.GET.${this.#stream.name}`, timeout: remaining(), signal },
      payload: Buffer.from(JSON.stringify({ seq: from, next_by_subj: subject, batch: BATCH, max_bytes: BATCH_BYTES })),
      answer: (message) => {
        try {
          if (message.headers?.code === END_OF_BATCH) return true;
          const one = foundIn(message);
          if (one !== undefined) found.push(one);
          return one === undefined;
        } catch (error) {
          failure = error;
          return true;
        }
      },
    });
    if (failure !== undefined) throw failure;
    return found;
  }
}

/** The newest messages that can be within the limits. The older ones are dropped while the log is read, so that memory is bounded. */
class Tail {
  readonly #history: HistoryLimits;
  #bytes = 0;
  #from = 0;
  #entries: Found[] = [];

  constructor(history: HistoryLimits) {
    this.#history = history;
  }

  get entries(): Found[] {
    return this.#entries.slice(this.#from);
  }

  push(one: Found): void {
    this.#entries.push(one);
    this.#bytes += one.message.length;
    // One more than the limits allow stays: it shows that there was more.
    while (
      this.#entries.length - this.#from > this.#history.messages + 1 ||
      this.#bytes - this.#oldest > this.#history.bytes
    ) {
      this.#bytes -= this.#oldest;
      this.#from += 1;
    }
    if (this.#from * 2 < this.#entries.length || this.#from < 64) return;
    this.#entries = this.entries;
    this.#from = 0;
  }

  get #oldest(): number {
    return this.#entries[this.#from]?.message.length ?? 0;
  }
}

/** Returns a function that returns what is left of `timeout`. */
function remainingOf(timeout: number): () => number {
  const began = systemClock.now();
  return () => {
    const passed = between(began, systemClock.now());
    if (passed >= timeout) throw brokerTimedOut("history", timeout, { after: passed, retriable: true });
    return timeout - passed;
  };
}

/** The message in the answer to a direct get. */
function foundIn(answer: Msg): Found | undefined {
  const { headers } = answer;
  if (headers?.code === NOT_FOUND) return undefined;
  const offset = Number(headers?.get("Nats-Sequence"));
  if (headers === undefined || headers.code !== 0 || !(offset > 0)) {
    // Throws a ClosedError if JetStream does not answer.
    objectOf(answer, "DIRECT.GET");
    throw new ApiError("DIRECT.GET", headers?.code ?? 500, headers?.description ?? "the answer has no headers");
  }
  return { offset, time: Date.parse(headers.get("Nats-Time-Stamp")), message: new Uint8Array(answer.data) };
}

/**
 * The log has no message of the topic, and does not know the last offset any more if these were removed. This node may know it: it is
 * `last`. If not, `after` is an offset that the topic once had, and the last one was at most that of the stream.
 */
function emptySlice(epoch: string, lastOfStream: number, after: number, last: number): Slice {
  const top = last > 0 ? last : after > 0 ? lastOfStream : 0;
  return { epoch, first: top + 1, top, entries: [] };
}

function sizeOf(found: readonly Found[]): number {
  return found.reduce((size, { message }) => size + message.length, 0);
}

/** The newest of these that are within the limits of the topic, the oldest first. */
function within(found: readonly Found[], { messages, bytes, age }: HistoryLimits, now: number): readonly Found[] {
  let size = 0;
  let from = found.length;
  for (; from > 0 && found.length - from < messages; from -= 1) {
    const { message, time } = found[from - 1] as Found;
    size += message.length;
    if (size > bytes || now - time >= age) break;
  }
  return found.slice(from);
}

/** `previous` is the offset before the first one; 0 if the log does not know it. */
function entriesOf(found: readonly Found[], epoch: string, previous: number): BrokerEntry[] {
  let last = previous;
  return found.map(({ offset, message }) => {
    const entry = { epoch, offset, previous: last, message };
    last = offset;
    return entry;
  });
}

/** The entries that the request is about. */
function chosen(entries: BrokerEntry[], request: ReadRequest): BrokerEntry[] {
  const { after = 0, before = Number.POSITIVE_INFINITY, reverse = false, messages, bytes } = request;
  const inRange = entries.filter(({ offset }) => offset > after && offset < before);
  if (reverse) inRange.reverse();
  let [count, size] = [0, 0];
  for (const { message } of inRange) {
    size += message.length;
    if (count >= messages || (count > 0 && size > bytes)) break;
    count += 1;
  }
  return inRange.slice(0, count);
}

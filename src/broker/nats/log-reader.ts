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
const END_OF_BATCH = 204;
const NOT_FOUND = 404;

interface Found {
  readonly offset: number;
  /** In milliseconds since 1970, by the clock of the server. */
  readonly time: number;
  readonly message: Uint8Array;
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

  /** `last` is the last offset that this node has received of the topic; 0 if it has none. */
  async read(topic: string, subject: string, request: ReadRequest, last: number): Promise<Slice> {
    const { after = 0, before = Number.POSITIVE_INFINITY, reverse = false, history, signal } = request;
    const reading: Reading = { subject, remaining: remainingOf(request.timeout), signal };
    const { timeout } = request;
    const [info, newest, direct] = await Promise.all([
      this.#stream.info(subject, timeout, signal),
      this.#stream.get({ last_by_subj: subject }, timeout, signal),
      this.#next(reading, 1),
    ]);
    const epoch = this.#stream.epoch(topic);
    const oldest = direct ?? (newest && (await this.#nextOfLeader(reading, 1)));
    if (newest === undefined || oldest === undefined) return emptySlice(epoch, info.last, Math.max(after, last));
    const top = newest.sequence;
    const kept = oldest.offset;
    const now = info.now ?? Date.now();
    // From behind `after` if the log reaches back so far. The limits count from the top, so everything up to there is read.
    const begins = after >= kept;
    const dense = info.kept <= history.messages;
    const start =
      begins && !reverse ? after + 1 : dense ? kept : await this.#startOf(reading, kept, top, info.kept, history);
    const found = await this.#walk(reading, Math.max(start, kept), top, newest.message.length * info.kept, history);
    const window = within(found, history, now);
    const first = window.length < found.length || !begins || reverse ? window[0]?.offset : Math.min(kept, after + 1);
    const previous = found[found.length - window.length - 1]?.offset ?? (begins && !reverse ? after : 0);
    const entries = entriesOf(window, epoch, previous);
    return { epoch, first: first ?? top + 1, top, entries: chosen(entries, { after, before, reverse }, request) };
  }

  /**
   * An offset from which at least `history.messages` messages lead to the top, as near to it as can be guessed: the log has more than
   * the topic wants, and the server cannot count backwards.
   */
  async #startOf(reading: Reading, kept: number, top: number, count: number, history: HistoryLimits): Promise<number> {
    let start = top;
    let step = Math.ceil(((top - kept + 1) / count) * history.messages * 1.25);
    let known = 0;
    while (start > kept) {
      const end = start;
      start = Math.max(kept, start - step);
      known += (await this.#walk(reading, start, end - 1, 0, history)).length;
      if (known >= history.messages) break;
      step *= 2;
    }
    return start;
  }

  /** The messages from `start` to `end`, without those that are beyond the limits in any case. */
  async #walk(
    reading: Reading,
    start: number,
    end: number,
    bytes: number,
    history: HistoryLimits,
  ): Promise<readonly Found[]> {
    if (start > end) return [];
    if (this.#hasBatches()) return this.#walkBatches(reading, start, end, history);
    const parts = end - start < PARTS * 2 || bytes > BATCH_BYTES ? 1 : PARTS;
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
 * The log has no message of the topic. `known` is an offset that it once had: its messages were removed, and the offset of the last
 * one is not known any more. It was at most the last one of the stream.
 */
function emptySlice(epoch: string, lastOfStream: number, known: number): Slice {
  const top = known === 0 ? 0 : lastOfStream;
  return { epoch, first: top + 1, top, entries: [] };
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

function chosen(
  entries: BrokerEntry[],
  range: { readonly after: number; readonly before: number; readonly reverse: boolean },
  { messages, bytes }: ReadRequest,
): BrokerEntry[] {
  const inRange = entries.filter(({ offset }) => offset > range.after && offset < range.before);
  if (range.reverse) inRange.reverse();
  let [count, size] = [0, 0];
  for (const { message } of inRange) {
    size += message.length;
    if (count >= messages || (count > 0 && size > bytes)) break;
    count += 1;
  }
  return inRange.slice(0, count);
}

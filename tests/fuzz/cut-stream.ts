/** A byte stream from a peer to a decoder, cut at any place and paused at any time; each call of the decoder is checked. */

import assert from "node:assert/strict";
import type { Decoder, Message, Violation, Visitor } from "../../src/engine/protocol.ts";
import type { Call as Recorded } from "../kit/recording-visitor.ts";
import { following, isSentence } from "./target.ts";

/** A call of a visitor; also those for messages that are still compressed. */
export type Call = Recorded | readonly ["packed", "text" | "binary", Uint8Array];

/** How bytes arrive: `size` of each chunk, and whether the receiver stops at a call. */
export interface Way {
  readonly size: () => number;
  readonly stops: () => boolean;
}

const never = (): boolean => false;

/** All at once. */
export const whole = (): Way => ({ size: () => Infinity, stops: never });

/** Byte by byte. */
export const crumbs = (): Way => ({ size: () => 1, stops: never });

/** In chunks that follow from one byte, with stops that follow from another. */
export function cut(sizes: number, stopping: number): Way {
  // Small chunks for some, large ones for others: a boundary is crossed in both ways.
  const size = following(sizes, sizes % 2 === 0 ? 7 : 90);
  const stop = following(stopping, 3);
  return { size: () => size() + 1, stops: () => stopping !== 0 && stop() === 0 };
}

export type Ended = "close" | "fail" | undefined;

/** Judges that it is called as `Visitor` promises, and writes it down. */
export class Judge implements Visitor {
  readonly calls: Call[] = [];
  stopped = false;
  ended: Ended;
  /** What was given of the message that is being streamed. */
  unfinished = 0;
  chunk: Uint8Array = new Uint8Array();
  readonly #stops: () => boolean;

  constructor(stops: () => boolean = never) {
    this.#stops = stops;
  }

  message(data: Message): boolean {
    if (typeof data !== "string") this.#owns(data);
    return this.#note(["message", data]);
  }

  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean {
    this.#owns(bytes);
    assert.ok(last || bytes.length > 0, "a piece that ends nothing holds something");
    this.unfinished = last ? 0 : this.unfinished + bytes.length;
    return this.#note(["piece", type, bytes, last]);
  }

  compressed(type: "text" | "binary", bytes: Uint8Array): boolean {
    this.#owns(bytes);
    return this.#note(["packed", type, bytes]);
  }

  ping(payload: Uint8Array): boolean {
    return this.#control(["ping", payload]);
  }

  pong(payload: Uint8Array): boolean {
    return this.#control(["pong", payload]);
  }

  close(code: number, reason: string): void {
    this.#note(["close", code, reason]);
    this.ended = "close";
  }

  fail(violation: Violation): void {
    isSentence(violation.problem);
    assert.match(violation.clause, /^(RFC \d{4} \d+(\.\d+)*|(text|delimited|length-prefix|fixed|custom) framing)$/);
    const { closeCode, limit } = violation;
    assert.ok([1002, 1007, 1009].includes(closeCode), `${closeCode} is no code for a violation`);
    if (limit !== undefined) {
      assert.equal(closeCode, 1009);
      assert.ok(["maxMessageSize", "maxFragments", "maxInflationRatio"].includes(limit.name));
      assert.ok(limit.actual > limit.maximum);
    }
    this.#note(["fail", violation]);
    this.ended = "fail";
  }

  #control(call: readonly ["ping" | "pong", Uint8Array]): boolean {
    this.#owns(call[1]);
    assert.ok(call[1].length <= 125, "a control frame has at most 125 bytes");
    return this.#note(call);
  }

  #note(call: Call): boolean {
    this.#mayBeCalled();
    this.calls.push(call);
    this.stopped = this.#stops();
    return !this.stopped;
  }

  #mayBeCalled(): void {
    assert.equal(this.ended, undefined, "nothing is called behind the end");
    assert.equal(this.stopped, false, "nothing is called behind a stop");
  }

  #owns(bytes: Uint8Array): void {
    assert.equal(bytes.constructor, Uint8Array, "the class of what arrives does not depend on the chunk's");
    assert.notEqual(bytes.buffer, this.chunk.buffer, "what arrives is a copy, and no view of the chunk");
  }
}

/** Decodes `wire` in this way. `look` is called after each chunk with the number of bytes decoded so far. */
export function heard(
  decoder: Decoder,
  wire: Uint8Array,
  way: Way,
  look: (taken: number, judge: Judge) => void = () => {},
): Judge {
  const judge = new Judge(way.stops);
  for (let at = 0, turn = 0; at < wire.length; turn += 1) {
    const size = Math.min(way.size(), wire.length - at);
    // In a larger array, at any alignment and from any index: only the bytes that are given may matter.
    const before = turn % 5;
    const from = turn % 3;
    const chunk = Buffer.alloc(before + from + size + 3, 0x5a).subarray(before, before + from + size);
    chunk.set(wire.subarray(at, at + size), from);
    judge.chunk = chunk;
    judge.stopped = false;
    const taken = decoder.receive(chunk, from, judge) - from;
    assert.ok(taken >= 0 && taken <= size, "it takes what there is");
    assert.ok(judge.stopped || taken === size, "only a stop leaves bytes");
    // Decoded bytes are overwritten: the decoder must not keep references to them.
    chunk.fill(0xa5);
    at += taken;
    look(at, judge);
  }
  return judge;
}

/** The calls with pieces put together to messages; pieces of a message that has not ended are left out. */
export function together(calls: readonly Call[]): Call[] {
  const result: Call[] = [];
  let pieces: Uint8Array[] = [];
  for (const call of calls) {
    if (call[0] !== "piece") {
      result.push(call);
      continue;
    }
    pieces.push(call[2]);
    if (!call[3]) continue;
    const bytes = Uint8Array.from(Buffer.concat(pieces));
    result.push(["message", call[1] === "text" ? strict.decode(bytes) : bytes]);
    pieces = [];
  }
  return result;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of the pieces of an incomplete message. */
export function unended(calls: readonly Call[]): Uint8Array {
  const last = calls.findLastIndex(
    (call) => ["message", "packed"].includes(call[0]) || (call[0] === "piece" && call[3]),
  );
  return Buffer.concat(calls.slice(last + 1).flatMap((call) => (call[0] === "piece" ? [call[2]] : [])));
}

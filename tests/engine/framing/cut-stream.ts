/** A byte stream from an encoder to a decoder, cut at any place and paused at any time. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Codec } from "../../../src/engine/framing/framing.ts";
import type {
  Decoder,
  DecoderLimits,
  Encoder,
  MessageContent,
  Part,
  Violation,
  Visitor,
} from "../../../src/engine/protocol.ts";

export const WHOLE: DecoderLimits = { maxMessageSize: 1_000, maxFragments: 1, streaming: false };
export const STREAMING: DecoderLimits = { ...WHOLE, streaming: true };

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const bytesOf = (data: MessageContent): Uint8Array =>
  typeof data === "string" ? utf8(data) : new Uint8Array(data);

export const joined = (chunks: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(chunks));

/** One message, or one part of it, as encoded. */
export function encoded(encoder: Encoder, data: MessageContent, part: Part = "whole"): Uint8Array {
  const payload = bytesOf(encoder.payload(data, part));
  const target = new Uint8Array(payload.length + encoder.overhead + 2).fill(0xee);
  const start = encoder.before(target, 1, payload.length, typeof data === "string", part);
  target.set(payload, start);
  encoder.mask(target, start, start + payload.length);
  const end = encoder.after(target, start + payload.length, part);
  assert.ok(end - 1 - payload.length <= encoder.overhead, "no more overhead than was told");
  assert.deepEqual([target[0], target[end]], [0xee, 0xee], "nothing is written outside");
  return target.slice(1, end);
}

/** Records its calls, and stops as often as requested. */
export class Listener implements Visitor {
  readonly messages: MessageContent[] = [];
  readonly violations: Violation[] = [];
  /** True if the message arrived in pieces. */
  streamed = false;
  stopped = false;
  /** Bytes of pieces since the last message ended. */
  unfinished = 0;
  readonly #stops: readonly boolean[];
  #calls = 0;
  #pieces: Uint8Array[] = [];

  constructor(stops: readonly boolean[] = []) {
    this.#stops = stops;
  }

  message(data: MessageContent): boolean {
    if (typeof data !== "string") assert.equal(data.constructor, Uint8Array);
    this.messages.push(data);
    return this.#goOn();
  }

  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean {
    assert.ok(last || bytes.length > 0, "a piece that ends nothing holds something");
    this.streamed = true;
    this.#pieces.push(bytes);
    this.unfinished += bytes.length;
    if (last) {
      const whole = joined(this.#pieces);
      this.messages.push(
        type === "text" ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(whole) : whole,
      );
      this.#pieces = [];
      this.unfinished = 0;
    }
    return this.#goOn();
  }

  fail(violation: Violation): void {
    this.#notStopped();
    this.violations.push(violation);
  }

  ping(): boolean {
    return assert.fail("no framing has a ping");
  }

  pong(): boolean {
    return assert.fail("no framing has a pong");
  }

  close(): void {
    assert.fail("no framing has a close");
  }

  #goOn(): boolean {
    this.#notStopped();
    assert.deepEqual(this.violations, [], "nothing is decoded after a violation");
    this.stopped = this.#stops[this.#calls % this.#stops.length] ?? false;
    this.#calls += 1;
    return !this.stopped;
  }

  #notStopped(): void {
    assert.equal(this.stopped, false, "nothing is called behind a stop");
  }
}

/**
 * Decodes the bytes in chunks of these sizes, repeated. Each chunk lies inside a larger Buffer and is overwritten after the call.
 * Bytes after a stop come again, in their own chunk. `boundaries` are the ends of the messages on the wire, if the progress of
 * the current message is compared, too.
 */
export function deliver(
  decoder: Decoder,
  bytes: Uint8Array,
  sizes: readonly number[],
  listener: Listener,
  boundaries?: readonly number[],
): void {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    const offset = turn % 5;
    const chunk = Buffer.alloc(offset + size + 3, 0x0a).subarray(offset, offset + Math.min(size, bytes.length - at));
    chunk.set(bytes.subarray(at, at + chunk.length));
    const from = Math.min(turn % 2, chunk.length - 1, at);
    // To begin at an index is the same as a chunk that begins there.
    const again = Buffer.concat([Buffer.alloc(from, 0x0a), chunk]);
    listener.stopped = false;
    const end = decoder.receive(again, from, listener) - from;
    assert.ok(end >= 0 && end <= chunk.length);
    if (end < chunk.length) assert.equal(listener.stopped, true, "only a stop leaves bytes");
    again.fill(0xaa);
    at += end;
    if (boundaries !== undefined) {
      const begun = boundaries.findLast((boundary) => boundary <= at) ?? 0;
      assert.equal(decoder.partial.received, at - begun);
      const { expected } = decoder.partial;
      if (expected !== undefined && at > begun)
        assert.equal(
          begun + expected,
          boundaries.find((end) => end > at),
        );
    }
  }
}

/** The result of the bytes. */
export function received(decoder: Decoder, bytes: Uint8Array, sizes: readonly number[] = []): Listener {
  const listener = new Listener();
  deliver(decoder, bytes, sizes, listener);
  return listener;
}

export const sizes: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
export const stops: fc.Arbitrary<boolean[]> = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });

/**
 * Asserts that messages arrive unchanged wherever the stream is cut and stopped, whole or in pieces; and byte by byte. With
 * streaming, at most `held` bytes wait that are not delivered yet; `held` is "message" if a message is delivered when it is complete.
 */
export function carries(
  codec: Codec,
  messages: fc.Arbitrary<MessageContent>,
  expected: (sent: MessageContent) => MessageContent,
  held: number | "message" = 0,
): void {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 8 }), sizes, stops, fc.boolean(), (sent, cuts, stopping, streaming) => {
      const encoder = codec.encoder();
      const wire = sent.map((data) => encoded(encoder, data));
      let end = 0;
      const boundaries = wire.map((bytes) => {
        end += bytes.length;
        return end;
      });
      for (const chunks of [cuts, [1], []]) {
        const decoder = codec.decoder(streaming ? STREAMING : WHOLE);
        const listener = new Listener(stopping);
        deliver(decoder, joined(wire), chunks, listener, boundaries);
        assert.deepEqual(listener.violations, []);
        assert.deepEqual(listener.messages, sent.map(expected));
        assert.equal(listener.streamed, streaming && sent.length > 0);
        assert.equal(decoder.partial.received, 0);
      }
      const most = held === "message" ? Math.max(0, ...wire.map(({ length }) => length - 1)) : held;
      const decoder = codec.decoder(STREAMING);
      const listener = new Listener();
      for (const byte of joined(wire)) {
        decoder.receive(new Uint8Array([byte]), 0, listener);
        assert.ok(decoder.partial.received - listener.unfinished <= most);
      }
    }),
  );
}

/** Asserts that no bytes cause an exception, and that the result does not depend on the cuts. */
export function survives(codec: Codec, hostile: fc.Arbitrary<number>): void {
  const limits = fc.record({
    maxMessageSize: fc.constantFrom(3, 20, 300, Infinity),
    maxFragments: fc.constant(1),
    streaming: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(fc.oneof(hostile, fc.nat(255)), { maxLength: 120 }),
      sizes,
      stops,
      limits,
      (bytes, cuts, stopping, limit) => {
        const wire = new Uint8Array(bytes);
        const once = received(codec.decoder(limit), wire);
        for (const chunks of [cuts, [1]]) {
          const decoder = codec.decoder(limit);
          const listener = new Listener(stopping);
          deliver(decoder, wire, chunks, listener);
          assert.deepEqual(listener.messages, once.messages);
          assert.equal(listener.violations.length, once.violations.length);
          if (once.violations.length > 0) {
            assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
            assert.equal(decoder.receive(wire, 0, listener), wire.length, "everything is taken behind a violation");
          }
        }
      },
    ),
  );
}

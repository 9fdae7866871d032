/** The target `frames` detects decoders that are almost right: its assertions can fail. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Decoder, DecoderLimits, Visitor } from "../../src/engine/protocol.ts";
import { WebSocketDecoder } from "../../src/engine/websocket/decoder.ts";
import { seedsOf } from "./corpus.ts";
import { frames, framesOf } from "./frames.ts";
import { thrownBy } from "./target.ts";

type Receive = (decoder: Decoder, chunk: Uint8Array, from: number, visitor: Visitor) => number;

/** A visitor that passes on what `change` leaves alone. */
const through = (visitor: Visitor, change: Partial<Visitor>): Visitor => ({
  message: (data) => visitor.message(data),
  piece: (type, bytes, last) => visitor.piece(type, bytes, last),
  ping: (payload) => visitor.ping(payload),
  pong: (payload) => visitor.pong(payload),
  close: (code, reason) => visitor.close(code, reason),
  compressed: (type, bytes) => visitor.compressed?.(type, bytes) ?? true,
  fail: (violation) => visitor.fail(violation),
  ...change,
});

const UNCOUNTED = { heldBytes: 0, discard: () => undefined };

/** Ours but for one flaw. */
const flawed = (receive: Receive, limitsOf = (limits: DecoderLimits): DecoderLimits => limits) =>
  framesOf((role, limits, deflate) => {
    const decoder = new WebSocketDecoder(role, limitsOf(limits), deflate);
    return {
      ...UNCOUNTED,
      get partial() {
        return decoder.partial;
      },
      receive: (chunk, from, visitor) => receive(decoder, chunk, from, visitor),
    };
  });

const right: Receive = (decoder, chunk, from, visitor) => decoder.receive(chunk, from, visitor);

const FLAWS: Readonly<Record<string, ReturnType<typeof flawed>>> = {
  "tells a message twice": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(
      chunk,
      from,
      through(visitor, { message: (data) => visitor.message(data) && visitor.message(data) }),
    ),
  ),
  "forgets pongs": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(chunk, from, through(visitor, { pong: () => true })),
  ),
  "gives a view of the chunk": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(chunk, from, through(visitor, { ping: () => visitor.ping(new Uint8Array(chunk.buffer, 0, 1)) })),
  ),
  "goes on behind a stop": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(
      chunk,
      from,
      through(visitor, {
        message: (data) => visitor.message(data) || true,
        ping: (payload) => visitor.ping(payload) || true,
        pong: (payload) => visitor.pong(payload) || true,
      }),
    ),
  ),
  "tells of another code": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(
      chunk,
      from,
      through(visitor, {
        fail: (violation) => visitor.fail({ ...violation, closeCode: 1002, clause: "RFC 6455 5.9" }),
      }),
    ),
  ),
  "tells of a broken rule in two lines": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(chunk, from, through(visitor, { fail: (one) => visitor.fail({ ...one, problem: "one\ntwo" }) })),
  ),
  "speaks behind the Close": flawed((decoder, chunk, from, visitor) =>
    decoder.receive(
      chunk,
      from,
      through(visitor, {
        close(code, reason) {
          visitor.close(code, reason);
          visitor.message("late");
        },
      }),
    ),
  ),
  "takes one byte too few": flawed((decoder, chunk, from, visitor) => decoder.receive(chunk, from, visitor) - 1),
  "allows one byte too many": flawed(right, (limits) => ({ ...limits, maxMessageSize: limits.maxMessageSize + 1 })),
  "allows one fragment too many": flawed(right, (limits) => ({ ...limits, maxFragments: limits.maxFragments + 1 })),
  "always streams": flawed(right, (limits) => ({ ...limits, streaming: true })),
  "forgets what came at the boundary of two chunks": framesOf((role, limits, deflate) => {
    let decoder = new WebSocketDecoder(role, limits, deflate);
    return {
      ...UNCOUNTED,
      get partial() {
        return decoder.partial;
      },
      receive(chunk, from, visitor) {
        if (decoder.partial.received === 1) decoder = new WebSocketDecoder(role, limits, deflate);
        return decoder.receive(chunk, from, visitor);
      },
    };
  }),
  "does not say how much has come": framesOf((role, limits, deflate) => {
    const decoder = new WebSocketDecoder(role, limits, deflate);
    return {
      ...UNCOUNTED,
      partial: { received: 0, expected: undefined },
      receive: (chunk, from, visitor) => decoder.receive(chunk, from, visitor),
    };
  }),
};

describe("the target of frames", () => {
  const seeds = seedsOf("frames");

  it("has nothing against ours", () => {
    for (const { bytes } of seeds) frames.run(bytes);
    for (const { bytes } of seeds) flawed(right).run(bytes);
  });

  for (const [flaw, target] of Object.entries(FLAWS)) {
    it(`finds a decoder out that ${flaw}`, () => {
      const found = seeds.filter(
        ({ bytes }) => thrownBy(() => void target.run(bytes)) instanceof assert.AssertionError,
      );
      assert.ok(found.length > 0);
    });
  }
});

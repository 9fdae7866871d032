/** The targets of the two framings that no grammar describes: `raw`, and `custom`, whose code may be as wrong as it likes. */

import assert from "node:assert/strict";
import type { DecodedMessage } from "../../src/engine/framing/custom.ts";
import { type Framing, resolveFraming } from "../../src/engine/framing/framing.ts";
import type { DecoderLimits } from "../../src/engine/protocol.ts";
import { type Call, crumbs, cut, heard, type Judge, together, unended, whole } from "./cut-stream.ts";
import { Input, type Target } from "./target.ts";

const LIMITS = [40, 1, 3, 300, Infinity];

function settings(bytes: Uint8Array) {
  const input = new Input(bytes);
  const limits = { maxMessageSize: input.one(LIMITS), maxFragments: 1, streaming: input.flag() };
  return { limits, way: cut(input.byte(), input.byte()), wire: input.rest() };
}

/** One that was given what the peer sent. */
const leftBy = (framing: Framing) => (bytes: Uint8Array) => {
  const { limits, way, wire } = settings(bytes);
  const decoder = resolveFraming(framing).decoder(limits);
  heard(decoder, wire, way);
  return decoder;
};

const raw: Target = {
  tries: "bytes as they come",
  longest: 512,
  words: [],
  run(bytes) {
    const { limits, way: given, wire } = settings(bytes);
    for (const way of [whole(), crumbs(), given]) {
      const decoder = resolveFraming("raw").decoder(limits);
      const { calls } = heard(decoder, wire, way, () => assert.equal(decoder.partial.received, 0));
      const pieces = together(calls).map((call) => {
        assert.ok(call[0] === "message" && typeof call[1] !== "string");
        assert.ok(call[1].length > 0, "nothing is not a message");
        if (!limits.streaming) assert.ok(call[1].length <= limits.maxMessageSize);
        return call[1];
      });
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(wire), "every byte arrives, once and in order");
    }
    return [limits.streaming ? "streaming" : "whole", wire.length > limits.maxMessageSize ? "split" : "one"];
  },
  left: leftBy("raw"),
};

/** A framing that has a byte for the size before each message, and goes wrong in as many ways at some first bytes of one. */
const wayward: Framing = {
  encode: (data) => Buffer.concat([Buffer.of(Buffer.byteLength(data)), Buffer.from(data as string)]),
  decode(pending) {
    const size = pending[0]!;
    const answer = (message: unknown, taken: unknown): DecodedMessage => ({ message, size: taken }) as DecodedMessage;
    if (pending.length <= size) return undefined;
    const message = pending.subarray(1, size + 1);
    switch (message[0]) {
      case 0xf0:
        throw new RangeError("no such message");
      case 0xf1:
        return answer(message, 0);
      case 0xf2:
        return answer(message, pending.length + 1);
      case 0xf3:
        return answer(message, 1.5);
      case 0xf4:
        return answer(message, "2");
      case 0xf5:
        return answer(7, size + 1);
      case 0xf6:
        return answer("x".repeat(message[1] ?? 0), size + 1);
      case 0xf7:
        return answer(Uint8Array.from(message), size + 1);
      default:
        return answer(message, size + 1);
    }
  },
};

/** The first messages of the stream that are good, and whether one follows that is not. */
function split(wire: Uint8Array, limits: DecoderLimits): { readonly calls: Call[]; readonly code: number | undefined } {
  const calls: Call[] = [];
  const { maxMessageSize: maximum } = limits;
  for (let at = 0; at < wire.length; ) {
    const size = wire[at]!;
    const there = Math.min(wire.length - at, size + 1);
    if (there <= size) return { calls, code: there > maximum ? 1009 : undefined };
    const message = wire.slice(at + 1, at + 1 + size);
    const kind = message[0] ?? 0;
    const data = kind === 0xf6 ? "x".repeat(message[1] ?? 0) : message;
    if (kind >= 0xf0 && kind <= 0xf5) return { calls, code: 1002 };
    if (size + 1 > maximum || data.length > maximum) return { calls, code: 1009 };
    calls.push(["message", data]);
    at += size + 1;
  }
  return { calls, code: undefined };
}

const custom: Target = {
  tries: "a framing of the user's own, right and wrong",
  longest: 512,
  words: ["\\x01\\xf0", "\\x02\\xf6\\xff", "\\x01\\xf3"],
  run(bytes) {
    const { limits, way: given, wire } = settings(bytes);
    const { calls, code } = split(wire, limits);
    const codec = resolveFraming(wayward);
    for (const way of [whole(), crumbs(), given]) {
      const decoder = codec.decoder(limits);
      const judge: Judge = heard(decoder, wire, way, (_, { ended }) => {
        const { received } = decoder.partial;
        if (ended !== undefined) assert.equal(received, 0);
        assert.ok(received <= Math.min(limits.maxMessageSize, 256), "no more is kept than the limit allows");
      });
      const heardOf = together(judge.calls);
      const last = heardOf.at(-1);
      const failed = last?.[0] === "fail" ? last[1] : undefined;
      // A message that is too long may be found to be wrong in another way first, or the other way round.
      if (failed !== undefined) assert.equal(failed.clause, "custom framing");
      assert.equal(failed === undefined, code === undefined);
      if (failed?.closeCode !== code) assert.deepEqual([failed?.closeCode, code], [1009, 1002]);
      assert.deepEqual(failed === undefined ? heardOf : heardOf.slice(0, -1), calls);
      assert.equal(unended(judge.calls).length, 0);
    }
    const names = calls.map(([, data]) => (typeof data === "string" ? "text" : "binary"));
    return [limits.streaming ? "streaming" : "whole", ...names, ...(code === undefined ? [] : [`${code}`])];
  },
  left: leftBy(wayward),
};

export const looseFramings: Readonly<Record<string, Target>> = { raw, custom };

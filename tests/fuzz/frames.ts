/** The target `frames`: a WebSocket stream in both roles, masked and not, as whole messages and in pieces. */

import assert from "node:assert/strict";
import { FrameTap } from "../../src/connection/trace.ts";
import type { Decoder, DecoderLimits } from "../../src/engine/protocol.ts";
import { closePayload } from "../../src/engine/websocket/close-codes.ts";
import { WebSocketDecoder } from "../../src/engine/websocket/decoder.ts";
import { WebSocketEncoder } from "../../src/engine/websocket/encoder.ts";
import { CLOSE, PING, PONG } from "../../src/engine/websocket/frame.ts";
import { encoded } from "../engine/framing/cut-stream.ts";
import { type Call, crumbs, cut, heard, type Judge, together, unended, type Way, whole } from "./cut-stream.ts";
import { framesMeant, type Meant, underWay } from "./oracle.ts";
import { Input, type Target } from "./target.ts";

export type Role = "server" | "client";

// The maximum size of a header, with its mask.
const HEADER = 14;

/** Makes the decoder that is tried. */
export type Make = (role: Role, limits: DecoderLimits, deflate: boolean) => Decoder;

function settings(bytes: Uint8Array) {
  const input = new Input(bytes);
  const kind = input.byte();
  const role: Role = kind % 2 === 0 ? "server" : "client";
  const deflate = kind % 4 > 1;
  const limits: DecoderLimits = {
    maxMessageSize: input.one([300, 0, 1, 125, 126, 70_000, Infinity]),
    maxFragments: input.one([4, 1, 2, Infinity]),
    streaming: input.flag(),
  };
  return { role, limits, deflate, way: cut(input.byte(), input.byte()), wire: input.rest() };
}

/** The target for a decoder that `make` makes: another than ours must be found out. */
export function framesOf(make: Make): Target {
  return {
    tries: "the decoder and encoder of WebSocket, both roles",
    longest: 512,
    words: [
      "\\x88\\x02\\x03\\xe8",
      "\\x81\\x80",
      "\\x7f\\x80",
      "\\xed\\xa0\\x80",
      "\\xf4\\x90\\x80\\x80",
      "\\x03\\xed",
    ],
    run(bytes) {
      const { role, limits, deflate, way: given, wire } = settings(bytes);
      const meant = framesMeant(wire, role === "server", limits, deflate);
      const once = tried(make(role, limits, deflate), limits, wire, whole(), meant);
      const shown = traced(role, deflate, wire, whole());
      // A trace has no limits, and does not read payloads: it may show frames after the end of what the decoder accepts.
      for (const [index, { fin }] of meant.spans.entries()) assert.equal(shown[index]?.fin, fin);
      for (const way of [crumbs(), given]) {
        const again = tried(make(role, limits, deflate), limits, wire, way, meant);
        assert.deepEqual(together(again.calls), together(once.calls), "where it is cut makes no difference");
        assert.deepEqual(traced(role, deflate, wire, way), traced(role, deflate, wire, whole()));
      }
      carriedAgain(role, together(once.calls));
      return [role, limits.streaming ? "streaming" : "whole", ...together(once.calls).map(nameOf)];
    },
    left(bytes) {
      const { role, limits, deflate, way, wire } = settings(bytes);
      const decoder = make(role, limits, deflate);
      heard(decoder, wire, way);
      return decoder;
    },
  };
}

/** The frames that a trace shows. */
function traced(role: Role, deflate: boolean, wire: Uint8Array, way: Way): { readonly fin: boolean }[] {
  const shown: { readonly fin: boolean }[] = [];
  const tap = new FrameTap(role === "server", deflate, (facts) => shown.push(facts));
  for (let at = 0; at < wire.length; ) {
    const end = at + Math.min(way.size(), wire.length - at);
    tap.read(Uint8Array.from(wire.subarray(at, end)));
    at = end;
  }
  return shown;
}

export const frames: Target = framesOf((role, limits, deflate) => new WebSocketDecoder(role, limits, deflate));

function tried(decoder: Decoder, limits: DecoderLimits, wire: Uint8Array, way: Way, meant: Meant): Judge {
  const judge = heard(decoder, wire, way, (taken, { ended }) => {
    const { received, expected } = decoder.partial;
    if (ended !== undefined) {
      assert.deepEqual({ received, expected }, { received: 0, expected: undefined });
      return;
    }
    const truth = underWay(meant.spans, taken);
    assert.equal(received, truth.received, `received of ${taken}`);
    // Beyond 2^53 numbers are not exact.
    if ((truth.expected ?? 0) <= Number.MAX_SAFE_INTEGER)
      assert.equal(expected, truth.expected, `expected at ${taken}`);
    if (!limits.streaming) {
      const headers = HEADER * (limits.maxFragments + 1) + 125;
      // What does not get smaller by being compressed grows a little.
      const most = limits.maxMessageSize + Math.ceil(limits.maxMessageSize / 16) + 64;
      assert.ok(received <= most + headers, "no more is kept than the limits allow");
    }
  });
  const calls = together(judge.calls);
  const last = calls.at(-1);
  const failed = last?.[0] === "fail" ? last[1] : undefined;
  assert.deepEqual(failed === undefined ? calls : calls.slice(0, -1), meant.calls);
  if (failed === undefined) assert.deepEqual(meant.broken, [], "a broken rule is told of");
  else assert.ok(meant.broken.includes(`${failed.closeCode} ${failed.clause}`), `${failed.clause}: ${failed.problem}`);
  for (const call of calls) {
    if (call[0] !== "message" || limits.streaming) continue;
    assert.ok(Buffer.byteLength(call[1]) <= limits.maxMessageSize, "nothing over the limit is delivered");
  }
  if (limits.streaming) {
    const given = unended(judge.calls);
    assert.deepEqual(Buffer.from(given), Buffer.from(meant.pending.subarray(0, given.length)));
    if (judge.ended === undefined) assert.equal(given.length, meant.pending.length, "pieces are not kept");
  }
  if (judge.ended !== undefined) {
    const before = judge.calls.length;
    assert.equal(decoder.receive(Uint8Array.from(wire), 0, judge), wire.length, "everything is taken behind the end");
    assert.equal(judge.calls.length, before);
  }
  return judge;
}

/** Decoded messages, encoded by our encoder and decoded again. */
function carriedAgain(role: Role, calls: readonly Call[]): void {
  let drawn = 0x12345678;
  const key = (): number => {
    drawn = (drawn * 1_103_515_245 + 12_345) | 0;
    return drawn;
  };
  const encoder = new WebSocketEncoder(role === "server" ? "client" : "server", key);
  const said = calls.filter(([name]) => name !== "fail");
  const wire = said.map((call) => {
    if (call[0] === "message") return encoded(encoder, call[1]);
    if (call[0] === "packed") return packedFrame(encoder, call[1], call[2]);
    if (call[0] === "close") {
      return encoder.control(CLOSE, call[1] === 1005 ? new Uint8Array() : closePayload(call[1], call[2]));
    }
    return encoder.control(call[0] === "ping" ? PING : PONG, call[1] as Uint8Array);
  });
  const limits = { maxMessageSize: Infinity, maxFragments: 1, streaming: false };
  const again = heard(new WebSocketDecoder(role, limits, true), Buffer.concat(wire), whole());
  assert.deepEqual(again.calls, said, "what is written is read as the same");
}

/** A message that is compressed already, as the connection writes it. */
function packedFrame(encoder: WebSocketEncoder, type: "text" | "binary", payload: Uint8Array): Uint8Array {
  const target = new Uint8Array(payload.length + encoder.overhead);
  const start = encoder.before(target, 0, payload.length, type === "text", "whole", true);
  const end = start + payload.length;
  target.set(payload, start);
  encoder.mask(target, start, end);
  return target.slice(0, encoder.after(target, end));
}

function nameOf(call: Call): string {
  if (call[0] === "packed") return `packed ${call[1]}`;
  if (call[0] === "message") return typeof call[1] === "string" ? "text" : "binary";
  if (call[0] === "close") return call[1] === 1005 ? "close without a code" : "close";
  return call[0] === "fail" ? `${call[1].closeCode} ${call[1].clause}` : call[0];
}

/** Properties of every stream of frames, wherever the network cuts it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as ws from "ws";
import type { DecoderLimits } from "../../src/engine/protocol.ts";
import { WebSocketDecoder } from "../../src/engine/websocket/decoder.ts";
import { WebSocketEncoder } from "../../src/engine/websocket/encoder.ts";
import { together } from "../fuzz/cut-stream.ts";
import { bytesOf, hex, joined, type PeerFrame, peerFrame } from "../kit/frames.ts";
import { arrayBytes } from "../kit/memory.ts";
import { runs } from "../kit/random.ts";
import { type Call, Recorder } from "../kit/recording-visitor.ts";

type Role = "server" | "client";

const LIMITS: DecoderLimits = { maxMessageSize: 1 << 20, maxFragments: 1024, streaming: false };
const NARROW: DecoderLimits = { maxMessageSize: 300, maxFragments: 4, streaming: false };

/** A stream and the expected events. */
interface Talk {
  readonly frames: readonly PeerFrame[];
  readonly calls: readonly Call[];
}

const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 60 }), fc.string({ minLength: 100, maxLength: 300 }));
const binary = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ minLength: 100, maxLength: 300 }));

const control: fc.Arbitrary<Talk> = fc
  .record({ ping: fc.boolean(), payload: fc.uint8Array({ maxLength: 125 }) })
  .map(({ ping, payload }) => ({
    frames: [{ opcode: ping ? 9 : 10, payload }],
    calls: [[ping ? "ping" : "pong", payload]],
  }));

const message: fc.Arbitrary<Talk> = fc
  .record({
    data: fc.oneof(text, binary),
    cuts: fc.array(fc.nat(300), { maxLength: 4 }),
    between: fc.array(control, { maxLength: 3 }),
  })
  .map(({ data, cuts, between }) => {
    const payload = bytesOf(data);
    const places = [0, ...cuts.map((cut) => Math.min(cut, payload.length)).sort((a, b) => a - b), payload.length];
    const frames: PeerFrame[] = [];
    const calls: Call[] = [];
    for (let index = 1; index < places.length; index++) {
      const opcode = index > 1 ? 0 : typeof data === "string" ? 1 : 2;
      const fin = index === places.length - 1;
      frames.push({ opcode, fin, payload: payload.slice(places[index - 1], places[index]) });
      const meanwhile = between[index - 1];
      if (fin || meanwhile === undefined) continue;
      frames.push(...meanwhile.frames);
      calls.push(...meanwhile.calls);
    }
    return { frames, calls: [...calls, ["message", data]] };
  });

const ending: fc.Arbitrary<Talk> = fc
  .record({
    code: fc.constantFrom(1000, 1001, 1013, 3000, 4999),
    // RFC 6455, 5.5: a control frame has at most 125 bytes, two of which are the code. A grapheme may take 12 bytes.
    reason: fc.string({ unit: "grapheme", maxLength: 20 }).filter((reason) => bytesOf(reason).length <= 123),
    behind: message,
  })
  .map(({ code, reason, behind }) => ({
    // Bytes after a Close frame are ignored.
    frames: [{ opcode: 8, payload: joined(Uint8Array.of(code >> 8, code & 255), bytesOf(reason)) }, ...behind.frames],
    calls: [["close", code, reason]],
  }));

const talk: fc.Arbitrary<Talk> = fc
  .tuple(fc.array(fc.oneof(message, control), { maxLength: 6 }), fc.option(ending))
  .map(([parts, end]) => (end === null ? parts : [...parts, end]))
  .map((parts) => ({ frames: parts.flatMap(({ frames }) => frames), calls: parts.flatMap(({ calls }) => calls) }));

const octet = fc.nat(255);
const keys = fc.array(fc.tuple(octet, octet, octet, octet), { minLength: 1, maxLength: 5 });
const cuts = fc.array(fc.nat(2000), { maxLength: 12 });
const role = fc.constantFrom<Role>("server", "client");

function encoded({ frames }: Talk, to: Role, keys: readonly (readonly number[])[]): Uint8Array {
  const key = (index: number) => keys[index % keys.length] ?? [];
  return joined(...frames.map((frame, index) => peerFrame(to === "server" ? { ...frame, key: key(index) } : frame)));
}

/** The events of these bytes, cut at these places, for a visitor with these answers. */
function heard(
  stream: Uint8Array,
  at: readonly number[],
  to: Role,
  limits: DecoderLimits,
  answer?: () => boolean,
): Call[] {
  let stopped = false;
  const visitor = new Recorder(() => {
    const goOn = answer?.() ?? true;
    stopped = !goOn;
    return goOn;
  });
  const decoder = new WebSocketDecoder(to, limits);
  const places = [...at.map((cut) => Math.min(cut, stream.length)).sort((a, b) => a - b), stream.length];
  let from = 0;
  for (const place of places) {
    // A copy in its own buffer, because it may be unmasked in place, and its alignment must not matter.
    const chunk = Uint8Array.from([...new Uint8Array(from % 4), ...stream.subarray(from, place)]).subarray(from % 4);
    for (let taken = 0; taken < chunk.length; ) {
      stopped = false;
      const before = visitor.calls.length;
      const behind = decoder.receive(chunk, taken, visitor);
      assert.ok(behind > taken, "takes nothing");
      assert.ok(stopped || behind === chunk.length, "stops although nobody said so");
      assert.ok(!stopped || answer !== undefined);
      if (stopped) assert.ok(visitor.calls.length > before);
      taken = behind;
    }
    from = place;
  }
  return visitor.calls;
}

/** A source of answers, some of which are false. */
function wavering(answers: readonly boolean[]): () => boolean {
  let asked = 0;
  return () => answers[asked++ % answers.length] ?? true;
}

const answers = fc.array(fc.boolean(), { minLength: 1, maxLength: 7 });

describe("every stream of frames", () => {
  it("causes the expected events, wherever it is cut, in both roles", () => {
    fc.assert(
      fc.property(talk, role, keys, cuts, (said, to, keys, cuts) => {
        assert.deepEqual(heard(encoded(said, to, keys), cuts, to, LIMITS), said.calls);
      }),
      runs(300),
    );
  });

  it("causes the same events byte by byte", () => {
    fc.assert(
      fc.property(talk, role, keys, (said, to, keys) => {
        const stream = encoded(said, to, keys);
        const everywhere = Array.from(stream, (_, at) => at);
        assert.deepEqual(heard(stream, everywhere, to, LIMITS), said.calls);
      }),
      runs(60),
    );
  });

  it("causes the same events with a visitor that stops and continues", () => {
    fc.assert(
      fc.property(talk, role, keys, cuts, answers, (said, to, keys, cuts, answers) => {
        assert.deepEqual(heard(encoded(said, to, keys), cuts, to, LIMITS, wavering(answers)), said.calls);
      }),
      runs(300),
    );
  });

  it("makes the same messages with streaming", () => {
    fc.assert(
      fc.property(talk, role, keys, cuts, answers, (said, to, keys, cuts, answers) => {
        const limits = { ...NARROW, maxFragments: Infinity, streaming: true };
        assert.deepEqual(together(heard(encoded(said, to, keys), cuts, to, limits, wavering(answers))), said.calls);
      }),
      runs(300),
    );
  });
});

/** A stream with some changed bytes, or random bytes. */
const hostile = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(talk, role, keys, fc.array(fc.tuple(fc.nat(2000), octet), { maxLength: 3 }))
      .map(([said, to, keys, changes]) => {
        const stream = encoded(said, to, keys);
        for (const [at, byte] of changes) if (stream.length > 0) stream[at % stream.length] = byte;
        return stream;
      }),
  },
);

describe("every stream of bytes", () => {
  it("ends in calls and never in an exception, with the same calls wherever it is cut or stopped", () => {
    fc.assert(
      fc.property(hostile, role, cuts, answers, fc.boolean(), (stream, to, cuts, answers, streaming) => {
        const limits = { ...NARROW, streaming };
        const calls = together(heard(stream, [], to, limits));
        assert.deepEqual(together(heard(stream, cuts, to, limits)), calls);
        assert.deepEqual(together(heard(stream, cuts, to, limits, wavering(answers))), calls);
        const end = calls.findIndex(([name]) => name === "close" || name === "fail");
        assert.ok(end === -1 || end === calls.length - 1, "goes on behind its end");
      }),
      runs(600),
    );
  });
});

describe("another implementation's frames", () => {
  // ws exports it, and its types lack it.
  const { Sender } = ws as unknown as {
    Sender: { frame(data: Buffer, options: Readonly<Record<string, unknown>>): Buffer[] };
  };

  it("are decoded", () => {
    fc.assert(
      fc.property(talk, role, cuts, (said, to, cuts) => {
        const frames = said.frames.map(({ opcode, fin = true, payload = "" }) =>
          Sender.frame(Buffer.from(bytesOf(payload)), {
            opcode,
            fin,
            rsv1: false,
            mask: to === "server",
            readOnly: true,
          }),
        );
        assert.deepEqual(heard(Buffer.concat(frames.flat()), cuts, to, LIMITS), said.calls);
      }),
      runs(60),
    );
  });
});

describe("our own frames", () => {
  it("are decoded, wherever they are cut, in both roles", () => {
    fc.assert(
      fc.property(talk, role, keys, cuts, (said, to, keys, cuts) => {
        let drawn = 0;
        const key = (): number => Buffer.from(keys[drawn++ % keys.length] ?? []).readInt32BE();
        const encoder = new WebSocketEncoder(to === "server" ? "client" : "server", key);
        let text = false;
        const frames = said.frames.map(({ opcode, fin = true, payload = "" }) => {
          const bytes = bytesOf(payload);
          if (opcode >= 8) return encoder.control(opcode, bytes);
          if (opcode > 0) text = opcode === 1;
          const part = opcode > 0 ? (fin ? "whole" : "first") : fin ? "last" : "middle";
          const frame = new Uint8Array(encoder.overhead + bytes.length);
          const start = encoder.before(frame, 0, bytes.length, text, part);
          frame.set(bytes, start);
          encoder.mask(frame, start, start + bytes.length);
          return frame.subarray(0, encoder.after(frame, start + bytes.length));
        });
        assert.deepEqual(heard(joined(...frames), cuts, to, LIMITS), said.calls);
      }),
      runs(200),
    );
  });
});

describe("memory", () => {
  /** Bytes of arrays that `work` leaves in use, with its result. */
  async function kept(work: () => unknown): Promise<number> {
    const before = await arrayBytes();
    const held = work();
    const after = await arrayBytes();
    assert.ok(held !== undefined);
    return after - before;
  }

  const limits = { ...LIMITS, maxMessageSize: 16 << 20, maxFragments: Infinity };
  const opening = peerFrame({ opcode: 2, fin: false });

  /** A decoder with this many fragments of an incomplete message. */
  function flooded(size: number, count: number): WebSocketDecoder {
    const decoder = new WebSocketDecoder("client", limits);
    const visitor = new Recorder();
    const chunk = joined(
      ...new Array<Uint8Array>(1024).fill(peerFrame({ opcode: 0, fin: false, payload: new Uint8Array(size) })),
    );
    decoder.receive(opening, 0, visitor);
    for (let given = 0; given < count; given += 1024) decoder.receive(chunk, 0, visitor);
    assert.equal(visitor.calls.length, 0);
    return decoder;
  }

  it("of 65,536 fragments of 64 bytes is at most twice their payload", async () => {
    assert.ok((await kept(() => flooded(64, 65_536))) <= 2 * 64 * 65_536 + 1024);
  });

  it("of a million fragments of one byte is at most twice their payload", async () => {
    assert.ok((await kept(() => flooded(1, 1 << 20))) <= (2 << 20) + 1024);
  });

  it("of a million empty fragments is nothing", async () => {
    assert.ok((await kept(() => flooded(0, 1 << 20))) <= 1024);
  });

  it("is allocated for what arrives, not for what is announced", async () => {
    const announcing = () =>
      Array.from({ length: 1000 }, () => {
        const decoder = new WebSocketDecoder("client", limits);
        decoder.receive(peerFrame({ opcode: 2, announced: 16n << 20n, payload: "x" }), 0, new Recorder());
        return decoder;
      });
    assert.ok((await kept(announcing)) <= 1000 * 128);
  });

  it("is free when the stream is over", async () => {
    for (const end of [peerFrame({ opcode: 8 }), peerFrame({ opcode: 3 }), hex("80 80")]) {
      const over = () => {
        const decoder = flooded(64, 1024);
        decoder.receive(end, 0, new Recorder());
        return decoder;
      };
      assert.ok((await kept(over)) <= 1024);
    }
  });
});

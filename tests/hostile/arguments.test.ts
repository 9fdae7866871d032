/** Arguments of the wrong kind, and of the right kind with a trick: what is sent is what they hold, and never what memory held before. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection } from "../../src/index.js";
import { prepare } from "../../src/index.js";
import { settled, wired } from "../../src/testing/index.js";
import { framesIn } from "../frames.js";

const POISON = 0xee;

/** Leaves as much memory as may be used next in a state that nobody can take for a message. */
function poison(): void {
  for (let round = 0; round < 64; round += 1) {
    for (const size of [16, 100, 1_000, 4_000]) Buffer.allocUnsafe(size).fill(POISON);
    for (const size of [10_000, 65_536]) Buffer.allocUnsafeSlow(size).fill(POISON);
  }
}

type Call = (connection: Connection, argument: never) => unknown;

const CALLS: Readonly<Record<string, Call>> = {
  send: (connection, argument) => connection.send(argument),
  trySend: (connection, argument) => connection.trySend(argument),
  "writer.write": (connection, argument) => connection.writer().write(argument),
  "writer.end": (connection, argument) => connection.writer().end(argument),
  "close's code": (connection, argument) => connection.close(argument),
  "close's reason": (connection, argument) => connection.close(1000, argument),
  "prepare, and then send": (connection, argument) => connection.send(prepare(argument)),
};

const ODD: Readonly<Record<string, unknown>> = {
  "a number": 100,
  "a large number": 2 ** 31,
  NaN: Number.NaN,
  null: null,
  true: true,
  "a bigint": 100n,
  "a symbol": Symbol("100"),
  "a function": () => 100,
  "an array": [1, 2, 3],
  "an empty object": {},
  "an object with a length": { length: 100 },
  "an object like a view": { byteLength: 100, byteOffset: 0, buffer: new ArrayBuffer(100), length: 100 },
  "an object that serialises as a Buffer does": { type: "Buffer", data: [1, 2, 3] },
  "an object with a prototype of views": Object.create(Uint8Array.prototype),
  "shared memory": new SharedArrayBuffer(100),
  "a Blob": new Blob(["x"]),
  "a date": new Date(),
  "a boxed string": Object("x"),
  "a boxed number": Object(100),
};

/** The payloads on the wire of a connection on which `call` was made, and what it threw or rejected with. */
async function sent(
  role: "client" | "server",
  call: (connection: Connection) => unknown,
): Promise<{ readonly payloads: readonly Buffer[]; readonly failure: unknown }> {
  const { connection, wire } = wired({ role });
  poison();
  let failure: unknown;
  try {
    const answer = call(connection);
    // What closes is over only when the peer answers, which it does not here.
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => {
        failure = error;
      });
    }
  } catch (error) {
    failure = error;
  }
  await settled();
  const payloads = framesIn(wire.received).map(({ payload }) => payload);
  connection.terminate();
  await connection.closed;
  return { payloads, failure };
}

describe("an argument of the wrong kind", () => {
  for (const [name, call] of Object.entries(CALLS)) {
    for (const [what, argument] of Object.entries(ODD)) {
      it(`is a TypeError of ${name} before anything is sent: ${what}`, async () => {
        const { payloads, failure } = await sent("server", (connection) => call(connection, argument as never));
        // A number may be a code, and then a wrong one.
        const right = name === "close's code" && Number.isInteger(argument) ? RangeError : TypeError;
        assert.ok(failure instanceof right, String(failure));
        assert.deepEqual(payloads, []);
      });
    }
  }

  it("is no payload of a ping, which has one of its own", async () => {
    for (const argument of [100, "x", {}, new Uint8Array(100), new Float64Array(100), [1]]) {
      const { payloads } = await sent("server", (connection) => connection.ping(argument as object));
      assert.ok(
        payloads.every(({ length }) => length === 4),
        String(payloads),
      );
    }
  });

  it("is no reason to close even if it is a view, whose memory would be sent", async () => {
    for (const argument of [
      new Float32Array(20),
      new Uint8Array(20),
      new DataView(new ArrayBuffer(20)),
      Buffer.alloc(20),
    ]) {
      const { payloads, failure } = await sent("server", (connection) => connection.close(1000, argument as never));
      assert.ok(failure instanceof TypeError);
      assert.deepEqual(payloads, []);
    }
  });
});

const counted = Uint8Array.from({ length: 64 }, (_, index) => index);

const VIEWS: Readonly<Record<string, readonly [argument: ArrayBuffer | ArrayBufferView, from: number, to: number]>> = {
  "an ArrayBuffer": [counted.buffer, 0, 64],
  "a Uint8Array": [counted, 0, 64],
  "a part of one": [counted.subarray(7, 30), 7, 30],
  "an empty part of one": [counted.subarray(7, 7), 7, 7],
  "a Buffer": [Buffer.from(counted.buffer, 3, 20), 3, 23],
  "a Float32Array": [new Float32Array(counted.buffer, 8, 4), 8, 24],
  "a BigUint64Array": [new BigUint64Array(counted.buffer, 16, 2), 16, 32],
  "a Uint8ClampedArray": [new Uint8ClampedArray(counted.buffer, 5, 5), 5, 10],
  "a DataView": [new DataView(counted.buffer, 9, 11), 9, 20],
};

describe("a view of memory", () => {
  for (const role of ["client", "server"] as const) {
    for (const [what, [argument, from, to]] of Object.entries(VIEWS)) {
      it(`is sent by a ${role} as the octets that it shows: ${what}`, async () => {
        for (const call of [CALLS["send"]!, CALLS["writer.end"]!, CALLS["prepare, and then send"]!]) {
          const { payloads, failure } = await sent(role, (connection) => call(connection, argument as never));
          assert.equal(failure, undefined);
          assert.deepEqual(payloads, [Buffer.from(counted.slice(from, to))]);
        }
      });
    }
  }
});

class Longer extends Uint8Array {
  override get length(): number {
    return 5_000;
  }
}

class Shorter extends Uint8Array {
  override get length(): number {
    return 1;
  }
}

/** What a caller may do to the memory that it has handed over, before it is written. Each takes so many bytes of it away, or adds some. */
const TRICKS: Readonly<Record<string, (size: number) => readonly [given: Uint8Array, trick: () => void]>> = {
  "is transferred": (size) => {
    const bytes = new Uint8Array(size).fill(1);
    return [bytes, () => void structuredClone(bytes, { transfer: [bytes.buffer] })];
  },
  shrinks: (size) => {
    const bytes = resizable(size);
    return [bytes, () => bytes.buffer.resize(size >> 1)];
  },
  grows: (size) => {
    const bytes = resizable(size);
    return [bytes, () => bytes.buffer.resize(2 * size)];
  },
  "is a part of what vanishes": (size) => {
    const bytes = resizable(size);
    return [bytes.subarray(1), () => bytes.buffer.resize(0)];
  },
  "says that it is longer": (size) => [new Longer(size).fill(1), () => undefined],
  "says that it is shorter": (size) => [new Shorter(size).fill(1), () => undefined],
};

interface Resizable extends Uint8Array {
  readonly buffer: ArrayBuffer & { resize(size: number): void };
}

function resizable(size: number): Resizable {
  // Every Node that is supported has these, and the types of the oldest do not know them.
  const buffer = Reflect.construct(ArrayBuffer, [size, { maxByteLength: 2 * size }]) as Resizable["buffer"];
  return new Uint8Array(buffer).fill(1) as Resizable;
}

describe("memory that is handed over and then", () => {
  for (const [what, make] of Object.entries(TRICKS)) {
    for (const size of [10, 1_000, 30_000, 200_000]) {
      it(`${what} tells nothing of other memory, breaks no frame and stops nobody, being ${size} bytes`, async () => {
        for (const role of ["client", "server"] as const) {
          const { connection, wire } = wired({ role });
          poison();
          const [bytes, trick] = make(size);
          const done = Promise.allSettled([
            connection.send("before"),
            connection.send(bytes),
            connection.send("behind"),
          ]);
          trick();
          await done;
          await wire.until(({ received }) => Buffer.from(received).length > 0);
          await settled();
          const payloads = framesIn(wire.received).map(({ payload }) => payload);
          assert.deepEqual([payloads[0]?.toString(), payloads[2]?.toString()], ["before", "behind"]);
          assert.ok(
            payloads[1]?.every((byte) => byte <= 1),
            "nothing but ones and zeros was there",
          );
          connection.terminate();
          await connection.closed;
        }
      });
    }
  }

  it("is transferred half way of being written tells nothing of other memory", async () => {
    const { connection, wire } = wired({ role: "server", capacity: 1_000 });
    wire.pause();
    const bytes = new Uint8Array(200_000).fill(1);
    const done = connection.send(bytes);
    await settled();
    structuredClone(bytes, { transfer: [bytes.buffer] });
    poison();
    wire.resume();
    await done;
    await settled();
    const [frame] = framesIn(wire.received);
    assert.equal(frame?.payload.length, 200_000);
    assert.ok(frame.payload.every((byte) => byte <= 1));
    assert.ok(frame.payload.includes(1) && frame.payload.includes(0));
    connection.terminate();
    await connection.closed;
  });
});

describe("a text with half a character", () => {
  it("is sent with a replacement for it, by every way of sending, and is as long as it says", async () => {
    for (const text of ["\ud800", "a\udc00b", "\ud83d\ud83d\ude00", "\udfff".repeat(50_000)]) {
      for (const [name, call] of Object.entries(CALLS)) {
        if (name === "close's code" || (name === "close's reason" && text.length > 10)) continue;
        const { payloads, failure } = await sent("client", (connection) => call(connection, text as never));
        assert.equal(failure, undefined);
        const expected = Buffer.from(text);
        assert.deepEqual(payloads[0]?.subarray(name === "close's reason" ? 2 : 0), expected, name);
      }
    }
  });
});

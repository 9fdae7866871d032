/** Arguments of a wrong type, and views with side effects: exactly the bytes at the time of the call are sent. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection } from "../../src/index.ts";
import { ClosedError, prepare } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { framesIn } from "../kit/frames.ts";

const POISON = 0xee;

/** Fills memory that may be reused next with bytes that no message contains. */
function poison(): void {
  for (let round = 0; round < 64; round += 1) {
    for (const size of [16, 100, 1_000, 4_000]) Buffer.allocUnsafe(size).fill(POISON);
    for (const size of [10_000, 65_536]) Buffer.allocUnsafeSlow(size).fill(POISON);
  }
}

/** A Ping without an answer ends with its connection, which is no failure here. */
function unlessClosed(error: unknown): void {
  if (!(error instanceof ClosedError)) throw error;
}

type Call = (connection: Connection, argument: never) => unknown;

const CALLS: Readonly<Record<string, Call>> = {
  send: (connection, argument) => connection.send(argument),
  trySend: (connection, argument) => connection.trySend(argument),
  "writer.write": (connection, argument) => connection.writer().write(argument),
  "writer.end": (connection, argument) => connection.writer().end(argument),
  "close's code": (connection, argument) => connection.close(argument),
  "close's reason": (connection, argument) => connection.close(1000, argument),
  "ping's payload": (connection, payload) => connection.ping({ payload }).catch(unlessClosed),
  "pong's payload": (connection, argument) => connection.pong(argument),
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

/** The payloads that a connection sent during `call`, and what `call` threw or rejected with. */
async function sent(
  role: "client" | "server",
  call: (connection: Connection) => unknown,
): Promise<{ readonly payloads: readonly Buffer[]; readonly failure: unknown }> {
  const { connection, peer } = wired({ role });
  poison();
  let failure: unknown;
  try {
    const answer = call(connection);
    // A close completes only when the peer answers, which it does not here.
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => {
        failure = error;
      });
    }
  } catch (error) {
    failure = error;
  }
  await settled();
  const payloads = framesIn(peer.received).map(({ payload }) => payload);
  connection.terminate();
  await connection.closed;
  return { payloads, failure };
}

describe("an argument of a wrong type", () => {
  for (const [name, call] of Object.entries(CALLS)) {
    for (const [what, argument] of Object.entries(ODD)) {
      it(`is an error of ${name} before anything is sent: ${what}`, async () => {
        const { payloads, failure } = await sent("server", (connection) => call(connection, argument as never));
        // A number can be a close code, and an invalid one.
        const right = name === "close's code" && typeof argument === "number" ? RangeError : TypeError;
        assert.ok(failure instanceof right, String(failure));
        assert.deepEqual(payloads, []);
      });
    }
  }

  it("in place of the options of a Ping is not sent as its payload", async () => {
    for (const argument of [100, "x", {}, new Uint8Array(100), new Float64Array(100), [1]]) {
      const { payloads } = await sent("server", (connection) => connection.ping(argument as object));
      assert.ok(
        payloads.every(({ length }) => length === 4),
        String(payloads),
      );
    }
  });

  it("is no close reason, not even a view, whose memory would be sent", async () => {
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
      it(`is sent by a ${role} as exactly its bytes: ${what}`, async () => {
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

/** What a caller may do to memory after it was passed and before it is written. Each removes so many bytes, or adds some. */
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
  // All supported Nodes have these methods, and the types of the oldest one do not.
  const buffer = Reflect.construct(ArrayBuffer, [size, { maxByteLength: 2 * size }]) as Resizable["buffer"];
  return new Uint8Array(buffer).fill(1) as Resizable;
}

describe("memory that is passed and then", () => {
  for (const [what, make] of Object.entries(TRICKS)) {
    for (const size of [10, 1_000, 30_000, 200_000]) {
      it(`${what} exposes no other memory, breaks no frame and stops no connection, with ${size} bytes`, async () => {
        for (const role of ["client", "server"] as const) {
          const { connection, peer } = wired({ role });
          poison();
          const [bytes, trick] = make(size);
          const expected = Buffer.from(
            bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
          );
          const done = Promise.allSettled([
            connection.send("before"),
            connection.send(bytes),
            connection.send("behind"),
          ]);
          trick();
          await done;
          await peer.until(({ received }) => Buffer.from(received).length > 0);
          await settled();
          const payloads = framesIn(peer.received).map(({ payload }) => payload);
          assert.deepEqual([payloads[0]?.toString(), payloads[2]?.toString()], ["before", "behind"]);
          assert.ok(payloads[1]?.equals(expected), "what it held at the call");
          connection.terminate();
          await connection.closed;
        }
      });
    }
  }

  it("is transferred in the middle of its write is sent unchanged", async () => {
    const { connection, peer } = wired({ role: "server", capacity: 1_000 });
    peer.pause();
    const bytes = new Uint8Array(200_000).fill(1);
    const done = connection.send(bytes);
    await settled();
    structuredClone(bytes, { transfer: [bytes.buffer] });
    poison();
    peer.resume();
    await done;
    await settled();
    const [frame] = framesIn(peer.received);
    assert.equal(frame?.payload.length, 200_000);
    assert.ok(frame.payload.every((byte) => byte === 1));
    connection.terminate();
    await connection.closed;
  });
});

describe("a text with an unpaired surrogate", () => {
  it("is sent with U+FFFD in its place, by every way of sending, and with the right length", async () => {
    for (const text of ["\ud800", "a\udc00b", "\ud83d\ud83d\ude00", "\udfff".repeat(50_000)]) {
      for (const [name, call] of Object.entries(CALLS)) {
        const short = name === "close's reason" || name === "ping's payload" || name === "pong's payload";
        if (name === "close's code" || (short && text.length > 10)) continue;
        const { payloads, failure } = await sent("client", (connection) => call(connection, text as never));
        assert.equal(failure, undefined);
        const expected = Buffer.from(text);
        assert.deepEqual(payloads[0]?.subarray(name === "close's reason" ? 2 : 0), expected, name);
      }
    }
  });
});

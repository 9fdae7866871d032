/** S1: wrong arguments do not compile, and at run time they are a TypeError before anything is queued. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, Group, type MessageWriter, prepare } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { framesIn } from "../kit/frames.ts";

/** Values that a program without types could pass. */
const NO_MESSAGES: Readonly<Record<string, unknown>> = {
  null: null,
  undefined: undefined,
  "the number 0": 0,
  "the number 20, which `new Buffer` once took for a size": 20,
  NaN: Number.NaN,
  true: true,
  "a bigint": 1n,
  "a symbol": Symbol("x"),
  "an object": {},
  "an object that looks like bytes": { length: 3, byteLength: 3, 0: 1, 1: 2, 2: 3 },
  "an object with toString": { toString: () => "text" },
  "a String object": new String("text"),
  "an array of numbers": [1, 2, 3],
  "an array of strings": ["a"],
  "a date": new Date(0),
  "a function": () => "text",
  "a promise of a string": Promise.resolve("text"),
  "a Map": new Map(),
  "a Blob": new Blob(["text"]),
};

const NO_OPTIONS: Readonly<Record<string, unknown>> = {
  null: null,
  "a number": 5_000,
  "a string": "fast",
  true: true,
  "a function, as for ws's callback": () => undefined,
  "a timeout that is a string": { timeout: "5000" },
  "a timeout that is null": { timeout: null },
  "a deadline that is a number": { deadline: 5_000 },
  "a signal that is none": { signal: { aborted: false } },
  "a signal that is null": { signal: null },
};

const HOW_NOT: Readonly<Record<string, unknown>> = {
  "a policy that is a number": { overflow: 3 },
  "a key that is a number": { key: 3 },
  "a key that is null": { key: null },
};

type Loose = (...args: unknown[]) => unknown;

/** Makes calls as JavaScript would, and expects an error before anything is sent. */
async function refuses(call: (connection: Connection) => unknown, what: string): Promise<void> {
  const { connection, peer } = wired();
  // A call that returns a promise rejects, and no call throws instead.
  const rejects = async (): Promise<unknown> => call(connection);
  await assert.rejects(rejects, (error) => error instanceof TypeError, what);
  assert.deepEqual([connection.queuedMessages, connection.queuedBytes, connection.droppedMessages], [0, 0, 0]);
  await settled();
  assert.equal(peer.received.length, 0, `${what}: nothing is on the wire`);
  assert.equal(connection.state, "OPEN");
  await connection.send("still works");
}

describe("S1-9 wrong argument types are a TypeError before anything is queued", () => {
  for (const [what, given] of Object.entries(NO_MESSAGES)) {
    it(`S1-9 ${what} as a message`, async () => {
      for (const method of ["send", "trySend"] as const) {
        await refuses((connection) => (connection[method] as Loose)(given), method);
        await refuses((connection) => (connection[method] as Loose)(given, { overflow: "drop-newest" }), method);
      }
      assert.throws(() => (prepare as Loose)(given), TypeError);
      assert.throws(() => (new Group().send as Loose).call(new Group(), given), TypeError);
      await refuses((connection) => {
        const writer = connection.writer();
        try {
          return (writer.write as Loose).call(writer, given);
        } finally {
          writer.abort();
        }
      }, "writer.write");
      if (given === undefined) return;
      await refuses((connection) => {
        const writer = connection.writer();
        try {
          return (writer.end as Loose).call(writer, given);
        } finally {
          writer.abort();
        }
      }, "writer.end");
    });
  }

  for (const [what, given] of Object.entries(NO_OPTIONS)) {
    it(`S1-9 ${what} as options`, async () => {
      await refuses((connection) => (connection.send as Loose).call(connection, "x", given), "send");
      await refuses((connection) => (connection.ping as Loose).call(connection, given), "ping");
      await refuses((connection) => (connection.drain as Loose).call(connection, given), "drain");
      await refuses((connection) => {
        const writer = connection.writer();
        try {
          return (writer.write as Loose).call(writer, "x", given);
        } finally {
          writer.abort();
        }
      }, "writer.write");
    });
  }

  for (const [what, given] of Object.entries(HOW_NOT)) {
    it(`S1-9 ${what}`, async () => {
      for (const method of ["send", "trySend"] as const) {
        await refuses((connection) => (connection[method] as Loose).call(connection, "x", given), method);
      }
    });
  }

  it("S1-9 something other than an object as trySend's options", async () => {
    for (const given of [null, 5, "fast", true]) {
      await refuses((connection) => (connection.trySend as Loose).call(connection, "x", given), `${given}`);
    }
  });

  it("S1-9 data for a ping, which has none", async () => {
    for (const given of ["payload", Buffer.from("payload").length, 20]) {
      await refuses((connection) => (connection.ping as Loose).call(connection, given), `${given}`);
    }
  });

  it("S1-9 an invalid code or reason of a close", async () => {
    const codes = ["1000", null, {}, [], true, 1000n, new Float32Array(1)];
    for (const code of codes) {
      await refuses((connection) => (connection.close as Loose).call(connection, code), `code ${String(code)}`);
    }
    const reasons = [null, 5, {}, [], true, Symbol("x"), Buffer.from("x"), new Uint8Array(5), new ArrayBuffer(5)];
    // CVE-2026-45736: a typed array as a reason sent eighty bytes of the heap.
    reasons.push(new Float32Array(20), new Uint16Array(20), new DataView(new ArrayBuffer(9)), new String("bye"));
    for (const reason of reasons) {
      await refuses(
        (connection) => (connection.close as Loose).call(connection, 1000, reason),
        `reason ${typeof reason}`,
      );
    }
  });

  it("S1-9 an unknown type of message", async () => {
    for (const type of [null, 1, {}]) {
      await refuses((connection) => (connection.writer as Loose).call(connection, type), `type ${String(type)}`);
    }
  });

  it("S1-9 a value of the right type that is invalid is a RangeError, before anything is queued, too", async () => {
    const { connection, peer } = wired();
    for (const code of [0, -1, 1000.5, Number.NaN, Infinity, 999, 1004, 1006, 1015, 2999, 5000, 65_536]) {
      await assert.rejects(connection.close(code), RangeError);
    }
    await assert.rejects(connection.close(1000, "x".repeat(124)), RangeError);
    await assert.rejects(connection.close(1000, "é".repeat(62)), RangeError);
    await assert.rejects(connection.send("x", { timeout: -1 }), RangeError);
    await assert.rejects(connection.send("x", { overflow: "explode" as never }), RangeError);
    assert.throws(() => connection.trySend("x", { overflow: "explode" as never }), RangeError);
    for (const type of ["utf8", ""]) assert.throws(() => connection.writer(type as never), RangeError);
    await assert.rejects(connection.send("x", { timeout: Number.NaN }), RangeError);
    await assert.rejects(connection.send("x", { deadline: new Date(Number.NaN) }), RangeError);
    await settled();
    assert.equal(peer.received.length, 0);
    assert.equal(connection.state, "OPEN");
  });

  it("S1-9 every view is exactly its bytes", async () => {
    const { connection, peer } = wired();
    const buffer = Uint8Array.from({ length: 32 }, (_, index) => index).buffer;
    const views = [
      new Uint8Array(buffer, 3, 5),
      new Float32Array(buffer, 4, 2),
      new DataView(buffer, 1, 3),
      new BigInt64Array(buffer, 8, 1),
      Buffer.from(buffer, 30, 2),
    ];
    for (const view of views) await connection.send(view);
    await connection.send(buffer.slice(0, 4));
    await settled();
    const sent = framesIn(peer.received).map(({ payload }) => [...payload]);
    const expected = views.map((view) => [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]);
    assert.deepEqual(sent, [...expected, [0, 1, 2, 3]]);
  });

  it("S1-9 none of these compiles", () => {
    // Never called: the compiler is the test.
    const compiled = async (connection: Connection, writer: MessageWriter): Promise<void> => {
      // @ts-expect-error: a number is no message
      await connection.send(5);
      // @ts-expect-error: null is no message
      await connection.send(null);
      // @ts-expect-error: a message is required
      await connection.send();
      // @ts-expect-error: undefined is no message
      await connection.send(undefined);
      // @ts-expect-error: objects must be serialised by the caller
      await connection.send({ type: "hello" });
      // @ts-expect-error: an array of numbers is not bytes
      await connection.send([1, 2, 3]);
      // @ts-expect-error: a promise must be awaited first
      await connection.send(Promise.resolve("x"));
      // @ts-expect-error: a Date is no message
      connection.trySend(new Date());
      // @ts-expect-error: a boolean is no message
      connection.trySend(true);
      // @ts-expect-error: trySend does not wait
      connection.trySend("x", { timeout: 5 });
      // @ts-expect-error: there is no such policy
      await connection.send("x", { overflow: "explode" });
      // @ts-expect-error: a key is a string
      await connection.send("x", { overflow: "coalesce", key: 5 });
      // @ts-expect-error: a timeout is a number
      await connection.send("x", { timeout: "5 s" });
      // @ts-expect-error: a deadline is a Date
      await connection.send("x", { deadline: Date.now() + 5 });
      // @ts-expect-error: options are an object
      await connection.send("x", 5_000);
      // @ts-expect-error: a ping has no data
      await connection.ping("payload");
      // @ts-expect-error: a ping has no size
      await connection.ping(20);
      // @ts-expect-error: a code is a number
      await connection.close("1000");
      // @ts-expect-error: a reason is a string
      await connection.close(1000, new Float32Array(20));
      // @ts-expect-error: a reason is not null
      await connection.close(1000, null);
      // @ts-expect-error: a message is text or binary
      connection.writer("utf8");
      // @ts-expect-error: a part is no number
      await writer.write(5);
      // @ts-expect-error: the last part is no number
      await writer.end({ last: true });
      // @ts-expect-error: a duration is no deadline
      connection.setWriteDeadline(5_000);
      // @ts-expect-error: one slow member would delay all
      new Group().send("x", { overflow: "wait" });
      // @ts-expect-error: an address is a string or a URL
      await connect(9_000);
    };
    assert.equal(typeof compiled, "function");
  });
});

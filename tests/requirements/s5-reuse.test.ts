/** S5: the caller may reuse its memory when a sending call has returned, and its memory cannot end another connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Connection,
  connect,
  Group,
  listen,
  type Message,
  prepare,
  ReconnectingConnection,
  type Sendable,
} from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { blocked } from "../kit/blocked-connection.ts";
import { framesIn } from "../kit/frames.ts";
import { portOf } from "../kit/raw-peer.ts";

/** The ways in which a connection sends whole messages, and the server's options for it. */
interface Way {
  send(connection: Connection, bytes: Uint8Array): unknown;
}

const WAYS: Readonly<Record<string, Way>> = {
  send: { send: (connection, bytes) => connection.send(bytes) },
  "send with an option": { send: (connection, bytes) => connection.send(bytes, { timeout: 60_000 }) },
  trySend: { send: (connection, bytes) => connection.trySend(bytes) },
  "trySend under drop-oldest": {
    send: (connection, bytes) => connection.trySend(bytes, { overflow: "drop-oldest" }),
  },
  "trySend of a DataView": {
    send: (connection, { buffer, byteOffset, byteLength }) =>
      connection.trySend(new DataView(buffer as ArrayBuffer, byteOffset, byteLength)),
  },
  prepare: { send: (connection, bytes) => connection.send(prepare(bytes)) },
  "Group.send": {
    send: (connection, bytes) => {
      const group = new Group();
      group.join(connection as Connection<unknown>);
      group.send(bytes);
    },
  },
  "writer.end": { send: (connection, bytes) => connection.writer().end(bytes) },
  "writer.write": {
    send: (connection, bytes) => {
      const writer = connection.writer();
      void writer.write(bytes);
      void writer.end();
    },
  },
};

const PROTOCOLS = {
  ws: { url: "ws://127.0.0.1:0", options: {} },
  "ws, compressed": { url: "ws://127.0.0.1:0", options: { compression: { threshold: 0, maxInflationRatio: 1_000 } } },
  tcp: { url: "tcp://127.0.0.1:0", options: { framing: { lengthPrefix: 4 } } },
} as const;

/** The first byte of each message that the peer of `sender` received, in order. */
async function firstBytes(
  protocol: keyof typeof PROTOCOLS,
  size: number,
  use: (connection: Connection, scratch: Uint8Array) => void,
): Promise<readonly (readonly number[])[]> {
  const { url, options } = PROTOCOLS[protocol];
  const received: Message[] = [];
  let all!: () => void;
  const done = new Promise<void>((resolve) => {
    all = resolve;
  });
  await using server = await listen(url, options, async (connection) => {
    for await (const message of connection) if (received.push(message) === 3) all();
  });
  await using connection = await connect(`${url.slice(0, -1)}${portOf(server)}`, options);
  use(connection as Connection, new Uint8Array(size));
  const ended = connection.closed.then((info) => assert.fail(`it has ended: ${info.code} ${info.reason}`));
  await Promise.race([done, ended]);
  // Every byte, so that a message that was partly sent later is detected.
  return received.map((message) => [...new Set(message as Uint8Array)]);
}

describe("S5-5: a scratch buffer that is filled and sent three times arrives as 1, 2, 3", () => {
  for (const protocol of Object.keys(PROTOCOLS) as (keyof typeof PROTOCOLS)[]) {
    for (const [name, { send }] of Object.entries(WAYS)) {
      if (protocol === "tcp" && name.startsWith("writer")) continue;
      for (const size of [10, 1_000, 20_000, 65_536, 300_000]) {
        it(`S5-5: by ${name}, ${size} bytes over ${protocol}`, async () => {
          const arrived = await firstBytes(protocol, size, (connection, scratch) => {
            for (const value of [1, 2, 3]) {
              scratch.fill(value);
              send(connection, scratch);
            }
            scratch.fill(9);
          });
          assert.deepEqual(arrived, [[1], [2], [3]]);
        });
      }
    }
  }

  it("S5-5: by trySend in a hook, and by send in a loop that has more to answer", async () => {
    for (const hooked of [true, false]) {
      const scratch = new Uint8Array(8);
      const answer = (connection: Connection, data: Message): unknown => {
        scratch.fill((data as Uint8Array)[0] as number);
        const sent = hooked ? connection.trySend(scratch) : connection.send(scratch);
        scratch.fill(9);
        return sent;
      };
      const options = hooked
        ? { message: (connection: Connection, data: Message) => void answer(connection, data) }
        : {};
      await using server = await listen("ws://127.0.0.1:0", options, async (connection) => {
        if (hooked) await connection.closed;
        else for await (const message of connection) void answer(connection, message);
      });
      await using connection = await connect(`ws://127.0.0.1:${portOf(server)}`);
      for (const value of [1, 2, 3]) void connection.send(Uint8Array.of(value));
      const answers = [await connection.receive(), await connection.receive(), await connection.receive()];
      assert.deepEqual(
        answers.map((data) => [...new Set(data as Uint8Array)]),
        [[1], [2], [3]],
      );
    }
  });

  it("S5-5: by the writable stream", async () => {
    const arrived = await firstBytes("ws", 100, (connection, scratch) => {
      const writer = connection.writable.getWriter();
      void (async () => {
        for (const value of [1, 2, 3]) {
          scratch.fill(value);
          const written = writer.write(scratch);
          // WHATWG calls the sink after the previous write: that one has returned when the stream is ready again.
          await writer.ready;
          await written;
        }
      })();
    });
    assert.deepEqual(arrived, [[1], [2], [3]]);
  });

  it("S5-5: by a reconnecting connection", async () => {
    const received: number[] = [];
    let all!: () => void;
    const done = new Promise<void>((resolve) => {
      all = resolve;
    });
    await using server = await listen("ws://127.0.0.1:0", {}, async (connection) => {
      for await (const message of connection) if (received.push((message as Uint8Array)[0] as number) === 3) all();
    });
    await using connection = new ReconnectingConnection(`ws://127.0.0.1:${portOf(server)}`);
    const scratch = new Uint8Array(100);
    for (const value of [1, 2, 3]) {
      scratch.fill(value);
      void connection.send(scratch);
    }
    scratch.fill(9);
    await Promise.race([done, connection.closed.then(() => assert.fail("it has ended"))]);
    assert.deepEqual(received, [1, 2, 3]);
  });

  it("S5-5: while the kernel accepts nothing, under every policy, of every size", async () => {
    for (const overflow of ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"] as const) {
      for (const size of [10, 600, 20_000, 100_000]) {
        const { connection, read } = await blocked();
        const scratch = new Uint8Array(size);
        for (const value of [1, 2, 3]) {
          scratch.fill(value);
          connection.trySend(scratch, { overflow, key: `${value}` });
        }
        scratch.fill(9);
        assert.deepEqual(
          (await read(4)).slice(1).map((payload) => [...new Set(payload as Buffer)]),
          [[1], [2], [3]],
          `${overflow}, ${size} bytes`,
        );
        connection.terminate();
      }
    }
  });

  it("S5-5: by a custom framing that returns its argument, or a scratch buffer of its own", async () => {
    const own = new Uint8Array(4);
    const encodings: ((message: Message) => Uint8Array)[] = [
      (message) => message as Uint8Array,
      (message) => {
        own.set(message as Uint8Array);
        return own;
      },
    ];
    for (const encode of encodings) {
      const framing = { encode, decode: (pending: Uint8Array) => ({ message: pending, size: pending.length }) };
      const { connection, peer } = wired({ kind: "tcp", framing });
      const scratch = new Uint8Array(4);
      for (const value of [1, 2, 3]) {
        scratch.fill(value);
        void connection.send(scratch);
      }
      scratch.fill(9);
      await peer.until(({ received }) => received.length === 12);
      assert.deepEqual([...peer.received], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
      connection.terminate();
    }
  });
});

function detached(): Uint8Array {
  const bytes = new Uint8Array(100);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
}

function shrunk(make: (buffer: ArrayBuffer) => ArrayBufferView): ArrayBufferView {
  // All supported Nodes have these methods, and the types of the oldest one do not.
  const buffer = Reflect.construct(ArrayBuffer, [100, { maxByteLength: 100 }]) as ArrayBuffer & {
    resize(size: number): void;
  };
  const view = make(buffer);
  buffer.resize(10);
  return view;
}

class Throwing extends Uint8Array {
  override get length(): number {
    throw new Error("length");
  }
  override get buffer(): never {
    throw new Error("buffer");
  }
  override get byteLength(): number {
    throw new Error("byteLength");
  }
  override get byteOffset(): number {
    throw new Error("byteOffset");
  }
  override subarray(): never {
    throw new Error("subarray");
  }
  override get [Symbol.toStringTag](): never {
    throw new Error("toStringTag");
  }
}

class Lying extends Uint8Array {
  override get length(): number {
    return 1_000_000;
  }
  override get byteLength(): number {
    return 3;
  }
}

/** What `call` throws or rejects with. */
async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Views without their bytes. */
const GONE: Readonly<Record<string, () => unknown>> = {
  "a view whose buffer is detached": detached,
  "a Buffer whose memory is detached": () => {
    const bytes = Buffer.from(new ArrayBuffer(100));
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return bytes;
  },
  "a DataView whose buffer is detached": () => {
    const view = new DataView(new ArrayBuffer(100));
    structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
    return view;
  },
  "a Float64Array whose buffer is detached": () => {
    const view = new Float64Array(4);
    structuredClone(view.buffer, { transfer: [view.buffer] });
    return view;
  },
  "a detached ArrayBuffer": () => detached().buffer,
  "a view beyond a buffer that has shrunk": () => shrunk((buffer) => new Uint8Array(buffer, 20, 50)),
  "a DataView beyond a buffer that has shrunk": () => shrunk((buffer) => new DataView(buffer, 20, 50)),
  "a Proxy of a view": () => new Proxy(new Uint8Array(4), {}),
  "a Proxy of an ArrayBuffer": () => new Proxy(new ArrayBuffer(4), {}),
  "an object with the prototype of views": () => Object.create(Uint8Array.prototype),
};

const CALLS: Readonly<Record<string, (connection: Connection, message: Sendable) => unknown>> = {
  send: (connection, message) => connection.send(message),
  trySend: (connection, message) => connection.trySend(message),
  "trySend with options": (connection, message) => connection.trySend(message, { overflow: "drop-oldest" }),
  prepare: (_, message) => prepare(message),
  "Group.send": (_, message) => new Group().send(message),
  "writer.write": (connection, message) => connection.writer().write(message as Uint8Array),
  "writer.end": (connection, message) => connection.writer().end(message as Uint8Array),
};

describe("S5-6: missing bytes are a TypeError at the call", () => {
  for (const [what, make] of Object.entries(GONE)) {
    for (const [name, call] of Object.entries(CALLS)) {
      it(`S5-6: ${what}, by ${name}`, async () => {
        for (const hooked of [true, false]) {
          // Inside a hook a message is encoded into the write buffer at once.
          let failure: unknown;
          const use = (connection: Connection): void => {
            failure = failureOf(() => call(connection, make() as Sendable));
            // A writer has a position without any bytes.
            assert.equal(connection.queuedBytes, connection.queuedMessages * 512);
          };
          const { connection, peer } = wired({
            ...(hooked && { connection: { message: (connection: Connection) => use(connection) } }),
          });
          if (hooked) peer.write(Uint8Array.of(0x82, 0x80, 0, 0, 0, 0));
          else use(connection);
          await settled();
          assert.ok((await failure) instanceof TypeError);
          assert.equal(peer.received.length, 0);
          assert.equal(connection.state, "OPEN");
          connection.terminate();
        }
      });
    }
  }

  for (const [what, make] of Object.entries({
    "throw from each of its properties": () => new Throwing([1, 2, 3]),
    "say what they like": () => new Lying([1, 2, 3]),
    "throw from a property of its own": () =>
      Object.defineProperty(new Uint8Array([1, 2, 3]), "length", {
        get: () => {
          throw new Error("length");
        },
      }),
    "lie in shared memory": () => {
      const shared = new Uint8Array(new SharedArrayBuffer(3));
      shared.set([1, 2, 3]);
      return shared;
    },
  })) {
    it(`S5-6: bytes of a class whose getters ${what} are sent unchanged`, async () => {
      for (const [name, call] of Object.entries(CALLS)) {
        if (name === "Group.send" || name === "prepare") {
          assert.deepEqual(Uint8Array.from(prepare(make() as Sendable).message as Uint8Array), Uint8Array.of(1, 2, 3));
          continue;
        }
        const { connection, peer } = wired();
        await Promise.resolve(call(connection, make() as Sendable));
        await settled();
        assert.deepEqual([...(framesIn(peer.received)[0]?.payload ?? [])], [1, 2, 3], name);
        connection.terminate();
      }
    });
  }

  it("S5-6: on real sockets a detached buffer stops neither its connection nor the process", async () => {
    await using server = await listen("ws://127.0.0.1:0", {}, async (connection) => {
      for await (const message of connection) {
        assert.ok((await failureOf(() => connection.send(detached()))) instanceof TypeError);
        assert.ok((await failureOf(() => connection.trySend(detached()))) instanceof TypeError);
        void connection.send(message);
      }
    });
    await using connection = await connect(`ws://127.0.0.1:${portOf(server)}`);
    await connection.send("x");
    assert.equal(await connection.receive(), "x");
  });
});

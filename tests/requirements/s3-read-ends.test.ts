/** S3: how a read ends, how the ends are told apart, and that each of them closes the connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CloseInfo,
  type Connection,
  connect,
  isConnectionError,
  type ListenOptions,
  TimeoutError,
} from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { socketsOf, UNCOUNTED } from "../descriptors.js";
import { type RawPeer, rawServer } from "../raw-peers.js";
import { Scene } from "./scene.js";
import { SPEECHES, type Speech } from "./speech.js";

const half = (speech: Speech, from?: "server"): Uint8Array => speech.message("half a message", from).subarray(0, -3);

/** What the peer does, and how a read then ends. */
interface Ending {
  readonly what: string;
  readonly onWire: (wired: Wired, half: Uint8Array) => void | Promise<void>;
  readonly onSocket: (peer: RawPeer, half: Uint8Array) => void;
  readonly error: (speech: Speech) => Readonly<Record<string, unknown>>;
}

const ENDINGS: readonly Ending[] = [
  {
    what: "silence is a timeout, after which the read can be tried again",
    onWire: ({ clock }) => clock.advance(100),
    onSocket: () => undefined,
    error: () => ({
      name: "TimeoutError",
      code: "TIMEOUT",
      timeout: true,
      limit: "timeout",
      partial: 0,
      retriable: true,
    }),
  },
  {
    what: "a FIN is a close by the peer",
    onWire: ({ wire }) => wire.end(),
    onSocket: (peer) => void peer.socket.end(),
    // RFC 6455 7.1.5: on a WebSocket a FIN without a Close frame is no clean end.
    error: ({ protocol }) => ({
      ...{ name: "ClosedError", code: "CLOSED", by: "peer" },
      ...(protocol === "tcp" ? { wasClean: true, closeCode: 1000 } : { wasClean: false, closeCode: 1006 }),
    }),
  },
  {
    what: "a reset is the system's error",
    onWire: ({ wire }) => wire.reset(),
    onSocket: (peer) => void peer.socket.resetAndDestroy(),
    error: () => ({ name: "TransportError", code: "TRANSPORT", errno: "ECONNRESET" }),
  },
  {
    what: "a FIN inside a message is neither",
    onWire: ({ wire }, half) => {
      wire.write(half);
      wire.end();
    },
    onSocket: (peer, half) => void peer.socket.end(half),
    error: () => ({ name: "ProtocolError", code: "PROTOCOL", by: "peer", clause: "unexpected-eof" }),
  },
];

describe("S3-2 a deadline that has passed is an immediate timeout", () => {
  for (const { name, protocol, options } of SPEECHES) {
    it(`S3-2 of a read and of a write, on ${name}, before anything is done`, async () => {
      const { connection, wire, clock } = wired({ protocol, ...options });
      for (const deadline of [clock.in(0), clock.in(-60_000)]) {
        const timedOut = {
          code: "TIMEOUT",
          timeout: true,
          limit: "deadline",
          bound: deadline,
          after: 0,
          retriable: true,
        };
        await assert.rejects(connection.receive({ deadline }), { ...timedOut, operation: "receive" });
        await assert.rejects(connection.send("x", { deadline }), { ...timedOut, operation: "send" });
      }
      connection.setDeadline(clock.in(0));
      await assert.rejects(connection.receive(), { code: "TIMEOUT", limit: "readDeadline", after: 0 });
      await assert.rejects(connection.send("x"), { code: "TIMEOUT", limit: "writeDeadline", after: 0 });
      await settled();
      assert.equal(wire.received.length, 0);
      assert.equal(connection.state, "OPEN");
    });
  }

  it("S3-2 a length of time is no deadline, for the compiler and when it runs", () => {
    const { connection } = wired();
    // @ts-expect-error: a number would be a moment in 1970.
    assert.throws(() => connection.setReadDeadline(5_000), { name: "TypeError", message: /expected a Date/ });
    // @ts-expect-error: the same.
    assert.throws(() => connection.setWriteDeadline(Date.now() + 5_000), { name: "TypeError", message: /use timeout/ });
    // @ts-expect-error: the same, with one call.
    assert.throws(() => connection.send("x", { deadline: 5_000 }), TypeError);
    // @ts-expect-error: and the other way round.
    assert.rejects(connection.receive({ timeout: new Date() }), {
      name: "TypeError",
      message: /expected milliseconds/,
    });
    assert.throws(() => connection.setDeadline(new Date(Number.NaN)), RangeError);
  });
});

it("S3-3 a deadline set afresh before every read lets each of them wait as long", async () => {
  const { connection, wire, clock } = wired();
  const [speech] = SPEECHES as [Speech];
  for (let message = 0; message < 10; message += 1) {
    connection.setReadDeadline(clock.in(100));
    const received = connection.receive();
    await clock.advance(80);
    wire.write(speech.message(`${message}`));
    assert.equal(await received, `${message}`);
  }
  const waiting = assert.rejects(connection.receive(), { limit: "readDeadline", after: 20 });
  await clock.advance(20);
  await waiting;
});

describe("S3-4 the ends of a read are told apart", () => {
  for (const speech of SPEECHES) {
    for (const { what, onWire, onSocket, error } of ENDINGS) {
      it(`S3-4 ${what}, on ${speech.name} in memory`, async () => {
        const { protocol, options } = speech;
        const scene = wired({ protocol, ...options });
        const received = assert.rejects(scene.connection.receive({ timeout: 100 }), error(speech));
        await settled();
        await onWire(scene, half(speech));
        await received;
      });

      it(`S3-4 ${what}, on ${speech.name}`, async () => {
        let read!: Promise<unknown>;
        await using scene = await Scene.open(speech, { closeTimeout: 50 }, async (connection) => {
          read = connection.receive(what.startsWith("silence") ? { timeout: 30 } : undefined);
          await read.catch(() => undefined);
        });
        const { peer } = await scene.peer();
        onSocket(peer, half(speech));
        await assert.rejects(read, error(speech));
      });

      it(`S3-4 ${what}, on ${speech.name} for a client`, async () => {
        await using server = await rawServer(async (peer) => {
          await speech.answer(peer);
          const greeted = peer.bytes.length;
          // A reset that comes together with the last bytes is another matter, see below.
          await peer.until(({ bytes }) => bytes.length > greeted);
          onSocket(peer, half(speech, "server"));
        });
        const url = speech.url.replace(":0", `:${server.port}`);
        await using connection = await connect(url, { ...speech.options, closeTimeout: 50 });
        const read = connection.receive(what.startsWith("silence") ? { timeout: 30 } : undefined);
        await connection.send("hello");
        await assert.rejects(read, error(speech));
      });
    }

    // libuv before 1.52 takes a hangup that it polls together with the last bytes for a FIN.
    it(`S3-4 a reset that comes together with the last bytes is no FIN, on ${speech.name}`, async () => {
      const read: string[] = [];
      await using scene = await Scene.open(speech, {}, async (connection) => {
        for await (const message of connection) read.push(String(message));
      });
      const { peer, connection } = await scene.peer();
      peer.write(speech.message("last words"));
      peer.socket.resetAndDestroy();
      const { wasClean, cause, by } = await connection.closed;
      assert.deepEqual(read, ["last words"]);
      assert.deepEqual([wasClean, by, isConnectionError(cause) && cause.code], [false, "peer", "TRANSPORT"]);
    });
  }
});

describe("S3-5 each end of a read closes the connection", () => {
  for (const speech of SPEECHES) {
    for (const { what, onSocket, error } of ENDINGS) {
      it(`S3-5 ${what}: on ${speech.name} no socket is left`, async () => {
        let ended!: Promise<CloseInfo>;
        const options: ListenOptions = { idleTimeout: what.startsWith("silence") ? 30 : Infinity, closeTimeout: 50 };
        await using scene = await Scene.open(speech, options, async (connection) => {
          ended = connection.closed;
          for await (const _ of connection) assert.fail("nothing was sent");
        });
        const { peer } = await scene.peer();
        onSocket(peer, half(speech));
        const { cause } = await ended;
        const { code } = error(speech);
        if (speech.protocol === "tcp" && code === "CLOSED") assert.equal(cause, undefined);
        else assert.equal(isConnectionError(cause) && cause.code, code);
        assert.equal(scene.server.connections.size, 0);
        if (!UNCOUNTED) {
          const held = socketsOf(scene.port).filter(({ state }) => ["ESTABLISHED", "CLOSE_WAIT"].includes(state));
          assert.deepEqual(held, []);
        }
        assert.deepEqual(scene.errors, [], "the end of a connection is no failure of its handler");
      });
    }
  }
});

it("S3-6 a deadline cannot be set on a closed connection: the error says how it was closed", async () => {
  const ways: readonly [(end: { wired: Wired; connection: Connection }) => void, object][] = [
    [({ connection }) => connection.terminate(), { code: "CLOSED", by: "local" }],
    [({ wired: { wire } }) => wire.end(), { code: "CLOSED", by: "peer" }],
    [({ wired: { wire } }) => wire.reset(), { code: "TRANSPORT", errno: "ECONNRESET" }],
  ];
  for (const [end, error] of ways) {
    const scene = wired();
    const { connection, clock } = scene;
    end({ wired: scene, connection });
    await connection.closed;
    const refused: unknown[] = [];
    for (const set of ["setReadDeadline", "setWriteDeadline", "setDeadline"] as const) {
      assert.throws(
        () => connection[set](clock.in(1_000)),
        (thrown: Error) => {
          refused.push(thrown);
          assert.deepEqual({ ...thrown, ...error }, { ...thrown });
          return true;
        },
      );
    }
    await assert.rejects(connection.receive(), (rejected) => {
      refused.push(rejected);
      return true;
    });
    assert.equal(new Set(refused).size, 1, "and it is the same each time");
  }
});

describe("S3-16 a timeout is known by `timeout` and by its code", () => {
  const ways: Record<string, () => Promise<unknown>> = {
    "of one read": async () => {
      const { client, clock } = pair();
      const failed = client.receive({ timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      return failed;
    },
    "of one write": async () => {
      const { connection, wire, clock } = wired({ capacity: 10 });
      wire.pause();
      connection.trySend("x".repeat(100));
      await settled();
      const failed = connection.send("y", { timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      return failed;
    },
    "of a ping": async () => {
      const { client, clock, link } = pair();
      link.freeze("server");
      const failed = client.ping({ timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      return failed;
    },
    "of a deadline": async () => {
      const { client, clock } = pair();
      client.setReadDeadline(clock.in(10));
      const failed = client.receive().catch((error: unknown) => error);
      await clock.advance(10);
      return failed;
    },
    "of the idle limit": async () => {
      const { connection, clock } = wired({ connection: { idleTimeout: 10, closeTimeout: 10 } });
      await clock.advance(20);
      return (await connection.closed).cause;
    },
    "of the heartbeat": async () => {
      const { connection, clock } = wired({ connection: { heartbeat: { interval: 10, timeout: 10 } } });
      await clock.advance(20);
      return (await connection.closed).cause;
    },
    "of the write progress": async () => {
      const { connection, clock, wire } = wired({ capacity: 10, connection: { writeTimeout: 10 } });
      wire.pause();
      connection.trySend("x".repeat(100));
      await clock.advance(20);
      return (await connection.closed).cause;
    },
    "of the close": async () => {
      const { connection, clock } = wired({ connection: { closeTimeout: 10 } });
      void connection.close();
      await clock.advance(10);
      return (await connection.closed).cause;
    },
    "of a pause": async () => {
      const { connection, clock, wire } = wired({
        connection: { maxInboxMessages: 1, pauseTimeout: 10, closeTimeout: 10 },
      });
      wire.write((SPEECHES[0] as Speech).message("x"));
      await clock.advance(20);
      return (await connection.closed).cause;
    },
    "of opening": async () => {
      await using server = await rawServer(() => undefined);
      return await connect(`ws://127.0.0.1:${server.port}`, { openTimeout: 30 }).catch((error: unknown) => error);
    },
  };
  for (const [which, happen] of Object.entries(ways)) {
    it(`S3-16 ${which}`, async () => {
      const error = await happen();
      assert.ok(error instanceof TimeoutError, String(error));
      assert.deepEqual([error.timeout, error.code, error.name], [true, "TIMEOUT", "TimeoutError"]);
    });
  }

  it("S3-16 and nothing else is", async () => {
    const { connection, wire } = wired();
    const failed = connection.receive().catch((error: unknown) => error);
    wire.reset();
    const error = await failed;
    assert.ok(isConnectionError(error));
    assert.equal("timeout" in error, false);
  });
});

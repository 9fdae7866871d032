/** S3: how reads end, how the ends can be distinguished, and that each of them closes the connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CloseInfo,
  type Connection,
  connect,
  isConnectionError,
  type ListenOptions,
  TimeoutError,
} from "../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { SOCKETS_SKIP, socketsOf } from "../kit/kernel-sockets.ts";
import { type RawPeer, rawServer } from "../kit/raw-peer.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const half = (wire: WireProtocol, from?: "server"): Uint8Array => wire.message("half a message", from).subarray(0, -3);

/** What the peer does, and how a read ends. */
interface Ending {
  readonly what: string;
  readonly onWire: (wired: Wired, half: Uint8Array) => void | Promise<void>;
  readonly onSocket: (peer: RawPeer, half: Uint8Array) => void;
  readonly error: (wire: WireProtocol) => Readonly<Record<string, unknown>>;
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
    onWire: ({ peer }) => peer.end(),
    onSocket: (peer) => void peer.socket.end(),
    // RFC 6455 7.1.5: on a WebSocket a FIN without a Close frame is no clean end.
    error: ({ protocol }) => ({
      ...{ name: "ClosedError", code: "CLOSED", by: "peer" },
      ...(protocol === "tcp" ? { wasClean: true, closeCode: 1000 } : { wasClean: false, closeCode: 1006 }),
    }),
  },
  {
    what: "a reset is the system's error",
    onWire: ({ peer }) => peer.reset(),
    onSocket: (peer) => void peer.socket.resetAndDestroy(),
    error: () => ({ name: "TransportError", code: "TRANSPORT", errno: "ECONNRESET" }),
  },
  {
    what: "a FIN inside a message is neither",
    onWire: ({ peer }, half) => {
      peer.write(half);
      peer.end();
    },
    onSocket: (peer, half) => void peer.socket.end(half),
    error: () => ({ name: "ProtocolError", code: "PROTOCOL", by: "peer", clause: "unexpected-eof" }),
  },
];

describe("S3-2 a deadline that has passed is an immediate timeout", () => {
  for (const { name, protocol, options } of WIRE_PROTOCOLS) {
    it(`S3-2 of a read and of a write, on ${name}, before anything is done`, async () => {
      const { connection, peer, clock } = wired({ kind: protocol, ...options });
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
      assert.equal(peer.received.length, 0);
      assert.equal(connection.state, "OPEN");
    });
  }

  it("S3-2 a duration is no deadline, at compile time and at run time", async () => {
    const { connection } = wired();
    // @ts-expect-error: a number would be a moment in 1970.
    assert.throws(() => connection.setReadDeadline(5_000), { name: "TypeError", message: /expected a Date/ });
    // @ts-expect-error: the same.
    assert.throws(() => connection.setWriteDeadline(Date.now() + 5_000), {
      name: "TypeError",
      message: /expected a Date, or \{ in/,
    });
    // @ts-expect-error: the same, with one call.
    await assert.rejects(connection.send("x", { deadline: 5_000 }), TypeError);
    // @ts-expect-error: a Date is no duration.
    await assert.rejects(connection.receive({ timeout: new Date() }), {
      name: "TypeError",
      message: /expected milliseconds/,
    });
    assert.throws(() => connection.setDeadline(new Date(Number.NaN)), RangeError);
  });
});

it("S3-3 a deadline that is renewed before every read gives each the full time", async () => {
  const { connection, peer, clock } = wired();
  const [wire] = WIRE_PROTOCOLS as [WireProtocol];
  for (let message = 0; message < 10; message += 1) {
    connection.setReadDeadline(clock.in(100));
    const received = connection.receive();
    await clock.advance(80);
    peer.write(wire.message(`${message}`));
    assert.equal(await received, `${message}`);
  }
  const waiting = assert.rejects(connection.receive(), { limit: "readDeadline", after: 20 });
  await clock.advance(20);
  await waiting;
});

describe("S3-4 the ends of a read can be distinguished", () => {
  for (const wire of WIRE_PROTOCOLS) {
    for (const { what, onWire, onSocket, error } of ENDINGS) {
      it(`S3-4 ${what}, on ${wire.name} in memory`, async () => {
        const { protocol, options } = wire;
        const scene = wired({ kind: protocol, ...options });
        const received = assert.rejects(scene.connection.receive({ timeout: 100 }), error(wire));
        await settled();
        await onWire(scene, half(wire));
        await received;
      });

      it(`S3-4 ${what}, on ${wire.name}`, async () => {
        let read!: Promise<unknown>;
        await using scene = await ServerWithPeers.open(wire, { closeTimeout: 50 }, async (connection) => {
          read = connection.receive(what.startsWith("silence") ? { timeout: 30 } : undefined);
          await read.catch(() => undefined);
        });
        const { peer } = await scene.peer();
        onSocket(peer, half(wire));
        await assert.rejects(read, error(wire));
      });

      it(`S3-4 ${what}, on ${wire.name} for a client`, async () => {
        await using server = await rawServer(async (peer) => {
          await wire.answer(peer);
          const greeted = peer.bytes.length;
          // A reset that arrives together with the last bytes: see below.
          await peer.until(({ bytes }) => bytes.length > greeted);
          onSocket(peer, half(wire, "server"));
        });
        const url = wire.url.replace(":0", `:${server.port}`);
        await using connection = await connect(url, { ...wire.options, closeTimeout: 50 });
        const read = connection.receive(what.startsWith("silence") ? { timeout: 30 } : undefined);
        await connection.send("hello");
        await assert.rejects(read, error(wire));
      });
    }

    // libuv before 1.52 reports a hangup together with the last bytes as a FIN.
    it(`S3-4 a reset that arrives together with the last bytes is no FIN, on ${wire.name}`, async () => {
      const read: string[] = [];
      await using scene = await ServerWithPeers.open(wire, {}, async (connection) => {
        for await (const message of connection) read.push(String(message));
      });
      const { peer, connection } = await scene.peer();
      peer.write(wire.message("last words"));
      peer.socket.resetAndDestroy();
      const { wasClean, cause, by } = await connection.closed;
      assert.deepEqual(read, ["last words"]);
      assert.deepEqual([wasClean, by, isConnectionError(cause) && cause.code], [false, "peer", "TRANSPORT"]);
    });
  }
});

describe("S3-5 each end of a read closes the connection", () => {
  for (const wire of WIRE_PROTOCOLS) {
    for (const { what, onSocket, error } of ENDINGS) {
      it(`S3-5 ${what}: on ${wire.name} no socket is left`, async () => {
        let ended!: Promise<CloseInfo>;
        const options: ListenOptions = { idleTimeout: what.startsWith("silence") ? 30 : Infinity, closeTimeout: 50 };
        await using scene = await ServerWithPeers.open(wire, options, async (connection) => {
          ended = connection.closed;
          for await (const _ of connection) assert.fail("nothing was sent");
        });
        const { peer } = await scene.peer();
        onSocket(peer, half(wire));
        const { cause } = await ended;
        const { code } = error(wire);
        if (wire.protocol === "tcp" && code === "CLOSED") assert.equal(cause, undefined);
        else assert.equal(isConnectionError(cause) && cause.code, code);
        assert.equal(scene.server.connections.size, 0);
        if (!SOCKETS_SKIP) {
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
    [({ wired: { peer } }) => peer.end(), { code: "CLOSED", by: "peer" }],
    [({ wired: { peer } }) => peer.reset(), { code: "TRANSPORT", errno: "ECONNRESET" }],
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

describe("S3-16 a timeout has `timeout` and its code", () => {
  const ways: Record<string, () => Promise<unknown>> = {
    "of one read": async () => {
      const { client, clock } = pair();
      const failed = client.receive({ timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      return failed;
    },
    "of one write": async () => {
      const { connection, peer, clock } = wired({ capacity: 10 });
      peer.pause();
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
      const { connection, clock, peer } = wired({ capacity: 10, connection: { writeTimeout: 10 } });
      peer.pause();
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
      const { connection, clock, peer } = wired({
        connection: { maxInboxMessages: 1, pauseTimeout: 10, closeTimeout: 10 },
      });
      peer.write((WIRE_PROTOCOLS[0] as WireProtocol).message("x"));
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

  it("S3-16 and no other error has them", async () => {
    const { connection, peer } = wired();
    const failed = connection.receive().catch((error: unknown) => error);
    peer.reset();
    const error = await failed;
    assert.ok(isConnectionError(error));
    assert.equal("timeout" in error, false);
  });
});

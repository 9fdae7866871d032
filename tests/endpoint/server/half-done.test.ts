/** Half-done handshakes on servers with few places: their number is bounded, and other clients are served. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { before, describe, it } from "node:test";
import { connect as dialTls } from "node:tls";
import {
  type Connection,
  type ConnectionEvent,
  connect,
  type LimitError,
  type ListenOptions,
  listen,
  type RefusedEvent,
  type Server,
} from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { SPARE_OPENINGS } from "../../../src/transport/listen/pending-openings.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { linesOn } from "../../kit/lines-on.ts";
import { portOf, RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 120_000 };
const PLACES = 4;
const ALLOWED = process.env["HOLDFAST_TRANSPORT"];

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

interface Scene extends AsyncDisposable {
  readonly server: Server;
  readonly refused: readonly RefusedEvent[];
  /** Resolves when there are this many refusals. */
  readonly until: (count: number) => Promise<void>;
}

async function scene(scheme: string, options: ListenOptions = {}): Promise<Scene> {
  const events: RefusedEvent[] = [];
  let changed = (): void => undefined;
  const observe = (event: ConnectionEvent): void => {
    if (event.type !== "refused") return;
    events.push(event);
    changed();
  };
  const secure = scheme.endsWith("s") && scheme !== "ws";
  const own = { maxConnections: PLACES, observe, ...(secure && { tls: LOCALHOST }), ...linesOn(scheme), ...options };
  const server = await listen(`${scheme}://127.0.0.1:0`, own, echo);
  return {
    server,
    refused: events,
    until: async (count) => {
      while (events.length < count)
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
    },
    [Symbol.asyncDispose]: async () => void (await server.close({ drain: 0 })),
  };
}

const client = (scheme: string, server: Server): Promise<Connection> =>
  connect(server.url, { ...linesOn(scheme), ...(scheme.endsWith("s") && { tls: { ca: LOCALHOST.cert } }) });

async function answers(connection: Connection): Promise<void> {
  await connection.send("hello");
  assert.equal(await connection.receive(), "hello");
}

/** Opens sockets one after the other, so that their order is known. The number that are not closed is `open`. */
class Crowd implements AsyncDisposable {
  readonly sockets: Socket[] = [];
  readonly closed: number[] = [];

  async add(count: number, port: number, open: (port: number) => Promise<Socket>): Promise<void> {
    for (let number = 0; number < count; number += 1) {
      const socket = await open(port);
      const index = this.sockets.push(socket) - 1;
      socket.on("error", () => undefined).on("close", () => void this.closed.push(index));
      socket.resume();
    }
  }

  /** Resolves when this many sockets are closed. */
  async until(count: number): Promise<void> {
    while (this.closed.length < count) await once(this.sockets.find((socket) => !socket.destroyed) as Socket, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.sockets.filter((socket) => !socket.closed);
    for (const socket of open) socket.destroy();
    await Promise.all(open.map((socket) => socket.closed || once(socket, "close")));
  }
}

async function silent(port: number): Promise<Socket> {
  const socket = dial({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  return socket;
}

const saying =
  (bytes: string) =>
  async (port: number): Promise<Socket> => {
    const socket = await silent(port);
    socket.write(Buffer.from(bytes, "latin1"));
    return socket;
  };

const secured =
  (bytes: string) =>
  async (port: number): Promise<Socket> => {
    const socket = dialTls({ port, host: "127.0.0.1", ca: LOCALHOST.cert, ALPNProtocols: ["http/1.1"] });
    await once(socket, "secureConnect");
    if (bytes !== "") socket.write(bytes);
    return socket;
  };

const HALF = upgradeRequest().slice(0, 60);
// The header of a TLS record and the first byte of a ClientHello.
const HELLO = "\x16\x03\x01\x02\x00\x01";

const WAYS: readonly [scheme: string, what: string, open: (port: number) => Promise<Socket>][] = [
  ["ws", "nothing received", silent],
  ["ws", "half a request", saying(HALF)],
  ["wss", "nothing received", silent],
  ["wss", "half a ClientHello", saying(HELLO)],
  ["wss", "TLS and half a request", secured(HALF)],
  ["tls", "nothing received", silent],
  ["tls", "half a ClientHello", saying(HELLO)],
];

for (const transport of ["socket", "fast"]) {
  describe(`half-done handshakes beyond maxConnections, on the ${transport} transport`, LIMIT, () => {
    before(() => {
      if (ALLOWED !== undefined) return;
      if (transport === "socket") process.env["HOLDFAST_TRANSPORT"] = "socket";
      else delete process.env["HOLDFAST_TRANSPORT"];
    });

    for (const [scheme, what, open] of WAYS) {
      // Until a TLS handshake is complete, there is one transport.
      if (scheme !== "ws" && transport === "fast") continue;
      it(`${scheme}, ${what}: the oldest are closed and reported, and other clients are served`, async () => {
        await using stage = await scene(scheme, { openTimeout: Infinity });
        const { server } = stage;
        await using first = await client(scheme, server);
        await answers(first);
        await using crowd = new Crowd();
        const bound = PLACES - 1 + SPARE_OPENINGS;
        await crowd.add(bound + 20, portOf(server), open);
        await stage.until(20);
        await crowd.until(20);
        await using second = await client(scheme, server);
        await answers(second);
        await answers(first);
        // The second client needed room for its own handshake.
        await stage.until(21);
        await crowd.until(21);
        assert.deepEqual(
          crowd.closed.toSorted((a, b) => a - b),
          Array.from({ length: 21 }, (_, index) => index),
        );
        for (const { reason, status, cause, remotePort } of stage.refused) {
          assert.deepEqual([reason, status], ["capacity", undefined]);
          assert.deepEqual([cause?.limit, cause?.maximum], ["maxConnections", PLACES]);
          assert.equal(typeof remotePort, "number");
        }
        assert.equal(server.connections.size, 2);
      });
    }

    it("a full server still answers with 503", async () => {
      await using stage = await scene("ws", { maxConnections: 1, openTimeout: Infinity });
      const { server } = stage;
      await using first = await client("ws", server);
      await using crowd = new Crowd();
      await crowd.add(SPARE_OPENINGS + 5, portOf(server), silent);
      const { status, headers } = await refused(portOf(server), upgradeRequest());
      assert.deepEqual([status, headers["retry-after"]], [503, "5"]);
      await answers(first);
    });

    it("refused clients that do not end count too, and are closed without a further event", async () => {
      await using stage = await scene("ws", { maxConnections: 1, closeTimeout: Infinity, openTimeout: Infinity });
      const { server } = stage;
      await using first = await client("ws", server);
      await using crowd = new Crowd();
      const open = async (port: number): Promise<Socket> => {
        const socket = dial({ port, host: "127.0.0.1", allowHalfOpen: true });
        await once(socket, "connect");
        socket.write(upgradeRequest());
        await once(socket, "data");
        return socket;
      };
      await crowd.add(SPARE_OPENINGS + 10, portOf(server), open);
      await crowd.add(10, portOf(server), silent);
      assert.equal(stage.refused.length, SPARE_OPENINGS + 10);
      await answers(first);
    });

    it("keeps the position of a socket whose request arrives in pieces", async () => {
      await using stage = await scene("ws", { maxConnections: 1, openTimeout: Infinity });
      const { server } = stage;
      await using slow = await RawPeer.to(portOf(server));
      await using crowd = new Crowd();
      await crowd.add(SPARE_OPENINGS - 1, portOf(server), silent);
      slow.write(HALF);
      await crowd.add(1, portOf(server), silent);
      slow.write(upgradeRequest().slice(60, 70));
      await crowd.add(1, portOf(server), silent);
      await stage.until(1);
      await slow.closed;
      assert.equal(stage.refused.length, 1);
      assert.equal(crowd.closed.length, 0);
    });

    it("requests without a decision take places, and are not closed", async () => {
      const asked: (() => void)[] = [];
      const authorize = (): Promise<void> => new Promise((resolve) => void asked.push(resolve));
      await using stage = await scene("ws", { maxConnections: 2, openTimeout: Infinity, authorize });
      const { server } = stage;
      const waiting = [await RawPeer.to(portOf(server)), await RawPeer.to(portOf(server))];
      for (const peer of waiting) peer.write(upgradeRequest());
      await using crowd = new Crowd();
      while (asked.length < 2) await new Promise(setImmediate);
      await crowd.add(SPARE_OPENINGS + 3, portOf(server), silent);
      await stage.until(3);
      for (const decide of asked) decide();
      for (const peer of waiting) {
        assert.equal((await peer.head()).status, 101);
        peer.socket.destroy();
      }
    });

    it("idle clients of plain requests are closed first, without an event", async () => {
      await using stage = await scene("ws", {
        ...{ maxConnections: 1, openTimeout: Infinity, clock: new ManualClock(), fetch: () => new Response("page") },
      });
      const { server } = stage;
      await using idle = await RawPeer.to(portOf(server));
      idle.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await idle.until(({ text }) => text.includes("page"));
      await using crowd = new Crowd();
      await crowd.add(SPARE_OPENINGS + 1, portOf(server), silent);
      await idle.until(({ ended }) => ended);
      assert.deepEqual(stage.refused, []);
      await using peer = await upgraded(portOf(server));
      assert.ok(!peer.ended);
    });

    it("TCP clients beyond maxConnections that do not end after the farewell are bounded too", async () => {
      const causes: LimitError[] = [];
      await using stage = await scene("tcp", {
        ...{ maxConnections: 1, closeTimeout: Infinity },
        farewell: (cause) => {
          causes.push(cause as LimitError);
          return "full";
        },
      });
      const { server } = stage;
      await using first = await client("tcp", server);
      await answers(first);
      await using crowd = new Crowd();
      const open = async (port: number): Promise<Socket> => {
        const socket = dial({ port, host: "127.0.0.1", allowHalfOpen: true });
        await once(socket, "data");
        return socket;
      };
      await crowd.add(SPARE_OPENINGS + 5, portOf(server), open);
      for (const socket of crowd.sockets.slice(5)) assert.ok(!socket.destroyed);
      const [oldest] = crowd.sockets as [Socket];
      await once(oldest.end("x"), "close");
      assert.equal(causes.length, SPARE_OPENINGS + 5);
      assert.deepEqual([causes[0]?.limit, causes[0]?.maximum], ["maxConnections", 1]);
      await answers(first);
    });
  });
}

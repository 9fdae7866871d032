/** S3: each connection has its own handler, independent of the others, and ends however its handler is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection, Handler, ListenOptions } from "../../src/index.ts";
import { openSockets, SOCKETS_SKIP, socketsOf } from "../kit/kernel-sockets.ts";
import type { RawPeer } from "../kit/raw-peer.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { closeCodeOf, WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

/** Acts as its first message says, and then echoes. */
async function obedient(connection: Connection): Promise<void> {
  const first = await connection.receive();
  if (first === "is stuck") await new Promise(() => undefined);
  if (first === "throws") throw new Error("thrown on purpose");
  await connection.send(first);
  for await (const message of connection) await connection.send(message);
}

describe("S3-7 a handler does not delay the others", () => {
  for (const wire of WIRE_PROTOCOLS) {
    for (const trouble of ["is stuck", "throws"]) {
      it(`S3-7 when it ${trouble}, on ${wire.name}`, async () => {
        await using scene = await ServerWithPeers.open(wire, { closeTimeout: 50, lingerTimeout: 50 }, obedient);
        const before = await scene.peer();
        const troubled = await scene.peer();
        troubled.peer.write(wire.message(trouble));
        for (const { peer } of [before, await scene.peer()]) {
          for (const text of ["one", "two", "three"]) {
            peer.write(wire.message(text));
            await peer.until(({ bytes }) => wire.messages(bytes).includes(text));
          }
        }
        assert.deepEqual([before.connection.state, trouble], ["OPEN", trouble]);
      });
    }
  }

  it("S3-7 a handler that throws synchronously does not end the accept loop", async () => {
    let calls = 0;
    const [wire] = WIRE_PROTOCOLS as [WireProtocol];
    await using scene = await ServerWithPeers.open(wire, { closeTimeout: 50 }, (connection) => {
      calls += 1;
      if (calls <= 3) throw new Error(`thrown on purpose, ${calls}`);
      return obedient(connection);
    });
    for (let peer = 0; peer < 3; peer += 1) await scene.peer();
    const { peer } = await scene.peer();
    peer.write(wire.message("still there?"));
    await peer.until(({ bytes }) => wire.messages(bytes).includes("still there?"));
    assert.deepEqual(
      scene.errors.map(String),
      [1, 2, 3].map((call) => `Error: thrown on purpose, ${call}`),
    );
  });
});

/** A way in which a handler is left. */
interface Exit {
  readonly what: string;
  readonly handler: Handler;
  readonly options?: ListenOptions;
  readonly peer?: (peer: RawPeer, wire: WireProtocol) => void;
  readonly code: number;
  readonly error?: string;
}

const broken = (): Error => new Error("broken on purpose");

const EXITS: readonly Exit[] = [
  {
    what: "throws at once",
    handler: () => {
      throw broken();
    },
    code: 1011,
    error: "Error: broken on purpose",
  },
  { what: "rejects", handler: () => Promise.reject(broken()), code: 1011, error: "Error: broken on purpose" },
  {
    what: "rejects while it reads",
    handler: async (connection) => {
      for await (const _ of connection) throw broken();
    },
    peer: (peer, wire) => peer.write(wire.message("go")),
    code: 1011,
    error: "Error: broken on purpose",
  },
  { what: "returns early", handler: () => undefined, code: 1000 },
  { what: "returns early, asynchronously", handler: async () => undefined, code: 1000 },
  {
    what: "leaves its loop early",
    handler: async (connection) => {
      for await (const _ of connection) break;
    },
    peer: (peer, wire) => {
      for (let index = 0; index < 10; index += 1) peer.write(wire.message("more than is read"));
    },
    code: 1000,
  },
  {
    what: "never reads, and never returns",
    handler: () => new Promise(() => undefined),
    options: { maxInboxMessages: 2, pauseTimeout: 30 },
    peer: (peer, wire) => {
      for (let index = 0; index < 10; index += 1) peer.write(wire.message("unread"));
    },
    code: 1008,
  },
  {
    what: "never reads, and waits for the end",
    handler: async ({ closed }) => void (await closed),
    options: { heartbeat: { interval: Infinity }, idleTimeout: 30 },
    code: 1001,
  },
];

describe("S3-17 however a handler is left, its connection is closed and the descriptor freed", () => {
  for (const wire of WIRE_PROTOCOLS) {
    for (const { what, handler, options, peer: act, code, error } of EXITS) {
      for (const answers of [true, false]) {
        it(`S3-17 a handler that ${what}, on ${wire.name}, whose peer ${answers ? "answers" : "does not answer"}`, async () => {
          await using scene = await ServerWithPeers.open(wire, { closeTimeout: 30, ...options }, handler);
          const listening = openSockets();
          const { peer, connection } = await scene.peer();
          act?.(peer, wire);
          if (answers) {
            if (wire.protocol === "websocket") await peer.until(({ bytes }) => closeCodeOf(bytes) !== undefined);
            else await peer.until(({ ended }) => ended);
            peer.socket.end(wire.farewell);
          }
          const info = await connection.closed;
          assert.equal(info.code, code);
          if (wire.protocol === "websocket") assert.equal(closeCodeOf(peer.bytes), code);
          assert.equal(scene.server.connections.size, 0);
          await peer[Symbol.asyncDispose]();
          assert.equal(openSockets(), listening, "only the listener is left");
          assert.deepEqual(scene.errors.map(String), error === undefined ? [] : [error]);
        });
      }
    }

    for (const leave of ["end", "resetAndDestroy"] as const) {
      it(`S3-17 a handler that returns after its peer left by ${leave}, on ${wire.name}`, async () => {
        let comeBack!: () => void;
        const handler = (): Promise<void> =>
          new Promise((resolve) => {
            comeBack = resolve;
          });
        await using scene = await ServerWithPeers.open(wire, { lingerTimeout: 60_000 }, handler);
        const { peer, connection } = await scene.peer();
        peer.socket[leave]();
        while (connection.state !== "CLOSED" && connection.peerEndedFor === undefined) await new Promise(setImmediate);
        comeBack();
        const { by } = await connection.closed;
        assert.equal(by, "peer");
        assert.equal(scene.server.connections.size, 0);
        if (!SOCKETS_SKIP) {
          const held = socketsOf(scene.port).filter(({ state }) => ["ESTABLISHED", "CLOSE_WAIT"].includes(state));
          assert.deepEqual(held, []);
        }
        assert.deepEqual(scene.errors, []);
      });

      it(`S3-17 a handler that throws after its peer left by ${leave}, on ${wire.name}`, async () => {
        let fail!: (error: Error) => void;
        const handler = (): Promise<void> =>
          new Promise((_, reject) => {
            fail = reject;
          });
        await using scene = await ServerWithPeers.open(wire, { lingerTimeout: 30 }, handler);
        const { peer, connection } = await scene.peer();
        peer.socket[leave]();
        await connection.closed;
        fail(broken());
        await new Promise(setImmediate);
        assert.deepEqual(scene.errors.map(String), ["Error: broken on purpose"]);
        assert.equal(scene.server.connections.size, 0);
      });
    }
  }
});

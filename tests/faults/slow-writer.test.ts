/** Peers that send one byte now and then: of a message, of a request, or of TLS. */

import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { connect, isConnectionError, type ListenOptions, listen, TimeoutError } from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { portOf, RawPeer, rawServer, upgradeRequest } from "../kit/raw-peer.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

const BOUND = 500;
/** Shorter than any limit on silence. */
const EVERY = 25;

/** Sends a byte now and then until the other side closes. */
async function trickle(peer: RawPeer, bytes: Uint8Array): Promise<void> {
  let said = 0;
  const saying = setInterval(() => {
    peer.socket.write(bytes.subarray(said, said + 1));
    said += 1;
  }, EVERY);
  await Promise.race([peer.closed, peer.until(({ ended }) => ended)]);
  clearInterval(saying);
}

describe("a peer that sends a byte now and then", { timeout: 60_000 }, () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`of a message, on ${wire.name}, is ended although it is active (bound: messageTimeout)`, async () => {
      const limits = { messageTimeout: BOUND, closeTimeout: BOUND };
      await using scene = await ServerWithPeers.open(wire, limits, async ({ closed }) => void (await closed));
      const { peer, connection } = await scene.peer();
      const trickling = trickle(peer, wire.message("x".repeat(100_000)));
      const { code, cause } = await connection.closed;
      assert.ok(cause instanceof TimeoutError, String(cause));
      assert.deepEqual([cause.limit, cause.bound], ["messageTimeout", BOUND]);
      assert.ok(cause.after >= BOUND, `${cause.after} ms`);
      if (wire.protocol === "websocket") assert.equal(code, 1008);
      await trickling;
    });
  }
});

/** The first half of a TLS ClientHello: a record that announces more bytes than follow. */
const HALF_A_HELLO = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);

describe("a handshake that stops", { timeout: 60_000 }, () => {
  const stalls: readonly [string, string, Uint8Array, ListenOptions][] = [
    ["an upgrade of which nothing comes", "ws", Buffer.of(), {}],
    ["an upgrade of which half comes", "ws", Buffer.from(upgradeRequest().slice(0, 60)), {}],
    ["TLS of which nothing comes", "wss", Buffer.of(), { tls: LOCALHOST }],
    ["TLS of which half comes", "wss", HALF_A_HELLO, { tls: LOCALHOST }],
    ["TLS of which nothing comes, on framed TCP", "tls", Buffer.of(), { tls: LOCALHOST, framing: "lines" }],
    ["TLS of which half comes, on framed TCP", "tls", HALF_A_HELLO, { tls: LOCALHOST, framing: "lines" }],
  ];
  for (const [what, scheme, said, options] of stalls) {
    it(`is ended by the server: ${what} (bound: openTimeout)`, async (t) => {
      const before = openSockets();
      let opened = 0;
      const server = await listen(`${scheme}://127.0.0.1:0`, {
        ...options,
        openTimeout: BOUND,
        open: () => {
          opened += 1;
        },
      });
      const since = performance.now();
      const peer = new RawPeer(dial({ port: portOf(server), host: "127.0.0.1" }));
      peer.write(said);
      await peer.closed;
      const took = performance.now() - since;
      t.diagnostic(`given up after ${took.toFixed(0)} ms`);
      // A timer of the system may fire a little early.
      assert.ok(took >= BOUND - 5, `${took} ms`);
      assert.equal(opened, 0);
      await server.close();
      while (openSockets() > before) await new Promise(setImmediate);
    });
  }

  for (const [scheme, phase] of [
    ["ws", "upgrade"],
    ["wss", "tls"],
    ["tls", "tls"],
  ] as const) {
    it(`is ended by the client: ${scheme} (bound: openTimeout)`, async () => {
      await using mute = await rawServer(() => undefined);
      const framing = scheme === "tls" ? { framing: "lines" as const } : {};
      const failed = connect(`${scheme}://127.0.0.1:${mute.port}`, { openTimeout: BOUND, ...framing });
      const error = await failed.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(isConnectionError(error) && error.code === "TIMEOUT", String(error));
      assert.deepEqual([error.limit, error.operation], ["openTimeout", `connect:${phase}`]);
      assert.ok(error.after >= BOUND, `${error.after} ms`);
      const [peer] = mute.peers;
      assert.ok(peer !== undefined);
      await Promise.race([peer.closed, peer.until(({ ended }) => ended)]);
    });
  }
});

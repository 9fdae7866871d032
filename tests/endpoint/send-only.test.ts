/** A side that only sends is not slow, and its connection lives as long as its peer. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Handler, listen, type Server } from "../../src/index.ts";
import { wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { portOf } from "../kit/raw-peer.ts";
import { closeCodeOf, WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

/** A handler that sends until its connection ends, and never receives. */
const feed: Handler = async (connection) => {
  await connection.send("price");
  await new Promise((resolve) => connection.signal.addEventListener("abort", resolve, { once: true }));
};

const feedOf = (wire: WireProtocol): Promise<Server> =>
  listen(wire.url, { ...wire.options, messageType: "none" }, feed);

/** More messages than an inbox takes. */
const FLOOD = 300;
const LONGER_THAN_ANY_LIMIT = 600_000;

describe("a side that receives nothing stays connected to its peer", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`it ends at once when the peer closes, on ${wire.name}`, async () => {
      await using server = await feedOf(wire);
      await using peer = await wire.open(portOf(server));
      await peer.until(({ text }) => text.includes("price"));
      const [connection] = [...server.connections];
      peer.write(wire.farewell);
      peer.socket.end();
      const { code, by, wasClean } = await connection!.closed;
      assert.deepEqual({ code, by, wasClean }, { code: 1000, by: "peer", wasClean: true });
    });

    it(`a message of the peer ends it, with the reason, on ${wire.name}`, async () => {
      await using server = await feedOf(wire);
      await using peer = await wire.open(portOf(server));
      await peer.until(({ text }) => text.includes("price"));
      const [connection] = [...server.connections];
      peer.write(wire.message("hello"));
      await peer.until(({ ended }) => ended);
      assert.equal(closeCodeOf(peer.bytes), wire.protocol === "websocket" ? 1003 : undefined);
      peer.socket.end();
      const { code, by, cause } = await connection!.closed;
      assert.deepEqual([code, by], [1003, "local"]);
      assert.match(String(cause), /ProtocolError: .*a text message came, and messageType is "none"/);
    });

    it(`it lives through any silence of a live peer, on ${wire.name}`, async () => {
      const { connection, peer, clock } = wired({
        ...{ kind: wire.protocol, ...wire.options, connection: { messageType: "none" } },
      });
      for (let time = 0; time < LONGER_THAN_ANY_LIMIT; time += 10_000) {
        await clock.advance(10_000);
        await connection.send("price");
        // Every Ping gets its answer.
        if (wire.protocol === "websocket") peer.write(peerFrame({ opcode: 10, payload: new Uint8Array(), key: KEY }));
      }
      assert.equal(connection.state, "OPEN");
    });
  }

  it("its Pings are answered", async () => {
    const [wire] = WIRE_PROTOCOLS as [WireProtocol];
    await using server = await feedOf(wire);
    await using peer = await wire.open(portOf(server));
    peer.write(peerFrame({ opcode: 9, payload: Buffer.from("alive?"), key: KEY }));
    await peer.until(({ text }) => text.includes("\x8a\x06alive?"));
  });
});

describe("messages can be discarded instead", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`by a hook that does nothing, beside a handler that sends, on ${wire.name}`, async () => {
      const handled = deferred<void>();
      let count = 0;
      const message = (): void => {
        count += 1;
        if (count === FLOOD) handled.resolve();
      };
      await using server = await listen(wire.url, { ...wire.options, message }, feed);
      await using peer = await wire.open(portOf(server));
      for (let sent = 0; sent < FLOOD; sent += 1) peer.write(wire.message("noise"));
      await handled.promise;
      const [connection] = [...server.connections];
      assert.equal(connection?.state, "OPEN");
    });
  }
});

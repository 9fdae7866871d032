/** Connections that are cut inside a message: no part of it is delivered, and each side gets the right error. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, isConnectionError, type Message } from "../../src/index.ts";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const MESSAGE = "a message of which the rest is lost";

/** A client that has sent a whole message, and whose next message is cut in the middle by `fault`. */
async function torn(
  wire: WireProtocol,
  fault: (bytes: number) => ChaosFaults,
): Promise<{ readonly taken: Message[]; readonly server: CloseInfo; readonly client: CloseInfo }> {
  const taken: Message[] = [];
  const first = deferred();
  await using scene = await ServerWithPeers.open(wire, { closeTimeout: 1_000 }, async (connection) => {
    for await (const message of connection) {
      taken.push(message);
      first.resolve();
    }
  });
  await using proxy = await chaosProxy({ to: `127.0.0.1:${scene.port}` });
  const client = await through(proxy, wire);
  const server = await scene.arrival();
  await client.send("whole");
  await first.promise;
  await proxy.set(fault(proxy.counts.bytesToServer + MESSAGE.length / 2));
  await client.send(MESSAGE);
  return { taken, server: await server.closed, client: await client.closed };
}

const through = ({ port }: ChaosProxy, { protocol, options }: WireProtocol): Promise<Connection<undefined>> =>
  connect(`${protocol === "tcp" ? "tcp" : "ws"}://127.0.0.1:${port}`, { ...options, lingerTimeout: 50 });

const codeOf = ({ cause }: CloseInfo): unknown => isConnectionError(cause) && cause.code;

describe("a message that is cut in the middle", { timeout: 60_000 }, () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`by a reset, on ${wire.name}: both sides get the system's error, at once (bound: none)`, async () => {
      const { taken, server, client } = await torn(wire, (resetAfter) => ({ resetAfter }));
      assert.deepEqual(taken, ["whole"]);
      for (const info of [server, client]) {
        assert.deepEqual([codeOf(info), info.wasClean, info.by], ["TRANSPORT", false, "peer"]);
      }
    });

    it(`by a FIN, on ${wire.name}: the receiver reports an unexpected end, at once (bound: none)`, async () => {
      const { taken, server, client } = await torn(wire, (truncateAfter) => ({ truncateAfter }));
      assert.deepEqual(taken, ["whole"]);
      assert.deepEqual([codeOf(server), server.wasClean], ["PROTOCOL", false]);
      assert.deepEqual({ ...(server.cause as object), clause: "unexpected-eof" }, { ...(server.cause as object) });
      // The sender sees only that the other side has ended.
      if (wire.protocol === "websocket") assert.deepEqual([client.code, client.wasClean], [1006, false]);
    });
  }
});

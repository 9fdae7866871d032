/** Connections that are cut inside a message: no half of it is delivered, and each side learns how it ended. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, type Data, isConnectionError } from "../../src/index.js";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../src/testing/index.js";
import { gate, Scene } from "../requirements/scene.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";

const MESSAGE = "a message of which the rest is lost";

/** A client that has sent a whole message, and whose next one is cut in its middle by `fault`. */
async function torn(
  speech: Speech,
  fault: (bytes: number) => ChaosFaults,
): Promise<{ readonly taken: Data[]; readonly server: CloseInfo; readonly client: CloseInfo }> {
  const taken: Data[] = [];
  const first = gate();
  await using scene = await Scene.open(speech, { closeTimeout: 1_000 }, async (connection) => {
    for await (const message of connection) {
      taken.push(message);
      first.open();
    }
  });
  await using proxy = await chaosProxy({ to: `127.0.0.1:${scene.port}` });
  const client = await through(proxy, speech);
  const server = await scene.arrival();
  await client.send("whole");
  await first.passed;
  await proxy.set(fault(proxy.counts.bytesToServer + MESSAGE.length / 2));
  await client.send(MESSAGE);
  return { taken, server: await server.closed, client: await client.closed };
}

const through = ({ port }: ChaosProxy, { protocol, options }: Speech): Promise<Connection<undefined>> =>
  connect(`${protocol === "tcp" ? "tcp" : "ws"}://127.0.0.1:${port}`, { ...options, lingerTimeout: 50 });

const codeOf = ({ cause }: CloseInfo): unknown => isConnectionError(cause) && cause.code;

describe("a message that is cut in its middle", { timeout: 60_000 }, () => {
  for (const speech of SPEECHES) {
    it(`by a reset, on ${speech.name}: both sides get the system's error, at once (bound: none)`, async () => {
      const { taken, server, client } = await torn(speech, (resetAfter) => ({ resetAfter }));
      assert.deepEqual(taken, ["whole"]);
      for (const info of [server, client]) {
        assert.deepEqual([codeOf(info), info.wasClean, info.by], ["TRANSPORT", false, "peer"]);
      }
    });

    it(`by a FIN, on ${speech.name}: the receiver calls it an unexpected end, at once (bound: none)`, async () => {
      const { taken, server, client } = await torn(speech, (truncateAfter) => ({ truncateAfter }));
      assert.deepEqual(taken, ["whole"]);
      assert.deepEqual([codeOf(server), server.wasClean], ["PROTOCOL", false]);
      assert.deepEqual({ ...(server.cause as object), clause: "unexpected-eof" }, { ...(server.cause as object) });
      // It was told only that the other side has ended.
      if (speech.protocol === "websocket") assert.deepEqual([client.code, client.wasClean], [1006, false]);
    });
  }
});

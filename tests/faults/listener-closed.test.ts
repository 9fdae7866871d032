/** A listener that closes under load: connections end cleanly, new ones are refused, and every answer that was sent arrives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, isConnectionError, listen } from "../../src/index.ts";
import { deferred } from "../kit/deferred.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

const CLIENTS = 50;
const DRAIN = 5_000;

/** Sends numbers and receives them until the connection ends. Returns how many returned, and how the connection ended. */
async function count(connection: Connection<undefined>, onAnswer: () => void): Promise<CloseInfo> {
  try {
    for (let number = 0; ; number += 1) {
      await connection.send(`${number}`);
      assert.equal(await connection.receive(), `${number}`);
      onAnswer();
    }
  } catch (error) {
    if (!isConnectionError(error)) throw error;
  }
  // On TCP the other side has ended, and waits for the FIN of this side.
  await connection.close();
  return await connection.closed;
}

describe("a listener that is closed under load", { timeout: 60_000 }, () => {
  for (const { name, protocol, url, options } of WIRE_PROTOCOLS) {
    it(`ends every connection cleanly, and refuses new ones, on ${name} (bound: drain)`, async () => {
      const before = openSockets();
      const errors: unknown[] = [];
      const server = await listen(url, { ...options, onError: (error) => errors.push(error) }, async (connection) => {
        for await (const message of connection) await connection.send(message);
      });
      let answers = 0;
      const busy = deferred();
      const ends: Promise<CloseInfo>[] = [];
      const arrive = async (): Promise<void> => {
        const connection = await connect(server.url, options);
        ends.push(
          count(connection, () => {
            answers += 1;
            if (answers > CLIENTS * 20) busy.resolve();
          }),
        );
      };
      await Promise.all(Array.from({ length: CLIENTS }, arrive));
      await busy.promise;
      // These connect during the close: each is accepted and then closed with 1001, or is refused.
      const late = Promise.allSettled(Array.from({ length: CLIENTS }, arrive));
      await server.close({ drain: DRAIN });
      for (const outcome of await late) {
        if (outcome.status === "rejected") assert.ok(isConnectionError(outcome.reason), String(outcome.reason));
      }
      // A connection that is terminated at the end of `drain` has no clean end.
      const infos = await Promise.all(ends);
      for (const { by, wasClean, code } of infos.slice(0, CLIENTS)) {
        assert.deepEqual([by, wasClean, code], ["peer", true, protocol === "websocket" ? 1001 : 1000]);
      }
      await assert.rejects(connect(server.url, options), { code: "HANDSHAKE", phase: "tcp" });
      assert.equal(server.connections.size, 0);
      assert.deepEqual(errors, []);
      while (openSockets() > before) await new Promise(setImmediate);
    });
  }
});

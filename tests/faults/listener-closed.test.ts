/** A listener that is closed under load: who is in is told, who comes is refused, and every answer that was given arrives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, isConnectionError, listen } from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { gate } from "../requirements/scene.js";
import { SPEECHES } from "../requirements/speech.js";

const CLIENTS = 50;
const DRAIN = 5_000;

/** Sends numbers and takes them back until the connection ends; how many came back, and how it ended. */
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
  // On TCP the other side has ended, and waits for us to do so.
  await connection.close();
  return await connection.closed;
}

describe("a listener that is closed under load", { timeout: 60_000 }, () => {
  for (const { name, protocol, url, options } of SPEECHES) {
    it(`ends every connection in order, and refuses the next, on ${name} (bound: drain)`, async () => {
      const before = openSockets();
      const errors: unknown[] = [];
      const server = await listen(url, { ...options, onError: (error) => errors.push(error) }, async (connection) => {
        for await (const message of connection) await connection.send(message);
      });
      let answers = 0;
      const busy = gate();
      const ends: Promise<CloseInfo>[] = [];
      const arrive = async (): Promise<void> => {
        const connection = await connect(server.url, options);
        ends.push(
          count(connection, () => {
            answers += 1;
            if (answers > CLIENTS * 20) busy.open();
          }),
        );
      };
      await Promise.all(Array.from({ length: CLIENTS }, arrive));
      await busy.passed;
      // These come while it closes: each is let in and then told, or is refused.
      const late = Promise.allSettled(Array.from({ length: CLIENTS }, arrive));
      await server.close({ drain: DRAIN });
      for (const outcome of await late) {
        if (outcome.status === "rejected") assert.ok(isConnectionError(outcome.reason), String(outcome.reason));
      }
      // Who is terminated when `drain` has passed has no clean end.
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

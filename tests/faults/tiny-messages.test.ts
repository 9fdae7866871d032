/** Peers that send a million messages of one byte each second: other connections are served between them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, listen } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { portOf } from "../kit/raw-peer.ts";

const PROGRAM = fileURLToPath(new URL("./flood-program.js", import.meta.url));
const FLOODS = 3;
const TRIPS = 50;

/** The number of one-byte messages in a read of 64 KiB, with header and mask. A stream may have read as much in advance. */
const A_TURN = 2 * Math.ceil(65_536 / 7);

describe("floods of the smallest messages", { timeout: 120_000 }, () => {
  it("give other connections a turn between two of their own (bound: eight turns to a round trip)", async () => {
    let flooded = 0;
    await using server = await listen("ws://127.0.0.1:0", {
      message(connection, data) {
        if (data.length > 1) connection.trySend(data);
        else flooded += 1;
      },
    });
    await using other = await connect(server.url);
    const flood = new ChildProgram(PROGRAM, [`${portOf(server)}`, `${FLOODS}`]);
    try {
      while (server.connections.size <= FLOODS || flooded < 1_000_000) await new Promise(setImmediate);
      for (let trip = 0; trip < TRIPS; trip += 1) {
        const before = flooded;
        await other.send("and me?");
        assert.equal(await other.receive(), "and me?");
        // Counted in messages, not in milliseconds, which depend on the load of the machine.
        const meanwhile = flooded - before;
        assert.ok(meanwhile <= 8 * FLOODS * A_TURN, `${meanwhile} of their messages in one round trip`);
      }
    } finally {
      await flood[Symbol.asyncDispose]();
    }
  });
});

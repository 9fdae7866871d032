/** More connections at once than the backlog of a busy server: they open later, and none is lost. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, listen } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { portOf } from "../kit/raw-peer.ts";

const PROGRAM = fileURLToPath(new URL("./crowd-program.js", import.meta.url));
const CROWD = 100;
const BACKLOG = 32;

const skip = process.platform !== "linux" && "only Linux counts what did not fit";

/** The number of connections that found a full backlog of any server on this machine since boot. */
function overflows(): number {
  const [names = "", values = ""] = readFileSync("/proc/net/netstat", "utf8").split("\n");
  return Number(values.split(" ")[names.split(" ").indexOf("ListenOverflows")]);
}

describe("more connections than a server's backlog holds", { skip, timeout: 120_000 }, () => {
  it("are all served in the end, although the backlog had no room for most of them (bound: TCP's retransmissions)", async () => {
    const errors: unknown[] = [];
    const options = { backlog: BACKLOG, onError: (error: unknown) => errors.push(error) };
    await using server = await listen("ws://127.0.0.1:0", options, async (connection) => {
      for await (const message of connection) await connection.send(message);
    });
    const crowd = new ChildProgram(PROGRAM, [`${portOf(server)}`, `${CROWD}`], { channel: true });
    try {
      await crowd.message();
      const sockets = openSockets();
      const before = overflows();
      await new Promise<void>((resolve) => crowd.process.send("go", () => resolve()));
      const answered = crowd.message();
      // Nothing is accepted meanwhile: this is the event loop of the server.
      while (overflows() - before < CROWD / 2);
      assert.deepEqual(await answered, { served: CROWD });
      assert.equal(server.connections.size, CROWD);
      // A new connection is accepted at once.
      await using late = await connect(server.url);
      await late.send("and me?");
      assert.equal(await late.receive(), "and me?");
      assert.deepEqual(errors, []);
      crowd.signal("SIGKILL");
      await late.close();
      while (openSockets() > sockets) await new Promise(setImmediate);
    } finally {
      await crowd[Symbol.asyncDispose]();
    }
  });
});

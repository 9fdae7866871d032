/** More connections at once than the kernel keeps for a server that is busy: they come later, and nobody is lost. */

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, listen } from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { portOf } from "../raw-peers.js";

const PROGRAM = fileURLToPath(new URL("./crowd-program.js", import.meta.url));
const CROWD = 100;
const BACKLOG = 32;

const skip = process.platform !== "linux" && "only Linux counts what did not fit";

/** How many connections found no room with any server of this machine, since it was started. */
function overflows(): number {
  const [names = "", values = ""] = readFileSync("/proc/net/netstat", "utf8").split("\n");
  return Number(values.split(" ")[names.split(" ").indexOf("ListenOverflows")]);
}

describe("more connections than a server's backlog holds", { skip, timeout: 120_000 }, () => {
  it("are all served in the end, though the kernel had no room for most of them (bound: that of TCP's own attempts)", async () => {
    const errors: unknown[] = [];
    const options = { backlog: BACKLOG, onError: (error: unknown) => errors.push(error) };
    await using server = await listen("ws://127.0.0.1:0", options, async (connection) => {
      for await (const message of connection) await connection.send(message);
    });
    const crowd = fork(PROGRAM, [`${portOf(server)}`, `${CROWD}`]);
    try {
      await once(crowd, "message");
      const sockets = openSockets();
      const before = overflows();
      await new Promise<void>((resolve) => crowd.send("go", () => resolve()));
      const answered = once(crowd, "message");
      // Nobody accepts meanwhile: this loop is the server's.
      while (overflows() - before < CROWD / 2);
      const [said] = await answered;
      assert.deepEqual(said, { served: CROWD });
      assert.equal(server.connections.size, CROWD);
      // And whoever comes now is let in at once.
      await using late = await connect(server.url);
      await late.send("and me?");
      assert.equal(await late.receive(), "and me?");
      assert.deepEqual(errors, []);
      crowd.kill("SIGKILL");
      await late.close();
      while (openSockets() > sockets) await new Promise(setImmediate);
    } finally {
      crowd.kill("SIGKILL");
    }
  });
});

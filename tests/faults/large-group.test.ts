/** 10,000 members on real sockets: each message reaches all that are alive, whatever happens to the processes of the others. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, Group, listen } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";

const PROGRAM = fileURLToPath(new URL("./group-member-program.js", import.meta.url));

/** A message with its header. */
const MESSAGE = "m".repeat(64);
const SIZE = 66;

const MESSAGES = 40;

/** Starts a process with so many members. Resolves when all of them are open. */
async function members(port: number, count: number): Promise<ChildProgram> {
  const child = new ChildProgram(PROGRAM, [port, count, SIZE, MESSAGES].map(String), { channel: true });
  assert.deepEqual(await child.message(), { open: count });
  return child;
}

describe("a group of 10,000 on real sockets", { timeout: 180_000, skip: process.platform === "win32" }, () => {
  it("sends every message to the members that are alive, while others are killed, frozen and reset", async (t) => {
    const group = new Group();
    const connections: Connection[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      heartbeat: false,
      open: (connection) => {
        group.join(connection);
        connections.push(connection);
      },
    });
    const port = Number(new URL(server.url).port);
    await using alive = await members(port, 9_700);
    const healthy = connections.slice();
    await using killed = await members(port, 100);
    await using frozen = await members(port, 100);
    await using reset = await members(port, 100);
    let longestCall = 0;
    let turns = 0;
    let finished = false;
    const countTurns = (): void => {
      turns += 1;
      if (!finished) setImmediate(countTurns);
    };
    const complete = alive.message().then((message) => {
      finished = true;
      return message;
    });
    for (let sent = 0; sent < MESSAGES; sent += 1) {
      if (sent === 10) killed.process.kill("SIGKILL");
      if (sent === 11) frozen.process.kill("SIGSTOP");
      if (sent === 12) reset.process.send("reset");
      const before = performance.now();
      group.send(MESSAGE);
      longestCall = Math.max(longestCall, performance.now() - before);
      // In the middle of the writes of this message.
      await new Promise(setImmediate);
    }
    countTurns();
    assert.deepEqual(await complete, { complete: 9_700 });
    t.diagnostic(`${turns} turns after the last message; the longest call took ${longestCall.toFixed(1)} ms`);
    assert.ok(healthy.every(({ state }) => state === "OPEN"));
    // What the frozen ones do not read waits in the kernel and in their own queues.
    frozen.process.kill("SIGCONT");
    assert.deepEqual(await frozen.message(), { complete: 100 });
    while (group.size > 9_800) await new Promise(setImmediate);
    assert.equal(group.size, 9_800);
    for (const child of [alive, frozen, reset]) child.process.kill("SIGKILL");
    await server.close({ drain: 0 });
  });
});

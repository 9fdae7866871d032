/** Groups whose members are in several workers, each in its own process. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, WorkersProcess } from "./workers-process.ts";

const LIMIT = { timeout: 240_000, skip: process.platform === "win32" && "signals are a matter of POSIX" };

/** Receives until `count` messages have arrived. */
async function heard({ connection }: Client, count: number): Promise<string[]> {
  const messages: string[] = [];
  while (messages.length < count) messages.push(String(await connection.receive()));
  return messages;
}

const countsOf = async ({ connection }: Client): Promise<{ readonly refused: number; readonly missed: number }> => {
  await connection.send("counts");
  for (;;) {
    const message = String(await connection.receive());
    if (message.startsWith("{")) return JSON.parse(message);
  }
};

describe("a group that workers share", LIMIT, () => {
  it("reaches all its members exactly once, and keeps each sender's order", async () => {
    await using scene = await WorkersProcess.start({ workers: 3 });
    const clients = [...(await scene.clients(3)), await scene.client(), await scene.client()];
    const each = 200;
    const all = clients.map((client) => heard(client, clients.length * each));
    for (const [sender, { connection }] of clients.entries()) {
      for (let number = 0; number < each; number += 1) void connection.send(`room ${sender} ${number}`);
    }
    for (const messages of await Promise.all(all)) {
      for (const sender of clients.keys()) {
        const own = messages.filter((message) => message.startsWith(`room ${sender} `));
        assert.deepEqual(
          own,
          Array.from({ length: each }, (_, number) => `room ${sender} ${number}`),
        );
      }
    }
    // No other message arrives before the next one for each.
    await clients[0]?.connection.send("room end");
    for (const client of clients) assert.deepEqual(await heard(client, 1), ["room end"]);
    for (const client of clients) assert.deepEqual(await countsOf(client), { refused: 0, missed: 0 });
  });

  it("is whole again when all workers were restarted", async () => {
    await using scene = await WorkersProcess.start();
    scene.signal("SIGHUP");
    await scene.until(() => scene.of("ended").length === 2);
    const clients = await scene.clients(2);
    await clients[0]?.connection.send("room one");
    await clients[1]?.connection.send("room two");
    for (const client of clients) assert.deepEqual((await heard(client, 2)).sort(), ["room one", "room two"]);
  });

  it("holds no more for a worker that has stopped than it may, and counts what it has missed", async () => {
    await using scene = await WorkersProcess.start({ maxQueuedBytes: 1_000_000 });
    const [one, two] = (await scene.clients(2)) as [Client, Client];
    process.kill(two.pid, "SIGSTOP");
    let sent = 0;
    const send = async (message: string, count: number): Promise<void> => {
      sent += count;
      await one.connection.send(message);
      await heard(one, count);
    };
    while (scene.of("missed").length === 0) await send("flood 10000 50", 50);
    process.kill(two.pid, "SIGCONT");
    // What is sent before it has caught up may be missed as well.
    const messages: string[] = [];
    const reading = (async () => {
      while (messages.at(-1) !== "room caught up") messages.push(...(await heard(two, 1)));
    })();
    let over = false;
    void reading.then(() => {
      over = true;
    });
    while (!over) await send("room caught up", 1);
    await send("room end", 1);
    while (messages.at(-1) !== "room end") messages.push(...(await heard(two, 1)));
    const { refused } = await countsOf(one);
    const { missed } = await countsOf(two);
    assert.ok(missed > 0);
    assert.equal(messages.length + missed, sent - refused);
    await scene.until(() => scene.of("missed").reduce((sum, fact) => sum + Number(fact["messages"]), 0) === missed);
  });

  it("reports to the sender that too much waits to leave its worker", async () => {
    await using scene = await WorkersProcess.start({ maxQueuedBytes: 1_000_000 });
    const [one, two] = (await scene.clients(2)) as [Client, Client];
    // Its own members get the messages that the others cannot.
    const flood = heard(one, 500);
    await one.connection.send("flood 10000 500");
    await flood;
    const { refused } = await countsOf(one);
    assert.ok(refused > 0 && refused < 500);
    assert.equal((await heard(two, 500 - refused)).length, 500 - refused);
    assert.deepEqual(await countsOf(two), { refused: 0, missed: 0 });
  });
});

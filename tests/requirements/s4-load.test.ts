/** S4: an idle connection costs nothing, a busy one starves no other, and one whose peer does not read is bounded. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, connect, type Instant, listen, type Wakeup } from "../../src/index.ts";
import { ManualClock, pair } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { LOOP_TURNS_SKIP } from "../kit/loop-turns.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import type { Idleness } from "./idle-process.ts";
import type { Account } from "./unread-process.ts";

/** The lines that a program of this folder prints. */
async function* program(name: string, ...args: string[]): AsyncGenerator<string, void> {
  await using child = new ChildProgram(fileURLToPath(new URL(name, import.meta.url)), args);
  yield* child.lines();
  const { status, signal } = await child.exit;
  assert.deepEqual([status, signal], [0, null]);
}

describe("S4-4 an idle connection costs nothing", { concurrency: true }, () => {
  // Half a percent of a processor is 2.5 ms of such a window, and a turn of the loop takes a tenth of a millisecond. Turns are
  // counted, and not time: on a busy machine each takes longer, but there are no more of them. Node itself makes a few, for its
  // collector. The lowest number of several windows counts: a busy loop has many turns in each.
  const MOST = 20;

  function assertIdle(measured: string | undefined): void {
    const { turns, cpu } = JSON.parse(measured ?? "") as Idleness;
    assert.ok(Math.min(...turns) <= MOST, `turns of the loop: ${turns}, in ${cpu} ms of processor time`);
  }

  for (const { name, protocol, url, options } of WIRE_PROTOCOLS) {
    it(`S4-4 to a server, on ${name}`, { skip: LOOP_TURNS_SKIP }, async () => {
      const said = program("idle-process.js", protocol);
      const address = (await said.next()).value as string;
      const connection = await connect(address, options);
      assertIdle((await said.next()).value as string);
      await connection.close();
      assert.equal((await said.next()).done, true);
    });

    it(`S4-4 to a client, on ${name}`, { skip: LOOP_TURNS_SKIP }, async () => {
      await using server = await listen(url, { ...options }, async (connection) => {
        for await (const _ of connection);
      });
      const said = program("idle-process.js", protocol, server.url);
      assertIdle((await said.next()).value as string);
      assert.equal((await said.next()).done, true);
    });

    it(`S4-4 an hour without traffic takes a few wakeups for each heartbeat, on ${name}`, async () => {
      class CountingClock extends ManualClock {
        wakeups = 0;

        override wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
          return super.wakeAt(at, (now) => {
            this.wakeups += 1;
            wake(now);
          });
        }
      }
      const clock = new CountingClock();
      const beat = protocol === "tcp" ? { idleTimeout: Infinity } : {};
      const { client } = pair({ kind: protocol, ...options, clock, client: beat, server: beat });
      await clock.advance(3_600_000);
      assert.equal(client.state, "OPEN");
      // A Ping of one side is a sign of life for the other, so that each silence ends by one of the two.
      const beats = protocol === "tcp" ? 0 : (2 * 3_600_000) / 25_000;
      assert.ok(clock.wakeups <= 3 * beats, `${clock.wakeups} wakeups for ${beats} heartbeats`);
    });
  }
});

describe("S4-5 neither reading nor writing starves the other", () => {
  const CHUNK = 1_024;
  const ROUNDS = 50;

  interface Ends {
    readonly client: Connection;
    readonly server: Connection;
  }

  /**
   * The requirement says 100 ms for 99 of 100 round trips, on an unnamed machine. The order of bytes does not depend on the
   * speed of a machine: before an answer stands no more of the flood than the queue and the kernels hold. So the bound is in
   * bytes of the flood for each round trip, and with a starved reader no round trip ends.
   */
  async function roundTrips({ client, server }: Ends, most: number): Promise<void> {
    let done = false;
    let flood = 0;
    const producer = (async () => {
      // As fast as possible: it waits only for a full queue.
      while (!done && flood < most * ROUNDS) {
        if (server.trySend("x".repeat(CHUNK)) === "refused") await server.drain();
        else flood += CHUNK;
      }
      if (!done) client.terminate(new Error(`no echo came during the last of ${flood} bytes`));
    })();
    const echo = (async () => {
      for await (const message of server) await server.send(message);
    })();
    const between: number[] = [];
    let count = 0;
    let before = 0;
    void client.send(`echo ${count}`);
    for await (const message of client) {
      if (message !== `echo ${count}`) continue;
      between.push(flood - before);
      before = flood;
      count += 1;
      if (count === ROUNDS) break;
      void client.send(`echo ${count}`);
    }
    done = true;
    assert.equal(count, ROUNDS, `${count} round trips during ${flood} bytes`);
    assert.ok(flood > 0);
    assert.ok(Math.max(...between) <= most, `bytes of the flood for each round trip: ${between}`);
    client.terminate();
    await Promise.allSettled([producer, echo]);
  }

  /** The other direction: the server is flooded, and its own messages must still be written. */
  async function ticks({ client, server }: Ends, most: number): Promise<void> {
    let done = false;
    let handled = 0;
    const producer = (async () => {
      while (!done && handled < most * ROUNDS) {
        if (client.trySend("x".repeat(CHUNK)) === "refused") await client.drain();
      }
      if (!done) client.terminate(new Error(`no message left while ${handled} bytes came`));
    })();
    const reader = (async () => {
      for await (const message of server) handled += message.length;
    })();
    const between: number[] = [];
    for (let count = 0; count < ROUNDS; count += 1) {
      const before = handled;
      void server.send(`tick ${count}`);
      assert.equal(await client.receive(), `tick ${count}`);
      between.push(handled - before);
    }
    done = true;
    assert.ok(handled > 0);
    assert.ok(Math.max(...between) <= most, `bytes of the flood for each tick: ${between}`);
    client.terminate();
    await Promise.allSettled([producer, reader]);
  }

  for (const { name, protocol, url, options } of WIRE_PROTOCOLS) {
    const MEMORY = { maxQueuedBytes: 65_536, capacity: 65_536 };
    // The queue, the kernels, and one turn of data on each side.
    const IN_MEMORY = 4 * 65_536;
    const queue = { maxQueuedBytes: MEMORY.maxQueuedBytes };

    it(`S4-5 echoes return while a producer sends as fast as it can, in memory on ${name}`, async () => {
      const ends = pair({ kind: protocol, ...options, capacity: MEMORY.capacity, server: queue, client: queue });
      await roundTrips(ends, IN_MEMORY);
    });

    it(`S4-5 messages are written while a flood is received, in memory on ${name}`, async () => {
      const ends = pair({ kind: protocol, ...options, capacity: MEMORY.capacity, server: queue, client: queue });
      await ticks(ends, IN_MEMORY);
    });

    // Linux grows the buffers of a socket to 4 MiB and 6 MiB by itself.
    const ON_SOCKETS = 16 * 1_048_576;
    for (const [what, play] of Object.entries({ "echoes come back": roundTrips, "messages leave": ticks })) {
      it(`S4-5 ${what} during a flood, on sockets on ${name}`, async () => {
        let arrived!: (connection: Connection) => void;
        const arrival = new Promise<Connection>((resolve) => {
          arrived = resolve;
        });
        const open = { open: (connection: Connection) => arrived(connection) };
        await using server = await listen(url, { ...options, ...queue, ...open });
        await using client = await connect(server.url, { ...options, ...queue });
        await play({ client, server: await arrival }, ON_SOCKETS);
      });
    }
  }
});

describe("S4-10 the memory for a peer that does not read is bounded", { concurrency: true }, () => {
  for (const { name, protocol } of WIRE_PROTOCOLS) {
    it(`S4-10 memory does not grow under any policy, on ${name}`, async () => {
      const seen: Account[] = [];
      for await (const line of program("unread-process.js", protocol)) seen.push(JSON.parse(line) as Account);
      const policies = seen.map(({ overflow }) => overflow);
      assert.deepEqual(policies, ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"]);
      for (const { overflow, offered, growth, mostQueued, dropped, refused, state } of seen) {
        // Far above the differences between runs that the collector causes, and far below an unbounded queue.
        assert.ok(growth < offered / 4, `${overflow}: ${growth} bytes more of ${offered} offered`);
        assert.ok(mostQueued > 0 && mostQueued <= 1_048_576, `${overflow}: ${mostQueued} bytes queued`);
        assert.ok(refused > 0, `${overflow}: whoever sent is told`);
        assert.equal(dropped > 0, ["drop-newest", "drop-oldest", "coalesce"].includes(overflow), overflow);
        assert.equal(state === "OPEN", overflow !== "close", overflow);
      }
    });
  }
});

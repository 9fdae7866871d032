/** A while of random faults: every connection ends with an error that has a name, no answer is lost or doubled, and nothing is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, isConnectionError, listen } from "../../src/index.js";
import { seeded } from "../../src/testing/chaos-faults.js";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../src/testing/index.js";
import { openSockets } from "../descriptors.js";
import { settledMemory } from "../memory.js";
import { portOf } from "../raw-peers.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";

// A longer run is asked for as of a property test.
const STEPS = 80 * Number(process.env["HOLDFAST_RUNS"] ?? 1);
const CLIENTS = 30;

/** What the program's own code, compiled meanwhile, and the runner's notes may come to. Each connection would hold more, were it kept. */
const MOST_HELD = 8 * 1_048_576;

const memory = (): Promise<number> =>
  settledMemory(() => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  });

/** What may go wrong in a step, by chance. */
const MISHAPS: readonly ((chance: () => number) => ChaosFaults)[] = [
  () => ({}),
  (chance) => ({ latency: chance() * 30, jitter: chance() * 10 }),
  (chance) => ({ bandwidth: 1_000 + chance() * 100_000 }),
  () => ({ bandwidth: 0 }),
  () => ({ blackhole: true }),
  (chance) => ({ blackhole: true, direction: chance() < 0.5 ? "to-server" : "to-client" }),
  (chance) => ({ resetAfter: chance() * 5_000 }),
  (chance) => ({ truncateAfter: chance() * 5_000 }),
  (chance) => ({ resetRate: chance() * 5 }),
  () => ({ refuse: true }),
];

/** Short enough that a fault of a few steps is one that they notice. */
const LIMITS = {
  ...{ openTimeout: 500, writeTimeout: 500, closeTimeout: 300, lingerTimeout: 300, messageTimeout: 1_000 },
  maxInboxMessages: 4,
};

/** Comes again and again until it is told to stop, and counts. */
class Visitor {
  answers = 0;
  readonly ends: Map<string, number> = new Map();
  readonly #open: () => Promise<Connection<undefined>>;
  #over = false;

  constructor(open: () => Promise<Connection<undefined>>) {
    this.#open = open;
  }

  async run(): Promise<void> {
    while (!this.#over) {
      let connection: Connection<undefined> | undefined;
      try {
        connection = await this.#open();
        await this.#talk(connection);
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        this.ends.set(error.code, (this.ends.get(error.code) ?? 0) + 1);
      }
      connection?.terminate();
      await connection?.closed;
      await new Promise(setImmediate);
    }
  }

  stop(): void {
    this.#over = true;
  }

  async #talk(connection: Connection<undefined>): Promise<void> {
    for (let number = 0; !this.#over; number += 1) {
      const text = `${number}`.padEnd(1 + ((number * 37) % 400), ".");
      await connection.send(text);
      const answer = await connection.receive();
      assert.equal(answer, text, "the next answer, whole");
      this.answers += 1;
    }
    await connection.close();
  }
}

describe("random faults", { timeout: 60_000 + STEPS * 500 }, () => {
  for (const speech of SPEECHES) {
    it(`of ${STEPS} steps leave nothing behind, on ${speech.name} (bound: each end's own limit)`, async (t) => {
      const before = openSockets();
      const held = await memory();
      const errors: unknown[] = [];
      const server = await listen(
        speech.url,
        { ...speech.options, ...LIMITS, ...watched(speech), onError: (error) => errors.push(error) },
        async (connection) => {
          for await (const message of connection) await connection.send(message);
        },
      );
      const seed = process.env["HOLDFAST_SEED"];
      const proxy = await chaosProxy({
        to: `127.0.0.1:${portOf(server)}`,
        ...(seed !== undefined && { seed: Number(seed) }),
      });
      t.diagnostic(`seed ${proxy.seed}`);
      const visitors = Array.from({ length: CLIENTS }, () => new Visitor(() => through(proxy, speech)));
      const runs = Promise.all(visitors.map((visitor) => visitor.run()));
      // Its failure is told when it is waited for.
      runs.catch(() => undefined);
      const chance = seeded(proxy.seed);
      for (let step = 0; step < STEPS; step += 1) {
        const mishap = MISHAPS[Math.floor(chance() * MISHAPS.length)] ?? (() => ({}));
        await proxy.heal();
        await proxy.set(mishap(chance));
        await new Promise((resolve) => setTimeout(resolve, 20 + chance() * 80));
      }
      await proxy.heal();
      for (const visitor of visitors) visitor.stop();
      await runs;
      await server.close({ drain: 2_000 });
      await proxy.close();
      const answers = visitors.reduce((sum, visitor) => sum + visitor.answers, 0);
      t.diagnostic(`${proxy.counts.accepted} connections, ${answers} answers`);
      assert.ok(answers > CLIENTS, `${answers}`);
      assert.deepEqual(errors, [], "an end of a connection is no error of its handler");
      assert.equal(server.connections.size, 0);
      while (openSockets() > before) await new Promise(setImmediate);
      const growth = (await memory()) - held;
      t.diagnostic(`${growth} bytes more are held`);
      assert.ok(growth < MOST_HELD, `${growth} bytes`);
    });
  }
});

const through = ({ port }: ChaosProxy, speech: Speech): Promise<Connection<undefined>> =>
  connect(`${speech.protocol === "tcp" ? "tcp" : "ws"}://127.0.0.1:${port}`, {
    ...{ ...speech.options, ...LIMITS, ...watched(speech) },
  });

/** TCP has no Ping, and a message that asks would be taken for one of the visitor's. */
const watched = ({ protocol }: Speech): object =>
  protocol === "tcp" ? { idleTimeout: 500 } : { heartbeat: { interval: 100, timeout: 400 } };

/** A while of random faults: every connection ends with an error that has a name, no answer is lost or doubled, and nothing is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, listen, reconnect, shouldReconnect } from "../../src/index.js";
import { seeded } from "../../src/testing/chaos-faults.js";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../src/testing/index.js";
import { openSockets } from "../descriptors.js";
import { settledMemory } from "../memory.js";
import { portOf } from "../raw-peers.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";

// HOLDFAST_SOAK="30 1000" is half an hour with a thousand connections; HOLDFAST_RUNS multiplies the minutes as in a property test.
const [MINUTES = 0.15, CLIENTS = 60] = (process.env["HOLDFAST_SOAK"] ?? "").split(" ").filter(Boolean).map(Number);
const LENGTH = MINUTES * Number(process.env["HOLDFAST_RUNS"] ?? 1) * 60_000;

/** One event loop serves them all, both ends and the proxy: where there are more of them, everything takes longer. */
const PACE = Math.max(1, CLIENTS / 200);

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
  (chance) => ({ resetRate: (chance() * 5) / PACE }),
  () => ({ refuse: true }),
];

/** Short enough that a fault of a few steps is one that they notice. */
const LIMITS = {
  ...{ openTimeout: 500 * PACE, writeTimeout: 500 * PACE, closeTimeout: 300 * PACE, lingerTimeout: 300 * PACE },
  ...{ messageTimeout: 1_000 * PACE, maxInboxMessages: 4 },
};

/** They are many users, and not one. */
const AT_ONCE = { maxConnecting: Infinity };

/** TCP has no Ping, and a message that asks would be taken for one of the visitor's. */
const watched = ({ protocol }: Speech): object =>
  protocol === "tcp" ? { idleTimeout: 500 * PACE } : { heartbeat: { interval: 100 * PACE, timeout: 400 * PACE } };

/** Comes again and again until it is told to stop, and counts. */
class Visitor {
  sent = 0;
  answers = 0;
  /** Connections on which something was sent that nobody will answer. */
  cut = 0;
  readonly #chance: () => number;
  #over = false;

  constructor(chance: () => number) {
    this.#chance = chance;
  }

  run(url: string, speech: Speech): Promise<true> {
    const options = { ...speech.options, ...LIMITS, ...watched(speech), ...(url.startsWith("ws") && AT_ONCE) };
    return reconnect(url, (connection) => this.#talk(connection), {
      ...{ ...options, initialPause: 20 * PACE, maxPause: 200 * PACE, random: this.#chance },
      // 1008 is what a limit of time ends with: it may be kept the next time.
      shouldReconnect: (cause) => cause.code === 1008 || shouldReconnect(cause),
    });
  }

  stop(): void {
    this.#over = true;
  }

  async #talk(connection: Connection): Promise<true> {
    for (let number = 0; !this.#over; number += 1) {
      const text = `${number} `.padEnd(1 + ((number * 37) % 400), ".");
      this.sent += 1;
      this.cut += 1;
      await connection.send(text);
      assert.equal(await connection.receive(), text, "the next answer, whole");
      this.cut -= 1;
      this.answers += 1;
      // Some thousand messages a second in all, however many there are.
      await new Promise((resolve) => setTimeout(resolve, this.#chance() * CLIENTS));
    }
    return true;
  }
}

/** One protocol under its own faults. */
class Soak {
  readonly visitors: readonly Visitor[];
  readonly errors: unknown[] = [];
  /** Messages that the server has taken. */
  taken = 0;
  over = false;
  readonly #speech: Speech;
  readonly #seed: number;

  constructor(speech: Speech, seed: number) {
    this.#speech = speech;
    this.#seed = seed;
    this.visitors = Array.from({ length: CLIENTS / SPEECHES.length }, (_, index) => new Visitor(seeded(seed + index)));
  }

  async run(until: number): Promise<ChaosProxy["counts"]> {
    const { protocol, url, options } = this.#speech;
    const server = await listen(
      url,
      { ...options, ...LIMITS, ...watched(this.#speech), onError: (error) => this.errors.push(error) },
      (connection) => this.#answer(connection),
    );
    const proxy = await chaosProxy({ to: `127.0.0.1:${portOf(server)}`, seed: this.#seed });
    const address = `${protocol === "tcp" ? "tcp" : "ws"}://${proxy.address}`;
    try {
      const runs = this.visitors.map((visitor) => visitor.run(address, this.#speech));
      await Promise.race([this.#trouble(proxy, until), Promise.all(runs).then(() => assert.fail("they stay"))]);
      for (const visitor of this.visitors) visitor.stop();
      await Promise.all(runs);
    } finally {
      for (const visitor of this.visitors) visitor.stop();
      await server.close({ drain: 2_000 * PACE });
      await proxy.close();
    }
    assert.equal(server.connections.size, 0);
    return proxy.counts;
  }

  async #answer(connection: Connection): Promise<void> {
    let expected = 0;
    for await (const message of connection) {
      assert.equal(Number.parseInt(String(message), 10), expected, "each question once, and in order");
      expected += 1;
      this.taken += 1;
      await connection.send(message);
    }
  }

  async #trouble(proxy: ChaosProxy, until: number): Promise<void> {
    const chance = seeded(this.#seed);
    while (performance.now() < until && !this.over) {
      const mishap = MISHAPS[Math.floor(chance() * MISHAPS.length)] ?? (() => ({}));
      await proxy.heal();
      await proxy.set(mishap(chance));
      await new Promise((resolve) => setTimeout(resolve, (20 + chance() * 80) * PACE));
    }
    await proxy.heal();
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

describe("random faults", { timeout: 60_000 + LENGTH * 2 }, () => {
  it(`for ${LENGTH / 60_000} min on ${CLIENTS} connections leave nothing behind (bound: each end's own limit)`, async (t) => {
    const before = openSockets();
    const held = await memory();
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    t.diagnostic(`seed ${seed}`);
    const soaks = SPEECHES.map((speech, index) => new Soak(speech, seed + index * 1_000_003));
    const until = performance.now() + LENGTH;
    const running = Promise.all(soaks.map((soak) => soak.run(until)));
    running.catch(() => {
      for (const soak of soaks) soak.over = true;
    });
    const looks: number[] = [];
    await Promise.race([running, look(looks)]);
    const counts = await running;
    for (const [index, { visitors, errors, taken }] of soaks.entries()) {
      const [sent, answers, cut] = (["sent", "answers", "cut"] as const).map((name) =>
        sum(visitors.map((visitor) => visitor[name])),
      ) as [number, number, number];
      t.diagnostic(`${SPEECHES[index]?.name}: ${counts[index]?.accepted} connections, ${counts[index]?.resets} resets`);
      t.diagnostic(`sent ${sent}, taken ${taken}, answered ${answers}, unanswered when its connection ended ${cut}`);
      assert.ok(answers > visitors.length, `${answers}`);
      assert.equal(sent, answers + cut, "each is answered, or was the last of its connection");
      assert.ok(answers <= taken && taken <= sent, `${taken} of ${sent} were taken, and ${answers} answered`);
      assert.deepEqual(errors, [], "an end of a connection is no error of its handler");
    }
    while (openSockets() > before) await new Promise(setImmediate);
    const growth = (await memory()) - held;
    t.diagnostic(`meanwhile ${looks.map((bytes) => (bytes / 1_048_576).toFixed(1)).join(" ")} MiB`);
    t.diagnostic(`${growth} bytes more are held, and no socket`);
    assert.ok(growth < MOST_HELD, `${growth} bytes`);
  });
});

/** Notes what is held at moments spread over the run. */
async function look(looks: number[]): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LENGTH / 20).unref());
    looks.push(await memory());
  }
}

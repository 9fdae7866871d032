/** Random faults for a while: every connection ends with a known error, no answer is lost or duplicated, and nothing is left. */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { type Connection, listen, reconnect, shouldReconnect } from "../../src/index.ts";
import { seeded } from "../../src/testing/chaos/faults.ts";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../src/testing/index.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { settledMemory } from "../kit/memory.ts";
import { portOf } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

// HOLDFAST_SOAK="30 1000" is half an hour with a thousand connections; HOLDFAST_RECORD=1 records it for docs/proof.md. HOLDFAST_RUNS multiplies the minutes as in a property test.
const [MINUTES = 0.15, CLIENTS = 60] = (process.env["HOLDFAST_SOAK"] ?? "").split(" ").filter(Boolean).map(Number);
const LENGTH = MINUTES * Number(process.env["HOLDFAST_RUNS"] ?? 1) * 60_000;

/** One event loop serves all clients, both sides and the proxy, so that with more of them each step takes longer. */
const PACE = Math.max(1, CLIENTS / 200);

/** The same faults before the measurement: the code is compiled afterwards, and what the library keeps for reuse is there. */
const WARM_UP = Math.max(5_000, LENGTH / 5);

/** Bytes for the rest of the compiled code and for the notes of the test runner. Connections that were kept would take more. */
const MOST_HELD = 6 * 1_048_576;

const memory = (): Promise<number> =>
  settledMemory(() => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  });

/** The possible faults of one step. One is chosen at random. */
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

/** Short enough that a fault of a few steps takes effect. */
const LIMITS = {
  ...{ openTimeout: 500 * PACE, writeTimeout: 500 * PACE, closeTimeout: 300 * PACE, lingerTimeout: 300 * PACE },
  ...{ messageTimeout: 1_000 * PACE, maxInboxMessages: 4 },
};

/** Many independent users. */
const AT_ONCE = { maxConnecting: Infinity };

/** TCP has no Ping, and a heartbeat message would be counted as a message of the client. */
const watched = ({ protocol }: WireProtocol): object =>
  protocol === "tcp" ? { idleTimeout: 500 * PACE } : { heartbeat: { interval: 100 * PACE, timeout: 400 * PACE } };

/** Reconnects until it is stopped, and counts messages. */
class Visitor {
  sent = 0;
  answers = 0;
  /** Connections with a message in flight that nothing will answer. */
  cut = 0;
  readonly #chance: () => number;
  #over = false;

  constructor(chance: () => number) {
    this.#chance = chance;
  }

  run(url: string, wire: WireProtocol): Promise<true> {
    const options = { ...wire.options, ...LIMITS, ...watched(wire), ...(url.startsWith("ws") && AT_ONCE) };
    return reconnect(url, (connection) => this.#talk(connection), {
      ...{ ...options, initialPause: 20 * PACE, maxPause: 200 * PACE, random: this.#chance },
      // 1008 is the code of a time limit, which may not expire the next time.
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
      // Some thousand messages a second in total, for any number of clients.
      await new Promise((resolve) => setTimeout(resolve, this.#chance() * CLIENTS));
    }
    return true;
  }
}

/** One protocol with its own faults. */
class Soak {
  readonly visitors: readonly Visitor[];
  readonly errors: unknown[] = [];
  /** The number of messages that the server received. */
  taken = 0;
  over = false;
  readonly #wire: WireProtocol;
  readonly #seed: number;

  constructor(wire: WireProtocol, seed: number) {
    this.#wire = wire;
    this.#seed = seed;
    this.visitors = Array.from(
      { length: CLIENTS / WIRE_PROTOCOLS.length },
      (_, index) => new Visitor(seeded(seed + index)),
    );
  }

  async run(until: number): Promise<ChaosProxy["counts"]> {
    const { protocol, url, options } = this.#wire;
    const server = await listen(
      url,
      { ...options, ...LIMITS, ...watched(this.#wire), onError: (error) => this.errors.push(error) },
      (connection) => this.#answer(connection),
    );
    const proxy = await chaosProxy({ to: `127.0.0.1:${portOf(server)}`, seed: this.#seed });
    const address = `${protocol === "tcp" ? "tcp" : "ws"}://${proxy.address}`;
    try {
      const runs = this.visitors.map((visitor) => visitor.run(address, this.#wire));
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

/** Both protocols side by side until `until`. If one fails, both end. */
function soaked(seed: number, until: number): { soaks: Soak[]; running: Promise<ChaosProxy["counts"][]> } {
  const soaks = WIRE_PROTOCOLS.map((wire, index) => new Soak(wire, seed + index * 1_000_003));
  const running = Promise.all(soaks.map((soak) => soak.run(until)));
  running.catch(() => {
    for (const soak of soaks) soak.over = true;
  });
  return { soaks, running };
}

describe("random faults", { timeout: 60_000 + LENGTH * 2 }, () => {
  it(`for ${LENGTH / 60_000} min on ${CLIENTS} connections leave nothing behind (bound: each side's own limit)`, async (t) => {
    const before = openSockets();
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    t.diagnostic(`seed ${seed}`);
    await soaked(seed + 1, performance.now() + WARM_UP).running;
    while (openSockets() > before) await new Promise(setImmediate);
    const held = await memory();
    const { soaks, running } = soaked(seed, performance.now() + LENGTH);
    const looks: Look[] = [];
    const began = performance.now();
    await Promise.race([running, look(looks, began)]);
    const counts = await running;
    const sums = { accepted: 0, resets: 0, sent: 0, answers: 0, cut: 0 };
    for (const [index, { visitors, errors, taken }] of soaks.entries()) {
      const [sent, answers, cut] = (["sent", "answers", "cut"] as const).map((name) =>
        sum(visitors.map((visitor) => visitor[name])),
      ) as [number, number, number];
      t.diagnostic(
        `${WIRE_PROTOCOLS[index]?.name}: ${counts[index]?.accepted} connections, ${counts[index]?.resets} resets`,
      );
      t.diagnostic(`sent ${sent}, taken ${taken}, answered ${answers}, unanswered when its connection ended ${cut}`);
      sums.accepted += counts[index]?.accepted ?? 0;
      sums.resets += counts[index]?.resets ?? 0;
      sums.sent += sent;
      sums.answers += answers;
      sums.cut += cut;
      assert.ok(answers > visitors.length, `${answers}`);
      assert.equal(sent, answers + cut, "each is answered, or was the last of its connection");
      assert.ok(answers <= taken && taken <= sent, `${taken} of ${sent} were taken, and ${answers} answered`);
      assert.deepEqual(errors, [], "an end of a connection is no error of its handler");
    }
    while (openSockets() > before) await new Promise(setImmediate);
    const growth = (await memory()) - held;
    t.diagnostic(`meanwhile ${looks.map(({ bytes }) => (bytes / 1_048_576).toFixed(1)).join(" ")} MiB`);
    t.diagnostic(`${growth} bytes more are held, and no socket`);
    assert.ok(growth < MOST_HELD, `${growth} bytes`);
    if (process.env["HOLDFAST_RECORD"] !== "1") return;
    const { record } = await import(new URL("../../../tools/proof-results.mjs", import.meta.url).href);
    record("soak", {
      ...{ minutes: MINUTES, connections: CLIENTS, ...sums },
      ...{ before: held, after: held + growth, samples: looks },
    });
  });
});

/** What is in use at one moment of the run. */
interface Look {
  readonly second: number;
  readonly bytes: number;
  readonly descriptors: number;
}

/** Records what is in use at moments spread over the run. */
async function look(looks: Look[], began: number): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LENGTH / 40).unref());
    const descriptors = process.platform === "linux" ? readdirSync("/proc/self/fd").length : openSockets();
    looks.push({ second: Math.round((performance.now() - began) / 1_000), bytes: await memory(), descriptors });
  }
}

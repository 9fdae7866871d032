/** What happens to the nodes of a topic in normal service: restarts one after the other, stalls, and clocks that jump. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { RedisProcess, unable } from "../broker/redis-server.ts";
import type { ChildOptions } from "../kit/child-process.ts";
import { needed } from "../kit/foreign-programs.ts";
import { Client, Node } from "./topic-nodes.ts";
import { Books } from "./topics-soak-books.ts";
import type { NodeFacts } from "./topics-soak-program.ts";

const RATE = 100;
/** By when all must be there, on a busy machine. */
const LIMIT = 30_000;
/** A client that hears nothing from its node for so long goes to another one. */
const LIVELY = { heartbeat: { interval: 500, timeout: 1_500 } };
/** One that stays, however long its node is silent. */
const PATIENT = { heartbeat: { interval: Infinity } };

const libraries = (process.platform === "linux" ? readdirSync("/usr/lib") : [])
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
  .filter((path) => existsSync(path));
const FAKETIME = { name: "faketime", install: "apt-get install faketime", places: ["faketime"] };

/** Nodes of one topic, clients of each, and messages all the time until `end`. */
class Service implements AsyncDisposable {
  readonly books: Books = new Books();
  readonly nodes: readonly Node[];
  readonly clients: Client[] = [];
  readonly redis: RedisProcess;
  readonly #pending = new Set<Promise<void>>();
  #publishing = true;
  #last = 0;
  repeats = 0;

  private constructor(redis: RedisProcess, count: number) {
    this.redis = redis;
    this.nodes = Array.from({ length: count }, () => new Node());
  }

  static async start(count: number, options: ChildOptions = {}): Promise<Service> {
    const service = new Service(await RedisProcess.start(), count);
    await Promise.all(service.nodes.map((node) => service.restart(node, options)));
    void service.#publishAll();
    return service;
  }

  async restart(node: Node, options: ChildOptions = {}): Promise<void> {
    await node.start(this.redis.url, options);
  }

  /** Two clients of each node, which go to any other if it is not there. Resolves when all have joined. */
  async gather(options: object): Promise<void> {
    const { nodes, clients, books } = this;
    for (const node of [...nodes, ...nodes]) {
      let first = node.url;
      clients.push(
        new Client(
          books,
          () => {
            const url = first ?? nodes.find((one) => one.url !== undefined)?.url;
            first = undefined;
            if (url === undefined) throw new Error("no node is there");
            return url;
          },
          options,
        ),
      );
    }
    while (clients.some(({ account }) => account.last === undefined)) await pause(10);
  }

  /** Publishes no more. Each client must have all, once, in order, without a gap. */
  async end(t: TestContext): Promise<void> {
    const { books, clients } = this;
    this.#publishing = false;
    const limit = performance.now() + LIMIT;
    while (this.#pending.size > 0 && performance.now() < limit) await pause(20);
    assert.equal(this.#pending.size, 0, "all is confirmed in time");
    const place = await this.#publish(++this.#last);
    const there = (): boolean => clients.every(({ account }) => account.last?.offset === place);
    while (!there() && performance.now() < limit) await pause(20);
    for (const { failures } of clients) if (failures.length > 0) throw failures[0];
    assert.ok(there(), `${clients.map(({ told }) => told)}, and the newest is ${place}`);
    books.balance();
    assert.deepEqual(books.gaps, []);
    assert.deepEqual([books.confirmed, place, books.epochs.length], [this.#last, this.#last, 1]);
    const delivered = clients.map(({ account }) => account.messages);
    t.diagnostic(
      `${books.published} published, ${this.repeats} repeats, ${books.confirmed} confirmed; delivered ${delivered}; no gap`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#publishing = false;
    for (const node of this.nodes) node.thaw();
    await Promise.all(this.clients.map((client) => client.close()));
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.redis[Symbol.asyncDispose]();
  }

  async #publishAll(): Promise<void> {
    for (; this.#publishing; await pause(1_000 / RATE)) {
      const done: Promise<unknown> = this.#publish(++this.#last).finally(() =>
        this.#pending.delete(done as Promise<void>),
      );
      this.#pending.add(done as Promise<void>);
    }
  }

  /** Publishes a message over any node, with the same id until it is confirmed. Returns its offset. */
  async #publish(number: number): Promise<number | undefined> {
    this.books.begin(number);
    for (let turn = number; ; turn += 1) {
      const living = this.nodes.filter(({ url }) => url !== undefined);
      const { epoch, offset } = (await living[turn % living.length]?.publish(String(number))) ?? {};
      if (epoch !== undefined && offset !== undefined) {
        this.books.confirm(number, { epoch, offset });
        return offset;
      }
      this.repeats += 1;
      await pause(100);
    }
  }
}

describe("the nodes of a topic on Redis", { skip: unable(), timeout: 4 * LIMIT, concurrency: true }, () => {
  it("lose nothing when they are restarted one after the other", async (t) => {
    await using service = await Service.start(3);
    await service.gather(LIVELY);
    for (const node of service.nodes) {
      await node.stop();
      await service.restart(node);
      await pause(300);
    }
    await service.end(t);
  });

  it("lose nothing when one is frozen, and wakes when its members have left it or still wait", async (t) => {
    await using service = await Service.start(2);
    await service.gather(LIVELY);
    const [lively] = [service.clients.length];
    await service.gather(PATIENT);
    const [node] = service.nodes as [Node];
    const others = service.clients.slice(0, lively);
    node.freeze();
    const { url } = node;
    node.url = undefined;
    const placeOf = ({ account }: Client): number => account.last?.offset ?? 0;
    const newest = (): number => Math.max(...others.map(placeOf));
    const waiting = service.clients.slice(lively);
    // Longer than a node waits for a silent broker. The server ends the connection meanwhile, as it does when its buffer is full.
    await pause(3_000);
    await service.redis.command("CLIENT", "KILL", "TYPE", "pubsub");
    const places = waiting.map(placeOf);
    await pause(3_000);
    const limit = performance.now() + LIMIT;
    const ahead = newest();
    while (others.some((client) => placeOf(client) < ahead) && performance.now() < limit) await pause(20);
    assert.ok(
      others.every((client) => placeOf(client) >= ahead),
      "the clients that have left are up to date",
    );
    assert.equal(waiting.filter((client, index) => placeOf(client) === places[index]).length, 2);
    node.thaw();
    node.url = url;
    const statsOf = async (): Promise<NodeFacts["stats"]> => (await node.ask<NodeFacts>({ do: "stats" })).stats;
    // What follows arrives from the broker again, and shows the hole.
    while (waiting.some((client) => placeOf(client) < newest() - RATE) && performance.now() < limit) await pause(20);
    while ((await statsOf()).holes === 0 && performance.now() < limit) await pause(20);
    await service.end(t);
    const stats = await statsOf();
    t.diagnostic(`the node that was frozen: ${JSON.stringify(stats)}`);
    assert.deepEqual([stats.holes > 0, stats.holes - stats.healedHoles, stats.toldHoles], [true, 0, 0]);
  });

  it("lose nothing when the event loop of one is blocked for 3 s", async (t) => {
    await using service = await Service.start(2);
    await service.gather({ heartbeat: { interval: 10_000 } });
    const [node] = service.nodes as [Node];
    const began = performance.now();
    const { interruptions } = await node.ask<NodeFacts>({ do: "block", ms: 3_000 });
    assert.ok(performance.now() - began >= 3_000);
    await service.end(t);
    t.diagnostic(`${interruptions} suspicions`);
  });

  it("lose nothing when the wall clock of one jumps by an hour, back and ahead", async (t) => {
    if (needed(t, FAKETIME) === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), "holdfast-clock-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "shift");
    const show = (shift: string): void => writeFileSync(file, `${shift}\n`);
    show("+0");
    await using service = await Service.start(2, {
      env: {
        LD_PRELOAD: libraries[0],
        FAKETIME_TIMESTAMP_FILE: file,
        ...{ FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" },
      },
    });
    await service.gather(LIVELY);
    const [node] = service.nodes as [Node];
    for (const [shift, ms] of [
      ["-1h", -3_600_000],
      ["+1h", 3_600_000],
    ] as const) {
      show(shift);
      await pause(500);
      const { wall, interruptions } = await node.ask<NodeFacts>({ do: "stats" });
      assert.ok(Math.abs(wall - Date.now() - ms) < 600_000, "the clock has jumped");
      assert.equal(interruptions, 0, "nothing is suspect");
    }
    await service.end(t);
  });
});

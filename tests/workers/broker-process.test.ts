/** The broker of workers, each in its own process: workers are killed, stopped and restarted. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Order, Told } from "./broker-program.ts";
import { type Client, WorkersProcess } from "./workers-process.ts";

const LIMIT = { timeout: 240_000, skip: process.platform === "win32" && "signals are a matter of POSIX" };
const start = (options = {}): Promise<WorkersProcess> => WorkersProcess.start(options, "broker-program");

/** A client, and what its subscriptions got. */
class Subscriber {
  readonly client: Client;
  readonly told: Told[] = [];
  #answers: { answer?: unknown; problem?: string }[] = [];

  constructor(client: Client) {
    this.client = client;
  }

  get entries(): number[] {
    return this.told.flatMap((one) => ("entry" in one ? one.entry : []));
  }

  get texts(): string[] {
    return this.told.flatMap((one) => ("entry" in one ? one.text : []));
  }

  get calls(): string[] {
    return this.told.flatMap((one) => ("told" in one ? one.told : []));
  }

  /** Sends an order, and returns its answer. */
  async ask<Answer>(order: Order): Promise<Answer> {
    await this.client.connection.send(JSON.stringify(order));
    await this.until(() => this.#answers.length > 0);
    const { answer, problem } = this.#answers.shift() ?? {};
    assert.equal(problem, undefined);
    return answer as Answer;
  }

  /** Receives until the condition is true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      const message = JSON.parse(String(await this.client.connection.receive()));
      if ("answer" in message || "problem" in message) this.#answers.push(message);
      else this.told.push(message);
    }
  }
}

interface Read {
  readonly epoch: string;
  readonly top: number;
  readonly entries: readonly (readonly [offset: number, text: string])[];
}

async function subscribers(scene: WorkersProcess, workers: number, topic: string): Promise<Subscriber[]> {
  const all = (await scene.clients(workers)).map((client) => new Subscriber(client));
  for (const one of all) assert.equal(await one.ask({ do: "subscribe", topic }), "ready");
  return all;
}

describe("the broker of workers", LIMIT, () => {
  it("delivers in one order to all workers, which is that of the log", async () => {
    await using scene = await start({ workers: 3 });
    const all = await subscribers(scene, 3, "room");
    await Promise.all(all.map((one) => one.ask({ do: "flood", topic: "room", size: 50, count: 200 })));
    for (const one of all) await one.until(() => one.entries.length === 600);
    const { entries } = await (all[0] as Subscriber).ask<Read>({ do: "read", topic: "room", after: 0 });
    for (const one of all) {
      assert.deepEqual(
        one.entries.map((offset, index) => [offset, one.texts[index]]),
        entries,
      );
    }
  });

  it("keeps log, epoch and ids when a worker is killed, and the next process continues", async () => {
    await using scene = await start();
    const [one, two] = (await subscribers(scene, 2, "room")) as [Subscriber, Subscriber];
    const first = await two.ask<{ epoch: string; offset: number }>({
      do: "publish",
      topic: "room",
      text: "first",
      id: "a",
    });
    await one.until(() => one.texts.length === 1);
    process.kill(two.client.pid, "SIGKILL");
    await one.ask({ do: "publish", topic: "room", text: "meanwhile" });
    await scene.until(() => scene.of("serving").length === 3);
    const clients = await scene.clients(2);
    const next = new Subscriber(clients.find(({ id }) => id === two.client.id) as Client);
    assert.notEqual(next.client.pid, two.client.pid);
    await next.ask({ do: "subscribe", topic: "room" });
    const again = await next.ask({ do: "publish", topic: "room", text: "first", id: "a" });
    assert.deepEqual(again, { ...first, duplicate: true });
    const read = await next.ask<Read>({ do: "read", topic: "room", after: 0 });
    assert.deepEqual(
      [read.epoch, read.entries],
      [
        first.epoch,
        [
          [1, "first"],
          [2, "meanwhile"],
        ],
      ],
    );
    await next.ask({ do: "publish", topic: "room", text: "after" });
    for (const each of [one, next]) await each.until(() => each.texts.at(-1) === "after");
    assert.deepEqual([one.texts, next.texts], [["first", "meanwhile", "after"], ["after"]]);
    assert.deepEqual([one.calls, next.calls], [[], []]);
  });

  it("keeps the log when all workers are restarted", async () => {
    await using scene = await start();
    const [one] = (await subscribers(scene, 1, "room")) as [Subscriber];
    await one.ask({ do: "publish", topic: "room", text: "before" });
    scene.signal("SIGHUP");
    await scene.until(() => scene.of("ended").length === 2);
    const [next] = (await subscribers(scene, 1, "room")) as [Subscriber];
    assert.deepEqual((await next.ask<Read>({ do: "read", topic: "room", after: 0 })).entries, [[1, "before"]]);
  });

  it("reports to a worker that was stopped what it may have missed, and the log has it", async () => {
    await using scene = await start({ maxQueuedBytes: 1_000_000 });
    const [one, two] = (await subscribers(scene, 2, "room")) as [Subscriber, Subscriber];
    process.kill(two.client.pid, "SIGSTOP");
    let count = 0;
    while (scene.of("missed").length === 0) {
      await one.ask({ do: "flood", topic: "room", size: 10_000, count: 50 });
      count += 50;
    }
    process.kill(two.client.pid, "SIGCONT");
    await two.until(() => two.calls.length === 2);
    assert.deepEqual(two.calls, ["interrupted", "restored"]);
    const last = two.entries.at(-1) as number;
    assert.deepEqual(
      two.entries,
      Array.from({ length: last }, (_, index) => index + 1),
    );
    const { top, entries } = await two.ask<Read>({ do: "read", topic: "room", after: last });
    assert.ok(last < count);
    assert.deepEqual([top, entries.length, entries[0]?.[0]], [count, count - last, last + 1]);
    await one.ask({ do: "publish", topic: "room", text: "after" });
    await two.until(() => two.texts.at(-1) === "after");
    assert.equal(two.entries.at(-1), count + 1);
    assert.deepEqual(one.calls, []);
  });
});

/** Random kills of nodes, of the broker and of connections for a while: in the end the books of a topic balance. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../../src/broker/broker.ts";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { decodeHubMessage } from "../../src/hub/wire-form.ts";
import { seeded } from "../../src/testing/chaos/faults.ts";
import { DURABLE, RedisProcess, unable } from "../broker/redis-server.ts";
import { Client, Node } from "./topic-nodes.ts";
import { Books, TOPIC, TOPIC_OPTIONS } from "./topics-soak-books.ts";

/** HOLDFAST_TOPICS_SOAK=10 is the run of ten minutes. */
const MINUTES = Number(process.env["HOLDFAST_TOPICS_SOAK"] ?? 0.25);
const LENGTH = MINUTES * 60_000;
const NODES = 3;
const CLIENTS = 24;
const RATE = 200;
/** New messages wait while so many are not confirmed. */
const MOST_PENDING = 2_000;
/** Longer than the history at this rate. */
const LONG_ABSENCE = 8_000;
/** By when all must be healed, on a busy machine. */
const HEALING = 35_000;

/** Reads the log itself, as the broker has it. */
class Auditor {
  readonly #books: Books;
  readonly #broker: Broker;
  #epoch = "";
  top = 0;

  constructor(books: Books, broker: Broker) {
    this.#books = books;
    this.#broker = broker;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** Reads to the end. Returns false if the broker is not there. */
  async read(): Promise<boolean> {
    const { history } = TOPIC_OPTIONS;
    for (;;) {
      const request = { after: this.top, messages: 1_000, bytes: 1_000_000, history, timeout: 2_000 };
      const slice = await this.#broker.read(TOPIC, request).catch(() => undefined);
      if (slice === undefined) return false;
      if (slice.epoch !== this.#epoch) {
        this.#epoch = slice.epoch;
        this.top = 0;
        continue;
      }
      for (const { message, offset } of slice.entries) {
        this.#books.read({ epoch: slice.epoch, offset }, Number(decodeHubMessage(message).data));
        this.top = offset;
      }
      if (this.top >= slice.top || slice.entries.length === 0) return true;
    }
  }
}

const MISHAPS = ["node", "broker", "emptied", "client", "client", "absence", "freeze", "node"] as const;

describe("a topic under random kills", { skip: unable(), timeout: LENGTH + 4 * HEALING }, () => {
  it(`balances its books after ${MINUTES} min of kills of nodes, broker and clients`, async (t) => {
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    const counts: Record<string, number> = { emptied: 0 };
    t.diagnostic(`seed ${seed}`);
    const random = seeded(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

    const books = new Books();
    await using redis = await RedisProcess.start(DURABLE);
    const broker = redisBroker(redis.url);
    t.after(() => broker.close());
    const auditor = new Auditor(books, broker);
    const nodes = Array.from({ length: NODES }, () => new Node());
    t.after(() => Promise.all(nodes.map((node) => node.kill())));
    await Promise.all(nodes.map((node) => node.start(redis.url)));
    const living = (): Node | undefined => pick(nodes.filter(({ url }) => url !== undefined));
    const clients = Array.from({ length: CLIENTS }, () => {
      const client = new Client(books, () => {
        const url = living()?.url;
        if (url === undefined) throw new Error("no node is there");
        return url;
      });
      t.after(() => client.close());
      return client;
    });
    const assertSound = (): void => {
      for (const { failures } of clients) if (failures.length > 0) throw failures[0];
    };

    let over = false;
    t.after(() => {
      over = true;
    });
    let number = 0;
    let repeats = 0;
    const pending = new Set<Promise<void>>();
    /** Publishes one message, with the same id until it is confirmed. */
    async function publish(own: number): Promise<void> {
      books.begin(own);
      while (!over) {
        const { epoch, offset } = (await living()?.publish(String(own))) ?? {};
        if (epoch !== undefined && offset !== undefined) return books.confirm(own, { epoch, offset });
        repeats += 1;
        await pause(200);
      }
    }
    function publishNext(): void {
      number += 1;
      const done: Promise<void> = publish(number).finally(() => pending.delete(done));
      pending.add(done);
    }

    while (clients.some(({ account }) => account.last === undefined)) {
      assertSound();
      await pause(20);
    }
    const until = performance.now() + LENGTH;
    async function publishing(): Promise<void> {
      for (let last = performance.now(), due = 0; performance.now() < until && !over; await pause(10)) {
        due = Math.min(due + ((performance.now() - last) / 1_000) * RATE, RATE);
        last = performance.now();
        for (; due >= 1 && pending.size < MOST_PENDING; due -= 1) publishNext();
      }
    }
    async function auditing(): Promise<void> {
      for (; performance.now() < until && !over; await pause(500)) await auditor.read();
    }
    async function trouble(): Promise<void> {
      let bag: (typeof MISHAPS)[number][] = [];
      while (true) {
        await pause(100 + random() * 1_400);
        if (performance.now() > until || over) return;
        assertSound();
        if (bag.length === 0) bag = [...MISHAPS];
        const [mishap = "client"] = bag.splice(Math.floor(random() * bag.length), 1);
        counts[mishap] = (counts[mishap] ?? 0) + 1;
        await cause(mishap);
      }
    }
    const absences: Promise<void>[] = [];
    async function cause(mishap: (typeof MISHAPS)[number]): Promise<void> {
      if (mishap === "node") {
        const node = pick(nodes);
        await node.kill();
        await pause(random() * 500);
        return node.start(redis.url);
      }
      if (mishap === "broker" || mishap === "emptied") {
        if (mishap === "emptied") await auditor.read();
        await redis.kill();
        await pause(random() * 500);
        return mishap === "broker" ? redis.restart() : redis.restartEmpty();
      }
      if (mishap === "freeze") {
        redis.freeze();
        await pause(500 + random() * 2_500);
        return redis.thaw();
      }
      absences.push(pick(clients).reset(mishap === "absence" ? LONG_ABSENCE : 0));
    }

    await Promise.all([publishing(), auditing(), trouble()]);
    await Promise.all(absences);
    const limit = performance.now() + HEALING;
    while (pending.size > 0 && performance.now() < limit) await pause(50);
    assert.equal(pending.size, 0, "all is confirmed in time");
    publishNext();
    await Promise.all(pending);
    assert.ok(await auditor.read());
    const end = { epoch: auditor.epoch, offset: auditor.top };
    const arrived = ({ account: { last } }: Client): boolean => last?.epoch === end.epoch && last.offset === end.offset;
    while (!clients.every(arrived) && performance.now() < limit) {
      assertSound();
      await pause(50);
    }
    assertSound();
    const late = clients.filter((client) => !arrived(client)).map(({ told }) => told);
    assert.deepEqual(late, [], `each client has all to the end, ${JSON.stringify(end)}`);

    const sums = books.balance();
    const delivered = clients.reduce((sum, { account }) => sum + account.messages, 0);
    const told: Record<string, number> = {};
    for (const { reason } of books.gaps) told[reason] = (told[reason] ?? 0) + 1;
    t.diagnostic(`${JSON.stringify(counts)}, ${books.epochs.length} histories`);
    t.diagnostic(
      `${number} published, ${books.confirmed} confirmed, ${repeats} repeats, ${books.audited} read in the log, ${delivered} delivered`,
    );
    t.diagnostic(`gaps ${JSON.stringify(told)}, ${JSON.stringify(sums)}`);
    assert.ok(delivered > number, "the clients were there");
    assert.deepEqual(
      Object.keys(told).filter((reason) => reason === "fork" || reason === "lost"),
      [],
    );
    assert.ok(books.epochs.length <= (counts["emptied"] ?? 0) + 1, "only an emptied broker begins another history");
    assert.equal(sums["falseAlarms"], 0, "a gap is told only where something is missing");
    // The others were trimmed, or emptied with the log, before they were read: on a busy machine some seconds of messages.
    assert.ok(books.audited > number / 2, `${books.audited} of ${number} were read in the log`);
  });
});

/** A node is killed with SIGKILL, and its members come back to another node, each with its position. */

import { setTimeout as pause } from "node:timers/promises";
import { EnvelopeReader, ReconnectingConnection } from "../../dist/index.js";
import { messageOf } from "./clients.mjs";
import { MEASURED_CORE, OTHER_CORE } from "./room.mjs";
import { SYSTEMS, startRedis } from "./systems.mjs";

const MEMBERS = 10_000;
/** Messages per second. Each is 10,000 deliveries for the one process of the clients. */
const RATE = 2;
/** How many members open at the same time at the beginning. */
const AT_ONCE = 200;
const PATIENCE = 60_000;

export async function returning(name) {
  const system = SYSTEMS[name];
  const started = [];
  const keep = (one) => {
    started.push(one);
    return one;
  };
  try {
    const redis = keep(await startRedis(OTHER_CORE));
    const start = (core) => system.start({ redis, history: true, core, env: { ENVELOPE: "1" } });
    const first = keep(await start(OTHER_CORE));
    const second = keep(await start(MEASURED_CORE));
    const publisher = keep(await system.publisher(second.port));
    let number = 0;
    const publishing = setInterval(() => publisher.send([messageOf(++number, 64)]), 1_000 / RATE);
    try {
      return await killed({ first, second, published: () => number }, publishing);
    } finally {
      clearInterval(publishing);
      publisher.close();
    }
  } finally {
    for (const one of started.reverse()) await one.stop?.();
  }
}

async function killed({ first, second, published }, publishing) {
  let alive = true;
  const members = [];
  for (let count = 0; count < MEMBERS; count += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, () => new Member(() => (alive ? first.port : second.port)));
    await Promise.all(some.map(({ joined }) => joined));
    members.push(...some);
  }
  await pause(500);
  const before = await second.process.ask("stats");
  for (const member of members) member.leave();
  alive = false;
  await first.process.kill();
  const start = performance.now();
  await Promise.race([Promise.all(members.map(({ back }) => back)), pause(PATIENCE)]);
  const seconds = (performance.now() - start) / 1_000;
  const returns = members.map(({ backAt }) => backAt - start).filter(Number.isFinite);
  const buckets = new Array(Math.ceil(Math.max(...returns) / 1_000)).fill(0);
  for (const at of returns) buckets[Math.floor(at / 1_000)] += 1;
  clearInterval(publishing);
  await pause(2_000);
  const after = await second.process.ask("stats");
  const sum = (of) => members.reduce((total, member) => total + member[of], 0);
  const figures = {
    members: returns.length,
    seconds,
    reads: after.reads - before.reads,
    lost: sum("lost"),
    doubled: sum("doubled"),
    gaps: sum("gaps"),
    behind: members.filter(({ last }) => last !== published()).length,
    largestBucket: Math.max(...buckets),
  };
  await Promise.all(members.map(({ client }) => client.close()));
  if (returns.length < MEMBERS || figures.lost + figures.doubled + figures.gaps + figures.behind > 0)
    throw new Error(`is not whole: ${JSON.stringify(figures)}`);
  return figures;
}

/** A client that reconnects, and says where it was. */
class Member {
  lost = 0;
  doubled = 0;
  gaps = 0;
  last = undefined;
  backAt = Number.NaN;
  #reader = new EnvelopeReader();
  #left = false;

  constructor(port) {
    this.joined = new Promise((resolve) => {
      this.#joined = resolve;
    });
    this.back = new Promise((resolve) => {
      this.#back = resolve;
    });
    const target = () => {
      const position = this.#reader.position("room");
      const after = position === undefined ? "" : `?after=${encodeURIComponent(JSON.stringify(position))}`;
      return `ws://127.0.0.1:${port()}/room${after}`;
    };
    this.client = new ReconnectingConnection(target, {
      // Members are machines of their own, so they need not wait for each other.
      maxConnecting: MEMBERS,
      onError: () => {},
      open: () => this.#reader.connected(),
      message: (_, message) => this.#receive(this.#reader.receive(message)),
    });
  }

  #joined;
  #back;

  leave() {
    this.#left = true;
  }

  #receive(event) {
    if (event.gap !== undefined || event.type === "gap") this.gaps += 1;
    if (event.type === "joined") {
      this.#joined();
      if (!this.#left) return;
      this.backAt = performance.now();
      this.#back();
    }
    if (event.type !== "message") return;
    const number = Number(event.message.slice(3, 11));
    if (this.last !== undefined && number > this.last + 1) this.lost += number - this.last - 1;
    if (this.last !== undefined && number <= this.last) this.doubled += 1;
    this.last = Math.max(this.last ?? 0, number);
  }
}

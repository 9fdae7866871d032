/** Two nodes with a server between them, a publisher at one node and members at the other: the set-up of all works here. */

import { setTimeout as pause } from "node:timers/promises";
import { Client, messageOf } from "./clients.mjs";
import { SYSTEMS, startRedis } from "./systems.mjs";

/** The members' node alone on the first core, everything else on the second. */
export const MEASURED_CORE = 0;
export const OTHER_CORE = 1;

const LENGTH = 64;
const PUBLISH_EVERY = 1;

/** Opens a room of `members`, and passes it to `work`. Everything is stopped afterwards. */
export async function withRoom(name, { members, history = false }, work) {
  const system = SYSTEMS[name];
  const started = [];
  const keep = (one) => {
    started.push(one);
    return one;
  };
  try {
    const redis = keep(await startRedis(OTHER_CORE));
    const publishing = keep(await system.start({ redis, history, core: OTHER_CORE }));
    const delivering = keep(await system.start({ redis, history, core: MEASURED_CORE }));
    const clients = [];
    for (let count = 0; count < members; count += 100) {
      const some = Array.from(
        { length: Math.min(100, members - count) },
        () => new Client(delivering.port, system.subscriber),
      );
      await Promise.all(some.map(({ open }) => open));
      clients.push(...some);
    }
    const publisher = await system.publisher(publishing.port);
    const room = new Room({ system, redis, publishing, delivering, clients, publisher });
    try {
      await room.settled();
      return await work(room);
    } finally {
      for (const client of [publisher, ...room.clients]) client.close();
    }
  } finally {
    for (const one of started.reverse()) await one.stop();
  }
}

class Room {
  number = 0;

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Publishes one message. */
  publish() {
    this.publishMany(1);
  }

  publishMany(count) {
    const messages = Array.from({ length: count }, () => {
      this.number += 1;
      return messageOf(this.number, LENGTH);
    });
    this.publisher.send(messages);
  }

  /** Until one message has reached all members: all subscriptions are there. */
  async settled() {
    for (let tries = 0; tries < 50; tries++) {
      this.publish();
      await pause(100);
      if (this.clients.every(({ received }) => received > 0)) return;
    }
    throw new Error("the messages do not reach the members");
  }

  /** Until nothing has arrived for a moment: what an earlier run has left is delivered. */
  async quiet() {
    for (let before = -1, tries = 0; tries < 100; tries++) {
      const now = this.clients.reduce((total, { received }) => total + received, 0);
      if (now === before) return;
      before = now;
      await pause(200);
    }
  }

  /** Publishes `rate` messages a second for `seconds`, and counts what arrives until it is over, and a moment after. */
  async run(rate, seconds, { grace = 300 } = {}) {
    const { clients, delivering } = this;
    for (const client of clients) client.reset();
    const latencies = [];
    clients[0].latency = (micros) => latencies.push(micros);
    const before = {
      cpu: delivering.process.cpu(),
      publishing: this.publishing.process.cpu(),
      own: process.cpuUsage(),
    };
    const start = performance.now();
    let sent = 0;
    for (;;) {
      const elapsed = performance.now() - start;
      if (elapsed >= seconds * 1_000) break;
      const due = Math.floor((elapsed / 1_000) * rate) + 1 - sent;
      if (due > 0) {
        this.publishMany(due);
        sent += due;
      }
      await pause(PUBLISH_EVERY);
    }
    const elapsed = (performance.now() - start) / 1_000;
    const inTime = clients.reduce((sum, { received }) => sum + received, 0);
    await pause(grace);
    clients[0].latency = undefined;
    const sum = (of) => clients.reduce((total, client) => total + client[of], 0);
    const received = sum("received");
    const cpu = delivering.process.cpu() - before.cpu;
    const own = process.cpuUsage(before.own);
    latencies.sort((a, b) => a - b);
    const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? null;
    return {
      rate,
      seconds: elapsed,
      sent,
      deliveries: inTime / elapsed,
      carried: inTime / (sent * clients.length),
      cpu: cpu / received,
      bytes: sum("bytes") / received,
      lost: sum("lost"),
      doubled: sum("doubled"),
      disordered: sum("disordered"),
      ended: clients.filter(({ ended }) => ended !== undefined).length,
      p50: at(0.5),
      p99: at(0.99),
      share: cpu / (elapsed * 1e6),
      driver: (own.user + own.system) / (elapsed * 1e6),
      publisher: (this.publishing.process.cpu() - before.publishing) / (elapsed * 1e6),
    };
  }
}

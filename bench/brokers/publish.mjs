/** How long a publish takes, from the call to the confirmation of Redis: a topic's, and the bare command of the same client. */

import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "redis";
import { redisBroker } from "../../dist/broker/redis/index.js";
import { Hub } from "../../dist/index.js";
import { OTHER_CORE } from "./room.mjs";
import { startRedis } from "./systems.mjs";

const RATE = 500;
const MESSAGE = Buffer.alloc(64, "x");

export async function publishLatency(name, { seconds }) {
  const redis = await startRedis(OTHER_CORE);
  try {
    if (name === "PUBLISH") {
      const client = await createClient({ url: redis.url }).connect();
      const figures = await paced(seconds, () => client.publish("room", MESSAGE));
      client.destroy();
      return figures;
    }
    const hub = new Hub({ broker: redisBroker(redis.url) });
    const topic = hub.topic("room", { history: { messages: 1_000, bytes: 1_048_576, age: 300_000 } });
    const figures = await paced(seconds, () => topic.publish(MESSAGE));
    await hub.close();
    return figures;
  } finally {
    await redis.stop();
  }
}

/** Publishes at the rate, the first second uncounted. */
async function paced(seconds, publish) {
  const latencies = [];
  const pending = new Set();
  const start = performance.now();
  for (let sent = 0; performance.now() - start < (seconds + 1) * 1_000; await pause(1)) {
    const due = Math.floor(((performance.now() - start) / 1_000) * RATE) + 1;
    for (; sent < due; sent++) {
      const at = performance.now();
      const one = publish().then(() => {
        if (at - start > 1_000) latencies.push((performance.now() - at) * 1_000);
        pending.delete(one);
      });
      pending.add(one);
    }
  }
  await Promise.all(pending);
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor(latencies.length * share)];
  return { publishes: latencies.length, p50: at(0.5), p99: at(0.99) };
}

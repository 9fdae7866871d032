/** A node of the soak of topics: members join with their position, and a route publishes with an id and answers when it is confirmed. */

import { redisBroker } from "../../src/broker/redis/index.ts";
import { envelope, Hub, type HubStats, listen, type Position } from "../../src/index.ts";
import { type Confirmation, TOPIC, TOPIC_OPTIONS } from "./topics-soak-books.ts";

const TRY_AGAIN_LATER = 1013;
/** Interruptions of the broker are what the test makes. */
const quiet = { onError: () => undefined };

let interruptions = 0;
const hub = new Hub({
  broker: redisBroker(process.argv[2] ?? ""),
  encoder: envelope(),
  observe: ({ type }) => {
    if (type === "suspect") interruptions += 1;
  },
  ...quiet,
});
const topic = hub.topic(TOPIC, TOPIC_OPTIONS);

async function publish(text: string): Promise<Confirmation> {
  try {
    const { epoch, offset } = await topic.publish(text, { id: text, timeout: 2_000 });
    return { text, epoch, offset };
  } catch {
    return { text };
  }
}

const server = await listen("ws://127.0.0.1:0", {
  ...quiet,
  open(connection, { path, query }) {
    if (path === "/publish") return;
    const after = new URLSearchParams(query).get("after");
    topic
      .join(connection, after === null ? {} : { after: JSON.parse(after) as Position })
      .catch(() => connection.close(TRY_AGAIN_LATER));
  },
  async message(connection, text) {
    connection.trySend(JSON.stringify(await publish(String(text))));
  },
});

/** A question of the test. `stats`: what the hub has counted, and the time of its clocks. `block`: no turn of the event loop for so long. */
export type NodeQuestion = { readonly do: "stats" } | { readonly do: "block"; readonly ms: number };

export interface NodeFacts {
  readonly stats: HubStats;
  readonly wall: number;
  readonly interruptions: number;
}

process.on("message", (question: NodeQuestion) => {
  if (question.do === "block") for (const until = performance.now() + question.ms; performance.now() < until; );
  const facts: NodeFacts = { stats: hub.stats, wall: Date.now(), interruptions };
  process.send?.(facts);
});
process.on("SIGTERM", async () => {
  await server.close();
  await hub.close();
  process.exit();
});
process.on("disconnect", () => process.exit());
process.send?.(server.url);

/** A node of the soak of topics: members join with their position, and a route publishes with an id and answers when it is confirmed. */

import { redisBroker } from "../../src/broker/redis/index.ts";
import { envelope, Hub, listen, type Position } from "../../src/index.ts";
import { type Confirmation, TOPIC, TOPIC_OPTIONS } from "./topics-soak-books.ts";

const TRY_AGAIN_LATER = 1013;
/** Interruptions of the broker are what the test makes. */
const quiet = { onError: () => undefined };

const hub = new Hub({ broker: redisBroker(process.argv[2] ?? ""), encoder: envelope(), ...quiet });
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
process.on("disconnect", () => process.exit());
process.send?.(server.url);

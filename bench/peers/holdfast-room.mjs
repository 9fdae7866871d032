/**
 * A node with one topic over Redis: /room delivers it, /publish takes messages for it. With ENVELOPE=1 members get positions, and begin
 * behind the one in the query. A line on stdin is answered with what the hub has counted.
 */

import { createInterface } from "node:readline";
import { redisBroker } from "../../dist/broker/redis/index.js";
import { envelope, Hub, listen } from "../../dist/index.js";

const history = process.env.HISTORY === "" ? undefined : JSON.parse(process.env.HISTORY);
const positions = process.env.ENVELOPE === "1";
const hub = new Hub({ broker: redisBroker(process.env.REDIS), ...(positions && { encoder: envelope() }) });
const topic = hub.topic("room", {
  history:
    history === undefined ? false : { messages: history.messages, bytes: 1_048_576, age: history.seconds * 1_000 },
});

/** The position in the query of a member that comes back. */
function positionIn({ query }) {
  const after = new URLSearchParams(query).get("after");
  return after === null ? {} : { after: JSON.parse(after) };
}

const server = await listen("ws://127.0.0.1:0", {
  maxConnections: 20_000,
  routes: {
    "/room": {
      open: (connection, request) => topic.join(connection, positionIn(request)).catch(() => connection.terminate()),
    },
    "/publish": {
      message: (_, message) => void topic.publish(message).catch((error) => process.stderr.write(`${error}\n`)),
    },
  },
});
process.stdout.write(`port ${new URL(server.url).port}\n`);
createInterface({ input: process.stdin })
  .on("line", () => process.stdout.write(`answer ${JSON.stringify(hub.stats)}\n`))
  .on("close", () => process.exit(0));

/**
 * An application that uses nearly every part of the library, so that each metric has values: servers, clients, a group, a topic,
 * compression, and a handler that never ends. Prints its addresses as one line of JSON.
 */

import { connect, Group, Hub, listen, metrics, ReconnectingConnection } from "../../src/index.ts";

// Milliseconds between two rounds. Queries take rates over 5 s and more.
const ROUND = 250;

const measured = metrics(process);
const hub = new Hub();
const topic = hub.topic("news");
const group = new Group();
// Large enough to be compressed.
const text = "hello ".repeat(1_000);
const heartbeat = { interval: 100, timeout: 20_000 };

const server = await listen("ws://127.0.0.1:0", {
  ...{ heartbeat, compression: true },
  message: (connection, message) => void connection.trySend(message),
  open: async (connection) => {
    // Not both: then neither could write to all of its members at once.
    if (group.size === 0) group.join(connection);
    else await topic.join(connection);
  },
  fetch: () => new Response(measured.text(), { headers: { "Content-Type": measured.contentType } }),
});

// The error that this program has on purpose: it does not end when its peers do.
const leaking = await listen("tcp://127.0.0.1:0", {
  framing: "lines",
  ...{ allowHalfOpen: true, lingerTimeout: Infinity, idleTimeout: Infinity },
  message: () => undefined,
});

/** Messages of the topic, an echo in each direction, and the life of a short connection. */
async function round(): Promise<void> {
  await topic.publish("news");
  group.send("to all");
  await returning.reconnect();
  await using client = await connect(server.url);
  await client.send(text);
  await client.receive();
  await client.close();
}

await using returning = new ReconnectingConnection(server.url, { initialPause: 1, message: () => undefined });
await using staying = await connect(server.url, { heartbeat, message: () => undefined });
process.stdout.write(`${JSON.stringify({ ws: server.url, leaking: leaking.url })}\n`);

while (staying.state === "OPEN") {
  await round();
  await new Promise((resolve) => setTimeout(resolve, ROUND));
}

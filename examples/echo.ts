/** A WebSocket server that sends back what it gets, and a client that asks it. */

import { connect, listen } from "holdfast";

// Port 0 picks a free one; `server.url` tells which.
await using server = await listen("ws://127.0.0.1:0/echo", async (connection) => {
  for await (const message of connection) await connection.send(message);
});

await using connection = await connect(server.url);
await connection.send("hello");
console.log(await connection.receive({ timeout: 1_000 }));

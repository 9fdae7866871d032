/** A WebSocket server that sends each message back, and a client that uses it. */

import { connect, listen } from "holdfast";

// With port 0 the system chooses a free one; `server.url` contains it.
const server = await listen("ws://127.0.0.1:0/echo", async (connection) => {
  for await (const message of connection) await connection.send(message);
});

const connection = await connect(server.url);
await connection.send("hello");
console.log(await connection.receive({ timeout: 1_000 }));

await connection.close();
await server.close();

/** TCP with one message per line: the same connection, deadlines and queue as on WebSocket. */

import { connect, listen, TimeoutError } from "holdfast";

const server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
  for await (const line of connection) {
    if (line !== "quiet") await connection.send(`you said ${line}`);
  }
});

const connection = await connect(server.url, { framing: "lines" });
await connection.send("hello");
console.log(await connection.receive({ timeout: 1_000 }));

// After a timeout the connection is as before.
await connection.send("quiet");
try {
  await connection.receive({ timeout: 20 });
} catch (error) {
  if (!(error instanceof TimeoutError)) throw error;
  console.log("no answer, retriable:", error.retriable);
}
await connection.send("again");
console.log(await connection.receive({ timeout: 1_000 }));

await connection.close();
await server.close();

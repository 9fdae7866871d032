/** TCP with one message to a line: the same connection, deadlines and queue as over WebSocket. */

import { connect, listen, TimeoutError } from "holdfast";

await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
  for await (const line of connection) {
    if (line !== "quiet") await connection.send(`you said ${line}`);
  }
});

await using connection = await connect(server.url, { framing: "lines" });
await connection.send("hello");
console.log(await connection.receive({ timeout: 1_000 }));

// A wait that ends by its timeout leaves the connection as it was.
await connection.send("quiet");
try {
  await connection.receive({ timeout: 20 });
} catch (error) {
  if (!(error instanceof TimeoutError)) throw error;
  console.log("nothing came, retriable:", error.retriable);
}
await connection.send("again");
console.log(await connection.receive({ timeout: 1_000 }));

/** A client that comes back: the server restarts, and what is sent meanwhile waits for it. */

import { listen, ReconnectingConnection } from "holdfast";

const serve = (url: string) =>
  listen(url, async (connection) => {
    for await (const message of connection) await connection.send(`heard ${message}`);
  });

let server = await serve("ws://127.0.0.1:0/");
const { url } = server;

const connection = new ReconnectingConnection(url, {
  // Before anything that waits is sent: the place to log in and to subscribe.
  open: (fresh) => console.log("open:", fresh.protocol),
  state: (state) => {
    if (state.name === "waiting") console.log("waiting:", state.why.code, state.why.reason);
  },
});
await connection.send("one");
console.log(await connection.receive());

// Whoever is connected is asked to stay away for a tenth of a second, and adds a random part of another half.
await server.close({ reason: "new version", retryAfter: 100 });
const sent = connection.send("two");
server = await serve(url);
await sent;
console.log(await connection.receive());

await connection.close();
await server.close();

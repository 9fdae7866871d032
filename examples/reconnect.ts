/** A client that reconnects: the server restarts, and a message that is sent meanwhile waits for it. */

import { listen, ReconnectingConnection } from "holdfast";

const serve = (url: string) =>
  listen(url, async (connection) => {
    for await (const message of connection) await connection.send(`heard ${message}`);
  });

let server = await serve("ws://127.0.0.1:0/");
const { url } = server;

const connection = new ReconnectingConnection(url, {
  // Called on each connection, before waiting messages are sent: the place to log in and to subscribe.
  open: (fresh) => console.log("open:", fresh.kind),
  state: (state) => {
    if (state.name === "waiting") console.log("waiting:", state.why.code, state.why.reason);
  },
});
await connection.send("one");
console.log(await connection.receive());

// The server asks its clients to wait for 100 ms. Each client adds a random time of up to half a second.
await server.close({ reason: "new version", retryAfter: 100 });
const sent = connection.send("two");
server = await serve(url);
await sent;
console.log(await connection.receive());

await connection.close();
await server.close();

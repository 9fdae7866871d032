/** A room: what one member says goes to all, encoded once, and nobody waits for the slowest. */

import { connect, Group, listen } from "holdfast";

const room = new Group();
await using server = await listen("ws://127.0.0.1:0/chat", {
  open: (connection) => room.join(connection),
  message: (_connection, data) => void room.send(data),
});

await using ann = await connect(server.url);
await using ben = await connect(server.url);
// Ben is a member once the server answers him.
await ben.ping();
await ann.send("anybody here?");
console.log("ann reads:", await ann.receive({ timeout: 1_000 }));
console.log("ben reads:", await ben.receive({ timeout: 1_000 }));

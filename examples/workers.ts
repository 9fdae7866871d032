/** One server in two processes, and a room that both share: what one member says reaches all, wherever they are. */

import { connect, Group, listen, startWorkers } from "holdfast";

const workers = await startWorkers({ workers: 2 }, async ({ exchange }) => {
  const room = new Group({ name: "room", exchange });
  return listen("ws://127.0.0.1:0/chat", {
    open: async (connection) => {
      room.join(connection);
      await room.ready; // now the other process knows as well
      await connection.send("welcome");
    },
    message: (_connection, data) => void room.send(data),
  });
});

// Only the first process comes here. The connections are given to the workers in turn.
const [url = ""] = workers.urls;
await using ann = await connect(url);
console.log("ann reads:", await ann.receive());
await using ben = await connect(url);
console.log("ben reads:", await ben.receive());
await ann.send("anybody here?");
console.log("ann reads:", await ann.receive());
console.log("ben reads:", await ben.receive());
await Promise.all([ann.close(), ben.close()]);
await workers.stop();

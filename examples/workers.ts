/** One server in two processes, with a room that both share: a message of one member reaches all, in whichever process they are. */

import { connect, Group, listen } from "holdfast";
import { startWorkers } from "holdfast/workers";

const workers = await startWorkers({ workers: 2 }, async ({ exchange }) => {
  const room = new Group({ name: "room", exchange });
  return listen("ws://127.0.0.1:0/chat", {
    open: async (connection) => {
      room.join(connection);
      await room.ready; // From now on the other process sends its messages here.
      await connection.send("welcome");
    },
    message: (_connection, message) => void room.send(message),
  });
});

// Only the first process runs what follows. The workers get the connections in turn.
const [url = ""] = workers.urls;
const ann = await connect(url);
console.log("ann reads:", await ann.receive());
const ben = await connect(url);
console.log("ben reads:", await ben.receive());
await ann.send("hello, all");
console.log("ann reads:", await ann.receive());
console.log("ben reads:", await ben.receive());

await Promise.all([ann.close(), ben.close()]);
await workers.stop();

/** Node's own sockets without any protocol: what a library on top of them cannot go below. */

import { createServer } from "node:net";
import { announce, lacks, role } from "../serving.mjs";

if (role !== "echo" && role !== "idle") lacks(role);
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", (chunk) => socket.write(chunk));
});
server.listen(0, "127.0.0.1", () => announce(server.address().port, `net, Node ${process.versions.node}`));

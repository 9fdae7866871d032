/** Socket.IO over WebSocket only: an event in, an event out. */

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";
import { announce, lacks, role } from "../serving.mjs";

const { version } = createRequire(import.meta.url)("socket.io/package.json");
const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false, maxHttpBufferSize: 1e8 });

const ROLES = {
  echo: (socket) => socket.on("m", (data) => socket.emit("m", data)),
  idle: (socket) => ROLES.echo(socket),
  broadcast: (socket) => socket.on("m", (data) => io.emit("m", data)),
};
if (ROLES[role] === undefined) lacks(role);
io.on("connection", ROLES[role]);
http.listen(0, "127.0.0.1", () => announce(http.address().port, `Socket.IO ${version}, Node ${process.versions.node}`));

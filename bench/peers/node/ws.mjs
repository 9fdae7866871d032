/** ws, as its README uses it; where connections are idle, with the heartbeat that its README recommends. */

import { createServer } from "node:https";
import { createRequire } from "node:module";
import { setImmediate } from "node:timers/promises";
import { WebSocketServer } from "ws";
import { announce, lacks, role, tls } from "../serving.mjs";

const { version } = createRequire(import.meta.url)("ws/package.json");

const secure = tls && createServer(tls).listen(0, "127.0.0.1");

const server = new WebSocketServer({
  ...(secure === undefined ? { host: "127.0.0.1", port: 0 } : { server: secure }),
  perMessageDeflate: role === "deflate" && {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    threshold: 0,
    zlibDeflateOptions: { level: 1 },
  },
});

/** `send` takes everything, so the program has to look at `bufferedAmount` itself. */
async function flood(socket) {
  while (socket.readyState === 1) {
    if (socket.bufferedAmount < 1024 * 1024) socket.send(Buffer.alloc(16 * 1024));
    else await setImmediate();
  }
}

const ROLES = {
  echo: (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
  deflate: (socket) => ROLES.echo(socket),
  broadcast: (socket) =>
    socket.on("message", (data, isBinary) => {
      for (const client of server.clients) if (client.readyState === 1) client.send(data, { binary: isBinary });
    }),
  idle: (socket) => {
    socket.isAlive = true;
    socket.on("pong", () => {
      socket.isAlive = true;
    });
    ROLES.echo(socket);
  },
  flood: (socket) => void flood(socket),
};
if (ROLES[role] === undefined) lacks(role);

if (role === "idle") {
  setInterval(() => {
    for (const socket of server.clients) {
      if (!socket.isAlive) {
        socket.terminate();
        continue;
      }
      socket.isAlive = false;
      socket.ping();
    }
  }, 25_000);
}

server.on("connection", (socket) => {
  socket.on("error", () => {});
  ROLES[role](socket);
});
server.on("listening", () => announce(server.address().port, `ws ${version}, Node ${process.versions.node}`));

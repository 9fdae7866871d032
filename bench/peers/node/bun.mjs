/** Bun.serve: run by Bun, not by Node. */

import { announce, lacks, role } from "../serving.mjs";

const ROLES = {
  echo: { message: (socket, data) => void socket.send(data) },
  // With no takeover on either side, as the others do it. Its window is the "shared" one.
  deflate: {
    message: (socket, data) => void socket.send(data, true),
    perMessageDeflate: { compress: "shared", decompress: "shared" },
  },
  broadcast: {
    open: (socket) => socket.subscribe("all"),
    message: (_, data) => void server.publish("all", data),
  },
  // Its own Pings come before this time, in seconds, has passed without anything received.
  idle: { message: (socket, data) => void socket.send(data), idleTimeout: 30, sendPings: true },
};
if (ROLES[role] === undefined) lacks(role);

const server = globalThis.Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no", { status: 400 })),
  websocket: ROLES[role],
});
announce(server.port, `Bun ${globalThis.Bun.version}`);

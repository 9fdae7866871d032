/** Members of a group, each a WebSocket of its own: counts what they receive. */

import { connect, type Socket } from "node:net";
import { upgradeRequest } from "../kit/raw-peer.ts";

const [port = 0, count = 0, size = 0, expected = 0] = process.argv.slice(2).map(Number);
const sockets: Socket[] = [];
let open = 0;
let complete = 0;
let started = 0;

/** Opens one after the other, 50 at a time: the backlog of a server is limited. */
function openNext(): void {
  if (started === count) return;
  started += 1;
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  let head = "";
  let received = 0;
  socket.on("error", (error) => process.send?.({ failed: error.message }));
  socket.write(upgradeRequest());
  socket.on("data", (chunk) => {
    if (head !== "") received += chunk.length;
    else {
      head = chunk.toString("latin1");
      received += head.length - head.indexOf("\r\n\r\n") - 4;
      open += 1;
      if (open === count) process.send?.({ open });
      openNext();
    }
    if (received < size * expected) return;
    received = -Infinity;
    complete += 1;
    if (complete === count) process.send?.({ complete });
  });
}

for (let index = 0; index < 50; index += 1) openNext();

process.on("message", (message) => {
  if (message === "reset") for (const socket of sockets) socket.resetAndDestroy();
});
// The parent process has ended.
process.on("disconnect", () => process.exit());

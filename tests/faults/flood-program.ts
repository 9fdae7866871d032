/** A peer that sends the smallest messages as fast as the other side reads, on the given number of connections. */

import { connect } from "node:net";
import { KEY, peerFrame } from "../kit/frames.ts";
import { upgradeRequest } from "../kit/raw-peer.ts";

const [port, count] = process.argv.slice(2).map(Number);
const frame = peerFrame({ opcode: 2, payload: "x", key: KEY });
const many = Buffer.concat(new Array<Uint8Array>(32_768).fill(frame));

for (let index = 0; index < (count ?? 0); index += 1) {
  const socket = connect(port ?? 0, "127.0.0.1");
  socket.on("error", () => undefined);
  const more = (): void => void socket.write(many, (error) => error ?? more());
  socket.write(upgradeRequest());
  socket.once("data", more);
}

// The parent process has ended.
process.on("disconnect", () => process.exit());

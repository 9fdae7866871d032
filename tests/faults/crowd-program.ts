/** Opens many WebSockets at once, and reports when each of them has received its answer. */

import { connect } from "node:net";
import { KEY, peerFrame } from "../kit/frames.ts";
import { upgradeRequest } from "../kit/raw-peer.ts";

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
const hello = peerFrame({ opcode: 1, payload: "hello", key: KEY });
let served = 0;

process.once("message", () => {
  for (let index = 0; index < count; index += 1) {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("error", (error) => process.send?.({ failed: error.message }));
    socket.write(Buffer.concat([Buffer.from(upgradeRequest()), hello]));
    socket.on("data", (chunk) => {
      const before = text.includes("hello");
      text += chunk.toString("latin1");
      if (before || !text.includes("hello")) return;
      served += 1;
      if (served === count) process.send?.({ served });
    });
  }
});

// The parent process has ended.
process.on("disconnect", () => process.exit());
process.send?.("ready");

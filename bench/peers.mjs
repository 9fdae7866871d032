/** Who is measured: how each is started, what it speaks, and what it needs. */

import { existsSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { root } from "../tools/ready.mjs";
import { bun, go, limit, packages, rust } from "./build.mjs";

const script = (path) => join(root, "bench/peers", path);
const node = (path, ...flags) => [process.execPath, ...flags, script(path)];

/** `gc` lets a peer on Node collect its garbage when its memory is asked for, and changes nothing else. */
export const PEERS = {
  holdfast: { command: (flags) => node("holdfast.mjs", ...flags) },
  "holdfast-socket": { command: (flags) => node("holdfast.mjs", ...flags), env: { HOLDFAST_TRANSPORT: "socket" } },
  ws: { command: (flags) => node("node/ws.mjs", ...flags) },
  bun: { command: async () => [await bun(), script("node/bun.mjs")] },
  net: { command: (flags) => node("node/net.mjs", ...flags), protocol: "raw" },
  "socket.io": {
    command: async (flags) => {
      await packages();
      return node("node/socket-io.mjs", ...flags);
    },
    protocol: "socket.io",
    path: "/socket.io/?EIO=4&transport=websocket",
  },
  gorilla: { command: async () => [await go(), "gorilla"] },
  coder: { command: async () => [await go(), "coder"] },
  gws: { command: async () => [await go(), "gws"] },
  nbio: { command: async () => [await go(), "nbio"] },
  tungstenite: { command: async () => [await rust()] },
  limit: { command: async () => [await limit()], protocol: "raw" },
};

export const OURS = "holdfast";

/** A peer by its name, or a script of the caller's own by its path. */
export function peerNamed(name) {
  if (Object.hasOwn(PEERS, name)) return { name, protocol: "ws", path: "/", env: {}, ...PEERS[name] };
  const path = isAbsolute(name) ? name : resolve(name);
  if (/[/\\]/.test(name) && existsSync(path)) {
    return { name, protocol: "ws", path: "/", env: {}, command: (flags) => [process.execPath, ...flags, path] };
  }
  return undefined;
}

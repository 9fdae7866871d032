/** The peers of other projects, and their abilities. */

import { fileURLToPath } from "node:url";
import { AUTOBAHN, BUN, CHROMIUM, DENO, type Program, WEBSOCKETS } from "../kit/foreign-programs.ts";
import type { Abilities, Peer } from "./exchanges.ts";
import { page } from "./page.ts";
import { program } from "./peer-process.ts";

const script = (name: string): string => fileURLToPath(new URL(`speakers/${name}.js`, import.meta.url));
// Python is not compiled, so the file is in the source folder.
const python = (name: string): string =>
  fileURLToPath(new URL(`../../../tests/interop/speakers/${name}.py`, import.meta.url));

const EVERYTHING: Abilities = {
  fragments: true,
  pings: true,
  hearsPings: true,
  raw: true,
  drop: true,
  codeless: true,
  marks: true,
  deflates: true,
  terms: true,
  lost: 1006,
};
/** The abilities of a browser. */
const LEAST: Abilities = {
  fragments: false,
  pings: false,
  hearsPings: false,
  raw: false,
  drop: false,
  codeless: true,
  marks: true,
  deflates: true,
  terms: false,
  lost: 1006,
};
const THIS: Program = { name: "node", install: "Node", places: [process.execPath] };

export const AUTOBAHN_PYTHON: Peer = {
  name: "Autobahn|Python",
  needs: AUTOBAHN,
  open: (path) => program(path, ["-B", python("autobahn_speaker")]),
  can: EVERYTHING,
};

export const PYTHON_WEBSOCKETS: Peer = {
  name: "Python websockets",
  needs: WEBSOCKETS,
  open: (path) => program(path, ["-B", python("websockets_speaker")]),
  can: { ...EVERYTHING, hearsPings: false, codeless: false },
};

export const WS: Peer = {
  name: "ws",
  needs: THIS,
  open: (path) => program(path, [script("ws")]),
  can: EVERYTHING,
};

export const BUN_CLIENT: Peer = {
  name: "Bun",
  needs: BUN,
  open: (path) => program(path, ["run", script("bun")]),
  can: { ...LEAST, pings: true, hearsPings: true, drop: true },
};

export const BUN_SERVER: Peer = {
  ...BUN_CLIENT,
  // Its server then closes with 1000.
  can: { ...BUN_CLIENT.can, codeless: false },
};

export const DENO_PEER: Peer = {
  name: "Deno",
  needs: DENO,
  open: (path) =>
    program(path, ["run", "--allow-net=127.0.0.1", "--no-config", "--no-remote", "--no-npm", script("deno")], {
      DENO_NO_UPDATE_CHECK: "1",
    }),
  // WHATWG reports it as 1006.
  can: { ...LEAST, deflates: false, lost: 0 },
};

export const CHROMIUM_PAGE: Peer = { name: "Chromium", needs: CHROMIUM, open: page, can: LEAST };

// Behind a flag from 20.10 on, and without one from 22 on.
const flags = "WebSocket" in globalThis ? [] : ["--experimental-websocket", "--no-warnings"];

export const NODE: Peer = {
  name: "Node's own WebSocket",
  needs: {
    name: "a Node that has a WebSocket",
    install: "Node 20.10 or later",
    places: [process.execPath],
    check: [...flags, "-e", "WebSocket"],
  },
  open: (path) => program(path, [...flags, script("native")]),
  // It removes a byte order mark, and sends compressed messages only if it gets an offer.
  can: { ...LEAST, marks: false, deflates: false },
};

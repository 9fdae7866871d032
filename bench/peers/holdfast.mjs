/** Holdfast, with its defaults: heartbeat, all timeouts and all limits are on. `HOLDFAST_AWAIT=1` takes `for await`. */

import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Group, listen } from "holdfast";
import { announce, detail, lacks, role } from "./serving.mjs";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const awaits = process.env.HOLDFAST_AWAIT === "1";

/** A message of a flood: a new one each time, as a program's would be, so that what waits is memory. */
const another = () => new Uint8Array(16 * 1024);

async function handler(connection) {
  for await (const message of connection) await connection.send(message);
}

/** More than a queue of 1 MiB has room for, each waiting for its own message. */
const PRODUCERS = 80;

/** Sends as fast as the policy lets it, to a peer that does not read. */
async function flood(connection) {
  if (detail === "wait") {
    const producer = async () => {
      while (connection.state === "OPEN") await connection.send(another());
    };
    await Promise.all(Array.from({ length: PRODUCERS }, producer));
    return;
  }
  const how = detail === "coalesce" ? { overflow: detail, key: "k" } : { overflow: detail };
  while (connection.state === "OPEN") {
    for (let message = 0; message < 16; message++) connection.trySend(another(), how);
    await setImmediate();
  }
}

const ROLES = {
  echo: () => (awaits ? [{}, handler] : [{ message: (connection, data) => void connection.trySend(data) }]),
  idle: () => ROLES.echo(),
  deflate: () => {
    const [options, ...rest] = ROLES.echo();
    return [{ ...options, compression: { threshold: 1 } }, ...rest];
  },
  broadcast: () => {
    const group = new Group();
    return [{ open: (connection) => group.join(connection), message: (_, data) => void group.send(data) }];
  },
  // The limit of time would end the stalled peer, and with it what is to be seen.
  flood: () => [{ open: (connection) => void flood(connection).catch(() => {}), writeTimeout: Infinity }],
};

if (ROLES[role] === undefined) lacks(role);
const [options, ...rest] = ROLES[role]();
const server = await listen("ws://127.0.0.1:0/", { ...options, maxConnections: 1_000_000 }, ...rest);
announce(Number(new URL(server.url).port), `holdfast ${version}`);

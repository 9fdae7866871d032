/**
 * Holdfast, with its defaults: heartbeat, all timeouts and all limits are on. `HOLDFAST_AWAIT=1` takes `for await`.
 * `HOLDFAST_SERVED=attach` attaches to a server of node:http(s), `HOLDFAST_SERVED=serve` is `holdfast serve`, `HOLDFAST_SERVED=measured`
 * has its metrics at /metrics, and `HOLDFAST_SERVED=watched` the dashboard too.
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { createServer as createTcp } from "node:net";
import { setImmediate } from "node:timers/promises";
import { attach, Group, listen, metrics } from "holdfast";
import { announce, detail, lacks, role, tls } from "./serving.mjs";

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

/** Each listens and resolves with the port. */
const SERVED = {
  async listen([options, ...rest]) {
    const scheme = tls === undefined ? "ws" : "wss";
    const server = await listen(`${scheme}://127.0.0.1:0/`, { ...options, ...(tls && { tls }) }, ...rest);
    return Number(new URL(server.url).port);
  },
  async measured([options, ...rest]) {
    const measured = metrics(process);
    const fetch = () => new Response(measured.text(), { headers: { "Content-Type": measured.contentType } });
    return SERVED.listen([{ ...options, fetch }, ...rest]);
  },
  async watched([options, ...rest]) {
    const { dashboard } = await import("holdfast/dashboard");
    const panel = dashboard(process);
    const measured = metrics(process);
    const fetch = (request, info) => panel.fetch(request, info) ?? new Response(measured.text());
    return SERVED.listen([{ ...options, fetch, routes: { [panel.feedPath]: panel.feed } }, ...rest]);
  },
  async attach(given) {
    const server = tls === undefined ? createHttp() : createHttps(tls);
    attach(server, ...given);
    await once(server.listen(0, "127.0.0.1"), "listening");
    return server.address().port;
  },
  async serve() {
    const probe = createTcp().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address();
    await new Promise((resolve) => probe.close(resolve));
    process.argv = [
      ...process.argv.slice(0, 2),
      "serve",
      "--port",
      String(port),
      ...(tls === undefined ? [] : ["--tls"]),
    ];
    // The command prints its addresses when it serves. The harness reads JSON.
    const { write } = process.stdout;
    await new Promise((resolve) => {
      process.stdout.write = (text) => {
        if (String(text).includes("/echo")) resolve();
        return true;
      };
      void import("../../dist/cli/main.js");
    });
    process.stdout.write = write;
    return port;
  },
};

if (ROLES[role] === undefined) lacks(role);
const [options, ...rest] = ROLES[role]();
const serve = SERVED[process.env.HOLDFAST_SERVED ?? "listen"];
announce(await serve([{ ...options, maxConnections: 1_000_000 }, ...rest]), `holdfast ${version}`);

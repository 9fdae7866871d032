/**
 * Holdfast, with its defaults: heartbeat, all timeouts and all limits are on. `HOLDFAST_AWAIT=1` takes `for await`.
 * `HOLDFAST_SERVED=attach` attaches to a server of node:http(s), and `HOLDFAST_SERVED=serve` is `holdfast serve`. With
 * `HOLDFAST_SERVED=watched` the metrics and the dashboard begin and end on demand.
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
  async watched([{ message, ...options }, ...rest]) {
    const counted = (connection, data) => {
      messages += 1;
      message(connection, data);
    };
    return SERVED.listen([{ ...options, message: counted }, ...rest]);
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

let messages = 0;
/** Closes what watches. */
let unwatch = async () => undefined;

/** What can be asked of a server that is watched: processor time in seconds and messages so far; to be watched from now on, or not. */
const WATCHED = {
  usage() {
    const { user, system } = process.cpuUsage();
    return { cpu: (user + system) / 1e6, messages };
  },
  /** Serves the metrics, on a port of their own. */
  async metrics() {
    return await watch(metrics(process));
  },
  /** Serves the metrics and the dashboard. */
  async dashboard() {
    const { dashboard } = await import("holdfast/dashboard");
    return await watch(metrics(process), dashboard(process));
  },
  async nothing() {
    await unwatch();
    unwatch = async () => undefined;
    return {};
  },
};

async function watch(measured, panel) {
  const fetch = (request, info) => panel?.fetch(request, info) ?? new Response(measured.text());
  const routes = panel === undefined ? undefined : { [panel.feedPath]: panel.feed };
  const server = await listen("ws://127.0.0.1:0/", { fetch, ...(routes && { routes }), message: () => undefined });
  unwatch = async () => {
    await server.close();
    panel?.close();
  };
  return { port: Number(new URL(server.url).port) };
}

if (ROLES[role] === undefined) lacks(role);
const [options, ...rest] = ROLES[role]();
const serve = SERVED[process.env.HOLDFAST_SERVED ?? "listen"];
announce(await serve([{ ...options, maxConnections: 1_000_000 }, ...rest]), `holdfast ${version}`, WATCHED);

/** A program whose own code fails at one place, without `onError`, or with one that fails, too. */

import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import {
  type Connection,
  connect,
  type Hooks,
  type ListenOptions,
  listen,
  ReconnectingConnection,
  reconnect,
} from "../../src/index.ts";
import { startWorkers } from "../../src/workers/index.ts";

const [, , what = "", how = ""] = process.argv;

/** An error whose cause is an AggregateError. */
export function fault(): Error {
  const deepest = new AggregateError([new Error("leaf one"), new RangeError("leaf two")], "the branches");
  return new TypeError(`fault in ${what}`, { cause: new Error("the root", { cause: deepest }) });
}

const throwing = (): never => {
  const thrown: unknown = how === "text" ? `fault in ${what}` : fault();
  throw thrown;
};
const onError =
  how === "onError"
    ? { onError: throwing }
    : how === "async onError"
      ? { onError: () => Promise.reject(fault()) }
      : undefined;

if (how === "broken stderr") {
  process.stderr.destroy();
  await once(process.stderr, "close");
}

const hooks: Record<string, Hooks> = {
  open: { open: throwing },
  "async open": { open: async () => throwing() },
  message: { message: throwing },
  "async message": { message: async () => throwing() },
  ping: { ping: throwing },
  "async ping": { ping: async () => throwing() },
  pong: { pong: throwing },
  closing: { closing: throwing },
  "async closing": { closing: async () => throwing() },
  close: { close: throwing },
  "async close": { close: async () => throwing() },
};

/** Connects to a server that fails, and ends with the connection. */
async function talk(url: string): Promise<void> {
  const client = await connect(url).catch(() => undefined);
  if (client === undefined) return;
  await client.send("hello").catch(() => undefined);
  await client.ping().catch(() => undefined);
  await client.close().catch(() => undefined);
}

/** Ends with the connection. */
async function stay({ closed }: Connection): Promise<void> {
  await closed;
}

async function serving(options: ListenOptions, handler?: (connection: Connection) => unknown): Promise<void> {
  const served = handler as ((connection: Connection) => Promise<void>) | undefined;
  await using server = await listen("ws://127.0.0.1:0/room", { open: () => undefined, ...onError, ...options }, served);
  await talk(`${server.url}?token=secret`);
}

const cases: Record<string, () => Promise<void>> = {
  handler: () => serving({}, throwing),
  "async handler": () => serving({}, async () => throwing()),
  authorize: () => serving({ authorize: throwing }),
  "async authorize": () => serving({ authorize: async () => throwing() }),
  origin: () => serving({ origin: throwing }),
  observe: () => serving({ observe: throwing }),
  "pong of the client": async () => {
    await using server = await listen("ws://127.0.0.1:0/room", stay);
    const client = await connect(server.url, { ...onError, pong: throwing });
    await client.ping().catch(() => undefined);
    await client.closed;
  },
  "highWater of a reader that is stuck": async () => {
    const message = "x".repeat(1_000_000);
    const highWater = { ...onError, highWater: throwing, closeTimeout: 100 };
    await using server = await listen("tcp://127.0.0.1:0", highWater, async (connection) => {
      while (connection.state === "OPEN") await connection.send(message);
    });
    const peer = connectTcp(Number(new URL(server.url).port), "127.0.0.1").pause();
    await once(peer, "connect");
    const [connection] = server.connections.size > 0 ? server.connections : await arrived(server);
    await connection?.closed;
    peer.destroy();
  },
  "state of reconnect": async () => {
    await using server = await listen("ws://127.0.0.1:0/room", stay);
    await reconnect(server.url, () => "done", { ...onError, state: throwing });
  },
  "message of ReconnectingConnection": async () => {
    await using server = await listen("ws://127.0.0.1:0/room", (connection) => connection.send("hello"));
    const client = new ReconnectingConnection(server.url, {
      ...onError,
      message: throwing,
      shouldReconnect: () => false,
    });
    await client.closed;
  },
  "close of ReconnectingConnection": async () => {
    await using server = await listen("ws://127.0.0.1:0/room", stay);
    const client = new ReconnectingConnection(server.url, { ...onError, close: throwing });
    await client.close();
  },
  worker: async () => {
    await startWorkers({ workers: 1 }, throwing).catch(() => undefined);
  },
};

async function arrived(server: {
  readonly connections: Iterable<Connection> & { readonly size: number };
}): Promise<Iterable<Connection>> {
  while (server.connections.size === 0) await new Promise(setImmediate);
  return server.connections;
}

for (const [name, hook] of Object.entries(hooks)) {
  cases[name] ??= () => serving(hook, "message" in hook ? undefined : stay);
}
await cases[what]?.();
// Unhandled rejections would have ended the process by now.
await new Promise(setImmediate);
process.stdout.write("alive\n");
process.exit(0);

/** The program of `EchoProcess`: it serves and connects as the parent process orders, and counts messages and ends. */

import {
  type CloseInfo,
  type Connection,
  connect,
  Group,
  isConnectionError,
  listen,
  type Server,
} from "../../src/index.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { loopTurns } from "../kit/loop-turns.ts";
import { Clients, churn } from "./echo-process-clients.ts";

/** Options as JSON: `null` stands for `Infinity`. */
type Options = Readonly<Record<string, unknown>>;

export type Order =
  /** `answer` echoes, `hold` only reads, `gather` adds the connection to the group, `ignore` does not read. */
  | { readonly do: "serve"; readonly url: string; readonly options: Options; readonly as: Service }
  /** `count` asks and awaits the answer in a loop, `read` only receives. `reconnect`: the client returns after a loss. */
  | {
      readonly do: "visit";
      readonly url: string;
      readonly options: Options;
      readonly count: number;
      readonly to: ClientOrder;
    }
  /** Connects, asks, gets the answer and closes, this many times. */
  | { readonly do: "churn"; readonly url: string; readonly options: Options; readonly count: number }
  /** Sends a message of this size to the group this many times, in one turn. */
  | { readonly do: "publish"; readonly size: number; readonly times: number }
  /** Waits for a message that does not arrive, with a deadline this far away by the wall clock. */
  | { readonly do: "wait"; readonly url: string; readonly options: Options; readonly ms: number }
  /** Blocks the event loop. */
  | { readonly do: "block"; readonly ms: number }
  | { readonly do: "close"; readonly drain: number }
  | { readonly do: "report"; readonly collect: boolean };

export type Service = "answer" | "hold" | "gather" | "ignore";
export interface ClientOrder {
  readonly do: "count" | "read";
  readonly comeBack?: boolean;
  /** The seed of the random numbers. */
  readonly seed?: number;
  /** The maximum number of milliseconds between an answer and the next question. */
  readonly think?: number;
}

export interface Answers {
  readonly serve: string;
  readonly visit: null;
  readonly churn: null;
  readonly publish: { readonly refused: number };
  /** The duration by the monotonic clock, and the facts of the error. */
  readonly wait: { readonly took: number; readonly limit: string };
  readonly block: null;
  readonly close: null;
  readonly report: EchoProcessReport;
}

/** How a connection ended. */
export interface ConnectionEnd {
  readonly side: "server" | "client";
  readonly code: number;
  readonly by: string;
  readonly error: string;
  /** The fields of the error, if it has them. */
  readonly limit?: string;
  readonly bound?: number;
  readonly after?: number;
  readonly errno?: string;
}

export interface EchoProcessReport {
  /** Open connections: accepted ones, and those of clients. */
  readonly serving: number;
  readonly visiting: number;
  /** The number of connections accepted so far. */
  readonly accepted: number;
  /** Questions that the server has received, and answers that it has sent. */
  readonly taken: number;
  readonly given: number;
  /** Pings received by either side. */
  readonly pings: number;
  readonly queuedBytes: number;
  readonly ends: readonly ConnectionEnd[];
  readonly clients: ReturnType<Clients["account"]>;
  /** Unexpected errors. */
  readonly troubles: readonly string[];
  /** Bytes in use; without garbage if a collection was requested. */
  readonly live: number;
  readonly rss: number;
  readonly sockets: number;
  /** Milliseconds of processor time. */
  readonly cpu: number;
  readonly turns: number;
  /** The wall clock and the system's monotonic clock, in milliseconds. */
  readonly wall: number;
  readonly monotonic: number;
  /** The resources that keep the event loop alive. */
  readonly resources: readonly string[];
}

const troubles: string[] = [];
const told = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
for (const name of ["uncaughtException", "unhandledRejection", "warning"] as const) {
  process.on(name, (error: unknown) => void troubles.push(`${name}: ${told(error)}`));
}

const ends: ConnectionEnd[] = [];
const MOST_ENDS = 1_000;
const group = new Group();
const servers: Server[] = [];
let accepted = 0;
let taken = 0;
let given = 0;
let pings = 0;

function ended(side: ConnectionEnd["side"], { code, by, cause }: CloseInfo): void {
  const { limit, bound, after, errno } = (isConnectionError(cause) ? cause : {}) as Record<string, never>;
  const error = isConnectionError(cause) ? cause.code : cause === undefined ? "" : told(cause);
  // The thousands of short connections end cleanly, and would use most of the memory that is measured.
  if (ends.length >= MOST_ENDS && error === "") return;
  ends.push({ side, code, by, error, ...JSON.parse(JSON.stringify({ limit, bound, after, errno })) });
}

const pinged = (): void => {
  pings += 1;
};
const clients = new Clients((info) => ended("client", info), pinged);

/** On TCP the heartbeat sends a message. Any received message counts as its answer. */
const PROBE = "?";
const SIGN = "!";

const SERVICES: Record<Service, (connection: Connection) => Promise<void>> = {
  answer: async (connection) => {
    for await (const message of connection) {
      if (message === SIGN) continue;
      if (message !== PROBE) taken += 1;
      await connection.send(message === PROBE ? SIGN : message);
      if (message !== PROBE) given += 1;
    }
  },
  hold: async (connection) => {
    for await (const _ of connection) taken += 1;
  },
  gather: async (connection) => {
    group.join(connection);
    for await (const _ of connection) taken += 1;
  },
  ignore: async (connection) => void (await connection.closed),
};

async function serve({ url, options, as }: Extract<Order, { do: "serve" }>): Promise<string> {
  const server = await listen(
    url,
    {
      ...withNever(options),
      open: () => {
        accepted += 1;
      },
      close: (_, info) => ended("server", info),
      ...(url.startsWith("ws") && { ping: pinged }),
      onError: (error) => troubles.push(`onError: ${told(error)}`),
    },
    SERVICES[as],
  );
  servers.push(server);
  return server.url;
}

/** JSON has no Infinity. */
function withNever(options: Options): object {
  return JSON.parse(JSON.stringify(options), (_, value: unknown) => (value === null ? Infinity : value));
}

async function report(collect: boolean): Promise<EchoProcessReport> {
  for (let round = 0; collect && round < 3; round += 1) {
    globalThis.gc?.();
    // Memory that finalizers release is garbage one turn later.
    await new Promise(setImmediate);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const connections = servers.flatMap((server) => [...server.connections]);
  return {
    ...{ serving: connections.length, visiting: clients.open, accepted, taken, given, pings, ends, troubles, rss },
    queuedBytes: connections.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
    clients: clients.account(),
    ...{ live: heapUsed + external, sockets: openSockets(), cpu: (user + system) / 1_000, turns: loopTurns() },
    ...{ wall: Date.now(), monotonic: Number(process.hrtime.bigint() / 1_000_000n) },
    resources: process.getActiveResourcesInfo(),
  };
}

async function waitFor({ url, options, ms }: Extract<Order, { do: "wait" }>): Promise<Answers["wait"]> {
  await using connection = await connect(url, withNever(options));
  const since = performance.now();
  // Set once: set again after a jump, the same instant would be further away, or in the past.
  connection.setReadDeadline(new Date(Date.now() + ms));
  try {
    // On TCP the heartbeat sends a message now and then.
    while ((await connection.receive()) === PROBE) connection.trySend(SIGN);
  } catch (error) {
    const limit = isConnectionError(error) && error.code === "TIMEOUT" ? error.limit : told(error);
    return { took: performance.now() - since, limit };
  }
  throw new Error("something has come");
}

/**
 * Blocks three times for a third of the time, with some turns between, so that a peer which pings in one block has its answer
 * before the next. Waits without using the processor, so that other processes are not slowed down.
 */
async function block(ms: number): Promise<void> {
  for (const turns of [2, 3, 0]) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms / 3);
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "serve":
      return await serve(order);
    case "visit":
      return await clients.invite(order.url, withNever(order.options), order.count, order.to);
    case "churn":
      return await churn(order.url, withNever(order.options), order.count);
    case "publish": {
      const message = new Uint8Array(order.size);
      let refused = 0;
      for (let time = 0; time < order.times; time += 1) refused += group.send(message).refused;
      return { refused };
    }
    case "wait":
      return await waitFor(order);
    case "block":
      return await block(order.ms);
    case "close":
      clients.stop();
      await Promise.all(servers.map((server) => server.close({ drain: order.drain })));
      return await clients.left();
    case "report":
      return await report(order.collect);
    default:
      return order satisfies never;
  }
}

process.on("message", ({ id, order }: { readonly id: number; readonly order: Order }) => {
  obey(order).then(
    (answer) => process.send?.({ id, answer: answer ?? null }),
    (error: unknown) => process.send?.({ id, answer: { failed: told(error) } }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ pid: process.pid });

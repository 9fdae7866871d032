/** What a party runs: it serves and visits as it is told, and keeps account of every message and every end. */

import {
  type CloseInfo,
  type Connection,
  connect,
  Group,
  isConnectionError,
  listen,
  type Server,
} from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { loopTurns } from "../loop-turns.js";
import { churn, Guests } from "./party-guests.js";

/** Options as JSON carries them: `null` stands for `Infinity`. */
type Options = Readonly<Record<string, unknown>>;

export type Order =
  /** `answer` sends back what comes, `hold` only reads, `gather` lets into the group, `ignore` does not even read. */
  | { readonly do: "serve"; readonly url: string; readonly options: Options; readonly as: Service }
  /** `count` asks and waits for the answer all the time, `read` takes what comes. Coming back is for those who are to. */
  | {
      readonly do: "visit";
      readonly url: string;
      readonly options: Options;
      readonly count: number;
      readonly to: Visit;
    }
  /** Connects, asks, is answered and closes, so many times. */
  | { readonly do: "churn"; readonly url: string; readonly options: Options; readonly count: number }
  /** Sends a message of this size to all in the group so many times, in one turn. */
  | { readonly do: "publish"; readonly size: number; readonly times: number }
  /** Waits for a message that does not come, with a deadline that is so far away by the wall's clock. */
  | { readonly do: "wait"; readonly url: string; readonly options: Options; readonly ms: number }
  /** Holds the event loop up. */
  | { readonly do: "block"; readonly ms: number }
  | { readonly do: "close"; readonly drain: number }
  | { readonly do: "report"; readonly collect: boolean };

export type Service = "answer" | "hold" | "gather" | "ignore";
export interface Visit {
  readonly do: "count" | "read";
  readonly comeBack?: boolean;
  /** What chance comes from. */
  readonly seed?: number;
  /** Most milliseconds between an answer and the next question. */
  readonly think?: number;
}

export interface Answers {
  readonly serve: string;
  readonly visit: null;
  readonly churn: null;
  readonly publish: { readonly refused: number };
  /** How long it took by the monotonic clock, and what the error said. */
  readonly wait: { readonly took: number; readonly limit: string };
  readonly block: null;
  readonly close: null;
  readonly report: PartyReport;
}

/** How a connection has ended. */
export interface PartyEnd {
  readonly side: "server" | "client";
  readonly code: number;
  readonly by: string;
  readonly error: string;
  /** The error's own facts, where it has them. */
  readonly limit?: string;
  readonly bound?: number;
  readonly after?: number;
  readonly errno?: string;
}

export interface PartyReport {
  /** Connections that are open: those that were accepted, and those of visitors. */
  readonly serving: number;
  readonly visiting: number;
  /** How many have ever been accepted. */
  readonly accepted: number;
  /** Questions that the server has taken, and answers that it has given. */
  readonly taken: number;
  readonly given: number;
  /** Pings that have come, to either side. */
  readonly pings: number;
  readonly queuedBytes: number;
  readonly ends: readonly PartyEnd[];
  readonly guests: ReturnType<Guests["account"]>;
  /** What nobody expected. */
  readonly troubles: readonly string[];
  /** Bytes in use, without garbage if that was collected. */
  readonly live: number;
  readonly rss: number;
  readonly sockets: number;
  /** Milliseconds of processor time. */
  readonly cpu: number;
  readonly turns: number;
  /** What its wall's clock shows, and the system's monotonic one, in milliseconds. */
  readonly wall: number;
  readonly monotonic: number;
  /** What keeps the event loop alive. */
  readonly resources: readonly string[];
}

const troubles: string[] = [];
const told = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
for (const name of ["uncaughtException", "unhandledRejection", "warning"] as const) {
  process.on(name, (error: unknown) => void troubles.push(`${name}: ${told(error)}`));
}

const ends: PartyEnd[] = [];
const MOST_ENDS = 1_000;
const group = new Group();
const servers: Server[] = [];
let accepted = 0;
let taken = 0;
let given = 0;
let pings = 0;

function ended(side: PartyEnd["side"], { code, by, cause }: CloseInfo): void {
  const { limit, bound, after, errno } = (isConnectionError(cause) ? cause : {}) as Record<string, never>;
  const error = isConnectionError(cause) ? cause.code : cause === undefined ? "" : told(cause);
  // What comes and goes by the thousand ends well, and would be most of what is held.
  if (ends.length >= MOST_ENDS && error === "") return;
  ends.push({ side, code, by, error, ...JSON.parse(JSON.stringify({ limit, bound, after, errno })) });
}

const pinged = (): void => {
  pings += 1;
};
const guests = new Guests((info) => ended("client", info), pinged);

/** On TCP a heartbeat asks with a message, which any other answers. */
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

async function report(collect: boolean): Promise<PartyReport> {
  for (let round = 0; collect && round < 3; round += 1) {
    globalThis.gc?.();
    // What finalizers let go is garbage only a turn later.
    await new Promise(setImmediate);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const connections = servers.flatMap((server) => [...server.connections]);
  return {
    ...{ serving: connections.length, visiting: guests.open, accepted, taken, given, pings, ends, troubles, rss },
    queuedBytes: connections.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
    guests: guests.account(),
    ...{ live: heapUsed + external, sockets: openSockets(), cpu: (user + system) / 1_000, turns: loopTurns() },
    ...{ wall: Date.now(), monotonic: Number(process.hrtime.bigint() / 1_000_000n) },
    resources: process.getActiveResourcesInfo(),
  };
}

async function waitFor({ url, options, ms }: Extract<Order, { do: "wait" }>): Promise<Answers["wait"]> {
  await using connection = await connect(url, withNever(options));
  const since = performance.now();
  // Once: set anew after a jump, the same instant would be further away or past.
  connection.setReadDeadline(new Date(Date.now() + ms));
  try {
    // On TCP it is asked now and then whether it is there.
    while ((await connection.receive()) === PROBE) connection.trySend(SIGN);
  } catch (error) {
    const limit = isConnectionError(error) && error.code === "TIMEOUT" ? error.limit : told(error);
    return { took: performance.now() - since, limit };
  }
  throw new Error("something has come");
}

/**
 * Three times a third as long, with a few turns between: whoever asks for a sign of life in one of them has its answer while
 * nobody can listen. Without turning a processor, so that nobody else is held up.
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
      return await guests.invite(order.url, withNever(order.options), order.count, order.to);
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
      guests.stop();
      await Promise.all(servers.map((server) => server.close({ drain: order.drain })));
      return await guests.left();
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

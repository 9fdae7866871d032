/** The program of a server that tests attack. It records errors that would have ended the process. */

import {
  type Connection,
  type ConnectionEvent,
  Group,
  isConnectionError,
  type ListenOptions,
  listen,
  type MemoryBudget,
  memoryBudget,
  type Server,
} from "../../src/index.ts";
import { openSockets } from "../kit/kernel-sockets.ts";

/** The orders of its parent process. */
export interface Orders {
  readonly url: string;
  /** Options as JSON. "Infinity" stands for Infinity. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** True to count pauses, which needs an observer. */
  readonly observed?: boolean;
  readonly does: Service;
}

/** How the server handles messages: see below. */
export type Service = "echo" | "tryEcho" | "swallow" | "ignore" | "broadcast";

/** The state of the server. Sizes are in bytes of memory unless stated otherwise. */
export interface Report {
  /** Uncaught errors, and warnings of Node. */
  readonly troubles: readonly string[];
  /** The errors that `onError` received. */
  readonly complaints: readonly string[];
  readonly handled: number;
  readonly connections: number;
  readonly paused: number;
  readonly messages: number;
  /** The payload of those messages, in bytes or characters. */
  readonly payload: number;
  /** Messages that the service could not send. */
  readonly refused: number;
  readonly queuedBytes: number;
  readonly queuedMessages: number;
  readonly budget: MemoryBudget;
  /** How connections ended. */
  readonly ends: readonly End[];
  /** Bytes in use; without garbage if a collection was requested. */
  readonly live: number;
  /** The most bytes in use without garbage at any sample since "begin". */
  readonly most: number;
  /** Milliseconds of processor time, without the cost of samples. */
  readonly cpu: number;
  readonly sockets: number;
}

export interface End {
  readonly code: number;
  readonly by: string;
  readonly error: string;
  /** The limit that was reached; empty if none was. */
  readonly limit: string;
}

export type Request =
  | { readonly ask: "report"; readonly collect: boolean }
  | { readonly ask: "begin" }
  | { readonly ask: "close" };
export type Answer =
  | { readonly port: number }
  | { readonly report: Report }
  | { readonly closed: Report }
  | { readonly failed: string };

const troubles: string[] = [];
const complaints: string[] = [];
const ends: End[] = [];
/** The latest errors are kept, as by a program that logs them later, with everything that they reference. */
const causes: unknown[] = [];
const MOST_CAUSES = 100;
const group = new Group();
let handled = 0;
let paused = 0;
let messages = 0;
let payload = 0;
let refused = 0;
let most = 0;

process.on("uncaughtException", (error) => troubles.push(`uncaughtException: ${told(error)}`));
process.on("unhandledRejection", (error) => troubles.push(`unhandledRejection: ${told(error)}`));
process.on("warning", (error) => troubles.push(`warning: ${told(error)}`));

const hooked = (message: NonNullable<ListenOptions["message"]>): ListenOptions => ({
  message: (connection, data) => {
    messages += 1;
    payload += data.length;
    return message(connection, data);
  },
});

const SERVICES = {
  /** Echoes each message, and awaits that the kernel accepts it. */
  echo: [
    {},
    async (connection: Connection): Promise<void> => {
      for await (const message of connection) {
        messages += 1;
        payload += message.length;
        await connection.send(message);
      }
    },
  ],
  /** Echoes messages while there is room, and counts the refused ones. */
  tryEcho: [
    hooked((connection, data) => {
      if (connection.trySend(data) === "refused") refused += 1;
    }),
    undefined,
  ],
  /** Receives messages and drops them. */
  swallow: [hooked(() => undefined), undefined],
  /** Never receives. */
  ignore: [
    {},
    async (connection: Connection): Promise<void> => {
      await connection.closed;
    },
  ],
  /** Sends each message to the group, and awaits only the sender's own copy. */
  broadcast: [
    {},
    async (connection: Connection): Promise<void> => {
      group.join(connection);
      for await (const message of connection) {
        messages += 1;
        refused += group.send(message).refused;
        await connection.drain();
      }
    },
  ],
} satisfies Record<Service, readonly [ListenOptions, ((connection: Connection) => Promise<void>) | undefined]>;

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function watch(event: ConnectionEvent): void {
  if (event.type === "pause") paused += 1;
  if (event.type === "resume") paused -= 1;
}

function serve({ url, options, observed, does }: Orders): Promise<Server> {
  const [hooks, handler] = SERVICES[does];
  const all: ListenOptions = {
    ...options,
    ...hooks,
    ...(observed === true && { observe: watch }),
    onError: (error) => complaints.push(told(error)),
    open: () => {
      handled += 1;
    },
    close: (_, { code, by, cause }) => {
      if (causes.push(cause) > MOST_CAUSES) causes.shift();
      const error = isConnectionError(cause) ? cause.name : cause === undefined ? "" : `not typed: ${told(cause)}`;
      const limit = isConnectionError(cause) && "limit" in cause ? cause.limit : "";
      ends.push({ code, by, error, limit });
    },
  };
  return handler === undefined ? listen(url, all) : listen(url, all, handler);
}

function inUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const processorTime = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** The processor time of samples, which is not part of the cost of an attack. */
let looked = 0;

function collect(): void {
  const before = processorTime();
  globalThis.gc?.();
  looked += processorTime() - before;
}

/** Bytes in use without garbage. */
async function collected(): Promise<number> {
  collect();
  // Memory that finalizers release is garbage one turn later.
  await new Promise(setImmediate);
  collect();
  // V8 frees arrays on other threads. A collection waits for the previous one to finish that.
  collect();
  return inUse();
}

/** Samples the memory in use at intervals. The amount of garbage depends on V8, on Node's version and on the machine. */
async function look(): Promise<void> {
  most = Math.max(most, await collected());
  setTimeout(look, 100).unref();
}

function budget(): MemoryBudget {
  const { limit, heldBytes, refused, paused, ended } = memoryBudget;
  return { limit, heldBytes, refused, paused, ended };
}

function report({ connections }: Server): Report {
  let queuedBytes = 0;
  let queuedMessages = 0;
  for (const connection of connections) {
    queuedBytes += connection.queuedBytes;
    queuedMessages += connection.queuedMessages;
  }
  return {
    ...{ troubles, complaints, handled, connections: connections.size, paused, messages, payload, refused, ends },
    ...{ queuedBytes, queuedMessages, budget: budget() },
    live: inUse(),
    most,
    cpu: processorTime() - looked,
    sockets: openSockets(),
  };
}

const tell = (answer: Answer): void => void process.send?.(answer);

async function answer(server: Server, request: Request): Promise<void> {
  if (request.ask === "close") {
    await server.close({ drain: 1_000 });
    // Objects that are still active keep the process alive, and the parent waits for its end.
    process.off("disconnect", left).disconnect();
    overdue();
    return;
  }
  if (request.ask === "begin") most = await collected();
  else if (request.collect) await collected();
  tell({ report: report(server) });
}

// The parent would wait for ever: a part of the closed server is still active.
const overdue = (): void => void setTimeout(() => process.exit(1), 60_000).unref();

// The parent has ended.
const left = (): never => process.exit(1);
process.on("disconnect", left);

const orders = process.argv[2];
if (orders !== undefined && process.send !== undefined) {
  try {
    const finite = (_: string, value: unknown): unknown => (value === "Infinity" ? Infinity : value);
    const server = await serve(JSON.parse(orders, finite) as Orders);
    process.on("message", (request: Request) => void answer(server, request));
    void look();
    tell({ port: Number(new URL(server.url).port) });
  } catch (error) {
    tell({ failed: told(error) });
    process.off("disconnect", left).disconnect();
  }
}

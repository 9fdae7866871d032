/** The program that is attacked: a server in a process of its own, with a trap for all that would have ended it. */

import {
  type Connection,
  type ConnectionEvent,
  Group,
  isConnectionError,
  type ListenOptions,
  listen,
  type Server,
} from "../../src/index.js";
import { openSockets } from "../descriptors.js";

/** What its parent wants of it. */
export interface Orders {
  readonly url: string;
  /** Those that JSON can carry. "Infinity" stands for what it cannot. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Whether it is to count pauses, which costs it an observer. */
  readonly observed?: boolean;
  readonly does: Service;
}

/** What the server does with messages: see below. */
export type Service = "echo" | "tryEcho" | "swallow" | "ignore" | "broadcast";

/** What has become of it. Bytes are of memory, unless something else is said. */
export interface Report {
  /** What would have ended the process, and what Node warned of. */
  readonly troubles: readonly string[];
  /** What `onError` was told. */
  readonly complaints: readonly string[];
  readonly handled: number;
  readonly connections: number;
  readonly paused: number;
  readonly messages: number;
  /** Payload, in bytes or characters, of those messages. */
  readonly payload: number;
  /** Messages that the service could not send. */
  readonly refused: number;
  readonly queuedBytes: number;
  readonly queuedMessages: number;
  /** How connections have ended. */
  readonly ends: readonly End[];
  /** Held now; without garbage if that was collected first. */
  readonly live: number;
  /** The most that was held without garbage, at any of the moments at which it was looked since "begin". */
  readonly most: number;
  /** Milliseconds of processor time, but for what it costs to look. */
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
/** The latest are kept, as by a program that logs them later: what hangs on them is held. */
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
  /** Sends back what comes, and waits for the kernel to take it. */
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
  /** Sends back what comes as long as there is room, and counts what it could not. */
  tryEcho: [
    hooked((connection, data) => {
      if (connection.trySend(data) === "refused") refused += 1;
    }),
    undefined,
  ],
  /** Takes messages and forgets them. */
  swallow: [hooked(() => undefined), undefined],
  /** Never asks for a message. */
  ignore: [
    {},
    async (connection: Connection): Promise<void> => {
      await connection.closed;
    },
  ],
  /** Sends what one member says to all, and waits for that one only. */
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

/** What it has cost to look, which is no part of what an attack costs. */
let looked = 0;

function collect(): void {
  const before = processorTime();
  globalThis.gc?.();
  looked += processorTime() - before;
}

/** What is in use without garbage. */
async function collected(): Promise<number> {
  collect();
  // What finalizers let go is garbage only a turn later.
  await new Promise(setImmediate);
  collect();
  // Arrays are freed beside the program. A collection waits for that of the one before.
  collect();
  return inUse();
}

/** Looks every now and then what is held. How much garbage stands there is a matter of V8, of Node's version and of the machine. */
async function look(): Promise<void> {
  most = Math.max(most, await collected());
  setTimeout(look, 100).unref();
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
    ...{ queuedBytes, queuedMessages },
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
    // What is left alive now keeps the process from ending, which the parent waits for.
    process.off("disconnect", left).disconnect();
    overdue();
    return;
  }
  if (request.ask === "begin") most = await collected();
  else if (request.collect) await collected();
  tell({ report: report(server) });
}

// It would keep its parent waiting: something of the closed server is still alive.
const overdue = (): void => void setTimeout(() => process.exit(1), 60_000).unref();

// A parent that is gone asks for nothing any more.
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

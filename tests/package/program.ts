/** What programs write against the package. Type-checked in projects that have nothing but the package: see `types.test.ts`. */

import {
  type Connection,
  connect,
  Group,
  isConnectionError,
  json,
  listen,
  type Message,
  ReconnectingConnection,
} from "holdfast";
import { KernelSockets } from "holdfast/kernel";
import { NATS_BROKER_DEFAULTS, natsBroker } from "holdfast/nats";
import { type Broker, redisBroker } from "holdfast/redis";
import { ManualClock, pair } from "holdfast/testing";
import { startWorkers } from "holdfast/workers";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if the type of `value` is exactly `Expected`: `any` is equal to nothing but `any`. */
function exactly<Expected>() {
  return <Actual>(_value: Actual, ..._same: Equal<Actual, Expected> extends true ? [] : [never]): void => {};
}

// @ts-expect-error: the helper notices another type.
exactly<string>()(1);

export async function client(): Promise<void> {
  const connection = await connect("ws://127.0.0.1:9000", { openTimeout: 1_000, heartbeat: { interval: 5_000 } });
  exactly<Connection<undefined>>()(connection);
  for await (const message of connection) {
    exactly<Message>()(message);
    if (typeof message === "string") continue;
    // Both take no memory that is shared with other threads.
    const digest: ArrayBuffer = await crypto.subtle.digest("SHA-256", message);
    await connection.send(digest);
    await connection.send(new Blob([message]).type);
  }
  const step = await connection[Symbol.asyncIterator]().next();
  if (step.done === true) exactly<undefined>()(step.value);
  else exactly<Message>()(step.value);

  const reader = await connection.reader({ timeout: 1_000 });
  for await (const piece of reader) new Blob([piece]);
  await connection.writable.getWriter().write(new Uint8Array(2));
  await connection.send("late", { deadline: { in: 500 } }).catch((error: unknown) => {
    if (isConnectionError(error) && error.name === "TimeoutError") exactly<boolean>()(error.retriable);
  });
  // @ts-expect-error: a number is no message.
  await connection.send(1);
  exactly<number>()((await connection.close(1000, "done")).code);
}

export async function server(): Promise<void> {
  const group = new Group();
  const server = await listen("ws://127.0.0.1:0/:room", { authorize: () => ({ name: "Ali" }) }, async (connection) => {
    exactly<string>()(connection.data.name);
    group.join(connection);
    for await (const message of connection) group.send(message);
  });
  await server.close({ drain: 1_000 });
}

export async function others(): Promise<void> {
  const again = new ReconnectingConnection("tcp://127.0.0.1:9001", { maxQueuedBytes: 1_000 });
  for await (const message of again) exactly<Message>()(message);
  const typed = new ReconnectingConnection("ws://127.0.0.1:9000", { codec: json<{ price: number }, "more">() });
  exactly<number>()((await typed.receive()).price);
  typed.trySend("more");
  // @ts-expect-error: another value.
  typed.trySend("less");
  const lines = await connect("tcp://127.0.0.1:9001", { framing: "lines" });
  for await (const line of lines) exactly<string>()(line);
  await listen("ws://127.0.0.1:0", { messageType: "text", message: (_, text) => exactly<string>()(text) });
  const { client } = pair({ clock: new ManualClock() });
  exactly<string>()(client.url);
  exactly<typeof KernelSockets>()(KernelSockets);
  exactly<"function">()(typeof startWorkers as "function");
}

export async function topics(): Promise<void> {
  const broker = redisBroker("redis://127.0.0.1:6379", { prefix: "app" });
  exactly<Broker>()(broker);
  const history = { messages: 100, bytes: 65_536, age: 60_000 };
  const options = { history, id: undefined, fence: undefined, timeout: 1_000, signal: undefined };
  exactly<number>()((await broker.publish("room", new Uint8Array(1), options)).offset);
  // Options of the package `redis` that are not named here are accepted, too.
  redisBroker({ socket: { host: "127.0.0.1" }, clientInfoTag: "app" });
  redisBroker({ rootNodes: [{ url: "redis://127.0.0.1:7000" }], defaults: { password: "secret" } });
  redisBroker({ name: "mymaster", sentinelRootNodes: [{ host: "127.0.0.1", port: 26379 }] });
  // @ts-expect-error: a number is no target.
  redisBroker(6379);
  // Options of the package `@nats-io/transport-node` are accepted, too.
  const nats = natsBroker(["nats://127.0.0.1:4222"], { stream: { messages: 100 }, connection: { name: "app" } });
  exactly<Broker>()(nats);
  exactly<number>()(NATS_BROKER_DEFAULTS.stream.messages);
  // @ts-expect-error: the broker has no such option.
  natsBroker("nats://127.0.0.1:4222", { maxReconnectAttempts: 1 });
  await broker.close();
}

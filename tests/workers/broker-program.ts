/** A program with workers: clients use the broker of a worker by orders in JSON. It reports events on stdout, one line of JSON each. */

import type { Broker, HistoryLimits } from "../../src/broker/broker.ts";
import { type Connection, listen } from "../../src/index.ts";
import { startWorkers, type WorkersOptions } from "../../src/workers/index.ts";

/** What a client sends. Each is answered by one message, `{ answer }` or `{ problem }`. */
export type Order =
  | { readonly do: "subscribe"; readonly topic: string }
  | { readonly do: "publish"; readonly topic: string; readonly text: string; readonly id?: string }
  /** Publishes messages of `size` bytes that begin with their number. */
  | { readonly do: "flood"; readonly topic: string; readonly size: number; readonly count: number }
  | { readonly do: "read"; readonly topic: string; readonly after: number };

/** What a subscription sends to its client. */
export type Told =
  | { readonly entry: number; readonly epoch: string; readonly text: string }
  | { readonly told: string };

const HISTORY: HistoryLimits = { messages: 100_000, bytes: 1e9, age: 1e9 };
const OPTIONS = { history: HISTORY, id: undefined, fence: undefined, timeout: 10_000, signal: undefined };
const shortText = (message: Uint8Array): string => Buffer.from(message.subarray(0, 100)).toString().trimEnd();

async function answer(broker: Broker, connection: Connection, order: Order): Promise<unknown> {
  const { topic } = order;
  const tell = (told: Told): void => void connection.trySend(JSON.stringify(told));
  if (order.do === "subscribe") {
    const subscription = broker.subscribe(topic, {
      entry: ({ offset, epoch, message }) => tell({ entry: offset, epoch, text: shortText(message) }),
      interrupted: () => tell({ told: "interrupted" }),
      restored: () => tell({ told: "restored" }),
      invalid: (error) => tell({ told: String(error) }),
    });
    await subscription.ready;
    return "ready";
  }
  if (order.do === "publish") return broker.publish(topic, Buffer.from(order.text), { ...OPTIONS, id: order.id });
  if (order.do === "flood") {
    const messages = Array.from({ length: order.count }, (_, number) => Buffer.from(`${number} `.padEnd(order.size)));
    return Promise.all(messages.map((message) => broker.publish(topic, message, OPTIONS))).then(({ length }) => length);
  }
  const wanted = { after: order.after, messages: 100_000, bytes: 1e9, history: HISTORY, timeout: 10_000 };
  const { entries, ...slice } = await broker.read(topic, wanted);
  return { ...slice, entries: entries.map(({ offset, message }) => [offset, shortText(message)]) };
}

const options: Omit<WorkersOptions, "observe"> = JSON.parse(process.argv[2] ?? "{}");
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

const { urls, ended } = await startWorkers({ ...options, observe: say }, ({ id, broker }) =>
  listen("ws://127.0.0.1:0", {
    maxQueuedBytes: 64 * 1024 * 1024,
    maxQueuedMessages: 100_000,
    open: (connection) => connection.send(JSON.stringify({ id, pid: process.pid })),
    message: async (connection, data) => {
      const reply = await answer(broker, connection, JSON.parse(String(data))).then(
        (given) => ({ answer: given }),
        (error: Error) => ({ problem: error.message }),
      );
      await connection.send(JSON.stringify(reply));
    },
  }),
);
say({ type: "urls", urls });
await ended;

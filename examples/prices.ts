/**
 * A price feed. Each client gets fresh prices: on a slow link it gets fewer of them, not older ones.
 *
 * Connect to ws://127.0.0.1:9000/prices. The server sends each price as JSON, and takes no messages.
 */

import { type Connection, Group, json, listen } from "holdfast";

interface Price {
  readonly name: string;
  readonly price: number;
  /** Counts the prices of this name, so that a client can see how many were skipped. */
  readonly number: number;
}

/** Milliseconds between two prices of each name. */
const INTERVAL = 5;

const latest = new Map<string, Price>();
for (const name of ["EURUSD", "GBPUSD", "USDJPY", "XAUUSD"]) latest.set(name, { name, price: 100, number: 0 });

const codec = json<unknown, Price>();
const clients = new Group<Connection<unknown, unknown, Price>, Price>({ codec });

function publish(next: Price): void {
  latest.set(next.name, next);
  // Replaces an older price of the same name that still waits in the send queue of a client.
  clients.send(next, { overflow: "coalesce", key: next.name });
}

const server = await listen(`ws://127.0.0.1:${process.env["PORT"] ?? 9000}/prices`, {
  codec,
  messageType: "none",
  // Without this limit, the kernel takes megabytes for a client on a slow link, where no price can be replaced any more.
  // 8 KiB are 0.3 s on a link of 30 kB/s.
  maxInFlightBytes: 8_192,
  open: (connection) => {
    for (const price of latest.values()) connection.trySend(price);
    clients.join(connection);
  },
});

const timer = setInterval(() => {
  for (const { name, price, number } of latest.values()) {
    publish({ name, price: price + (Math.random() - 0.5) / 10, number: number + 1 });
  }
}, INTERVAL);

async function stop(): Promise<void> {
  clearInterval(timer);
  await server.close({ drain: 5_000 });
}

console.log(server.url);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void stop());

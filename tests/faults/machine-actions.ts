/** What a machine of a test network does on a connection until the connection ends. */

import { type Connection, Group, isConnectionError, type ReconnectingConnection } from "../../src/index.ts";
import { ASKS, type Load, messageOf, Sum } from "./load.ts";
import type { Order, Report } from "./machine.ts";
import type { Side } from "./network.ts";

export type Action =
  | "nothing"
  | "echo"
  | "flood"
  | "count"
  | "exchange"
  | "take"
  | "send-long"
  | "send-parts"
  | "ask"
  | "collect"
  | "publish-prices"
  | "take-prices"
  | "send-numbers";

/** The arguments of an action. */
export interface Task {
  readonly side: Side;
  readonly load: Load;
  readonly report: (report: Report) => void;
  /** Aborts when the action must stop. */
  readonly enough: AbortSignal;
  /** The messages received over all connections of this order. */
  readonly collected: (number | null)[];
}

type OnConnection = (connection: Connection, task: Task) => Promise<void>;

/** The prices of `publish-prices`: this many per timer tick of this many milliseconds, for the names in turn. 2,000 a second. */
const PRICES = { each: 10, interval: 5, names: 100 };

// The maximum number of messages of `send-numbers` in flight.
const WINDOW = 64;

// The size of the parts in which `send-parts` sends its message.
const PART = 1_000;

/** The last message of `send-numbers`. */
const LAST = "last";

export const ACTIONS: Record<Exclude<Action, "send-numbers">, OnConnection> = {
  nothing: (connection) => listenOnly(connection),
  echo: async (connection) => {
    for await (const message of connection) await connection.send(message);
  },
  flood: async (connection) => {
    for (;;) await connection.send("x".repeat(65_536));
  },
  count: async (connection, { report }) => {
    for (let number = 0; ; number += 1) {
      await connection.send(`${number}`);
      const answer = await connection.receive();
      report({ what: "counted", number: answer === `${number}` ? number : Number.NaN });
    }
  },
  exchange: async (connection, task) => {
    await Promise.all([pour(connection, task), take(connection, task)]);
  },
  take,
  "send-long": async (connection, { side, load: { size }, report }) => {
    const poured = connection.send(messageOf(side, 0, size)).then(() => report({ what: "poured" }));
    await Promise.all([poured, listenOnly(connection)]);
  },
  "send-parts": async (connection, { side, load: { size }, report }) => {
    const message = messageOf(side, 0, size);
    const send = async (): Promise<void> => {
      await using writer = connection.writer("text");
      for (let at = 0; at < size; at += PART) await writer.write(message.slice(at, at + PART));
      await writer.end();
      report({ what: "poured" });
    };
    await Promise.all([send(), ask(connection, report)]);
  },
  ask: (connection, { report }) => ask(connection, report),
  "publish-prices": async (connection, { report }) => {
    const group = new Group();
    group.join(connection);
    let sent = 0;
    const publish = setInterval(() => {
      // A late timer sends the missed prices, too.
      for (const due = ((performance.now() - since) / PRICES.interval) * PRICES.each; sent < due; sent += 1) {
        const key = `name${sent % PRICES.names}`;
        const price = JSON.stringify({ key, at: Date.now(), text: "a price as on a screen" });
        group.send(price, { overflow: "coalesce", key });
      }
      const { droppedMessages: dropped, inFlightBytes: inFlight } = connection;
      report({ what: "published", sent, dropped, inFlight });
    }, PRICES.interval);
    const since = performance.now();
    await listenOnly(connection).finally(() => clearInterval(publish));
  },
  // Both machines use the clock of this system.
  "take-prices": async (connection, { report }) => {
    const ages: number[] = [];
    for await (const message of connection) {
      ages.push(Date.now() - JSON.parse(`${message}`).at);
      if (ages.length % 100 === 0) report({ what: "aged", prices: ages.length, ages: [...ages].sort((a, b) => a - b) });
    }
  },
  collect: async (connection, { side, load: { size }, report, collected }) => {
    for await (const message of connection) {
      if (message === ASKS) continue;
      if (message === LAST) {
        report({ what: "collected", numbers: collected });
        await connection.send(LAST);
        continue;
      }
      const number = Number.parseInt(`${message}`, 10);
      collected.push(message === messageOf(other(side), number, size) ? number : null);
    }
  },
};

/** Receives messages, such as heartbeat messages on TCP, and ignores them. */
export async function listenOnly(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

async function ask(connection: Connection, report: Task["report"]): Promise<void> {
  for (let number = 0; ; number += 1) {
    report({ what: "answered", number, roundTrip: await connection.ping() });
  }
}

async function pour(connection: Connection, { side, load: { messages, size }, report }: Task): Promise<void> {
  for (let number = 0; number < messages; number += 1) await connection.send(messageOf(side, number, size));
  report({ what: "poured" });
}

async function take(connection: Connection, { load: { messages }, report }: Task): Promise<void> {
  const sum = new Sum();
  for await (const message of connection) {
    if (message === ASKS) continue;
    sum.add(`${message}`);
    if (sum.number >= messages) report({ what: "summed", number: sum.number, digest: sum.digest() });
  }
}

/** Sends messages until it is stopped, over as many connections as needed, and counts them. */
export async function sendNumbers(connection: ReconnectingConnection, task: Task): Promise<void> {
  const { side, load, report, enough } = task;
  let over = false;
  const listening = (async () => {
    for await (const message of connection) if (message === LAST) over = true;
  })();
  // The end is reported by `closed`.
  listening.catch(() => undefined);
  const sent: number[] = [];
  const failed: Record<string, number[]> = {};
  const under = new Set<Promise<void>>();
  for (let number = 0; !enough.aborted; number += 1) {
    const one = connection.send(messageOf(side, number, load.size)).then(
      () => void sent.push(number),
      (error: unknown) => {
        const code = isConnectionError(error) ? error.code : String(error);
        failed[code] ??= [];
        failed[code].push(number);
      },
    );
    under.add(one);
    void one.then(() => under.delete(one));
    if (under.size >= WINDOW) await Promise.race(under);
  }
  await Promise.all(under);
  report({ what: "accounts", sent, failed });
  // Repeated until it is answered: its connection may already be dead.
  while (!over) {
    await connection.send(LAST).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** The part of an order that an action receives. */
export function taskOf(
  side: Side,
  { load = { messages: 1, size: 1 } }: Order,
  report: (report: Report) => void,
  enough: AbortSignal,
): Task {
  return { side, load, report, enough, collected: [] };
}

const other = (side: Side): Side => (side === "server" ? "client" : "server");

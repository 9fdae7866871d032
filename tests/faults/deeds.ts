/** What a machine does on a connection until it ends. */

import { type Connection, isConnectionError, type ReconnectingConnection } from "../../src/index.js";
import { ASKS, type Load, messageOf, Sum } from "./load.js";
import type { Order, Report } from "./machine.js";
import type { Side } from "./network.js";

export type Deed =
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
  | "send-numbers";

/** What a deed is done with. */
export interface Task {
  readonly side: Side;
  readonly load: Load;
  readonly report: (report: Report) => void;
  /** Aborts when it has gone on for long enough. */
  readonly enough: AbortSignal;
  /** What came over all connections of this order. */
  readonly collected: (number | null)[];
}

type OnConnection = (connection: Connection, task: Task) => Promise<void>;

// How many messages of `send-numbers` may be on their way.
const WINDOW = 64;

// How large the parts are that `send-parts` sends its message in.
const PART = 1_000;

/** The last message of `send-numbers`. */
const LAST = "last";

export const DEEDS: Record<Exclude<Deed, "send-numbers">, OnConnection> = {
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

/** Takes what comes, such as what a heartbeat on TCP asks, and does nothing with it. */
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

/** Sends messages until it is enough, over as many connections as it takes, and keeps accounts of them. */
export async function sendNumbers(connection: ReconnectingConnection, task: Task): Promise<void> {
  const { side, load, report, enough } = task;
  let over = false;
  const listening = (async () => {
    for await (const message of connection) if (message === LAST) over = true;
  })();
  // How it ends is told by `closed`.
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
  // Said again until it is answered: its connection may be one that is dead already.
  while (!over) {
    await connection.send(LAST).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** What is given of an order to those who do it. */
export function taskOf(
  side: Side,
  { load = { messages: 1, size: 1 } }: Order,
  report: (report: Report) => void,
  enough: AbortSignal,
): Task {
  return { side, load, report, enough, collected: [] };
}

const other = (side: Side): Side => (side === "server" ? "client" : "server");

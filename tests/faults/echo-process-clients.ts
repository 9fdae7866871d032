/** The clients of `EchoProcess`: they send and count answers, or only receive, and reconnect if the test requires it. */

import {
  type CloseInfo,
  type Connection,
  type ConnectOptions,
  connect,
  isConnectionError,
  type ReconnectOptions,
  type ReconnectState,
  reconnect,
} from "../../src/index.ts";
import { seeded } from "../../src/testing/chaos/faults.ts";
import type { ClientOrder } from "./echo-process-program.ts";

/** One lost connection, and the attempts until the next one. Milliseconds of the process's own clock. */
export interface Reconnection {
  readonly lostAt: number;
  /** The first pause, as announced. */
  readonly firstPause: number;
  attempts: number;
  backAt: number | undefined;
}

class Client {
  sent = 0;
  answers = 0;
  heard = 0;
  /** Questions without an answer, because their connection has ended. */
  cut = 0;
  readonly comebacks: Reconnection[] = [];

  /** Called by `reconnect` with each change of state. */
  readonly see = (state: ReconnectState): void => {
    const now = performance.now();
    const last = this.comebacks.at(-1);
    const away = last !== undefined && last.backAt === undefined;
    if (state.name === "open" && away) last.backAt = now;
    if (state.name === "connecting" && away) last.attempts += 1;
    if (state.name !== "waiting" || away) return;
    this.comebacks.push({
      ...{ lostAt: now, firstPause: state.until.getTime() - Date.now(), attempts: 0, backAt: undefined },
    });
  };

  async count(connection: Connection, over: () => boolean, think: () => number): Promise<void> {
    for (let number = 0; !over(); number += 1) {
      this.sent += 1;
      this.cut += 1;
      await connection.send(`${number}`);
      const answer = await answerOn(connection);
      if (answer !== `${number}`) throw new Error(`expected ${number}, got ${answer}`);
      this.cut -= 1;
      this.answers += 1;
      await new Promise((resolve) => setTimeout(resolve, think()));
    }
  }

  async read(connection: Connection): Promise<void> {
    for await (const message of connection) {
      if (message === "?") connection.trySend("!");
      else this.heard += 1;
    }
  }
}

/** The next message that is neither a question nor a heartbeat message on TCP. */
async function answerOn(connection: Connection): Promise<unknown> {
  for (;;) {
    const message = await connection.receive();
    if (message === "?") connection.trySend("!");
    else if (message !== "!") return message;
  }
}

export class Clients {
  readonly #ended: (info: CloseInfo) => void;
  readonly #pinged: () => void;
  readonly #clients: Client[] = [];
  readonly #staying: Promise<unknown>[] = [];
  readonly #failures: string[] = [];
  #stopped = false;
  open = 0;

  constructor(ended: (info: CloseInfo) => void, pinged: () => void) {
    this.#ended = ended;
    this.#pinged = pinged;
  }

  /** Resolves when all clients are connected. They open a hundred at a time, so that the server's backlog has room. */
  async invite(url: string, options: object, count: number, visit: ClientOrder): Promise<void> {
    const chance = seeded(visit.seed ?? 1);
    const ping = this.#pinged;
    const all = { ...options, ...(url.startsWith("ws") && { maxConnecting: Infinity, ping }) };
    for (let come = 0; come < count; come += 100) {
      const some = Array.from({ length: Math.min(100, count - come) }, () => this.#one(url, all, visit, chance));
      await Promise.all(some);
    }
  }

  #one(url: string, options: ReconnectOptions, visit: ClientOrder, chance: () => number): Promise<void> {
    const guest = new Client();
    this.#clients.push(guest);
    return new Promise((resolve, reject) => {
      const session = async (connection: Connection): Promise<true | undefined> => {
        this.open += 1;
        void connection.closed.then((info) => {
          this.open -= 1;
          this.#ended(info);
        });
        resolve();
        if (visit.do === "read") await guest.read(connection);
        else
          await guest.count(
            connection,
            () => this.#stopped,
            () => chance() * (visit.think ?? 20),
          );
        // A returned value ends `reconnect`.
        return this.#stopped || undefined;
      };
      const stay = visit.comeBack
        ? reconnect(url, session, { ...options, random: chance, state: guest.see })
        : connect(url, options).then((connection) =>
            session(connection as Connection).finally(() => connection.close()),
          );
      this.#staying.push(
        stay.catch((error: unknown) => {
          reject(error);
          // `closed` is evaluated with the other ends.
          if (!isConnectionError(error) || visit.comeBack) this.#failures.push(String(error));
        }),
      );
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  async left(): Promise<void> {
    await Promise.all(this.#staying);
  }

  account(): {
    readonly sent: number;
    readonly answers: number;
    readonly cut: number;
    /** The messages that each receiving client has received. */
    readonly heard: readonly number[];
    /** The lowest number of answers of one client. */
    readonly least: number;
    readonly comebacks: readonly Reconnection[];
    readonly failures: readonly string[];
  } {
    const sum = (count: (guest: Client) => number): number => this.#clients.reduce((all, one) => all + count(one), 0);
    return {
      sent: sum(({ sent }) => sent),
      answers: sum(({ answers }) => answers),
      cut: sum(({ cut }) => cut),
      heard: this.#clients.map(({ heard }) => heard),
      least: Math.min(...this.#clients.map(({ answers }) => answers)),
      comebacks: this.#clients.flatMap(({ comebacks }) => comebacks),
      failures: this.#failures,
    };
  }
}

/** Connects, asks, gets the answer and closes, this many times, twenty at once. */
export async function churn(url: string, options: ConnectOptions, count: number): Promise<void> {
  const all = { ...options, ...(url.startsWith("ws") && { maxConnecting: Infinity }) };
  let left = count;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const connection = await connect(url, all);
      await connection.send("hello");
      if ((await connection.receive()) !== "hello") throw new Error("expected what was sent");
      await connection.close();
    }
  };
  await Promise.all(Array.from({ length: 20 }, one));
}

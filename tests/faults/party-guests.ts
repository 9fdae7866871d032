/** The visitors of a party: they ask and count, or take what comes, and come back if they are to. */

import {
  type CloseInfo,
  type Connection,
  type ConnectOptions,
  connect,
  isConnectionError,
  type ReconnectState,
  reconnect,
} from "../../src/index.js";
import { seeded } from "../../src/testing/chaos-faults.js";
import type { Visit } from "./party-program.js";

/** One loss, and how the way back went. Milliseconds of the process's own clock. */
export interface Comeback {
  readonly lostAt: number;
  /** The pause that came first, as it was announced. */
  readonly firstPause: number;
  attempts: number;
  backAt: number | undefined;
}

class Guest {
  sent = 0;
  answers = 0;
  heard = 0;
  /** Questions whose connection has ended before their answer. */
  cut = 0;
  readonly comebacks: Comeback[] = [];

  /** Told of each change by `reconnect`. */
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

/** The next message that is neither asked nor said by a heartbeat on TCP. */
async function answerOn(connection: Connection): Promise<unknown> {
  for (;;) {
    const message = await connection.receive();
    if (message === "?") connection.trySend("!");
    else if (message !== "!") return message;
  }
}

export class Guests {
  readonly #ended: (info: CloseInfo) => void;
  readonly #pinged: () => void;
  readonly #guests: Guest[] = [];
  readonly #staying: Promise<unknown>[] = [];
  readonly #failures: string[] = [];
  #stopped = false;
  open = 0;

  constructor(ended: (info: CloseInfo) => void, pinged: () => void) {
    this.#ended = ended;
    this.#pinged = pinged;
  }

  /** Resolves once all have come, a hundred at a time: more at once would be more than the server's backlog. */
  async invite(url: string, options: object, count: number, visit: Visit): Promise<void> {
    const chance = seeded(visit.seed ?? 1);
    const ping = this.#pinged;
    const all = { ...options, ...(url.startsWith("ws") && { maxConnecting: Infinity, ping }) };
    for (let come = 0; come < count; come += 100) {
      const some = Array.from({ length: Math.min(100, count - come) }, () => this.#one(url, all, visit, chance));
      await Promise.all(some);
    }
  }

  #one(url: string, options: ConnectOptions, visit: Visit, chance: () => number): Promise<void> {
    const guest = new Guest();
    this.#guests.push(guest);
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
        // To return a value is to be through.
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
          // How a connection has ended is among the ends.
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
    /** What each has heard that only reads. */
    readonly heard: readonly number[];
    /** The fewest answers that one of them has. */
    readonly least: number;
    readonly comebacks: readonly Comeback[];
    readonly failures: readonly string[];
  } {
    const sum = (count: (guest: Guest) => number): number => this.#guests.reduce((all, one) => all + count(one), 0);
    return {
      sent: sum(({ sent }) => sent),
      answers: sum(({ answers }) => answers),
      cut: sum(({ cut }) => cut),
      heard: this.#guests.map(({ heard }) => heard),
      least: Math.min(...this.#guests.map(({ answers }) => answers)),
      comebacks: this.#guests.flatMap(({ comebacks }) => comebacks),
      failures: this.#failures,
    };
  }
}

/** Connects, asks, is answered and closes, so many times, of which twenty at once. */
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

/** The connections of one server: how many there may be, and how they all end. */

import { after, type Clock, reached } from "../base/time.js";
import type { Connection } from "../connection/connection.js";
import { closePayload, GOING_AWAY } from "../engine/close.js";
import { Connections } from "./connections.js";
import { ENDPOINT_DEFAULTS } from "./options.js";

// Told to go in one turn of the event loop; more would keep the others' bytes waiting.
const BATCH = 256;

// Between two looks at whether those who were accepted have opened, in milliseconds.
const LOOK = 5;

/** How a server closes. */
export interface DrainOptions {
  /** How long its connections may take to end, in milliseconds. What is left then is terminated. @default 10_000 */
  readonly drain?: number;
  /**
   * How long those who were accepted already may take to become connections before anybody is told to go, in milliseconds.
   * They would be refused otherwise; to be closed with 1001 is better where others serve on, as in a restart. Who says
   * nothing in this time has had it. @default 0
   */
  readonly opening?: number;
  /** The code that WebSocket connections are closed with. @default 1001 */
  readonly code?: number;
  /** The reason that they are given. @default "" */
  readonly reason?: string;
  /**
   * How long they are asked to stay away, in milliseconds: `retry-after=SECONDS` is added to the reason, as there is no other
   * place for it in a Close frame. `reconnect` heeds it, and adds its own scatter. @default nothing is said
   */
  readonly retryAfter?: number;
}

/** Complete and valid; what the reason has to say is in it. */
export type SettledDrain = Required<Omit<DrainOptions, "retryAfter">>;

/** Judges how a server is to close, before anything of it has begun. */
export function settleDrain({
  drain = ENDPOINT_DEFAULTS.drain,
  opening = 0,
  code = GOING_AWAY,
  reason = "",
  retryAfter,
}: DrainOptions): SettledDrain {
  for (const [name, length] of Object.entries({ drain, opening })) {
    if (typeof length !== "number")
      throw new TypeError(`Cannot use ${name}: expected milliseconds, got ${typeof length}`);
    if (!(length >= 0))
      throw new RangeError(`Cannot use ${name} ${length}: expected 0 ms or more, or Infinity for never`);
  }
  closePayload(code, reason);
  if (retryAfter === undefined) return { drain, opening, code, reason };
  if (typeof retryAfter !== "number") {
    throw new TypeError(`Cannot use retryAfter: expected milliseconds, got ${typeof retryAfter}`);
  }
  if (!(retryAfter >= 0 && retryAfter < Infinity)) {
    throw new RangeError(`Cannot use retryAfter ${retryAfter}: expected a finite length from 0 ms`);
  }
  const hinted = `${reason}${reason && " "}retry-after=${Math.ceil(retryAfter) / 1_000}`;
  closePayload(code, hinted);
  return { drain, opening, code, reason: hinted };
}

export class Roster<UserData> {
  readonly #connections = new Connections<UserData>();
  readonly #max: number;
  readonly #clock: Clock;
  /** Places taken by requests that are being judged. */
  #reserved = 0;
  #closing = false;
  readonly #onClosing = new Set<() => void>();
  #emptied: (() => void) | undefined;

  constructor(max: number, clock: Clock) {
    if (max !== Infinity && !(Number.isInteger(max) && max > 0)) {
      throw new RangeError(
        `Cannot use maxConnections ${max}: expected a whole number from 1, or Infinity for no limit`,
      );
    }
    this.#max = max;
    this.#clock = clock;
  }

  get connections(): ReadonlySet<Connection<UserData>> {
    return this.#connections;
  }

  /** Whether the server closes: nobody is to be admitted any more, who has a place neither. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Calls `tell` when the server begins to close, until the returned function is called. */
  onClosing(tell: () => void): () => void {
    this.#onClosing.add(tell);
    return () => void this.#onClosing.delete(tell);
  }

  /** Takes a place for what may become a connection; false if there is none. Given back by `release`, or kept by `admit`. */
  reserve(): boolean {
    if (this.#closing || this.#connections.size + this.#reserved >= this.#max) return false;
    this.#reserved += 1;
    return true;
  }

  release(): void {
    this.#reserved -= 1;
    this.#tellIfEmpty();
  }

  /** Turns a reserved place into a connection's. It leaves by itself when it ends. */
  admit(connection: Connection<UserData>): void {
    this.#reserved -= 1;
    this.#connections.add(connection);
    connection.keptBy(this.#ended);
  }

  /** Waits until all of the `accepted` have become connections, or have gone: `opening` milliseconds at most. */
  async opened(accepted: () => Promise<number>, opening: number): Promise<void> {
    const clock = this.#clock;
    const end = after(clock.now(), opening);
    while (!reached(end, clock.now()) && (await this.#missing(accepted)) > 0) {
      await new Promise<void>((resolve) => void clock.wakeAt(after(clock.now(), LOOK), () => resolve()));
    }
  }

  /** How many of the `accepted` are no connections; more than there are, when some end meanwhile. */
  async #missing(accepted: () => Promise<number>): Promise<number> {
    const count = await accepted();
    // Node counts a descriptor out as it closes it. That its connection has ended is heard when the turn of the event loop
    // ends, and until then it would stand for one who is yet to come: so they are counted behind that.
    for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
    return count - this.#connections.size;
  }

  /** Closes all, in batches, and resolves when all have ended: within `drain` milliseconds, and what their descriptors then take. */
  async drain({ drain, code, reason }: SettledDrain): Promise<void> {
    this.#closing = true;
    const timer = this.#clock.wakeAt(after(this.#clock.now(), drain), () => this.#terminate());
    for (const tell of this.#onClosing) tell();
    let told = 0;
    for (const connection of [...this.#connections]) {
      void connection.close(code, reason);
      told += 1;
      if (told % BATCH === 0) await new Promise(setImmediate);
    }
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
      this.#tellIfEmpty();
    });
    timer.cancel();
  }

  // One for all of them.
  readonly #ended = (connection: Connection<UserData>): void => {
    this.#connections.delete(connection);
    this.#tellIfEmpty();
  };

  #tellIfEmpty(): void {
    if (this.#connections.size + this.#reserved === 0) this.#emptied?.();
  }

  #terminate(): void {
    for (const connection of this.#connections) connection.terminate();
  }
}

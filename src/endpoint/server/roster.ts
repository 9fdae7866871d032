/** The connections of one server: limits their number, and closes them when the server closes. */

import { ClosedError, type ConnectionError, LimitError } from "../../base/errors.ts";
import { type Complete, present } from "../../base/forms.ts";
import { COUNT, DURATION_OR_ZERO, judgeNumber, judgeOptions } from "../../base/judge.ts";
import { after, type Clock } from "../../base/time.ts";
import { processBudget } from "../../connection/memory-budget.ts";
import type { TransportConnection } from "../../connection/transport-connection.ts";
import { closePayload, GOING_AWAY } from "../../engine/websocket/close-codes.ts";
import { withoutStack } from "../../transport/errors-without-stack.ts";
import { setImmediate } from "../../transport/timers.ts";
import { ConnectionList, type ServerConnections } from "../connection-list.ts";
import { SERVER_DEFAULTS } from "../options.ts";
import type { AddressPlace } from "./address-limits.ts";

// The number of connections that are closed in one event loop turn. With more, received bytes of other connections would wait.
const BATCH = 256;

// The part of `drain` in which handlers may finish. The rest is for the closing handshakes.
const HANDLER_SHARE = 3 / 4;

/** The options for the close of a server. */
export interface DrainOptions {
  /**
   * How long the close of the server may take, in milliseconds. Running handlers and hooks may finish in the first three quarters
   * of it. After that, their connections are closed too. At its end, the remaining connections are terminated. @default 10_000
   */
  readonly drain?: number | undefined;
  /**
   * How long accepted sockets may take to become connections before the first connection is closed, in milliseconds. By default
   * they are refused. If other processes continue to serve, as in a restart, a close with 1001 is better than a refusal. A socket
   * on which the client sends nothing in this time is closed too. @default 0
   */
  readonly opening?: number | undefined;
  /** The close code for WebSocket connections. @default 1001 */
  readonly code?: number | undefined;
  /** The reason in their Close frames. @default "" */
  readonly reason?: string | undefined;
  /**
   * How long clients should wait before they connect again, in milliseconds: `retry-after=SECONDS` is added to the reason,
   * because a Close frame has no other place for it. `reconnect` obeys it, and adds a random part of its own.
   * @default no hint
   */
  readonly retryAfter?: number | undefined;
}

/** How many connections ended cleanly, and how many did not, while the server closed. */
export interface DrainResult {
  /** Number of connections with a complete closing handshake, or on TCP with a FIN in both directions. */
  readonly clean: number;
  /** Number of all other connections: terminated at the end of `drain`, or lost before it. */
  readonly cut: number;
}

/** Validated options with defaults. `reason` includes the text for `retryAfter`. */
export type SettledDrain = Complete<Omit<DrainOptions, "retryAfter">>;

/** Validates the options of a close, before it begins. Throws TypeError or RangeError for an invalid option. */
export function settleDrain(options: DrainOptions): SettledDrain {
  judgeOptions(options);
  const { retryAfter, ...given } = present(options);
  const { drain, opening, code, reason } = { ...SERVER_DEFAULTS.close, ...given };
  for (const [name, length] of Object.entries({ drain, opening })) judgeNumber(name, length, DURATION_OR_ZERO);
  closePayload(code, reason);
  if (retryAfter === undefined) return { drain, opening, code, reason };
  judgeNumber("retryAfter", retryAfter, { least: 0, unit: "ms" });
  const reasonWithRetry = `${reason}${reason && " "}retry-after=${Math.ceil(retryAfter) / 1_000}`;
  closePayload(code, reasonWithRetry);
  return { drain, opening, code, reason: reasonWithRetry };
}

/** The places of a server, which its rosters share. */
export class SharedPlaces {
  readonly maximum: number;
  #taken = 0;

  constructor(maximum: number) {
    judgeNumber("maxConnections", maximum, COUNT);
    this.maximum = maximum;
  }

  /** Takes a place. Returns false if there is none. */
  take(): boolean {
    if (this.#taken >= this.maximum) return false;
    this.#taken += 1;
    return true;
  }

  free(): void {
    this.#taken -= 1;
  }

  /** The number of places that are free now. */
  get left(): number {
    return this.maximum - this.#taken;
  }
}

/** The error for an opening beyond `maxConnections`. */
export function capacityError(maximum: number): LimitError {
  const facts = { operation: "accept", limit: "maxConnections", maximum, actual: maximum + 1 } as const;
  // Peers cause it, as often as they like, and the stack takes longer than the rest.
  return withoutStack(() => new LimitError(facts));
}

/** What a server does with all of its connections. */
export interface ServerRoster<UserData> {
  readonly connections: ServerConnections<UserData>;
  /** Number of reserved places: requests that are not decided yet. */
  readonly reserved: number;
  /**
   * Closes each connection when it has finished its work. At the end of `drain`, terminates the remaining connections. Resolves
   * when all descriptors are free, and all handlers have returned or `drain` is over.
   */
  drain(options: SettledDrain): Promise<DrainResult>;
}

export class Roster<UserData> implements ServerRoster<UserData> {
  readonly #connections = new ConnectionList<UserData>();
  readonly #max: number;
  readonly #clock: Clock;
  readonly #shared: SharedPlaces | undefined;
  /** Number of reserved places: requests that are not decided yet. */
  #reserved = 0;
  #closing = false;
  readonly #onClosing = new Set<() => void>();
  #retired: (() => void) | undefined;
  #onEmpty: (() => void) | undefined;
  /** The places of the connections among those of their addresses. Empty without `perAddress`. */
  readonly #addressPlaces = new Map<TransportConnection<UserData>, AddressPlace>();
  readonly #endCounts = { clean: 0, cut: 0 };
  /** True when the time limit of the close has expired. */
  #drainExpired = false;
  /** Number of handlers that have not returned although their connections have ended. */
  #runningHandlers = 0;

  /** `shared`: the places of the whole server, if it has several rosters. */
  constructor(max: number, clock: Clock, shared?: SharedPlaces) {
    judgeNumber("maxConnections", max, COUNT);
    this.#max = max;
    this.#clock = clock;
    this.#shared = shared;
  }

  get connections(): ServerConnections<UserData> {
    return this.#connections;
  }

  /** Number of reserved places: requests that are not decided yet. */
  get reserved(): number {
    return this.#reserved;
  }

  /** True if the server is closing. Requests are then refused, also those with a reserved place. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Calls `listener` when the server begins to close. The returned function removes it. */
  onClosing(listener: () => void): () => void {
    this.#onClosing.add(listener);
    return () => void this.#onClosing.delete(listener);
  }

  /** Calls `retired` as soon as there is neither a connection nor a reserved place. Call this if no request follows. */
  retire(retired: () => void): void {
    this.#retired = retired;
    this.#resolveIfEmpty();
  }

  /**
   * Reserves a place for a request. Returns false if there is none. `release` frees the place, `admit` gives it to a connection.
   */
  reservePlace(): boolean {
    if (this.#closing || !processBudget.admits()) return false;
    if (this.#connections.size + this.#reserved >= this.#max) return false;
    if (this.#shared?.take() === false) return false;
    this.#reserved += 1;
    return true;
  }

  /** The error for a connection that got no place. */
  get refusal(): ConnectionError {
    if (this.#closing) return new ClosedError({ closeCode: GOING_AWAY, by: "local", wasClean: true });
    if (processBudget.refuses) return processBudget.refusal();
    const full = this.#connections.size + this.#reserved >= this.#max;
    return capacityError(full ? this.#max : (this.#shared?.maximum ?? this.#max));
  }

  releasePlace(): void {
    this.#reserved -= 1;
    this.#shared?.free();
    this.#resolveIfEmpty();
  }

  /**
   * Gives a reserved place to a connection, and with it its place among those of its address. The places become free when the
   * connection ends.
   */
  addConnection(connection: TransportConnection<UserData>, addressPlace?: AddressPlace): void {
    this.#reserved -= 1;
    this.#connections.add(connection);
    if (addressPlace !== undefined) this.#addressPlaces.set(connection, addressPlace);
    connection.onEnd(this.#connectionEnded);
  }

  async drain({ drain, code, reason }: SettledDrain): Promise<DrainResult> {
    this.#closing = true;
    const clock = this.#clock;
    const began = clock.now();
    const handlersTimer = clock.wakeAt(after(began, drain * HANDLER_SHARE), () => void this.#close(code, reason));
    const terminateTimer = clock.wakeAt(after(began, drain), () => this.#terminate());
    for (const listener of this.#onClosing) listener();
    await inBatches(this.#connections, (connection) => connection.closeWhenDone(code, reason));
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#resolveIfEmpty();
    });
    handlersTimer.cancel();
    terminateTimer.cancel();
    return { ...this.#endCounts };
  }

  // One function for all connections, to save memory. Called when a connection ends, and again when its handler returns later.
  readonly #connectionEnded = (connection: TransportConnection<UserData>): void => {
    if (this.#connections.has(connection)) {
      this.#connections.delete(connection);
      this.#shared?.free();
      this.#addressPlaces.get(connection)?.release();
      this.#addressPlaces.delete(connection);
      if (this.#closing) this.#endCounts[connection.endedClean ? "clean" : "cut"] += 1;
      if (connection.handled) this.#runningHandlers += 1;
    } else this.#runningHandlers -= 1;
    this.#resolveIfEmpty();
  };

  #resolveIfEmpty(): void {
    if (this.#connections.size + this.#reserved > 0 || (this.#runningHandlers > 0 && !this.#drainExpired)) return;
    this.#retired?.();
    this.#onEmpty?.();
  }

  async #close(code: number, reason: string): Promise<void> {
    await inBatches(this.#connections, (connection) => void connection.close(code, reason));
  }

  #terminate(): void {
    // A handler that does not return must not prevent the close of the server.
    this.#drainExpired = true;
    for (const connection of this.#connections) connection.terminate();
    this.#resolveIfEmpty();
  }
}

/** Calls `each` for all items. Waits for the next event loop turn after each batch, so that other connections are served. */
async function inBatches<T>(all: Iterable<T>, each: (one: T) => void): Promise<void> {
  let count = 0;
  for (const one of [...all]) {
    each(one);
    count += 1;
    if (count % BATCH === 0) await new Promise(setImmediate);
  }
}

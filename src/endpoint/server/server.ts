/** The server object of an application: its address, its connections, and its close. */

import type { Clock } from "../../base/time.ts";
import type { Sendable } from "../../connection/contract.ts";
import type { Counters } from "../../connection/counters.ts";
import type { Message } from "../../engine/protocol.ts";
import { SlotList } from "../../engine/queue/slot-list.ts";
import type { NetworkListener } from "../../transport/network.ts";
import type { NetServer, Socket } from "../../transport/node-types.ts";
import { whileHoldingProcess } from "../../transport/process-hold.ts";
import type { ServerConnections } from "../connection-list.ts";
import { processMetrics, ServerMetrics, type WatchedSource } from "../metric-sources.ts";
import { type DrainOptions, type DrainResult, type ServerRoster, type SettledDrain, settleDrain } from "./roster.ts";
import { waitForOpenings } from "./wait-for-openings.ts";

/** A server that `listen` or `attach` returns. */
export class Server<UserData = unknown, In = Message, Out = Sendable> implements AsyncDisposable {
  readonly #url: () => string;
  readonly #roster: ServerRoster<UserData>;
  readonly #source: ConnectionSource;
  readonly #metrics: ServerMetrics;
  #closing: Promise<DrainResult> | undefined;

  /** @internal */
  constructor(
    url: () => string,
    roster: ServerRoster<UserData>,
    source: ConnectionSource,
    { counters, maxConnections }: { readonly counters: Counters; readonly maxConnections: number },
  ) {
    this.#url = url;
    this.#roster = roster;
    this.#source = source;
    this.#metrics = new ServerMetrics(counters, maxConnections, roster, url);
    processMetrics.addServer(this.#metrics, roster);
  }

  /** @internal */
  static metricsOf(value: object): WatchedSource | undefined {
    return #metrics in value ? value.#metrics : undefined;
  }

  /**
   * The address as a URL. If port 0 was requested, it contains the actual port. For `attach`, the address at which the HTTP
   * server listens now, with the path that is served; empty while the HTTP server does not listen.
   */
  get url(): string {
    return this.#url();
  }

  /** The connections that are open or closing now. */
  get connections(): ServerConnections<UserData, In, Out> {
    return this.#roster.connections as ServerConnections<UserData, unknown, unknown> as ServerConnections<
      UserData,
      In,
      Out
    >;
  }

  /**
   * Closes the server and its connections:
   *
   * 1. It stops listening. The port is free at once. Plain HTTP requests in progress may finish within `drain`.
   * 2. It stops reading. Received messages are delivered; after them `receive` rejects and loops end. Running handlers and hooks
   *    may finish, and messages that they send are written. `connection.draining` aborts.
   * 3. Each connection is closed with 1001, or on TCP with a FIN, as soon as its handler has returned or the promises of its
   *    hooks have settled. An idle connection is closed at once. A handler that waits for `connection.closed` counts as idle.
   * 4. After three quarters of `drain`, the connections of handlers that still run are closed too. At the end of `drain`, the
   *    remaining connections are terminated.
   *
   * Resolves when handlers have returned and descriptors are free, with the number of connections that ended cleanly and of the
   * others. A handler must not wait for this promise, because it would wait for its own end until `drain` is over. A second call
   * waits for the first. Rejects with a TypeError or RangeError for invalid options; the close has not begun then.
   */
  async close(options: DrainOptions = {}): Promise<DrainResult> {
    const settled = settleDrain(options);
    // Between the end of the last connection and the return of the last handler, nothing else may keep the process alive.
    this.#closing ??= whileHoldingProcess(() => this.#drain(settled));
    return this.#closing;
  }

  /** Makes the server and its connections keep the process alive. This is the initial state, unless the option `ref` is false. */
  ref(): this {
    this.#source.ref?.(true);
    for (const connection of this.connections) connection.ref();
    return this;
  }

  /** Allows the process to exit while the server listens and its current connections are open. */
  unref(): this {
    this.#source.ref?.(false);
    for (const connection of this.connections) connection.unref();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(options: SettledDrain): Promise<DrainResult> {
    const { clock, countSockets } = this.#source;
    this.#source.stopAccepting();
    await waitForOpenings({ clock, countSockets, countConnections: () => this.connections.size }, options.opening);
    const [result] = await Promise.all([this.#roster.drain(options), this.#source.drainRequests?.(options.drain)]);
    await this.#source.destroySockets();
    processMetrics.removeServer(this.#metrics);
    return result;
  }
}

/** The metrics of a server. Undefined if this copy of the library has not made it. */
export function serverMetricsOf(server: object): WatchedSource | undefined {
  return Server.metricsOf(server);
}

/** The origin of a server's connections: a listening socket, or an attachment to an HTTP server. */
export interface ConnectionSource {
  readonly clock: Clock;
  /** Stops accepting connections. */
  stopAccepting(): void;
  /** Returns the number of accepted sockets that are not closed, whether they have become connections or not. */
  readonly countSockets: () => Promise<number>;
  /** Waits until the plain HTTP requests in progress are answered, for at most `drain` milliseconds. Absent if there are none. */
  drainRequests?(drain: number): Promise<void>;
  /** Destroys accepted sockets that did not become connections. Resolves when no socket is left. */
  destroySockets(): Promise<void>;
  /** Sets whether the listening socket keeps the process alive. Absent if that socket belongs to the application. */
  ref?(wanted: boolean): void;
}

/** The accepted sockets of a server that are not closed. Call this before the server listens. */
export function socketsOf(server: NetServer): Iterable<Socket> {
  const sockets = new SlotList<Socket>();
  server.on("connection", (socket: Socket) => {
    const slot = sockets.add(socket);
    socket.on("close", () => sockets.remove(slot, socket));
  });
  return sockets;
}

/** The plain HTTP requests that are not answered yet. */
interface RequestsInProgress {
  /** The number of sockets that have such requests. */
  readonly size: number;
  /** Closes idle connections. From now on each response closes its connection. */
  close(): void;
  /** Resolves when no request is in progress, but after `length` milliseconds at the latest. */
  drained(length: number): Promise<void>;
}

/** A server of this library that listens. */
interface Listening {
  readonly clock: Clock;
  readonly server: NetServer;
  readonly listener: NetworkListener;
  readonly sockets: Iterable<Socket>;
  /** Undefined on TCP. */
  readonly plainRequests: RequestsInProgress | undefined;
  /** Closes the connections that have sent nothing and have no socket yet. */
  readonly dropSilent: () => void;
}

/** The connection source of a server that only this library uses. */
export function sourceOf({ clock, server, listener, sockets, plainRequests, dropSilent }: Listening): ConnectionSource {
  let closed: Promise<void>;
  return {
    clock,
    stopAccepting: () => {
      closed = listener.stop();
      plainRequests?.close();
    },
    ref: (wanted) => listener.ref(wanted),
    countSockets: async () => (await listener.accepted()) - (plainRequests?.size ?? 0),
    drainRequests: async (drain) => plainRequests?.drained(drain),
    destroySockets: () => {
      dropSilent();
      // `close` of node:http also closes idle sockets and stops the timer that checks for request timeouts. The callback ignores
      // the error for a server that does not listen any more.
      server.close(() => undefined);
      for (const socket of sockets) socket.destroy();
      return closed;
    },
  };
}

/** Limits the time of an opening, from accept to the end of the request's head with TLS included, for every kind of server. */

import type { Socket } from "node:net";
import type { Refusal } from "../../base/refusals.ts";
import { after, type Clock, type Instant, type Wakeup } from "../../base/time.ts";
import { rawSocketOf } from "../internals/tcp.ts";
import { EVICTED, PendingOpening, type PendingOpenings } from "./pending-openings.ts";

/** Called when a socket has reached the limit, or is closed for a newer one, before the socket is destroyed. */
export type Expired = (socket: Socket, reason: Refusal, detail: string) => void;

export interface OpeningLimitOptions {
  readonly clock: Clock;
  /** Returns the limit in milliseconds. Called each time that a limit starts for a socket. */
  readonly openTimeout: () => number;
  readonly expired: Expired;
  /** Called when a socket closes before its request is complete. */
  readonly disconnected: (socket: Socket) => void;
  /** Bounds the number of sockets that have no complete request. Undefined: there is no bound. */
  readonly pending?: PendingOpenings | undefined;
}

/**
 * `idle`: after an answer, until the first byte of the next request arrives. `next`: after an answer, until the head of the next
 * request is complete.
 */
type Phase = "tls" | "request" | "idle" | "next";

class LimitedOpening extends PendingOpening {
  readonly socket: Socket;
  readonly since: Instant;
  readonly length: number;
  readonly phase: Phase;
  /** The byte counters of the socket when the limit started. */
  readonly read: number;
  readonly written: number;
  wakeup: Wakeup | undefined;
  readonly #evicted: (opening: LimitedOpening) => void;

  constructor(
    socket: Socket,
    since: Instant,
    length: number,
    phase: Phase,
    evicted: (opening: LimitedOpening) => void,
  ) {
    super();
    this.socket = socket;
    this.since = since;
    this.length = length;
    this.phase = phase;
    this.read = socket.bytesRead;
    this.written = socket.bytesWritten;
    this.#evicted = evicted;
  }

  override evict(): void {
    this.#evicted(this);
  }
}

/**
 * Node's own limits start at the first byte of a request and are checked every 30 s. So a client that sends nothing, or one byte
 * at a time, could hold a file descriptor for much longer.
 */
export class OpeningLimit {
  readonly #options: OpeningLimitOptions;
  readonly #openings = new Map<Socket, LimitedOpening>();
  readonly #closed: (this: Socket) => void;

  constructor(options: OpeningLimitOptions) {
    this.#options = options;
    const limit = this;
    // One listener function for all sockets. A function per socket would cost memory for the whole life of the connection.
    this.#closed = function (this: Socket): void {
      const opening = limit.#end(this);
      if (opening?.phase === "tls" || opening?.phase === "request") options.disconnected(this);
    };
  }

  /** The number of sockets that have not sent the whole head of their first request. */
  get waiting(): number {
    let count = 0;
    for (const { phase } of this.#openings.values()) if (phase === "tls" || phase === "request") count += 1;
    return count;
  }

  has(socket: Socket): boolean {
    return this.#openings.has(socket);
  }

  /**
   * Starts the limit of a socket that was accepted at `since`. Under TLS the limit includes the TLS handshake. `former`: the opening
   * before its socket existed, whose position it gets.
   */
  begin(socket: Socket, since: Instant, phase: "tls" | "request", former?: PendingOpening): void {
    this.#bound(socket, since, phase, former);
  }

  /** Call this when the TLS handshake is complete. The limit continues: the time of the handshake counts. */
  secured(socket: Socket): void {
    const raw = rawSocketOf(socket);
    const former = this.#take(raw ?? socket);
    this.#bound(socket, former?.since ?? this.#options.clock.now(), "request", former);
  }

  /** Ends the limit of a socket. Call this when the head of a request is complete, or when the socket was refused. */
  done(socket: Socket): void {
    this.#end(socket);
  }

  /**
   * Call this when an answer is complete and the next request may follow. A socket that sends nothing is left to the server's
   * `keepAliveTimeout`. A request head that has begun must be complete within twice `openTimeout` at most, because its first byte
   * is noticed at the next expiry only.
   */
  idle(socket: Socket): void {
    if (socket.destroyed || this.has(socket)) return;
    this.#bound(socket, this.#options.clock.now(), "idle");
  }

  /**
   * Call this instead of `idle` if there is no other limit: the head of the next request must be complete within `openTimeout`.
   * After that the socket is destroyed, without a report: a client need not send another request.
   */
  awaitNext(socket: Socket): void {
    if (socket.destroyed || this.has(socket)) return;
    this.#bound(socket, this.#options.clock.now(), "next");
  }

  /** True if `awaitNext` was called and the head of the next request is not complete. */
  awaitsNext(socket: Socket): boolean {
    return this.#openings.get(socket)?.phase === "next";
  }

  /** Destroys the sockets for which `awaitNext` was called and whose next request is not complete. */
  destroyAwaiting(): void {
    for (const [socket, { phase }] of [...this.#openings]) if (phase === "next") socket.destroy();
  }

  /** Ends the limits of all sockets. */
  stop(): void {
    for (const socket of [...this.#openings.keys()]) this.#end(socket);
  }

  /** `former`: the opening of the same connection whose position the new one gets. */
  #bound(socket: Socket, since: Instant, phase: Phase, former?: PendingOpening): void {
    this.#end(socket);
    const { clock, openTimeout, pending } = this.#options;
    const opening = new LimitedOpening(socket, since, openTimeout(), phase, this.#evict);
    this.#openings.set(socket, opening);
    socket.on("close", this.#closed);
    opening.wakeup = clock.wakeAt(after(since, opening.length), () => this.#expire(opening));
    // Between two requests of an application's server, the time is not bounded here, and neither is the number.
    if (phase !== "idle") pending?.replace(former, opening);
  }

  #end(socket: Socket): LimitedOpening | undefined {
    const opening = this.#take(socket);
    if (opening !== undefined) this.#options.pending?.remove(opening);
    return opening;
  }

  /** Ends the limit of a socket, which keeps its position among the pending ones. */
  #take(socket: Socket): LimitedOpening | undefined {
    const opening = this.#openings.get(socket);
    if (opening === undefined) return undefined;
    this.#openings.delete(socket);
    socket.off("close", this.#closed);
    opening.wakeup?.cancel();
    return opening;
  }

  readonly #evict = ({ socket, phase }: LimitedOpening): void => {
    this.#end(socket);
    // A client need not send another request.
    if (phase !== "next") this.#options.expired(socket, "capacity", EVICTED);
    socket.destroy();
  };

  #expire({ socket, length, phase, read, written }: LimitedOpening): void {
    this.#end(socket);
    if (socket.destroyed) return;
    if (phase === "next") {
      socket.destroy();
      return;
    }
    // The application has answered a request that this class was not notified of, such as a listener for CONNECT. The socket
    // belongs to the application.
    if (phase !== "tls" && socket.bytesWritten !== written) return;
    const bytes = socket.bytesRead - (phase === "idle" ? read : 0);
    if (phase === "idle") {
      this.#bound(socket, this.#options.clock.now(), bytes === 0 ? "idle" : "request");
      return;
    }
    const { expired } = this.#options;
    const bound = `openTimeout (${length} ms)`;
    if (bytes === 0) expired(socket, "silence", `no bytes were received within ${bound}`);
    else if (phase === "tls") expired(socket, "tls", `the TLS handshake was not complete within ${bound}`);
    else expired(socket, "incomplete", `${bytes} bytes were received within ${bound}, but no complete request`);
    socket.destroy();
  }
}

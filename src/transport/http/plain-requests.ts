/** The plain HTTP requests in progress on a server: their time limits, and their end when the server closes. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { after, between, type Clock, type Instant, type Wakeup } from "../../base/time.ts";
import { bytesBeforeKernel } from "../internals/tcp.ts";
import type { OpeningLimit } from "../listen/opening-limit.ts";

// Checks per `openTimeout`. A client is disconnected at the first check after its time is over.
const CHECKS = 4;

// The least progress that counts, in bytes per millisecond: 500 bytes per second, as in Apache's RequestReadTimeout. A client that
// sends or takes less would hold a file descriptor for as long as it likes.
const LEAST_RATE = 0.5;

export interface PlainRequestsOptions {
  readonly clock: Clock;
  /** How long the server waits for a client that makes no progress, in milliseconds. */
  readonly openTimeout: number;
  /** Limits the time between two requests of a socket, and the time of each request's head. */
  readonly limit: OpeningLimit;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A socket with requests in progress, and its progress at the last check. */
interface BusySocket {
  readonly exchanges: Set<Exchange>;
  /** The last check at which the client had made progress, or at which nothing was expected of it. */
  since: Instant;
  checked: Instant;
  received: number;
  sent: number;
  queued: number;
  wakeup: Wakeup | undefined;
}

/**
 * A request is in progress until its body was received and its response was written. In this time the client must send the body
 * and take the response: if it makes no progress for `openTimeout`, its socket is destroyed. Time in which the application works,
 * or does not read the body, does not count.
 */
export class PlainRequests {
  readonly #options: PlainRequestsOptions;
  readonly #busy = new Map<Socket, BusySocket>();
  #closing = false;
  #onIdle: () => void = () => undefined;

  constructor(options: PlainRequestsOptions) {
    this.#options = options;
  }

  /** The number of sockets with requests in progress. */
  get size(): number {
    return this.#busy.size;
  }

  /** True if a request of `socket` is in progress. */
  has(socket: Socket): boolean {
    return this.#busy.has(socket);
  }

  /** Begins with a request whose head is complete. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#options.limit.done(socket);
    let busy = this.#busy.get(socket);
    if (busy === undefined) {
      const now = this.#options.clock.now();
      busy = { exchanges: new Set(), since: now, checked: now, ...progressOf(socket), wakeup: undefined };
      this.#busy.set(socket, busy);
      this.#arm(socket, busy);
    }
    const exchange = { request, response };
    busy.exchanges.add(exchange);
    if (this.#closing) response.setHeader("Connection", "close");
    const { exchanges } = busy;
    // Not `response.closed`, which Deno lacks.
    let answered = false;
    const onClose = (): void => {
      if (!socket.destroyed && !(answered && request.complete)) return;
      request.off("close", onClose);
      exchanges.delete(exchange);
      if (exchanges.size === 0) this.#end(socket);
    };
    response.once("close", () => {
      answered = true;
      onClose();
    });
    request.on("close", onClose);
  }

  /**
   * Destroys the sockets that are between two requests. From now on each response closes its connection. Call this when the server
   * accepts no more connections.
   */
  close(): void {
    this.#closing = true;
    this.#options.limit.destroyAwaiting();
    for (const { exchanges } of this.#busy.values()) {
      for (const { response } of exchanges) if (!response.headersSent) response.setHeader("Connection", "close");
    }
  }

  /** Resolves when no request is in progress, but after `length` milliseconds at the latest. */
  async drained(length: number): Promise<void> {
    if (this.#busy.size === 0) return;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const wakeup = clock.wakeAt(after(clock.now(), length), () => resolve());
      this.#onIdle = () => {
        wakeup.cancel();
        resolve();
      };
    });
  }

  #end(socket: Socket): void {
    this.#busy.get(socket)?.wakeup?.cancel();
    this.#busy.delete(socket);
    if (this.#closing) socket.end();
    else this.#options.limit.awaitNext(socket);
    if (this.#busy.size === 0) this.#onIdle();
  }

  #arm(socket: Socket, busy: BusySocket): void {
    const { clock, openTimeout } = this.#options;
    if (openTimeout === Infinity) return;
    busy.wakeup = clock.wakeAt(after(busy.checked, openTimeout / CHECKS), (now) => this.#check(socket, busy, now));
  }

  #check(socket: Socket, busy: BusySocket, now: Instant): void {
    const { received, sent, queued } = progressOf(socket);
    const progress = received - busy.received + (sent - busy.sent) + Math.max(0, busy.queued - queued);
    const enough = progress >= LEAST_RATE * between(busy.checked, now);
    if (enough || !waitsForClient(socket, busy.exchanges)) busy.since = now;
    else if (between(busy.since, now) >= this.#options.openTimeout) {
      socket.destroy();
      return;
    }
    Object.assign(busy, { received, sent, queued, checked: now });
    this.#arm(socket, busy);
  }
}

/**
 * The bytes received from the client, those written and not queued in the socket any more, and those of the current write that the
 * kernel has not accepted.
 */
function progressOf(socket: Socket): { received: number; sent: number; queued: number } {
  // A stream of the network in memory has no counters.
  const { bytesRead = 0, bytesWritten = 0, writableLength } = socket as Partial<Socket> & Socket;
  return { received: bytesRead, sent: bytesWritten - writableLength, queued: bytesBeforeKernel(socket) };
}

/** True if bytes of a response wait to be taken, or bytes of a body have not arrived for which there is room. */
function waitsForClient(socket: Socket, exchanges: ReadonlySet<Exchange>): boolean {
  if (socket.writableLength > 0) return true;
  for (const { request, response } of exchanges) {
    if (request.complete) continue;
    if (response.writableFinished || request.readableLength < request.readableHighWaterMark) return true;
  }
  return false;
}

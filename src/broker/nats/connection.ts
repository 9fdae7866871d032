/** The connection to the NATS server: it is opened again without end, and checked by a probe. */

import { clearTimeout, setImmediate, setTimeout } from "../../transport/timers.ts";
import { brokerClosed, brokerUnreachable } from "../failures.ts";
import { connect, type NatsConnection } from "./client.ts";
import type { NatsSettings } from "./options.ts";

/** How often the server must answer a probe, and how soon. Both together are less than the 10 s in which a hub learns of an outage. */
const PROBE_INTERVAL = 2_000;
const PROBE_TIMEOUT = 3_500;
/** Longest time of one attempt to connect. */
const CONNECT_TIMEOUT = 5_000;
/** The pause before the next attempt at the same server: between these, at random, so that all nodes do not come at once. */
const LEAST_PAUSE = 100;
const MOST_PAUSE = 1_000;
/** How long nats.js may take to end a connection, before its socket is destroyed. */
const CLOSE_TIMEOUT = 500;

export interface NatsConnectionOwner {
  /** There is a new connection object, without subscriptions. */
  attach(connection: NatsConnection): void;
  /** The server is there. Resolves when the broker can be used. The connection may be lost meanwhile. */
  prepare(connection: NatsConnection): Promise<void>;
  /** Everything arrives from here on. */
  up(): void;
  /** From here on something may be missing. Called once until `up`. */
  down(cause: unknown): void;
  /** The server has answered all that was sent before the last probe. */
  answered(): void;
  /** The server has refused something, such as a subject without permission. */
  refused(error: Error): void;
}

const pause = (): number => LEAST_PAUSE + Math.random() * (MOST_PAUSE - LEAST_PAUSE);

export class ServerConnection {
  readonly #settings: NatsSettings;
  readonly #owner: NatsConnectionOwner;
  #connection: NatsConnection | undefined;
  /** True from `up` to `down`. */
  #usable = false;
  /** Counts the times that the connection was lost: what began before the last one is void. */
  #losses = 0;
  #closed = false;
  #lastError: unknown = new Error("the server was not reached yet");
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #sleeping = new Set<() => void>();

  constructor(settings: NatsSettings, owner: NatsConnectionOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  /** Begins to connect. */
  open(): void {
    void this.#run();
  }

  get connection(): NatsConnection | undefined {
    return this.#connection;
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Returns the connection if messages can be sent now. nats.js would throw them away in silence while it reconnects. */
  use(): NatsConnection {
    if (this.#closed) throw brokerClosed();
    if (!this.#usable || this.#connection === undefined) throw brokerUnreachable(this.#lastError);
    return this.#connection;
  }

  /** Resolves when the server has handled all that was sent before. Rejects if the connection is lost, or after `timeout`. */
  flush(timeout: number): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return Promise.reject(brokerUnreachable(this.#lastError));
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`the server has not answered a ping for ${timeout} ms`));
      // If the timer fires late, this process was busy, and the answer may have arrived: it is read first.
      const timer = setTimeout(() => setImmediate(() => setImmediate(late)), timeout);
      connection
        .flush()
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  /** Something that was prepared is gone, although the server answers: it is prepared again. */
  lost(cause: unknown): void {
    const connection = this.#connection;
    if (!this.#usable || connection === undefined) return;
    this.#down(cause);
    void this.#prepare(connection);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#usable = false;
    this.#losses += 1;
    clearTimeout(this.#timer);
    for (const wake of this.#sleeping) wake();
    const connection = this.#connection;
    if (connection === undefined) return;
    const ended = connection.close().catch(() => undefined);
    await Promise.race([ended, this.#sleep(CLOSE_TIMEOUT)]);
    // If it was connecting, nats.js leaves the socket of the attempt open.
    transportOf(connection)?.discard?.();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await connect({
          ...this.#settings.connection,
          servers: [...this.#settings.servers],
          reconnect: true,
          maxReconnectAttempts: -1,
          reconnectDelayHandler: pause,
          timeout: CONNECT_TIMEOUT,
          pingInterval: 5_000,
          maxPingOut: 2,
          // A login that is refused may be valid again later; without this, nats.js gives up after two attempts.
          ignoreAuthErrorAbort: true,
          noAsyncTraces: true,
        });
        if (this.#closed) return await connection.close();
        await this.#live(connection);
      } catch (error) {
        this.#lastError = error;
      }
      if (!this.#closed) await this.#sleep(pause());
    }
  }

  /** The life of one connection object, over all its reconnects. nats.js ends it only for a reason that it considers final. */
  async #live(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    void this.#watch(connection);
    this.#owner.attach(connection);
    void this.#prepare(connection);
    this.#probeLater();
    const cause = await connection.closed();
    if (this.#closed) return;
    this.#connection = undefined;
    this.#down(cause ?? new Error("the client of NATS has closed the connection"));
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (this.#connection !== connection || this.#closed) return;
      if (status.type === "disconnect") this.#down(this.#reason("the connection to the server was lost"));
      else if (status.type === "reconnect") void this.#prepare(connection);
      else if (status.type === "error") {
        this.#lastError = status.error;
        this.#owner.refused(status.error);
      }
    }
  }

  #reason(problem: string): Error {
    return new Error(problem, this.#lastError === undefined ? undefined : { cause: this.#lastError });
  }

  /** nats.js has sent the subscriptions again. The flush proves that the server has them. */
  async #prepare(connection: NatsConnection): Promise<void> {
    const losses = this.#losses;
    const valid = (): boolean => losses === this.#losses && !this.#closed && this.#connection === connection;
    while (valid()) {
      try {
        await this.#owner.prepare(connection);
        await this.flush(PROBE_TIMEOUT);
        if (!valid()) return;
        this.#usable = true;
        this.#lastError = undefined;
        return this.#owner.up();
      } catch (error) {
        this.#lastError = error;
        await this.#sleep(pause());
      }
    }
  }

  #down(cause: unknown): void {
    this.#losses += 1;
    if (this.#lastError === undefined) this.#lastError = cause;
    if (!this.#usable) return;
    this.#usable = false;
    this.#lastError = cause;
    this.#owner.down(cause);
  }

  #probeLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#probe(), PROBE_INTERVAL);
  }

  /** A frozen server, or one behind a broken network, closes no connection. nats.js alone would need 15 s to notice it. */
  async #probe(): Promise<void> {
    const connection = this.#connection;
    const losses = this.#losses;
    if (connection !== undefined && this.#usable) {
      try {
        await this.flush(PROBE_TIMEOUT);
        if (losses === this.#losses && this.#usable) this.#owner.answered();
      } catch (error) {
        if (losses === this.#losses && !this.#closed) {
          this.#down(error);
          await this.#reconnect(connection);
        }
      }
    }
    if (!this.#closed && this.#connection !== undefined) this.#probeLater();
  }

  async #reconnect(connection: NatsConnection): Promise<void> {
    const transport = transportOf(connection);
    await connection.reconnect().catch(() => undefined);
    await this.#sleep(CLOSE_TIMEOUT);
    // nats.js waits until its last write has left, which never happens if the server does not read and the buffers are full.
    transport?.socket?.destroy();
  }

  /** Resolves after `length` milliseconds, or when the broker is closed. */
  #sleep(length: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#sleeping.delete(end);
        resolve();
      };
      const timer = setTimeout(end, length);
      this.#sleeping.add(end);
    });
  }
}

/** The part of nats.js that owns the socket, which it does not export. Without it, a connection ends later. */
interface NatsTransport {
  readonly socket?: { destroy(): void };
  discard?(): void;
}

function transportOf(connection: NatsConnection): NatsTransport | undefined {
  return (connection as { readonly protocol?: { readonly transport?: NatsTransport } }).protocol?.transport;
}

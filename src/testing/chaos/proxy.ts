/** A TCP proxy that causes network faults between real sockets, for tests of any program: it knows no protocol. */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { joinHostPort } from "../../base/host-port.ts";
import { judgeNumber, type NumberRange } from "../../base/judge.ts";
import { type ChaosFaults, changedFaults, NO_FAULTS, type SettledFaults, seeded } from "./faults.ts";
import { ChaosSession, type SessionOwner } from "./session.ts";

const SEEDS: NumberRange = { least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER, whole: true };

export interface ChaosOptions {
  /** The target to which connections are forwarded, as `host:port`. */
  readonly to: string;
  /** The address to listen on, as `host:port`; port 0 picks a free port. @default "127.0.0.1:0" */
  readonly listen?: string | undefined;
  /** Seed of all random decisions. The same seed has the same effect on the same bytes at the same times. @default by chance */
  readonly seed?: number | undefined;
  /** The faults from the beginning. @default nothing */
  readonly faults?: ChaosFaults | undefined;
}

/** Counts since the proxy was started. */
export interface ChaosCounts {
  readonly accepted: number;
  readonly open: number;
  /** Connections that the proxy itself reset. */
  readonly resets: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
}

/** A running proxy. */
export interface ChaosProxy extends AsyncDisposable {
  /** The address on which the proxy listens, as `host:port`. */
  readonly address: string;
  readonly port: number;
  /** Pass it as `seed` to repeat the same random decisions. */
  readonly seed: number;
  /** The current faults. */
  readonly faults: SettledFaults;
  readonly counts: ChaosCounts;
  /**
   * Changes the named faults, also for open connections. Resolves when the change is in effect. Rejects if `refuse` ends and
   * another program has taken the port meanwhile, and with TypeError or RangeError for an unknown fault or a value out of range.
   */
  set(faults: ChaosFaults): Promise<void>;
  /** Removes all faults. */
  heal(): Promise<void>;
  /** Resets both sides of every connection now. */
  reset(): void;
  /** Sends a FIN to both sides of every connection now, and discards later bytes: an end without a closing handshake. */
  fin(): void;
  /** Stops listening, and destroys every connection. Resolves when all are closed. */
  close(): Promise<void>;
}

/**
 * Starts a proxy that forwards each accepted connection to the target with the current faults. It knows no protocol. It holds
 * at most 192 KiB per connection and direction; beyond that it stops reading, and the sender waits. Rejects with TypeError or
 * RangeError for misuse, and with the system's error if it cannot listen.
 */
export async function chaosProxy(options: ChaosOptions): Promise<ChaosProxy> {
  const proxy = new RunningProxy(options);
  await proxy.set({});
  return proxy;
}

// While `refuse` is set the proxy does not hold its port. Linux gives ports from 32768 on to outgoing connections, so another
// program could take such a port meanwhile. A free port is therefore picked below.
const EPHEMERAL = 32_768;
const LOWEST = 16_384;
const ATTEMPTS = 20;

class RunningProxy implements ChaosProxy, SessionOwner {
  readonly seed: number;
  readonly random: () => number;
  readonly #target: ProxyTarget;
  readonly #sessions: Set<ChaosSession> = new Set();
  readonly #counts = { accepted: 0, resets: 0, "to-server": 0, "to-client": 0 };
  #listenAt: ProxyTarget;
  #faults: SettledFaults;
  #server: Server | undefined;
  #bound = false;
  #closed = false;
  #changing: Promise<void> = Promise.resolve();

  constructor({ to, listen = "127.0.0.1:0", seed = Math.floor(Math.random() * 2 ** 32), faults = {} }: ChaosOptions) {
    judgeNumber("seed", seed, SEEDS);
    this.#target = parseHostPort("to", to);
    if (this.#target.port === 0) throw new RangeError(`Cannot use to ${to}: expected a port`);
    this.#listenAt = parseHostPort("listen", listen);
    this.#faults = changedFaults(NO_FAULTS, faults);
    this.seed = seed;
    this.random = seeded(seed);
  }

  get address(): string {
    return joinHostPort(this.#listenAt.host, this.#listenAt.port);
  }

  get port(): number {
    return this.#listenAt.port;
  }

  get faults(): SettledFaults {
    return this.#faults;
  }

  get counts(): ChaosCounts {
    const { accepted, resets, "to-server": bytesToServer, "to-client": bytesToClient } = this.#counts;
    return { accepted, open: this.#sessions.size, resets, bytesToServer, bytesToClient };
  }

  async set(faults: ChaosFaults): Promise<void> {
    this.#faults = changedFaults(this.#faults, faults);
    for (const session of this.#sessions) session.changed();
    const changed = this.#changing.then(() => this.#listenOrRefuse());
    // A failure must not block later calls: the next one tries again.
    this.#changing = changed.catch(() => undefined);
    await changed;
  }

  async heal(): Promise<void> {
    await this.set(NO_FAULTS);
  }

  reset(): void {
    for (const session of this.#sessions) session.reset();
  }

  fin(): void {
    for (const session of this.#sessions) session.fin();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#changing = this.#changing.then(() => this.#listenOrRefuse());
    for (const session of this.#sessions) session.destroy();
    await this.#changing;
    await Promise.all(Array.from(this.#sessions, (session) => session.closed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  forwarded(direction: "to-server" | "to-client", bytes: number): void {
    this.#counts[direction] += bytes;
  }

  countReset(): void {
    this.#counts.resets += 1;
  }

  async #listenOrRefuse(): Promise<void> {
    const refused = this.#closed || this.#faults.refuse;
    // A proxy that refuses from the beginning also opens once, to reserve and report its port.
    if (this.#server === undefined && !(refused && this.#bound)) await this.#open();
    if (refused) this.#stopListening();
  }

  async #open(): Promise<void> {
    const { host, port } = this.#listenAt;
    const server = port === 0 ? await this.#onFreePort(host) : await this.#listen(host, port);
    server.on("error", () => undefined);
    this.#server = server;
    this.#bound = true;
    // Clients must find the same port when `refuse` ends.
    this.#listenAt = { host, port: (server.address() as AddressInfo).port };
  }

  async #onFreePort(host: string): Promise<Server> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const port = LOWEST + Math.floor(Math.random() * (EPHEMERAL - LOWEST));
      try {
        return await this.#listen(host, port);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
    return await this.#listen(host, 0);
  }

  async #listen(host: string, port: number): Promise<Server> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return server;
  }

  #stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #accept(client: Socket): void {
    this.#counts.accepted += 1;
    const { host, port } = this.#target;
    const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const session = new ChaosSession(this, client, server);
    this.#sessions.add(session);
    void session.closed.then(() => this.#sessions.delete(session));
  }
}

interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

function parseHostPort(name: string, text: unknown): ProxyTarget {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(String(text)) ?? [];
  const host = bracketed ?? plain;
  if (typeof text !== "string" || host === undefined || Number(port) > 65_535) {
    throw new TypeError(`Cannot use ${name} ${String(text)}: expected host:port, as in 127.0.0.1:9000 or [::1]:9000`);
  }
  return { host, port: Number(port) };
}

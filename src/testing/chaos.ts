/** A proxy that makes the network's faults between real sockets: for tests of programs that it knows nothing of. */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { address } from "../transport/socket.js";
import { type ChaosFaults, changedFaults, HEALTH, type SettledFaults, seeded } from "./chaos-faults.js";
import { ChaosSession, type SessionOwner } from "./chaos-session.js";

export interface ChaosOptions {
  /** Where connections are led, as `host:port`. */
  readonly to: string;
  /** Where to listen, as `host:port`; port 0 picks a free one. @default "127.0.0.1:0" */
  readonly listen?: string;
  /** What all chance comes from: the same seed does the same to the same bytes at the same time. @default by chance */
  readonly seed?: number;
  /** What goes wrong from the beginning. @default nothing */
  readonly faults?: ChaosFaults;
}

/** What has happened so far. */
export interface ChaosCounts {
  readonly accepted: number;
  readonly open: number;
  /** Connections that the proxy has reset. */
  readonly resets: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
}

/** A proxy that runs. */
export interface ChaosProxy extends AsyncDisposable {
  /** Where to connect to, as `host:port`. */
  readonly address: string;
  readonly port: number;
  /** What to give as `seed` to have the same chance again. */
  readonly seed: number;
  /** What goes wrong now. */
  readonly faults: Readonly<Required<ChaosFaults>>;
  readonly counts: ChaosCounts;
  /**
   * Changes the faults that are named, for the connections that are open too. Resolves when it is so; rejects when the port
   * of one who refused has been taken by somebody else. TypeError or RangeError for what is no fault.
   */
  set(faults: ChaosFaults): Promise<void>;
  /** Takes all faults away. */
  heal(): Promise<void>;
  /** Resets every connection now, at both sides. */
  reset(): void;
  /** Sends both sides of every connection a FIN now, and loses what comes behind it: an end without a closing handshake. */
  fin(): void;
  /** Stops listening, and drops every connection. */
  close(): Promise<void>;
}

/**
 * Listens, and connects whoever comes to its target, with the faults that are set. It knows no protocol, and holds at most
 * 192 KiB of a connection each way: beyond that the sender waits. TypeError or RangeError for misuse; rejects when it cannot listen.
 */
export async function chaosProxy(options: ChaosOptions): Promise<ChaosProxy> {
  const proxy = new RunningProxy(options);
  await proxy.set({});
  return proxy;
}

// Who refuses gives up its port, and from here on (on Linux) a system gives ports to any client that connects to anywhere.
const EPHEMERAL = 32_768;
const LOWEST = 16_384;
const ATTEMPTS = 20;

class RunningProxy implements ChaosProxy, SessionOwner {
  readonly seed: number;
  readonly random: () => number;
  readonly #target: Place;
  readonly #sessions: Set<ChaosSession> = new Set();
  readonly #counts = { accepted: 0, resets: 0, "to-server": 0, "to-client": 0 };
  #place: Place;
  #faults: SettledFaults;
  #server: Server | undefined;
  #bound = false;
  #over = false;
  #changing: Promise<void> = Promise.resolve();

  constructor({ to, listen = "127.0.0.1:0", seed = Math.floor(Math.random() * 2 ** 32), faults = {} }: ChaosOptions) {
    if (!Number.isSafeInteger(seed)) throw new TypeError(`Cannot use seed ${seed}: expected a whole number`);
    this.#target = placeOf("to", to);
    if (this.#target.port === 0) throw new RangeError(`Cannot use to ${to}: expected a port`);
    this.#place = placeOf("listen", listen);
    this.#faults = changedFaults(HEALTH, faults);
    this.seed = seed;
    this.random = seeded(seed);
  }

  get address(): string {
    return address(this.#place.host, this.#place.port);
  }

  get port(): number {
    return this.#place.port;
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
    // Whoever asks next tries again.
    this.#changing = changed.catch(() => undefined);
    await changed;
  }

  async heal(): Promise<void> {
    await this.set(HEALTH);
  }

  reset(): void {
    for (const session of this.#sessions) session.reset();
  }

  fin(): void {
    for (const session of this.#sessions) session.fin();
  }

  async close(): Promise<void> {
    this.#over = true;
    this.#changing = this.#changing.then(() => this.#listenOrRefuse());
    for (const session of this.#sessions) session.destroy();
    await this.#changing;
    await Promise.all(Array.from(this.#sessions, (session) => session.closed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  passed(direction: "to-server" | "to-client", bytes: number): void {
    this.#counts[direction] += bytes;
  }

  wasReset(): void {
    this.#counts.resets += 1;
  }

  async #listenOrRefuse(): Promise<void> {
    const shut = this.#over || this.#faults.refuse;
    // Also one who refuses from the beginning has to know its port.
    if (this.#server === undefined && !(shut && this.#bound)) await this.#open();
    if (shut) this.#shut();
  }

  async #open(): Promise<void> {
    const { host, port } = this.#place;
    const server = port === 0 ? await this.#onFreePort(host) : await this.#listen(host, port);
    server.on("error", () => undefined);
    this.#server = server;
    this.#bound = true;
    // Who is refused and let in again finds the same port.
    this.#place = { host, port: (server.address() as AddressInfo).port };
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

  #shut(): void {
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

interface Place {
  readonly host: string;
  readonly port: number;
}

function placeOf(name: string, text: unknown): Place {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(String(text)) ?? [];
  const host = bracketed ?? plain;
  if (typeof text !== "string" || host === undefined || Number(port) > 65_535) {
    throw new TypeError(`Cannot use ${name} ${String(text)}: expected host:port, as in 127.0.0.1:9000 or [::1]:9000`);
  }
  return { host, port: Number(port) };
}

/** A process on a machine of a memory network: the network that its connections and servers use. */

import type { Clock, Instant, Wakeup } from "../../base/time.ts";
import type { ListenAddress } from "../../transport/listen/listen-address.ts";
import type { MemoryTransport } from "../../transport/memory.ts";
import { MemoryStream, systemErrorByCode } from "../../transport/memory-stream.ts";
import type { Network, NetworkListener } from "../../transport/network.ts";
import type { Duplex, LookupAddress, NetConnectOpts, NetServer } from "../../transport/node-types.ts";
import { transportError } from "../../transport/socket/socket.ts";
import { setImmediate } from "../../transport/timers.ts";
import type { Endpoints } from "../../transport/transport.ts";
import type { NetworkLink } from "./link.ts";
import { join, type Listener, type Machine } from "./machine.ts";

/** What a host uses of its network. */
export interface HostSetup {
  readonly clock: Clock;
  /** Returns the addresses of a host name, or the code of the resolver's error. Undefined: the resolver does not answer. */
  readonly lookup: (name: string) => readonly LookupAddress[] | string | undefined;
  /** Returns the machine with this address. Undefined if there is none: packets to it are lost. */
  readonly machineAt: (address: string) => Machine | undefined;
  readonly linkOf: (from: Machine, to: Machine) => NetworkLink;
}

/**
 * One process on one machine. Pass it as the option `network` of `connect`, `listen` and `reconnect`. After `kill` or `crash` it
 * is of no use any more: `host(name)` of the network then returns the next process of the machine.
 */
export class Host implements Network {
  readonly name: string;
  /** The IP address of the machine. */
  readonly address: string;
  /** The clock of the process, the default of the option `clock`. It has the network's time. Its timers end with the process. */
  readonly clock: Clock;
  readonly #machine: Machine;
  readonly #setup: HostSetup;
  #alive = true;
  #frozen = false;
  /** Calls withheld while the process is frozen. */
  #withheld: (() => void)[] = [];

  /** @internal */
  constructor(machine: Machine, setup: HostSetup) {
    this.name = machine.name;
    this.address = machine.address;
    this.#machine = machine;
    this.#setup = setup;
    this.clock = new HostClock(setup.clock, (wake) => this.#run(wake));
  }

  /** @internal False after `kill` and `crash`. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Ends the process at once, as SIGKILL does. The kernel closes its sockets, with a reset where received bytes are unread. The
   * process runs no code of the library any more, so none of its calls settles.
   */
  kill(): void {
    if (!this.#stop()) return;
    for (const listener of this.#machine.listeners.values()) listener.close();
    for (const end of [...this.#machine.ends]) end.kill();
  }

  /**
   * Takes the power from the machine: nothing is sent, and packets to it are lost until `host(name)` starts the next process.
   * Then the kernel answers packets of earlier connections with a reset.
   */
  crash(): void {
    if (!this.#stop()) return;
    this.#machine.crash();
  }

  /**
   * Stops the process, as SIGSTOP does: its kernel accepts connections, and bytes until its buffers are full. The process handles
   * none of them, and its timers wait.
   */
  freeze(): void {
    if (!this.#alive || this.#frozen) return;
    this.#frozen = true;
    for (const end of this.#machine.ends) this.#machine.freeze(end);
  }

  /** Resumes a frozen process. Received bytes are handled before the timers that have expired. */
  thaw(): void {
    if (!this.#alive || !this.#frozen) return;
    this.#frozen = false;
    this.#machine.thaw();
    const withheld = this.#withheld;
    this.#withheld = [];
    // Each in a callback of its own, as from the system: its promises settle before the next.
    for (const call of withheld) setImmediate(() => this.#run(call));
  }

  lookup(name: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void): void {
    const answer = this.#setup.lookup(name);
    if (answer === undefined) return;
    setImmediate(() =>
      this.#run(() => {
        if (typeof answer === "string") done(systemErrorByCode(answer, "getaddrinfo", { hostname: name }), []);
        else done(null, answer);
      }),
    );
  }

  connect(options: NetConnectOpts): Duplex {
    const stream = new MemoryStream();
    const { host = "", port = 0, path } = options as { host?: string; port?: number; path?: string };
    const target = path !== undefined || isLoopback(host) ? this.#machine : this.#setup.machineAt(host);
    if (target !== undefined)
      this.#dial(stream, target, path ?? port, path === undefined ? { address: host, port } : { path });
    return stream;
  }

  async listen(server: NetServer, { host, port, socketPath }: ListenAddress): Promise<NetworkListener> {
    const { listeners } = this.#machine;
    const key = socketPath ?? (port === 0 ? this.#machine.freePort() : port);
    const facts = socketPath === undefined ? { address: host, port } : { path: socketPath };
    await new Promise((resolve) => setImmediate(resolve));
    // The process was killed meanwhile: it binds nothing, and its call never settles.
    if (!this.#alive) await new Promise(() => undefined);
    if (socketPath === undefined && !this.#owns(host)) throw failure("EADDRNOTAVAIL", facts);
    if (listeners.has(key)) throw failure("EADDRINUSE", facts);
    const accepted = new Set<MemoryTransport>();
    let open = true;
    let stopped: (() => void) | undefined;
    const listener: Listener = {
      frozen: () => this.#frozen,
      // As a kernel, which resets the connections that a closed listening socket has not accepted.
      accept: (end) =>
        this.#run(() => {
          if (!open || end.closed) {
            end.abort();
            return;
          }
          accepted.add(end);
          server.emit("connection", new MemoryStream(end));
        }),
      delete: (end) => {
        accepted.delete(end);
        if (accepted.size === 0) stopped?.();
      },
      close: () => {
        open = false;
        if (listeners.get(key) === listener) listeners.delete(key);
      },
    };
    listeners.set(key, listener);
    return {
      port: typeof key === "number" ? key : 0,
      stop: () => {
        listener.close();
        return new Promise((resolve) => {
          stopped = resolve;
          if (accepted.size === 0) resolve();
        });
      },
      accepted: async () => accepted.size,
      ref: () => undefined,
    };
  }

  /** Runs a call of the process: later if the process is frozen, and never if it has ended. */
  #run(call: () => void): void {
    if (!this.#alive) return;
    if (this.#frozen) this.#withheld.push(call);
    else call();
  }

  #stop(): boolean {
    if (!this.#alive) return false;
    this.#alive = false;
    this.#machine.frozen.clear();
    this.#withheld = [];
    return true;
  }

  /** The three segments of TCP's opening handshake. */
  #dial(stream: MemoryStream, target: Machine, key: number | string, facts: Readonly<Record<string, unknown>>): void {
    const machine = this.#machine;
    const [there, back] = [this.#setup.linkOf(machine, target), this.#setup.linkOf(target, machine)];
    const [out, home] = [there.path(), back.path()];
    const byPort = typeof key === "number";
    const here = { address: byPort ? machine.address : "", port: byPort ? machine.freePort() : undefined };
    const server = byPort ? { address: target.address, port: key } : { address: "", port: undefined };
    const refused = (): void => {
      const code = byPort ? "ECONNREFUSED" : "ENOENT";
      this.#run(() => stream.destroy(systemErrorByCode(code, "connect", facts)));
    };
    out.transmit(() => {
      const listener = target.listeners.get(key);
      if (listener === undefined) {
        home.transmitReset(refused);
        return;
      }
      const [client, accepted] = join(
        [
          {
            ...{ machine, link: there, frozen: this.#frozen },
            endpoints: endpointsBetween(here, server),
          },
          {
            ...{ machine: target, link: back, frozen: listener.frozen(), freed: (end) => listener.delete(end) },
            endpoints: endpointsBetween(server, here),
          },
        ],
        [out, home],
      );
      home.transmit(() => {
        if (!this.#alive || stream.destroyed) {
          client.abort();
          return;
        }
        out.transmit(() => listener.accept(accepted), 0);
        this.#run(() => stream.connected(client));
      }, 0);
    }, 0);
  }

  #owns(host: string): boolean {
    return host === "" || host === this.name || host === this.address || host === "0.0.0.0" || isLoopback(host);
  }
}

/** The network's clock, as a process sees it. */
class HostClock implements Clock {
  readonly #clock: Clock;
  readonly #run: (wake: () => void) => void;

  constructor(clock: Clock, run: (wake: () => void) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  now(): Instant {
    return this.#clock.now();
  }

  wallTime(): number {
    return this.#clock.wallTime();
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    let cancelled = false;
    const wakeup = this.#clock.wakeAt(at, () =>
      this.#run(() => {
        if (!cancelled) wake(this.now());
      }),
    );
    return {
      cancel: () => {
        cancelled = true;
        wakeup.cancel();
      },
    };
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function failure(code: string, facts: Readonly<Record<string, unknown>>): Error {
  return transportError(systemErrorByCode(code, "listen", facts));
}

interface MemoryAddress {
  readonly address: string;
  readonly port: number | undefined;
}

/** The endpoints of the side at `local`. Both are empty on a unix socket, as in Node. */
function endpointsBetween(local: MemoryAddress, remote: MemoryAddress): Endpoints {
  return {
    localAddress: local.address,
    localPort: local.port,
    remoteAddress: remote.address,
    remotePort: remote.port,
    secure: false,
  };
}

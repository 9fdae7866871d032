/** A network in memory: hosts by name, name resolution, and faults of the links between the hosts. */

import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";
import type { Clock } from "../../base/time.ts";
import { ManualClock } from "../clock.ts";
import { Host, type HostSetup } from "./host.ts";
import { type LinkFaults, type LinkSetup, NetworkLink } from "./link.ts";
import { Machine } from "./machine.ts";

/** Options of a memory network. The faults are those of all links at first. */
export interface NetworkOptions<AnyClock extends Clock = ManualClock> {
  /** The clock of the network and of its hosts. @default a new ManualClock */
  readonly clock?: AnyClock | undefined;
  /** Delay of all packets in each direction, in milliseconds. @default 0 */
  readonly latency?: number | undefined;
  /** Most additional delay of a packet, in milliseconds. @default 0 */
  readonly jitter?: number | undefined;
  /** Bytes per second of each link, in each direction. @default Infinity */
  readonly rate?: number | undefined;
  /** Bytes that the kernels hold in each direction of a connection before writes wait. @default 65_536 */
  readonly capacity?: number | undefined;
  /** The source of the random part of `jitter`. Returns numbers from 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** Creates a network without hosts. It has no connection to the system's network. */
export function network<AnyClock extends Clock = ManualClock>(
  options: NetworkOptions<AnyClock> = {},
): MemoryNetwork<AnyClock> {
  return new MemoryNetwork(options);
}

/** A network in memory. */
export class MemoryNetwork<AnyClock extends Clock = ManualClock> {
  /** The clock of the network and, unless they have another, of all connections and servers on it. */
  readonly clock: AnyClock;
  readonly #faults: LinkFaults;
  readonly #setup: LinkSetup;
  readonly #hostSetup: HostSetup;
  readonly #machines = new Map<string, Machine>();
  readonly #hosts = new Map<string, Host>();
  readonly #links = new Map<string, NetworkLink>();
  /** The answers that were set. Undefined: no answer at all. */
  readonly #names = new Map<string, readonly string[] | string | undefined>();

  /** @internal */
  constructor(options: NetworkOptions<AnyClock>) {
    const { latency = 0, jitter = 0, rate = Infinity, capacity = 65_536, random = Math.random } = options;
    this.clock = options.clock ?? (new ManualClock() as Clock as AnyClock);
    this.#faults = { latency, jitter, rate };
    this.#setup = { clock: this.clock, random, capacity };
    this.#hostSetup = {
      clock: this.clock,
      lookup: (name) => this.#lookup(name),
      machineAt: (address) => [...this.#machines.values()].find((machine) => machine.address === address),
      linkOf: (from, to) => this.#link(from, to),
    };
  }

  /**
   * Returns the process on the machine of this name. The first call creates the machine with an address of its own. After `kill`
   * or `crash`, the next call starts the next process.
   */
  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host?.alive) return host;
    const machine = this.#machine(name);
    machine.running = true;
    const started = new Host(machine, this.#hostSetup);
    this.#hosts.set(name, started);
    for (const link of this.#links.values()) link.resume();
    return started;
  }

  /** Returns the link from one host to another. The link in the opposite direction is another one. */
  link(from: string, to: string): NetworkLink {
    return this.#link(this.#machine(from), this.#machine(to));
  }

  /** Cuts the links in both directions between each host in `some` and each host in `others`. */
  partition(some: readonly string[], others: readonly string[]): void {
    for (const [one, other] of some.flatMap((each) => others.map((another) => [each, another] as const))) {
      this.link(one, other).cut();
      this.link(other, one).cut();
    }
  }

  /** Ends all cuts. */
  heal(): void {
    for (const link of this.#links.values()) link.heal();
  }

  /**
   * Sets the answer of the resolver for a name: IP addresses in order of preference, or the code of an error such as `ENOTFOUND`
   * or `EAI_AGAIN`. Otherwise the name of a host has the address of its machine, and every other name gets `ENOTFOUND`. No machine
   * has an address that is not the `address` of a host: packets to it are lost.
   */
  resolve(name: string, answer: readonly string[] | string): void {
    this.#names.set(name, answer);
  }

  /**
   * Leaves queries for a name without an answer, until `resolve` sets one for later queries. A client then waits in phase `dns`
   * until `openTimeout`.
   */
  neverResolve(name: string): void {
    this.#names.set(name, undefined);
  }

  #lookup(name: string): readonly LookupAddress[] | string | undefined {
    if (this.#names.has(name) && this.#names.get(name) === undefined) return undefined;
    const set = this.#names.get(name) ?? (name === "localhost" ? ["127.0.0.1"] : undefined);
    if (typeof set === "string") return set;
    const machine = this.#machines.get(name);
    const addresses = set ?? (machine && [machine.address]);
    return addresses?.map((address) => ({ address, family: isIP(address) })) ?? "ENOTFOUND";
  }

  #machine(name: string): Machine {
    const known = this.#machines.get(name);
    if (known !== undefined) return known;
    const number = this.#machines.size + 1;
    const machine = new Machine(name, `10.0.${number >> 8}.${number & 255}`);
    this.#machines.set(name, machine);
    return machine;
  }

  #link(from: Machine, to: Machine): NetworkLink {
    const key = JSON.stringify([from.name, to.name]);
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const faults = from === to ? { latency: 0, jitter: 0, rate: Infinity } : this.#faults;
    const link = new NetworkLink(this.#setup, faults, () => from.running && to.running);
    this.#links.set(key, link);
    return link;
  }
}

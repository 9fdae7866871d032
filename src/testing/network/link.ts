/** One direction between two machines of a memory network, and the path of each connection on it. */

import { after, between, type Clock, type Instant, later, reached } from "../../base/time.ts";
import type { MemoryPath } from "../../transport/memory.ts";
import { setImmediate } from "../../transport/timers.ts";

/** Faults of one direction between two machines. Each may be changed at any time. */
export interface LinkFaults {
  /** Delay of all packets, in milliseconds. */
  latency: number;
  /** Most additional delay of a packet, in milliseconds. The order of the packets of a connection stays. */
  jitter: number;
  /** Bytes per second. All connections of the link share them. */
  rate: number;
}

/** The state of a network that its links and paths need. */
export interface LinkSetup {
  readonly clock: Clock;
  readonly random: () => number;
  /** Bytes that the two kernels hold in each direction of a connection before writes wait. */
  readonly capacity: number;
}

/** A packet in transit. */
interface Packet {
  readonly at: Instant;
  readonly arrive: () => void;
  readonly reset: boolean;
}

/**
 * One direction between two machines. TCP retransmits: packets that a cut has lost arrive after `heal`. A lost reset does not.
 */
export class NetworkLink implements LinkFaults {
  latency: number;
  jitter: number;
  rate: number;
  readonly #setup: LinkSetup;
  readonly #working: () => boolean;
  #cut = false;
  /** The instant at which the link has sent everything, at its rate. */
  #sentAt: Instant;
  readonly #stopped = new Set<ConnectionPath>();
  readonly #resets = new Set<() => void>();

  /** @internal */
  constructor(setup: LinkSetup, faults: LinkFaults, working: () => boolean) {
    this.latency = faults.latency;
    this.jitter = faults.jitter;
    this.rate = faults.rate;
    this.#setup = setup;
    this.#working = working;
    this.#sentAt = setup.clock.now();
  }

  /** Loses all packets in this direction from now on, without an event at either end. */
  cut(): void {
    this.#cut = true;
  }

  /** Ends a cut. Everything that was sent meanwhile arrives now. */
  heal(): void {
    this.#cut = false;
    this.resume();
  }

  /** Resets all connections that use this link, at both ends, as a firewall can do. */
  reset(): void {
    for (const reset of [...this.#resets]) reset();
  }

  /** @internal Delivers what was stopped, if the link works. */
  resume(): void {
    if (this.blocked) return;
    const paths = [...this.#stopped];
    this.#stopped.clear();
    for (const path of paths) path.flush();
  }

  /** @internal */
  get blocked(): boolean {
    return this.#cut || !this.#working();
  }

  /** @internal Adds the path of a connection. */
  path(): ConnectionPath {
    return new ConnectionPath(this, this.#setup);
  }

  /** @internal Calls `reset` if the link is reset. A call of the returned function ends that. */
  onReset(reset: () => void): () => void {
    this.#resets.add(reset);
    return () => void this.#resets.delete(reset);
  }

  /** @internal The instant at which `size` bytes arrive that are sent now. */
  arrivalOf(size: number): Instant {
    const now = this.#setup.clock.now();
    // Without a rate nothing waits, also not behind what was sent at an earlier rate.
    this.#sentAt = this.rate === Infinity ? now : after(later(this.#sentAt, now), (size / this.rate) * 1_000);
    return after(this.#sentAt, this.latency + (this.jitter === 0 ? 0 : this.jitter * this.#setup.random()));
  }

  /** @internal */
  stop(path: ConnectionPath): void {
    this.#stopped.add(path);
  }
}

/** One direction of one connection. Packets arrive in the order in which they were sent. */
export class ConnectionPath implements MemoryPath {
  readonly #link: NetworkLink;
  readonly #setup: LinkSetup;
  #packets: Packet[] = [];
  #last: Instant;

  constructor(link: NetworkLink, setup: LinkSetup) {
    this.#link = link;
    this.#setup = setup;
    this.#last = setup.clock.now();
  }

  get capacity(): number {
    return this.#setup.capacity;
  }

  transmit(arrive: () => void, size: number): void {
    this.#send(arrive, size, false);
  }

  transmitReset(arrive: () => void): void {
    this.#send(arrive, 0, true);
  }

  transmitAcknowledgement(arrive: () => void): void {
    this.#send(arrive, 0, false);
  }

  /** Delivers the packets that are due, unless the link is blocked. */
  readonly flush = (): void => {
    const now = this.#setup.clock.now();
    while (this.#packets[0] !== undefined && reached(this.#packets[0].at, now)) {
      if (this.#link.blocked) {
        this.#packets = this.#packets.filter(({ reset }) => !reset);
        if (this.#packets.length > 0) this.#link.stop(this);
        return;
      }
      this.#packets.shift()?.arrive();
    }
  };

  #send(arrive: () => void, size: number, reset: boolean): void {
    if (reset && this.#link.blocked) return;
    const { clock } = this.#setup;
    // Jitter and a smaller latency do not change the order.
    const at = later(this.#last, this.#link.arrivalOf(size));
    this.#last = at;
    this.#packets.push({ at, arrive, reset });
    if (between(clock.now(), at) <= 0) setImmediate(this.flush);
    else clock.wakeAt(at, this.flush);
  }
}

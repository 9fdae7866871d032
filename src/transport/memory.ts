/** Two transports joined in memory, with the network's faults on command. */

import { TransportError } from "../base/errors.js";
import { after, type Clock } from "../base/time.js";
import { systemClock } from "./clock.js";
import type { Ends, Transport, TransportEvents } from "./transport.js";

/** One end of the link. */
export type LinkSide = "client" | "server";

/** The network between the two ends. Each fault may be changed at any time. */
export interface Link {
  /** Milliseconds that every chunk and FIN is under way. */
  latency: number;
  /**
   * Stops the process at one end as SIGSTOP would: its kernel takes bytes until its buffer is full, nobody reads them, and
   * nothing is sent. Its clock is the one that the pair was given, so its own limits go on.
   */
  freeze(side: LinkSide): void;
  /** Lets a frozen end go on. */
  thaw(side: LinkSide): void;
  /** Loses everything from now on, FIN and RST too, and tells nobody: a pulled cable. */
  cut(): void;
  /** Sends a reset to both ends: what was under way is lost, and both fail with ECONNRESET. */
  reset(): void;
}

/** How the pair behaves at first. */
export interface LinkOptions {
  /** Bytes that the kernels between the ends hold in each direction before writes wait. @default 65_536 */
  readonly capacity?: number;
  /** Milliseconds that every chunk and FIN is under way. @default 0 */
  readonly latency?: number;
  /** Whose time latency is counted in. @default the system's clock */
  readonly clock?: Clock;
}

export interface MemoryPair {
  readonly client: Transport;
  readonly server: Transport;
  readonly link: Link;
}

/** Two transports, each the other's peer. */
export function memoryPair({ capacity = 65_536, latency = 0, clock = systemClock }: LinkOptions = {}): MemoryPair {
  const network: Network = { latency, severed: false, capacity, clock };
  const client = new MemoryTransport(network, { localAddress: "client", remoteAddress: "server", secure: false });
  const server = new MemoryTransport(network, { localAddress: "server", remoteAddress: "client", secure: false });
  client.join(server);
  server.join(client);
  const sides = { client, server };
  const link: Link = {
    get latency(): number {
      return network.latency;
    },
    set latency(length: number) {
      network.latency = length;
    },
    freeze: (side) => sides[side].freeze(),
    thaw: (side) => sides[side].thaw(),
    cut: () => {
      network.severed = true;
    },
    reset: () => {
      client.fail("ECONNRESET");
      server.fail("ECONNRESET");
    },
  };
  return { client, server, link };
}

interface Network {
  latency: number;
  severed: boolean;
  readonly capacity: number;
  readonly clock: Clock;
}

class MemoryTransport implements Transport {
  readonly ends: Ends;
  readonly #network: Network;
  #peer!: MemoryTransport;
  #events: TransportEvents | undefined;
  #paused = false;
  #frozen = false;
  /** What a frozen end would have sent. */
  readonly #withheld: (() => void)[] = [];
  #closed = false;
  #error: TransportError | undefined;
  /** What the kernels hold for this end: chunks it has not read. */
  readonly #arrived: Uint8Array[] = [];
  /** Bytes on the way to this end and in `#arrived`. */
  #held = 0;
  #finArrived = false;
  #finGiven = false;
  /** What this end wrote and the kernels have no room for. */
  #unsent: Uint8Array | undefined;
  /** A write was made, and `written` has yet to be told. */
  #writing = false;
  #finWanted = false;
  #finSent = false;
  #pumping = false;
  /** What this end sent and has not landed. TCP keeps its order even when the way becomes shorter. */
  readonly #underWay: (() => void)[] = [];

  constructor(network: Network, ends: Ends) {
    this.#network = network;
    this.ends = ends;
  }

  join(peer: MemoryTransport): void {
    this.#peer = peer;
  }

  get queuedBytes(): number {
    return this.#unsent?.length ?? 0;
  }

  open(events: TransportEvents): void {
    this.#events = events;
    setImmediate(this.#closed ? this.#tellClosed : this.#pump);
  }

  write(bytes: Uint8Array): boolean {
    this.#writing = true;
    this.#unsent = bytes;
    this.#send();
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#showEnd();
  }

  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  end(): void {
    this.#finWanted = true;
    if (!this.#writing) this.#sendFin();
  }

  abort(): void {
    if (this.#closed) return;
    this.#shut(undefined);
    const peer = this.#peer;
    // As TCP does: a FIN each way has been exchanged, or the peer learns by a reset.
    if (!this.#finSent || !this.#finArrived) this.#carry(() => peer.fail("ECONNRESET"));
  }

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    for (const arrive of this.#withheld.splice(0)) this.#carry(arrive);
    this.#pump();
    this.#send();
  }

  fail(errno: string): void {
    if (!this.#closed) this.#shut(new TransportError({ errno, syscall: "read" }));
  }

  #shut(error: TransportError | undefined): void {
    this.#closed = true;
    this.#error = error;
    this.#unsent = undefined;
    this.#arrived.length = 0;
    if (this.#events !== undefined) setImmediate(this.#tellClosed);
  }

  readonly #tellClosed = (): void => this.#events?.closed(this.#error);

  #send(): void {
    const bytes = this.#unsent;
    if (bytes === undefined || this.#closed || this.#frozen) return;
    const peer = this.#peer;
    const room = this.#network.capacity - peer.#held;
    // What is lost on the way is never acknowledged, so it stays in the sender's kernel, where it takes room.
    const sent = bytes.subarray(0, Math.max(room, 0));
    if (sent.length > 0) {
      peer.#held += sent.length;
      const copy = Uint8Array.from(sent);
      this.#carry(() => peer.#receive(copy));
    }
    this.#unsent = sent.length < bytes.length ? bytes.subarray(sent.length) : undefined;
    if (this.#unsent === undefined) setImmediate(this.#written);
  }

  readonly #written = (): void => {
    if (this.#closed) return;
    this.#writing = false;
    this.#events?.written();
    if (this.#finWanted && !this.#writing) this.#sendFin();
  };

  #sendFin(): void {
    if (this.#finSent || this.#closed) return;
    this.#finSent = true;
    const peer = this.#peer;
    this.#carry(() => {
      peer.#finArrived = true;
      peer.#showEnd();
      peer.#pump();
    });
    this.#closeWhenBothEnded();
  }

  /** Over the network: after the latency, unless the network is gone by the time of sending or of arrival. */
  #carry(arrive: () => void): void {
    const { clock, latency, severed } = this.#network;
    if (severed) return;
    if (this.#frozen) {
      this.#withheld.push(arrive);
      return;
    }
    this.#underWay.push(arrive);
    const land = (): void => {
      const first = this.#underWay.shift();
      if (!this.#network.severed) first?.();
    };
    if (latency === 0) setImmediate(land);
    else clock.wakeAt(after(clock.now(), latency), land);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#arrived.push(chunk);
    this.#pump();
  }

  /** Gives what has arrived, one chunk a turn, so that two ends that answer each other do not starve the rest. */
  readonly #pump = (): void => {
    if (this.#pumping || this.#paused || this.#frozen || this.#closed || this.#events === undefined) return;
    const chunk = this.#arrived.shift();
    if (chunk !== undefined) {
      this.#held -= chunk.length;
      this.#pumping = true;
      setImmediate(() => {
        this.#pumping = false;
        this.#pump();
      });
      this.#events.data(chunk);
      this.#peer.#send();
    } else if (this.#finArrived && !this.#finGiven) {
      this.#finGiven = true;
      this.#events.ended();
      this.#closeWhenBothEnded();
    }
  };

  /** Lets one who has paused know of the FIN, as a kernel that is asked would. */
  #showEnd(): void {
    if (this.#finArrived && this.#paused && !this.#finGiven && !this.#closed) this.#events?.endSeen?.();
  }

  #closeWhenBothEnded(): void {
    if (this.#finSent && this.#finGiven && !this.#closed) this.#shut(undefined);
  }
}

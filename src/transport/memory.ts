/** Two transports connected in memory, with network faults on request. */

import { concat } from "../base/bytes.ts";
import { TransportError } from "../base/errors.ts";
import { after, type Clock } from "../base/time.ts";
import { systemClock } from "./clock.ts";
import { setImmediate } from "./timers.ts";
import { type Endpoints, NO_ENDPOINTS, type Transport, type TransportEvents } from "./transport.ts";

/** One end of the link. */
export type LinkSide = "client" | "server";

/** The network between the two ends. Each fault may be changed at any time. */
export interface Link {
  /** Delay of every chunk and FIN, in milliseconds. Delivery stays in order if the value becomes smaller. */
  latency: number;
  /**
   * Stops one end, as SIGSTOP stops a process: its kernel accepts bytes until its buffer is full, the process reads none of them
   * and sends nothing. The clock of the pair continues, so the timeouts of the frozen end still expire.
   */
  freeze(side: LinkSide): void;
  /** Resumes a frozen end. */
  thaw(side: LinkSide): void;
  /** Loses all bytes, FINs and resets from now on, without an event at either end: a pulled cable. It cannot be undone. */
  cut(): void;
  /** Resets the connection at both ends: bytes in transit are lost, and both ends fail with ECONNRESET. */
  reset(): void;
}

/** Options of a pair. */
export interface LinkOptions {
  /** Bytes in each direction that the two simulated kernels hold before writes wait. @default 65_536 */
  readonly capacity?: number | undefined;
  /** Delay of every chunk and FIN, in milliseconds. @default 0 */
  readonly latency?: number | undefined;
  /** The clock that measures `latency`. @default the system's clock */
  readonly clock?: Clock | undefined;
}

export interface MemoryPair {
  readonly client: Transport;
  readonly server: Transport;
  readonly link: Link;
}

/** Creates two transports, each the peer of the other. */
export function memoryPair({ capacity = 65_536, latency = 0, clock = systemClock }: LinkOptions = {}): MemoryPair {
  const network: LinkState = { latency, cut: false, capacity, clock };
  const client = new MemoryTransport(new PairPath(network), {
    ...NO_ENDPOINTS,
    localAddress: "client",
    remoteAddress: "server",
  });
  const server = new MemoryTransport(new PairPath(network), {
    ...NO_ENDPOINTS,
    localAddress: "server",
    remoteAddress: "client",
  });
  client.setPeer(server);
  server.setPeer(client);
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
      network.cut = true;
    },
    reset: () => {
      client.fail("ECONNRESET");
      server.fail("ECONNRESET");
    },
  };
  return { client, server, link };
}

/** One direction between two ends in memory. It carries bytes, FINs, resets and acknowledgements from one end to the other. */
export interface MemoryPath {
  /** Bytes in this direction that the two kernels hold before writes wait. */
  readonly capacity: number;
  /** Calls `arrive` when `size` bytes and everything before them have arrived. Does not call it if they are lost. */
  transmit(onArrival: () => void, size: number): void;
  /** As `carry`, for a reset: a lost reset is not sent again. */
  transmitReset(arrive: () => void): void;
  /** As `carry`, for the acknowledgement of bytes that the other direction has carried. */
  transmitAcknowledgement(arrive: () => void): void;
}

/** The only link of a pair: both directions have the same faults. */
class PairPath implements MemoryPath {
  readonly #network: LinkState;
  /** Deliveries in transit, in order. As in TCP, a smaller latency must not change the order. */
  readonly #inTransit: (() => void)[] = [];

  constructor(network: LinkState) {
    this.#network = network;
  }

  get capacity(): number {
    return this.#network.capacity;
  }

  /** Nothing arrives if the network is cut at the time of sending or of arrival. */
  transmit(onArrival: () => void): void {
    const { clock, latency, cut } = this.#network;
    if (cut) return;
    this.#inTransit.push(onArrival);
    const deliverNext = (): void => {
      const first = this.#inTransit.shift();
      if (!this.#network.cut) first?.();
    };
    if (latency === 0) setImmediate(deliverNext);
    else clock.wakeAt(after(clock.now(), latency), deliverNext);
  }

  transmitReset(onArrival: () => void): void {
    this.transmit(onArrival);
  }

  transmitAcknowledgement(onArrival: () => void): void {
    onArrival();
  }
}

interface LinkState {
  latency: number;
  cut: boolean;
  readonly capacity: number;
  readonly clock: Clock;
}

/** One end of a connection in memory: the transport of a process, and the socket of its kernel. */
export class MemoryTransport implements Transport {
  readonly endpoints: Endpoints;
  readonly #path: MemoryPath;
  readonly #freed: (() => void) | undefined;
  #peer!: MemoryTransport;
  #events: TransportEvents | undefined;
  #paused = false;
  #frozen = false;
  /** Deliveries withheld while this end is frozen. */
  readonly #withheld: (() => void)[] = [];
  #closed = false;
  #error: TransportError | undefined;
  /** Received chunks that this end has not read. A kernel would hold them. */
  readonly #received: Uint8Array[] = [];
  /** Chunks that a stream has read and returned. They are delivered first. */
  #returned: readonly Uint8Array[] = [];
  /** Sent bytes that the peer has not read: bytes in transit, and those in the peer's `#received`. */
  #unacknowledged = 0;
  #finArrived = false;
  #finDelivered = false;
  /** Written bytes for which the buffers have no space. */
  #unsent: Uint8Array | undefined;
  /** A write was made, and the kernels do not have all of its bytes. */
  #writing = false;
  /** The owner made that write: `written` must be called. */
  #writtenPending = false;
  #finRequested = false;
  #finSent = false;
  #pumping = false;
  #acknowledgementsWatched = false;
  /** The pending call of `whenAcknowledged`. */
  #awaited: { readonly atMost: number; readonly call: (unacknowledged: number) => void } | undefined;

  /** `freed` is called when the kernel has freed the socket. */
  constructor(path: MemoryPath, endpoints: Endpoints, freed?: () => void) {
    this.#path = path;
    this.endpoints = endpoints;
    this.#freed = freed;
  }

  setPeer(peer: MemoryTransport): void {
    this.#peer = peer;
  }

  get queuedBytes(): number {
    return this.#unsent?.length ?? 0;
  }

  /** True if the kernel has freed the socket. */
  get closed(): boolean {
    return this.#closed;
  }

  open(events: TransportEvents): void {
    this.#events = events;
    setImmediate(this.#closed ? this.#reportClosed : this.#pump);
  }

  write(bytes: Uint8Array): boolean {
    this.#writing = true;
    this.#writtenPending = true;
    // There are unsent bytes only if a stream wrote them before this transport was taken from it.
    this.#unsent = this.#unsent === undefined ? bytes : concat([this.#unsent, bytes]);
    this.#send();
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#reportUnreadFin();
  }

  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  end(): void {
    this.#finRequested = true;
    if (!this.#writing) this.#sendFin();
  }

  abort(): void {
    if (this.#closed) return;
    this.#closeNow(undefined);
    // As in TCP: unless both FINs were exchanged, the peer receives a reset.
    if (!this.#finSent || !this.#finArrived) this.#reset();
  }

  release(): void {
    if (this.#closed) return;
    this.#sendFin();
    this.#closeNow(undefined);
  }

  /** Nothing to do: this transport never keeps the process alive. */
  ref(): void {}

  watchAcknowledgements(wanted: boolean): void {
    this.#acknowledgementsWatched = wanted;
  }

  whenAcknowledged(atMost: number, call: (unacknowledged: number) => void): boolean {
    this.#awaited = { atMost, call };
    setImmediate(this.#answerAwaited);
    return true;
  }

  readonly #answerAwaited = (): void => {
    const awaited = this.#awaited;
    const unacknowledged = this.#unacknowledged + this.queuedBytes;
    if (awaited === undefined || this.#closed || this.#frozen || unacknowledged > awaited.atMost) return;
    this.#awaited = undefined;
    awaited.call(unacknowledged);
  };

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    for (const deliver of this.#withheld.splice(0)) deliver();
    this.#reportUnreadFin();
    this.#pump();
    this.#send();
    this.#answerAwaited();
  }

  /** Closes as close(2) does: with a FIN, or with a reset if received bytes are unread. `closed` follows. */
  close(): void {
    if (this.#received.length > 0) this.abort();
    else this.release();
  }

  /** The process has ended: its kernel closes the socket, and no event follows. */
  kill(): void {
    this.#events = undefined;
    this.#frozen = false;
    this.#withheld.length = 0;
    this.close();
  }

  /** The machine has lost power: nothing is sent, and no event follows. */
  vanish(): void {
    this.#events = undefined;
    this.#withheld.length = 0;
    if (!this.#closed) this.#closeNow(undefined);
  }

  /**
   * Ends the ownership of the stream that has used this transport until now. A new owner calls `open`. It gets the bytes in
   * `returned` first, and the FIN again if the stream had it.
   */
  changeOwner(returned: readonly Uint8Array[]): this {
    this.#events = undefined;
    this.#returned = returned;
    this.#writtenPending = false;
    this.#paused = false;
    this.#finDelivered = false;
    return this;
  }

  fail(errno: string): void {
    if (!this.#closed) this.#closeNow(new TransportError({ errno, syscall: "read" }));
  }

  #closeNow(error: TransportError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#unsent = undefined;
    this.#awaited = undefined;
    this.#received.length = 0;
    this.#returned = [];
    this.#freed?.();
    if (this.#events !== undefined) setImmediate(this.#reportClosed);
  }

  readonly #reportClosed = (): void => {
    if (this.#frozen) {
      this.#withheld.push(this.#reportClosed);
      return;
    }
    // Once for each owner: the transport may be taken from a stream after its end and before this call.
    const events = this.#events;
    this.#events = undefined;
    events?.closed(this.#error);
  };

  #send(): void {
    const bytes = this.#unsent;
    if (bytes === undefined || this.#closed || this.#frozen) return;
    const peer = this.#peer;
    const room = this.#path.capacity - this.#unacknowledged;
    // Lost bytes are never acknowledged, so they stay in the sender's kernel and use its buffer space.
    const sent = bytes.subarray(0, Math.max(room, 0));
    if (sent.length > 0) {
      this.#unacknowledged += sent.length;
      const copy = Uint8Array.from(sent);
      this.#transmit(() => peer.#receiveChunk(copy), copy.length);
    }
    this.#unsent = sent.length < bytes.length ? bytes.subarray(sent.length) : undefined;
    if (this.#unsent === undefined) setImmediate(this.#written);
  }

  readonly #written = (): void => {
    if (this.#closed || this.#unsent !== undefined) return;
    if (this.#frozen) {
      this.#withheld.push(this.#written);
      return;
    }
    this.#writing = false;
    const writtenPending = this.#writtenPending;
    this.#writtenPending = false;
    if (writtenPending) this.#events?.written();
    if (this.#finRequested && !this.#writing) this.#sendFin();
  };

  #sendFin(): void {
    if (this.#finSent || this.#closed) return;
    this.#finSent = true;
    const peer = this.#peer;
    this.#transmit(() => peer.#receiveFin(), 0);
    this.#closeAfterBothFins();
  }

  #transmit(onArrival: () => void, size: number): void {
    if (this.#frozen) this.#withheld.push(() => this.#path.transmit(onArrival, size));
    else this.#path.transmit(onArrival, size);
  }

  #reset(): void {
    const peer = this.#peer;
    const send = (): void => this.#path.transmitReset(() => peer.fail("ECONNRESET"));
    if (this.#frozen) this.#withheld.push(send);
    else send();
  }

  #receiveChunk(chunk: Uint8Array): void {
    if (this.#closed) {
      // As a kernel does if it has no such socket any more.
      this.#reset();
      return;
    }
    this.#received.push(chunk);
    this.#pump();
  }

  #receiveFin(): void {
    // A socket that was closed with a FIN still waits for the peer's FIN. Any other closed socket does not exist any more.
    if (this.#closed && !this.#finSent) this.#reset();
    this.#finArrived = true;
    this.#reportUnreadFin();
    this.#pump();
  }

  /**
   * Delivers received chunks, one per turn, so that two ends that answer each other do not block the event loop for other work.
   */
  readonly #pump = (): void => {
    if (this.#pumping || this.#paused || this.#frozen || this.#closed || this.#events === undefined) return;
    const returned = this.#returned[0];
    const chunk = returned ?? this.#received.shift();
    if (chunk !== undefined) {
      if (returned !== undefined) this.#returned = this.#returned.slice(1);
      this.#pumping = true;
      setImmediate(() => {
        this.#pumping = false;
        this.#pump();
      });
      const { length } = chunk;
      this.#events.data(chunk);
      const peer = this.#peer;
      if (returned === undefined) this.#path.transmitAcknowledgement(() => peer.#acknowledged(length));
    } else if (this.#finArrived && !this.#finDelivered) {
      this.#finDelivered = true;
      this.#events.fin();
      this.#closeAfterBothFins();
    }
  };

  #acknowledged(length: number): void {
    this.#unacknowledged -= length;
    if (this.#acknowledgementsWatched && !this.#closed && !this.#frozen) this.#events?.acknowledged?.();
    this.#send();
    this.#answerAwaited();
  }

  /** Reports the FIN to a paused end, as a query of the kernel would. */
  #reportUnreadFin(): void {
    if (this.#finArrived && this.#paused && !this.#finDelivered && !this.#closed && !this.#frozen)
      this.#events?.finSeen?.();
  }

  #closeAfterBothFins(): void {
    if (this.#finSent && this.#finDelivered && !this.#closed) this.#closeNow(undefined);
  }
}

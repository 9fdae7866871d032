/** The public transport: any Node Duplex (net, tls, unix socket), through documented API only. */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { NO_BYTES } from "../../base/bytes.ts";
import { TransportError } from "../../base/errors.ts";
import { joinHostPort } from "../../base/host-port.ts";
import { READ_SHARE } from "../end-of-turn.ts";
import { withoutStack } from "../errors-without-stack.ts";
import { MemoryStream } from "../memory-stream.ts";
import { holdProcess, letProcessGo } from "../process-hold.ts";
import { setImmediate } from "../timers.ts";
import { type Endpoints, NO_ENDPOINTS, type Transport, type TransportEvents } from "../transport.ts";
import { type AwaitedEntry, kernelPoller, type PausedEntry, type UnansweredEntry } from "./kernel-poller.ts";

export class SocketTransport implements Transport {
  readonly endpoints: Endpoints;
  protected readonly stream: Duplex;
  /** True if a reset is possible: TLS hides it, and unix sockets have none. */
  protected readonly tcp: boolean;
  /**
   * True if the stream is not Node's own socket. Such a stream can call back for a write before it uses the bytes, as those of
   * `Duplex.from` do, and can use the bytes of a `data` event again. The connection writes into its buffers again after the
   * callback and unmasks received bytes in place, so it gets and gives copies.
   */
  readonly #copies: boolean;
  #head: Uint8Array | undefined;
  protected events: TransportEvents | undefined;
  protected paused = false;
  /** Bytes delivered since the other connections were last served. */
  #bytesInTurn = 0;
  /** The entry of this transport in `kernelPoller`. Created on first use. */
  #pollerEntry: (PausedEntry & UnansweredEntry) | undefined;
  /** The entry of a pending `whenAcknowledged`. */
  #awaitedEntry: AwaitedEntry | undefined;
  /** The peer's FIN was read, but the bytes of `#head` must be delivered first. */
  #finPending = false;
  #error: TransportError | undefined;
  /**
   * `#ref`: the connection must keep the process alive. `#holds`: it does so through `holdProcess`, because its handle does not.
   */
  #ref = true;
  #holds = false;
  /** Created with the first write. */
  #written: ((error?: Error | null) => void) | undefined;
  /** The number of writes that returned true. The stream calls back for them too. */
  #writtenAtOnce = 0;
  lastWriteWaited = false;

  /** `head` holds bytes that were read after the upgrade request or response. They are delivered first. */
  constructor(stream: Duplex, head?: Uint8Array) {
    this.stream = stream;
    this.#head = head?.length ? head : undefined;
    this.endpoints = endpointsOf(stream);
    this.tcp = stream instanceof Socket && !("encrypted" in stream) && stream.localPort !== undefined;
    this.#copies = !(stream instanceof Socket || stream instanceof MemoryStream);
    // After the peer's FIN this side can still write, also on sockets of a server that the application owns.
    stream.allowHalfOpen = true;
    // First of all, because an error without a listener would end the process.
    stream.on("error", this.#failed);
    if (stream instanceof Socket) stream.setTimeout(0).setNoDelay(true);
  }

  get queuedBytes(): number {
    return this.stream.writableLength;
  }

  open(events: TransportEvents): void {
    const stream = this.stream;
    this.events = events;
    this.#updateHold();
    if (stream.destroyed) {
      // The stream may have emitted `close` before there was a listener.
      setImmediate(() => events.closed(this.#error));
      return;
    }
    stream.on("close", this.#closed).on("end", this.#ended);
    // The same holds for `end`.
    if (stream.readableEnded) setImmediate(this.#ended);
    if (this.#head === undefined) this.startReading();
    else setImmediate(deliverHead, this);
  }

  readonly #failed = (error: NodeJS.ErrnoException): void => {
    this.#error ??= transportError(error);
  };

  readonly #closed = (): void => {
    const events = this.events;
    this.#head = undefined;
    this.watchAcknowledgements(false);
    this.#updateHold();
    if (this.#pollerEntry !== undefined) kernelPoller.deletePaused(this.#pollerEntry);
    if (this.#awaitedEntry !== undefined) kernelPoller.deleteAwaited(this.#awaitedEntry);
    // V8 frees the native part of a socket in a full garbage collection only. Objects that the socket references would be kept
    // until then: copied, and promoted to the old generation.
    this.events = undefined;
    this.streamClosed();
    events?.closed(this.#error);
  };

  /** The stream is closed, and `closed` follows. */
  protected streamClosed(): void {}

  write(bytes: Uint8Array): boolean {
    const { stream } = this;
    this.#written ??= (error) => {
      if (this.#writtenAtOnce > 0) this.#writtenAtOnce -= 1;
      else if (error == null) this.events?.written();
    };
    stream.write(this.#copies ? Uint8Array.from(bytes) : bytes, this.#written);
    // The stream calls back later, also if the kernel has everything.
    this.lastWriteWaited = stream.writableLength > 0 || stream.destroyed || stream.errored !== null;
    if (!this.lastWriteWaited) this.#writtenAtOnce += 1;
    return !this.lastWriteWaited;
  }

  pause(): void {
    this.paused = true;
    this.stream.pause();
    this.#updateHold();
    const lookedFor = this.#entry();
    if (lookedFor !== undefined) kernelPoller.addPaused(lookedFor);
  }

  watchAcknowledgements(wanted: boolean): void {
    if (!wanted) {
      if (this.#pollerEntry !== undefined) kernelPoller.deleteUnanswered(this.#pollerEntry);
      return;
    }
    const lookedFor = this.#entry();
    if (lookedFor !== undefined) kernelPoller.addUnanswered(lookedFor);
  }

  whenAcknowledged(atMost: number, call: (unacknowledged: number) => void): boolean {
    const socket = this.#entry()?.socket;
    if (socket === undefined || this.stream.destroyed) return false;
    if (this.#awaitedEntry !== undefined) kernelPoller.deleteAwaited(this.#awaitedEntry);
    this.#awaitedEntry = { socket, atMost, acknowledgedAllBut: call };
    return kernelPoller.addAwaited(this.#awaitedEntry);
  }

  #entry(): (PausedEntry & UnansweredEntry) | undefined {
    const stream = this.stream;
    if (!(stream instanceof Socket) || stream.localPort === undefined) return undefined;
    this.#pollerEntry ??= {
      socket: stream,
      finSeen: () => this.events?.finSeen?.(),
      missing: () => {
        if (this.tcp && stream.writable && this.queuedBytes === 0) stream.write(NO_BYTES);
      },
      acknowledged: () => this.events?.acknowledged?.(),
    };
    return this.#pollerEntry;
  }

  resume(): void {
    this.paused = false;
    this.#updateHold();
    if (this.#pollerEntry !== undefined) kernelPoller.deletePaused(this.#pollerEntry);
    if (this.#head === undefined) this.stream.resume();
    else setImmediate(deliverHead, this);
  }

  end(): void {
    if (this.stream.writableEnded) return;
    // Node does not report a shutdown of a connection that was reset. A write on it fails, even an empty one.
    if (this.tcp) this.stream.end(NO_BYTES);
    else this.stream.end();
  }

  abort(): void {
    const stream: Duplex = this.stream;
    // A reset reaches the peer immediately, and leaves the kernel nothing to retransmit to a peer that may be gone. A TLS socket
    // has no such call that works on all versions of Node, and a TCP socket leaks its file descriptor if its FIN is in progress.
    const endUnderWay = stream.writableEnded && !stream.writableFinished;
    if (stream instanceof Socket && this.tcp && !endUnderWay) stream.resetAndDestroy();
    else stream.destroy();
  }

  release(): void {
    this.stream.destroy();
  }

  ref(wanted: boolean): void {
    const stream = this.stream;
    this.#ref = wanted;
    if (stream instanceof Socket) wanted ? stream.ref() : stream.unref();
    this.#updateHold();
  }

  /** A handle that is not reading does not keep the process alive. */
  #updateHold(): void {
    const stream = this.stream;
    const idle = this.paused || stream.readableEnded;
    const wanted = this.#ref && idle && !stream.destroyed && this.events !== undefined && stream instanceof Socket;
    if (wanted === this.#holds) return;
    this.#holds = wanted;
    if (wanted) holdProcess();
    else letProcessGo();
  }

  /** Starts the `data` events. The head has been delivered. */
  protected startReading(): void {
    this.stream.on("data", this.#read);
    if (this.paused) this.stream.pause();
    else this.stream.resume();
  }

  readonly #read = (chunk: Uint8Array): void => this.received(this.#copies ? Uint8Array.from(chunk) : chunk);

  /** Delivers a chunk. If this connection has read its share of the turn, it stops reading until the others were served. */
  protected received(chunk: Uint8Array): void {
    this.#bytesInTurn += chunk.length;
    this.events?.data(chunk);
    if (this.#bytesInTurn < READ_SHARE || this.paused) return;
    this.#bytesInTurn = 0;
    this.stopForTurn();
    setImmediate(continueReading, this);
  }

  protected stopForTurn(): void {
    this.stream.pause();
  }

  continueReading(): void {
    if (!this.paused) this.stream.resume();
  }

  readonly #ended = (): void => {
    const stream = this.stream;
    if (stream.destroyed) return;
    this.#updateHold();
    if (this.#head !== undefined) this.#finPending = true;
    // libuv before 1.52 reports a reset as a FIN if it polls the reset together with the last bytes. A write tells them apart.
    else if (this.tcp && stream.writable && this.queuedBytes === 0)
      stream.write(NO_BYTES, (error) => this.#finProbed(error));
    else this.events?.fin();
  };

  #finProbed(error: Error | null | undefined): void {
    if (error == null && !this.stream.destroyed) this.events?.fin();
  }

  deliverHead(): void {
    if (this.paused || this.#head === undefined || this.stream.destroyed) return;
    const head = this.#head;
    this.#head = undefined;
    // A copy: `head` is a view of the HTTP parser's buffer, which can contain bytes that this library must not change.
    this.events?.data(Uint8Array.from(head));
    this.startReading();
    if (this.#finPending) this.#ended();
  }
}

function continueReading(transport: SocketTransport): void {
  transport.continueReading();
}

function deliverHead(transport: SocketTransport): void {
  transport.deliverHead();
}

/** Converts the error of a stream or server to a TransportError, with the original as its cause. */
export function transportError(error: SystemError): TransportError {
  const { code: errno = error.name, syscall, address, port = -1 } = error;
  // The peer of a connection is known without it. An address that cannot be bound may be one of several.
  const bound = syscall === "listen" && address !== undefined;
  const facts = {
    errno,
    ...(syscall !== undefined && { syscall }),
    ...(bound && { detail: joinHostPort(address, port < 0 ? undefined : port) }),
  };
  return withoutStack(() => new TransportError(facts, { cause: error }));
}

/** An error of the system. That of `listen` has the address: host and port, or the path of a unix socket without a port or -1. */
interface SystemError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly port?: number;
}

/** Returns the addresses of a stream. They are empty if it is not a socket. */
export function endpointsOf(stream: Duplex): Endpoints {
  if (stream instanceof MemoryStream) return stream.endpoints;
  if (!(stream instanceof Socket)) return NO_ENDPOINTS;
  // Connections of one server usually have the same local address, so consecutive ones share one string.
  const { localAddress = "", localPort, remoteAddress = "", remotePort } = stream;
  if (localAddress !== lastLocalAddress) lastLocalAddress = localAddress;
  return { localAddress: lastLocalAddress, localPort, remoteAddress, remotePort, secure: "encrypted" in stream };
}

let lastLocalAddress = "";

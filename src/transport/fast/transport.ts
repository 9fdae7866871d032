/** The fast transport: a transport on a TCP socket's handle, without a stream, that behaves exactly as the one in `socket.ts`. */

import type { Duplex } from "node:stream";
import { NO_BYTES } from "../../base/bytes.ts";
import type { TransportError } from "../../base/errors.ts";
import { READ_SHARE } from "../end-of-turn.ts";
import { holdProcess, letProcessGo } from "../process-hold.ts";
import { type AwaitedEntry, kernelPoller, type PausedEntry, type UnansweredEntry } from "../socket/kernel-poller.ts";
import { endpointsOf, transportError } from "../socket/socket.ts";
import { setImmediate } from "../timers.ts";
import type { Endpoints, Transport, TransportEvents } from "../transport.ts";
import type { AcceptedHandle } from "./accepted-handles.ts";
import { type IoResult, type TakenHandle, TcpHandle } from "./handle.ts";
import { packAddress, unpackAddress } from "./packed-address.ts";

// Limits of the bytes that are buffered during a pause. One more chunk may follow. A net.Socket reads ahead about as much.
const MAX_BUFFERED_BYTES = 16_384;
const MAX_BUFFERED_CHUNKS = 16;

/** Rarely used state of a connection, allocated on first use. */
class RareState {
  /** Bytes that were read and could not be delivered yet: the head, and bytes received during a pause, up to the limits above. */
  buffered: Uint8Array[] | undefined;
  /** The entry of this transport in `kernelPoller`. Created on first use. */
  pollerEntry: (PausedEntry & UnansweredEntry) | undefined;
  /** The entry of a pending `whenAcknowledged`. */
  awaitedEntry: AwaitedEntry | undefined;
  /** Bytes of the write in progress. */
  unwritten = 0;
  /** The peer's FIN. `read`: it was read. `reported`: `fin` was called. */
  peerFin: "none" | "read" | "reported" = "none";
  /** This side's FIN. `requested`: `end` was called. `sent`: the FIN was sent. */
  ownFin: "none" | "requested" | "sent" = "none";
  error: TransportError | undefined;
  /**
   * `ref`: the connection must keep the process alive. `holds`: it does so through `holdProcess`, because its handle does not.
   */
  ref = true;
  holds = false;
}

// Shared by all connections in the initial state. It must not be changed: `ownRare` replaces it.
const INITIAL_STATE: Readonly<RareState> = new RareState();

export class FastTransport extends TcpHandle implements Transport, Endpoints {
  // First the fields that every read and write uses: with thousands of connections, each access misses the processor's cache.
  #state: "live" | "closing" | "closed" = "live";
  #events: TransportEvents | undefined;
  #paused = false;
  #rare = INITIAL_STATE;
  readonly #local: LocalEnd;
  readonly #remoteHost: number | string;
  readonly remotePort: number;

  private constructor(endpoints: Endpoints, taken: TakenHandle, head: Uint8Array | undefined) {
    super(taken);
    this.#local = sharedLocalEnd(endpoints);
    this.#remoteHost = packAddress(endpoints.remoteAddress);
    this.remotePort = endpoints.remotePort ?? 0;
    // A copy: `head` is a view of a buffer that can contain bytes that this library must not change.
    if (head?.length) this.buffer(Uint8Array.from(head));
  }

  /**
   * Takes the handle out of `stream`. The stream must not be used afterwards. Returns undefined, and changes nothing, if the
   * stream is not suitable (see `isSuitable`). `head` holds bytes that were read after the upgrade request or response. They
   * are delivered first.
   */
  static fromStream(stream: Duplex, head?: Uint8Array): FastTransport | undefined {
    if (!TcpHandle.isSuitable(stream)) return undefined;
    const endpoints = endpointsOf(stream);
    stream.setTimeout(0).setNoDelay(true);
    const transport = new FastTransport(endpoints, TcpHandle.takeFrom(stream), head);
    for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) transport.buffer(chunk);
    // The socket has no handle any more. Listeners for its `close` do not have to wait for the end of this connection.
    stream.destroy();
    return transport;
  }

  /**
   * Takes an accepted connection that has no net.Socket. `answer` is written immediately. `head` holds bytes that were read after
   * the request.
   */
  static fromAccepted(accepted: AcceptedHandle, answer: Uint8Array, head: Uint8Array): FastTransport {
    const transport = new FastTransport(accepted.endpoints(), accepted.toHandle(), head);
    // If this write has to wait, later writes wait too, because libuv keeps their order. Its completion is not reported.
    transport.failUnless(transport.writeBytes(answer));
    return transport;
  }

  get localAddress(): string {
    return this.#local.address;
  }

  get localPort(): number | undefined {
    return this.#local.port;
  }

  get remoteAddress(): string {
    return unpackAddress(this.#remoteHost);
  }

  get secure(): boolean {
    return false;
  }

  /** The transport itself, because a separate object would cost memory for each connection. */
  get endpoints(): Endpoints {
    return this;
  }

  get queuedBytes(): number {
    return this.#rare.unwritten;
  }

  open(events: TransportEvents): void {
    this.#events = events;
    if (this.#state === "closed") setImmediate(() => events.closed(this.#rare.error));
    else this.deliver();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "live") return false;
    const outcome = this.writeBytes(bytes);
    if (outcome === "done") return true;
    if (outcome === "pending") this.ownRare().unwritten = bytes.length;
    else this.failWith(outcome);
    return false;
  }

  /**
   * As a net.Socket does, this continues to read until its buffer is full. A reset is reported immediately, a FIN as soon as the
   * buffer is empty.
   */
  pause(): void {
    this.#paused = true;
    if (this.#state !== "live") return;
    this.updateHold();
    kernelPoller.addPaused(this.pollerEntry());
  }

  watchAcknowledgements(wanted: boolean): void {
    if (!wanted) {
      if (this.#rare.pollerEntry !== undefined) kernelPoller.deleteUnanswered(this.#rare.pollerEntry);
    } else if (this.#state === "live") {
      kernelPoller.addUnanswered(this.pollerEntry());
    }
  }

  whenAcknowledged(atMost: number, call: (unacknowledged: number) => void): boolean {
    if (this.#state !== "live") return false;
    const { socket } = this.pollerEntry();
    const entry = { socket, atMost, acknowledgedAllBut: call };
    if (this.#rare.awaitedEntry !== undefined) kernelPoller.deleteAwaited(this.#rare.awaitedEntry);
    this.ownRare().awaitedEntry = entry;
    return kernelPoller.addAwaited(entry);
  }

  resume(): void {
    this.#paused = false;
    this.updateHold();
    if (this.#rare.pollerEntry !== undefined) kernelPoller.deletePaused(this.#rare.pollerEntry);
    this.deliver();
  }

  end(): void {
    if (this.#rare.ownFin !== "none" || this.#state !== "live") return;
    this.ownRare().ownFin = "requested";
    if (this.#rare.unwritten === 0) this.finishWriting();
  }

  abort(): void {
    // A handle cannot be reset while its shutdown is in progress.
    this.closeOnce(this.#rare.ownFin === "requested" ? "close" : "reset");
  }

  release(): void {
    this.closeOnce("close");
  }

  ref(wanted: boolean): void {
    if (this.#state !== "live" || wanted === this.#rare.ref) return;
    this.ownRare().ref = wanted;
    this.setRef(wanted);
    this.updateHold();
  }

  /** A handle that is not reading does not keep the process alive. */
  private updateHold(): void {
    const { holds, peerFin, ref } = this.#rare;
    const wanted = ref && this.#state === "live" && (this.#paused || peerFin !== "none");
    if (wanted === holds) return;
    this.ownRare().holds = wanted;
    if (wanted) holdProcess();
    else letProcessGo();
  }

  private ownRare(): RareState {
    if (this.#rare === INITIAL_STATE) this.#rare = new RareState();
    return this.#rare;
  }

  private pollerEntry(): PausedEntry & UnansweredEntry {
    const rare = this.ownRare();
    rare.pollerEntry ??= this.newPollerEntry();
    return rare.pollerEntry;
  }

  private newPollerEntry(): PausedEntry & UnansweredEntry {
    const { localAddress, localPort, remoteAddress, remotePort } = this;
    return {
      socket: { localAddress, ...(localPort !== undefined && { localPort }), remoteAddress, remotePort },
      finSeen: () => this.#events?.finSeen?.(),
      missing: () => {
        if (this.#state === "live" && this.canWrite()) this.probe();
      },
      acknowledged: () => this.#events?.acknowledged?.(),
    };
  }

  private deliver(): void {
    if (this.#events === undefined) return;
    if (this.#rare.buffered === undefined && this.#rare.peerFin !== "read") this.readNext();
    else if (!this.#paused) setImmediate(deliverBuffered, this);
  }

  private readNext(): void {
    if (this.#rare.peerFin === "none" && this.#state === "live") this.failUnless(this.startReading());
  }

  deliverBuffered(): void {
    while (this.#rare.buffered !== undefined && !this.#paused) {
      const chunk = this.#rare.buffered.shift();
      if (chunk === undefined) this.ownRare().buffered = undefined;
      else this.#events?.data(chunk);
    }
    if (this.#rare.buffered !== undefined) return;
    if (this.#rare.peerFin === "read") this.reportFin();
    else this.readNext();
  }

  private buffer(chunk: Uint8Array): void {
    const rare = this.ownRare();
    rare.buffered ??= [];
    rare.buffered.push(chunk);
  }

  /** True if reading must stop until the buffered bytes are delivered. */
  private isBufferFull(): boolean {
    const buffered = this.#rare.buffered;
    if (buffered === undefined) return false;
    return (
      buffered.length >= MAX_BUFFERED_CHUNKS ||
      buffered.reduce((sum, { length }) => sum + length, 0) >= MAX_BUFFERED_BYTES
    );
  }

  private reportFin(): void {
    if (this.#state !== "live") return;
    if (this.canWrite() && !this.probe()) return;
    this.ownRare().peerFin = "reported";
    this.#events?.fin();
    this.closeAfterBothFins();
  }

  /** True if a write can be made now: none is in progress, and `end` was not called. */
  private canWrite(): boolean {
    return this.#rare.ownFin === "none" && this.#rare.unwritten === 0;
  }

  /** Writes zero bytes. Returns false if this fails: the connection was reset. */
  private probe(): boolean {
    return this.failUnless(this.writeBytes(NO_BYTES));
  }

  private finishWriting(): void {
    if (this.#state !== "live" || !this.probe()) return;
    const outcome = this.sendFin();
    if (outcome === "done") this.finSent();
    else this.failUnless(outcome);
  }

  private closeAfterBothFins(): void {
    if (this.#rare.ownFin === "sent" && this.#rare.peerFin === "reported") this.closeOnce("close");
  }

  private failUnless(outcome: IoResult): boolean {
    if (typeof outcome === "string") return true;
    this.failWith(outcome);
    return false;
  }

  private failWith(error: NodeJS.ErrnoException): void {
    if (this.#state !== "live") return;
    this.ownRare().error = transportError(error);
    this.closeOnce("close");
  }

  private closeOnce(how: "close" | "reset"): void {
    if (this.#state !== "live") return;
    this.#state = "closing";
    this.updateHold();
    this.ownRare().buffered = undefined;
    this.watchAcknowledgements(false);
    if (this.#rare.pollerEntry !== undefined) kernelPoller.deletePaused(this.#rare.pollerEntry);
    if (this.#rare.awaitedEntry !== undefined) kernelPoller.deleteAwaited(this.#rare.awaitedEntry);
    this.closeHandle(how, () => {
      this.#state = "closed";
      this.#events?.closed(this.#rare.error);
    });
  }

  // TcpHandle

  override received(chunk: Uint8Array): void {
    if (!this.#paused && this.#rare.buffered === undefined && this.#events !== undefined) this.#events.data(chunk);
    else this.buffer(Uint8Array.from(chunk));
    if (this.#state !== "live") return;
    if (this.isBufferFull()) this.stopReading();
    else if (chunk.length >= READ_SHARE) {
      // The read filled the buffer, so libuv would read this socket again immediately. After any other read, libuv serves the
      // other sockets first.
      this.stopReading();
      setImmediate(continueReading, this);
    }
  }

  continueReading(): void {
    if (!this.isBufferFull()) this.readNext();
  }

  override finReceived(): void {
    this.ownRare().peerFin = "read";
    this.updateHold();
    const { buffered } = this.#rare;
    if (this.#events !== undefined && (buffered === undefined || buffered.length === 0)) this.reportFin();
  }

  override readFailed(error: NodeJS.ErrnoException): void {
    this.failWith(error);
  }

  override written(error: NodeJS.ErrnoException | undefined): void {
    const zeroBytes = this.#rare.unwritten === 0;
    this.ownRare().unwritten = 0;
    if (error !== undefined) this.failWith(error);
    if (error !== undefined || zeroBytes) return;
    // If the listener of `written` calls end(), end() finds no unwritten bytes and shuts down itself. A second shutdown would
    // fail with EPIPE.
    const finRequested = this.#rare.ownFin === "requested";
    this.#events?.written();
    if (finRequested && this.#rare.unwritten === 0) this.finishWriting();
  }

  override finSent(): void {
    this.ownRare().ownFin = "sent";
    this.closeAfterBothFins();
  }
}

/** The address of this side. */
interface LocalEnd {
  readonly address: string;
  readonly port: number | undefined;
}

let lastLocalEnd: LocalEnd = { address: "", port: undefined };

/** Connections of one server usually have the same local end, so consecutive ones share one object. */
function sharedLocalEnd({ localAddress: address, localPort: port }: Endpoints): LocalEnd {
  if (address !== lastLocalEnd.address || port !== lastLocalEnd.port) lastLocalEnd = { address, port };
  return lastLocalEnd;
}

function continueReading(transport: FastTransport): void {
  transport.continueReading();
}

function deliverBuffered(transport: FastTransport): void {
  transport.deliverBuffered();
}

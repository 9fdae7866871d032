/** The connection as its user sees it. */

import { ClosedError, isConnectionError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import { between } from "../base/time.js";
import { ABNORMAL, closePayload, NORMAL } from "../engine/close.js";
import type { Data } from "../engine/protocol.js";
import type { Transport } from "../transport/transport.js";
import type { Burst } from "./burst.js";
import { Core } from "./core.js";
import { isThenable } from "./delivery.js";
import type { CloseInfo, SettledOptions } from "./options.js";
import type { SendResult } from "./outbox-owner.js";
import type { PreparedMessage } from "./prepared.js";
import type { MessageReader } from "./reader.js";
import { Receiving } from "./receiving.js";
import type { SendOptions, WriterOptions } from "./send-options.js";
import { drain, ping, type Sendable, send, trySend, writer } from "./sending.js";
import { Streams } from "./streams.js";
import { TracedCore } from "./trace.js";
import type { WaitOptions } from "./waits.js";
import type { WireFactory } from "./wire.js";
import type { MessageWriter } from "./writer.js";

/**
 * How far a connection is. CLOSING: its end has begun, so calls are refused. There is no CONNECTING, since nobody holds a
 * connection that is not open: until then it is the promise that `connect` returned.
 */
export type ReadyState = "OPEN" | "CLOSING" | "CLOSED";

/** What was settled before it was open. */
interface Opening {
  readonly url: string;
  readonly subprotocol: string;
  readonly extensions: string;
}

/** What a connection is made of. Connections are made by `connect`, `listen` and `attach`. */
export interface ConnectionSetup<UserData> extends Opening {
  readonly transport: Transport;
  readonly wire: WireFactory;
  readonly options: SettledOptions;
  readonly data: UserData;
}

let lastId = 0;
// Most of those that one server has accepted have the same, and share it.
let lastOpening: Opening = { url: "", subprotocol: "", extensions: "" };

/**
 * One connection: a WebSocket, or framed TCP. Messages are strings (text) or Uint8Arrays (binary) that the receiver may
 * keep. All waits end: by their own bounds, by the connection's deadlines, or with its end.
 */
export class Connection<UserData = unknown> implements AsyncIterable<Data>, AsyncDisposable {
  /** Unlike that of any other connection of this process. */
  readonly id: number;
  /** What `authorize` answered with, and free for the application's use. */
  data: UserData;
  /** Where its server keeps it. @internal */
  place: object | undefined;
  readonly #opening: Opening;
  readonly #core: Core;
  /** Made for whoever asks first, as many never do. */
  #receiving: Receiving | undefined;

  /** @internal */
  constructor({ transport, wire, options, url, subprotocol, extensions, data }: ConnectionSetup<UserData>) {
    lastId += 1;
    this.id = lastId;
    const last = lastOpening;
    const same = url === last.url && subprotocol === last.subprotocol && extensions === last.extensions;
    if (!same) lastOpening = { url, subprotocol, extensions };
    this.#opening = lastOpening;
    this.data = data;
    // Hooks were declared for this kind of connection; the options have forgotten which it was.
    const self = this as Connection;
    const whole = { wire: wire(options), transport, options };
    const { observe, onError } = options;
    this.#core = observe === undefined ? new Core(self, whole) : new TracedCore(self, whole, guarded(observe, onError));
  }

  /** Starts the flow of messages, behind the `open` hook. @internal */
  start(): void {
    const { options } = this.#core;
    this.#core.start();
    try {
      const opened = options.hooks.open?.(this as Connection);
      if (isThenable(opened)) this.#core.delivery.hold(opened);
    } catch (error) {
      this.#core.fault(error);
    }
  }

  /** The application's code on this connection failed: ends it with 1011. @internal */
  fault(error: unknown): void {
    this.#core.fault(error);
  }

  /** Calls `keeper` when the connection has ended, before everybody else hears of it. @internal */
  keptBy(keeper: (connection: Connection<UserData>) => void): void {
    this.#core.keptBy(keeper as (connection: Connection) => void);
  }

  /** What was connected to, or the URL of the request. */
  get url(): string {
    return this.#opening.url;
  }

  /** The subprotocol agreed upon; empty for none. */
  get subprotocol(): string {
    return this.#opening.subprotocol;
  }

  /** The extensions agreed upon, as the server has named them; empty for none. */
  get extensions(): string {
    return this.#opening.extensions;
  }

  get protocol(): "websocket" | "tcp" {
    return this.#core.wire.protocol;
  }

  get state(): ReadyState {
    const { state, refusal } = this.#core;
    // Calls are refused as soon as the end has begun, whatever has been told to the peer; and not before, since behind
    // its peer's FIN a TCP connection can still send.
    return state === "closed" ? "CLOSED" : refusal === undefined ? "OPEN" : "CLOSING";
  }

  get localAddress(): string {
    return this.#core.transport.ends.localAddress;
  }

  get remoteAddress(): string {
    return this.#core.transport.ends.remoteAddress;
  }

  /** Whether the bytes are encrypted on the way. */
  get secure(): boolean {
    return this.#core.transport.ends.secure;
  }

  /** Milliseconds since the peer's FIN was seen; undefined while it was not. Our own follows within `lingerTimeout`. */
  get peerEndedFor(): number | undefined {
    const { peerEndedAt } = this.#core;
    return peerEndedAt === undefined ? undefined : between(peerEndedAt, this.#core.options.clock.now());
  }

  /** Payload bytes that wait to be written, those that the kernel is taking included. */
  get queuedBytes(): number {
    return this.#core.outbox.queuedBytes;
  }

  get queuedMessages(): number {
    return this.#core.outbox.queuedMessages;
  }

  /** Messages lost to `drop-newest`, `drop-oldest` and `coalesce`, exactly. */
  get droppedMessages(): number {
    return this.#core.outbox.dropped;
  }

  /** Aborts as soon as the connection begins to end, with the error that later calls get. */
  get signal(): AbortSignal {
    return this.#core.outcome.signal;
  }

  /** Resolves when the connection has ended and its descriptor is free. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#core.outcome.closed;
  }

  /**
   * Resolves when the bytes are with the kernel, rejects with the reason otherwise. While messages that have come still wait
   * to be taken, a call without options resolves as soon as it is certain to leave with this turn's write: so a loop that
   * answers what has come does so in one write, and waits when the kernel does. Order is call order, frames never
   * mingle, and any number of callers may send at once. A deadline or timeout that comes before its first byte was
   * written takes the message back, and the connection lives; one that comes later ends the connection. A rejection that
   * nobody handles is not reported as unhandled, so that no peer can end the process: of the end `closed` tells.
   */
  send(message: Sendable, options?: SendOptions): Promise<void> {
    return send(this.#core, message, options);
  }

  /**
   * Sends without waiting: `sent` leaves with this turn's write, `queued` waits for the kernel, `refused` was not taken:
   * there is no room, or the connection has ended, or its write deadline has passed. Under `wait`, what does not fit is refused.
   */
  trySend(message: Sendable, options?: Pick<SendOptions, "overflow" | "key" | "compress">): SendResult {
    return trySend(this.#core, message, options);
  }

  /** Is sent `message`, and if it can be all that `burst` is sent from then on. @internal */
  takeFrom(burst: Burst, message: PreparedMessage, how: Pick<SendOptions, "overflow" | "key">): SendResult {
    return burst.admit(this.#core, message, how) ? "sent" : trySend(this.#core, message, how);
  }

  /** Is sent no more of what a group is by itself. @internal */
  stayApart(): void {
    this.#core.stayApart();
  }

  /**
   * The next message, in order. A timeout leaves the connection usable: `partial` in its error tells whether a message
   * was under way, and what has arrived of it is kept. Rejects with the reason of the end behind the last message.
   */
  receive(options?: WaitOptions): Promise<Data> {
    return Connection.#received(this).receive(options);
  }

  /** Reads the next message in pieces. Without `streaming` it is one piece, and bounded by `maxMessageSize`. */
  reader(options?: WaitOptions): Promise<MessageReader> {
    return Connection.#received(this).reader(options);
  }

  /** Begins a message that is written in parts. Its place among the messages is that of this call. */
  writer(type: "text" | "binary" = "binary", options: WriterOptions = {}): MessageWriter {
    return writer(this.#core, type, options, (cause) => this.terminate(cause));
  }

  /** Ends at a clean close and throws the reason of any other end. Leaving the loop early does not close the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Data, undefined> {
    return Connection.#received(this).iterator();
  }

  /** The messages as a WHATWG stream, pulled from the same inbox. Cancelling it closes the connection. */
  get readable(): ReadableStream<Data> {
    return Connection.#viewed(this).readable;
  }

  /** `send` as a WHATWG stream. Closing it closes the connection, aborting it terminates. */
  get writable(): WritableStream<Data> {
    return Connection.#viewed(this).writable;
  }

  /** Resolves with the round-trip time in milliseconds. At most 16 at once: one more is a LimitError. */
  ping(options?: WaitOptions): Promise<number> {
    return ping(this.#core, options);
  }

  /** Resolves once everything that was queued is with the kernel. */
  drain(options?: WaitOptions): Promise<void> {
    return drain(this.#core, options);
  }

  /**
   * Closes in order: sends what is queued, then Close (for TCP a FIN), and waits for the peer's answer; all of it within
   * `closeTimeout`. A message in parts that has not ended is cut. Resolves as `closed` does. A code that may not be sent,
   * or a reason over 123 bytes, is a RangeError.
   */
  close(code: number = NORMAL, reason: string = ""): Promise<CloseInfo> {
    closePayload(code, reason);
    this.#core.closing.local(code, reason);
    return this.closed;
  }

  /** Ends at once, without a closing handshake. Pending calls reject with `cause`, or with a ClosedError that holds it. */
  terminate(cause?: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    const error = isConnectionError(cause) ? cause : new ClosedError(facts, cause === undefined ? {} : { cause });
    if (this.state !== "CLOSED") this.#core.closing.abort(error);
  }

  /** From this moment on every `receive` fails, until the deadline is renewed or cleared with `undefined`. Pending ones too. */
  setReadDeadline(deadline: Date | undefined): void {
    Connection.#throwIfClosed(this);
    this.#core.waits.setReadDeadline(deadline);
  }

  /** From this moment on every `send` fails, until the deadline is renewed or cleared with `undefined`. Pending ones too; pongs never. */
  setWriteDeadline(deadline: Date | undefined): void {
    Connection.#throwIfClosed(this);
    this.stayApart();
    this.#core.waits.setWriteDeadline(deadline);
  }

  /** Both deadlines at once. */
  setDeadline(deadline: Date | undefined): void {
    this.setReadDeadline(deadline);
    this.setWriteDeadline(deadline);
  }

  /** Closes with 1000, if nothing else has closed it, and waits for the end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  static #received(connection: Connection): Receiving {
    connection.#receiving ??= new Receiving(connection.#core);
    return connection.#receiving;
  }

  static #viewed(connection: Connection): Streams {
    const received = Connection.#received(connection);
    received.streams ??= new Streams({
      next: () => received.next(),
      send: (data) => connection.send(data),
      close: () => connection.close(),
      terminate: (cause) => connection.terminate(cause),
    });
    return received.streams;
  }

  static #throwIfClosed(connection: Connection): void {
    const { refusal, state } = connection.#core;
    if (state === "closed") throw refusal;
  }
}

/** The connection as its user sees it. */

import { ClosedError, isConnectionError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import { between } from "../base/time.js";
import { ABNORMAL, closePayload, NORMAL } from "../engine/close.js";
import type { Data } from "../engine/protocol.js";
import type { Transport } from "../transport/transport.js";
import { Core } from "./core.js";
import { isThenable } from "./delivery.js";
import type { CloseInfo, SettledOptions } from "./options.js";
import type { SendResult } from "./outbox.js";
import type { MessageReader } from "./reader.js";
import { Receiving } from "./receiving.js";
import { type Sendable, Sending, type SendOptions, type WriterOptions } from "./sending.js";
import { readableOf, writableOf } from "./streams.js";
import { tracedWire } from "./trace.js";
import type { WaitOptions } from "./waits.js";
import type { WireFactory } from "./wire.js";
import type { MessageWriter } from "./writer.js";

/**
 * How far a connection is. CLOSING: its end has begun, so calls are refused. There is no CONNECTING, since nobody holds a
 * connection that is not open: until then it is the promise that `connect` returned.
 */
export type ReadyState = "OPEN" | "CLOSING" | "CLOSED";

/** What a connection is made of. Connections are made by `connect`, `listen` and `attach`. */
export interface ConnectionSetup<UserData> {
  readonly role: "server" | "client";
  readonly transport: Transport;
  readonly wire: WireFactory;
  readonly options: SettledOptions;
  readonly url: string;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly data: UserData;
}

let lastId = 0;

/**
 * One connection: a WebSocket, or framed TCP. Messages are strings (text) or Uint8Arrays (binary) that the receiver may
 * keep. All waits end: by their own bounds, by the connection's deadlines, or with its end.
 */
export class Connection<UserData = unknown> implements AsyncIterable<Data>, AsyncDisposable {
  /** Unlike that of any other connection of this process. */
  readonly id: number;
  /** What was connected to, or the URL of the request. */
  readonly url: string;
  /** The subprotocol agreed upon; empty for none. */
  readonly subprotocol: string;
  /** The extensions agreed upon, as the server has named them; empty for none. */
  readonly extensions: string;
  /** What `authorize` answered with, and free for the application's use. */
  data: UserData;
  readonly #core: Core;
  readonly #sending: Sending;
  readonly #receiving: Receiving;
  #readable: ReadableStream<Data> | undefined;
  #writable: WritableStream<Data> | undefined;
  #aborter: AbortController | undefined;
  readonly #closed: Promise<CloseInfo>;

  /** @internal */
  constructor({ role, transport, wire, options, url, subprotocol, extensions, data }: ConnectionSetup<UserData>) {
    lastId += 1;
    this.id = lastId;
    this.url = url;
    this.subprotocol = subprotocol;
    this.extensions = extensions;
    this.data = data;
    // Hooks were declared for this kind of connection; the options have forgotten which it was.
    const { message, ping, pong, highWater, lowWater, close } = options.hooks;
    const self = this as Connection;
    let resolveClosed: (info: CloseInfo) => void;
    this.#closed = new Promise((resolve) => {
      resolveClosed = resolve;
    });
    const observe = options.observe && guarded(options.observe, options.onError);
    const made = wire(options);
    this.#core = new Core(
      {
        ...{ id: this.id, role, transport, options, observe },
        wire: observe === undefined ? made : tracedWire(made, this.id, observe),
      },
      {
        message: message && ((data) => message(self, data)),
        ping: ping && ((payload) => ping(self, payload)),
        pong: pong && ((payload) => pong(self, payload)),
        highWater: highWater && (() => highWater(self)),
        lowWater: lowWater && (() => lowWater(self)),
        begin: (refusal) => this.#aborter?.abort(refusal),
        closed: (info) => resolveClosed(info),
        close:
          close &&
          ((info) => {
            try {
              close(self, info);
            } catch (error) {
              options.onError(error);
            }
          }),
      },
    );
    this.#sending = new Sending(this.#core);
    this.#receiving = new Receiving(this.#core);
  }

  /** Starts the flow of messages, behind the `open` hook. @internal */
  start(): void {
    const { options, delivery } = this.#core;
    this.#core.start();
    try {
      const opened = options.hooks.open?.(this as Connection);
      if (isThenable(opened)) delivery.hold(opened);
    } catch (error) {
      this.#core.fault(error);
    }
  }

  /** The application's code on this connection failed: ends it with 1011. @internal */
  fault(error: unknown): void {
    this.#core.fault(error);
  }

  get protocol(): "websocket" | "tcp" {
    return this.#core.wire.protocol;
  }

  get state(): ReadyState {
    const { state, refusal } = this.#core.closing.ending;
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
    const { peerEndedAt } = this.#core.closing;
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
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController();
      const { refusal } = this.#core.closing;
      if (refusal !== undefined) this.#aborter.abort(refusal);
    }
    return this.#aborter.signal;
  }

  /** Resolves when the connection has ended and its descriptor is free. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed;
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
    return this.#sending.send(message, options);
  }

  /**
   * Sends without waiting: `sent` leaves with this turn's write, `queued` waits for the kernel, `refused` was not taken:
   * there is no room, or the connection has ended, or its write deadline has passed. Under `wait`, what does not fit is refused.
   */
  trySend(message: Sendable, options?: Pick<SendOptions, "overflow" | "key" | "compress">): SendResult {
    return this.#sending.trySend(message, options);
  }

  /**
   * The next message, in order. A timeout leaves the connection usable: `partial` in its error tells whether a message
   * was under way, and what has arrived of it is kept. Rejects with the reason of the end behind the last message.
   */
  receive(options?: WaitOptions): Promise<Data> {
    return this.#receiving.receive(options);
  }

  /** Reads the next message in pieces. Without `streaming` it is one piece, and bounded by `maxMessageSize`. */
  reader(options?: WaitOptions): Promise<MessageReader> {
    return this.#receiving.reader(options);
  }

  /** Begins a message that is written in parts. Its place among the messages is that of this call. */
  writer(type: "text" | "binary" = "binary", options: WriterOptions = {}): MessageWriter {
    return this.#sending.writer(type, options, (cause) => this.terminate(cause));
  }

  /** Ends at a clean close and throws the reason of any other end. Leaving the loop early does not close the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Data, undefined> {
    return this.#receiving.iterator();
  }

  /** The messages as a WHATWG stream, pulled from the same inbox. Cancelling it closes the connection. */
  get readable(): ReadableStream<Data> {
    this.#readable ??= readableOf(this.#streamed());
    return this.#readable;
  }

  /** `send` as a WHATWG stream. Closing it closes the connection, aborting it terminates. */
  get writable(): WritableStream<Data> {
    this.#writable ??= writableOf(this.#streamed());
    return this.#writable;
  }

  /** Resolves with the round-trip time in milliseconds. At most 16 at once: one more is a LimitError. */
  ping(options?: WaitOptions): Promise<number> {
    return this.#sending.ping(options);
  }

  /** Resolves once everything that was queued is with the kernel. */
  drain(options?: WaitOptions): Promise<void> {
    return this.#sending.drain(options);
  }

  /**
   * Closes in order: sends what is queued, then Close (for TCP a FIN), and waits for the peer's answer; all of it within
   * `closeTimeout`. A message in parts that has not ended is cut. Resolves as `closed` does. A code that may not be sent,
   * or a reason over 123 bytes, is a RangeError.
   */
  close(code: number = NORMAL, reason: string = ""): Promise<CloseInfo> {
    closePayload(code, reason);
    this.#core.closing.local(code, reason);
    return this.#closed;
  }

  /** Ends at once, without a closing handshake. Pending calls reject with `cause`, or with a ClosedError that holds it. */
  terminate(cause?: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    const error = isConnectionError(cause) ? cause : new ClosedError(facts, cause === undefined ? {} : { cause });
    if (this.state !== "CLOSED") this.#core.closing.abort(error);
  }

  /** From this moment on every `receive` fails, until the deadline is renewed or cleared with `undefined`. Pending ones too. */
  setReadDeadline(deadline: Date | undefined): void {
    this.#throwIfClosed();
    this.#core.waits.setReadDeadline(deadline);
  }

  /** From this moment on every `send` fails, until the deadline is renewed or cleared with `undefined`. Pending ones too; pongs never. */
  setWriteDeadline(deadline: Date | undefined): void {
    this.#throwIfClosed();
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

  #streamed(): Parameters<typeof readableOf>[0] {
    return {
      next: () => this.#receiving.next(),
      send: (data) => this.send(data),
      close: () => this.close(),
      terminate: (cause) => this.terminate(cause),
    };
  }

  #throwIfClosed(): void {
    const { ending } = this.#core.closing;
    if (ending.state === "closed") throw ending.refusal;
  }
}

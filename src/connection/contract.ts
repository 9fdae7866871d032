/** The interface of a connection, and what its calls take and return. */

/// <reference lib="esnext.disposable" preserve="true" />

import type { PREPARED } from "../base/brand.ts";
import type { MessageBytes } from "../base/bytes.ts";
import type { Deadline } from "../base/time.ts";
import type { Message } from "../engine/protocol.ts";
import type { Overflow } from "../engine/queue/overflow-queue.ts";
import type { WaitOptions } from "../engine/time/call-bounds.ts";

export type { WaitOptions } from "../engine/time/call-bounds.ts";

/**
 * State of a connection. OPEN: it takes calls. CLOSING: the end has begun, so calls are refused. CLOSED: the end is complete and
 * the file descriptor is free. There is no CONNECTING: the application gets a `Connection` only when it is open. Before that it
 * has the promise that `connect` returned.
 */
export type ReadyState = "OPEN" | "CLOSING" | "CLOSED";

/** How a connection ended. */
export interface CloseInfo {
  /**
   * RFC 6455 section 7.1.5: the peer's code, or the code of this side if it began the close. 1005 if there was no code, 1006 if
   * there was no closing handshake.
   */
  readonly code: number;
  /** Reason in the Close frame that determined `code`. Empty if there was none. */
  readonly reason: string;
  /**
   * Whether both sides agreed to end, and nothing failed on this side: a whole closing handshake, or for TCP a FIN each way at a
   * message boundary.
   */
  readonly wasClean: boolean;
  /** The side that began to end. */
  readonly by: "local" | "peer";
  /**
   * The first cause: the error that calls got, or what the application's own handler or hook threw. Undefined for a clean end with
   * 1000, 1001 or 1005.
   */
  readonly cause: unknown;
}

/** Options of one message. */
export interface SendOptions extends WaitOptions {
  /** What happens if the send queue has no room for this message. @default the connection's `overflow` */
  readonly overflow?: Overflow | undefined;
  /** Under `coalesce`, this message replaces a queued message with the same key. */
  readonly key?: string | undefined;
  /** Whether the message is compressed, if compression was negotiated. @default by the connection's `threshold` */
  readonly compress?: boolean | undefined;
}

/** Options of a Ping. */
export interface PingOptions extends WaitOptions {
  /**
   * The payload, at most 125 bytes. A string is sent as UTF-8. The Pong with the same payload is the answer; with an empty payload,
   * the answer to a Ping of the heartbeat counts too.
   * @default the number of this Ping, in 4 bytes
   */
  readonly payload?: Message | ArrayBuffer | ArrayBufferView | undefined;
}

/** Options of a message that is written in parts. */
export interface WriterOptions {
  /**
   * Whether the message is compressed, if compression was negotiated.
   * @default if its first part reaches the connection's `threshold`
   */
  readonly compress?: boolean | undefined;
}

/** A message that is encoded once for many connections. `prepare` and `prepareFrame` create it. */
export interface PreparedMessage {
  /** The message. For bytes, a copy. */
  readonly message: Message;
  readonly compress: boolean | undefined;
  readonly [PREPARED]: true;
}

/** What can be sent. Bytes are copied or written before the call returns, so the caller may reuse their memory. */
export type Sendable = Message | ArrayBuffer | ArrayBufferView | PreparedMessage;

/**
 * Result of a send without waiting. `sent`: the message leaves with the write of this event loop turn. `queued`: it waits until
 * the kernel accepts more bytes. `refused`: it was not accepted.
 */
export type SendResult = "sent" | "queued" | "refused";

/**
 * A message that is read in pieces as they arrive. While the pieces are not taken, reading from the peer pauses. The message must
 * be read to its end before the next message can be read. To leave the loop with `break` reads and discards the rest.
 */
export interface MessageReader extends AsyncIterable<MessageBytes> {
  /** Type of the message. */
  readonly type: "text" | "binary";

  /**
   * Returns the next bytes, in pieces as the network delivered them. Returns undefined after the last one. The bytes of a text
   * are valid UTF-8 as a whole, but not in each piece. Only one call may be pending: a second one rejects with a TypeError.
   */
  read(options?: WaitOptions): Promise<MessageBytes | undefined>;

  /** The pieces as a WHATWG stream. Cancelling it reads and discards the rest. */
  stream(): ReadableStream<MessageBytes>;

  /**
   * Returns the whole message. Rejects with a LimitError if it has more than `maximum` bytes: the rest must then still be read.
   * If a deadline expires, the pieces taken so far are kept, so the call can be repeated. Rejects with a TypeError or RangeError if
   * `maximum` is not a number from 0.
   */
  collect(maximum: number): Promise<Message>;
  [Symbol.asyncIterator](): AsyncGenerator<MessageBytes, void, undefined>;
}

/**
 * A message whose parts are sent as they are written: fragments on a WebSocket, with pings and pongs between them. Messages sent
 * meanwhile wait until it ends. Dispose of it (`await using`) to give up a message that has not ended.
 */
export interface MessageWriter extends AsyncDisposable {
  /**
   * Sends one part. Its bytes are copied before the call returns. Resolves when the kernel has accepted them. Otherwise rejects
   * with the reason: a TypeError if the message has ended or the part is invalid. Parts leave in the order of the calls.
   *
   * The waiting parts of a message may count `maxQueuedBytes` together, counted as for messages. A further part rejects with a
   * LimitError. A part without others before it is accepted, whatever its size.
   *
   * As with `send`, a timeout, deadline or signal removes a part of which nothing has been written, and the message continues
   * without it.
   */
  write(part: Message | ArrayBuffer | ArrayBufferView, options?: WaitOptions): Promise<void>;

  /**
   * Ends the message, with a last part if one is passed. If a timeout, deadline or signal removes that part, the message has not
   * ended.
   */
  end(part?: Message | ArrayBuffer | ArrayBufferView, options?: WaitOptions): Promise<void>;

  /**
   * Gives the message up: its waiting parts are rejected with `cause`. If part of it is on the wire, the connection ends, because
   * nothing else can notify the peer.
   */
  abort(cause?: unknown): void;
}

/** Sends messages: a connection, or an object that sends over one connection after another. */
export interface MessageSender<Out = Sendable> extends AsyncDisposable {
  /**
   * Bytes in the send queue, counted as for `maxQueuedBytes`: the payload of each message plus 512 bytes per message. Includes
   * messages of a write that the kernel has not fully accepted. Excludes calls of `send` that wait for room.
   */
  readonly queuedBytes: number;

  /** Number of messages in the send queue. Calls of `send` that wait for room are not included. */
  readonly queuedMessages: number;

  /** Exact number of messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  readonly droppedMessages: number;

  /**
   * Exact number of messages that were refused because the send queue had no room: those of `send`, `trySend` and groups. If
   * nothing handles the rejections of `send`, `onError` is called once per connection, with one LimitError that holds the number
   * of unhandled rejections in that event loop turn.
   */
  readonly refusedMessages: number;

  /** Aborts when the connection begins to end. Its reason is the error that later calls get. */
  readonly signal: AbortSignal;

  /**
   * Resolves when the connection has ended and its file descriptor is free. Never rejects. A handler that reads this property and
   * asks for no message afterwards counts as a handler that only waits for the end. A server that closes does not wait for it.
   */
  readonly closed: Promise<CloseInfo>;

  /**
   * Sends one message. Resolves when the kernel has accepted the bytes. Otherwise rejects with the reason. Invalid arguments
   * reject with a TypeError or RangeError. With a codec, the message is a value that the codec encodes before the call returns;
   * an error of the codec rejects. A prepared message is encoded already, and is sent as it is. Bytes are copied before the call
   * returns, so the caller may reuse their memory. Messages leave in the order of the calls, and their frames never interleave.
   * Any number of callers may send concurrently.
   *
   * While received messages wait in the inbox, a call without options resolves as soon as the message is certain to leave with
   * the write of this event loop turn. So a loop that answers the received messages makes one write for all its answers, and
   * waits if the kernel does not accept them.
   *
   * If a deadline or timeout expires before the first byte of the message is written, the message leaves the queue and the
   * connection stays open. If it expires later, the connection ends.
   *
   * A rejection without a handler is not an unhandled rejection, so no peer can end the process: `closed` reports the end, and
   * `onError` reports messages that were refused because the queue had no room.
   */
  send(message: Out | PreparedMessage, options?: SendOptions): Promise<void>;

  /**
   * Sends one message without waiting. Bytes are copied or written before the call returns. Throws a TypeError for invalid
   * arguments.
   *
   * Returns `sent` if the message leaves with the write of this event loop turn, and `queued` if it waits until the kernel
   * accepts more bytes. Returns `refused` if the queue has no room, the connection has begun to end, or its write deadline has
   * expired. With the policy `wait`, a message that does not fit is refused.
   */
  trySend(message: Out | PreparedMessage, options?: Pick<SendOptions, "overflow" | "key" | "compress">): SendResult;

  /** `send` as a WHATWG stream. Closing it closes the connection. Aborting it terminates the connection. */
  readonly writable: WritableStream<Out | PreparedMessage>;

  /** Resolves when the send queue is empty: the kernel has accepted all queued messages. */
  drain(options?: WaitOptions): Promise<void>;

  /**
   * Closes in order: sends the queued messages, then a Close frame (on TCP a FIN), and waits for the peer's answer.
   * `closeTimeout` bounds all of it, and starts again each time the peer has taken bytes. A message in parts that has not ended
   * is truncated. Resolves as `closed` does. 1005 sends a Close frame without a code, as `close()` of a WebSocket in a browser does.
   * Rejects with a RangeError if the code is not allowed in a Close frame, or if the reason has more than 123 bytes.
   */
  close(code?: number, reason?: string): Promise<CloseInfo>;

  /**
   * Ends the connection at once, without a closing handshake. If `cause` is a connection error, pending calls reject with it.
   * Otherwise they reject with a ClosedError that has it as its cause.
   */
  terminate(cause?: unknown): void;

  /** Closes with 1000, unless the connection is already closing, and waits for the end. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a group needs of a member: a connection, or any other sender of messages. It gets messages that are encoded already. */
export type GroupMember = Pick<MessageSender<never>, "trySend" | "signal" | "close"> & {
  readonly closed: Promise<unknown>;
};

/** Iterates over received messages. Every version of TypeScript from 5.4 on knows the type of its last value: `undefined`. */
export interface MessageIterator<T> extends AsyncIterator<T, undefined, undefined> {
  [Symbol.asyncIterator](): MessageIterator<T>;
}

/** Receives messages, in the order of arrival. */
export interface MessageReceiver<In = Message> extends AsyncIterable<In> {
  /**
   * Takes the next message, in the order of arrival. A timeout leaves the connection usable: `partial` in its error is the number
   * of received bytes of an incomplete message, and those bytes are kept (see `midFrameTimeout`). After the last message,
   * rejects with the reason of the end.
   */
  receive(options?: WaitOptions): Promise<In>;

  /**
   * Iterates over the received messages. The loop ends after a clean close with a normal code, and throws the reason of any other
   * end. Leaving the loop early does not close the connection. Throws TypeError if there is a `message` hook.
   */
  [Symbol.asyncIterator](): MessageIterator<In>;

  /**
   * The received messages as a WHATWG stream, which pulls from the same inbox as `receive`. Cancelling it closes the connection.
   * Throws TypeError if there is a `message` hook.
   */
  readonly readable: ReadableStream<In>;
}

/**
 * One connection: a WebSocket or framed TCP. A message is a string (text) or a Uint8Array (binary). The receiver may keep the
 * bytes of a message. `In` is the type of received messages and `Out` that of messages to send: the options `messageType`,
 * `framing` and `codec` determine them. Every pending call settles: by its own timeout, deadline or signal, by a deadline of the
 * connection, or at the end of the connection.
 */
export interface Connection<UserData = unknown, In = Message, Out = Sendable>
  extends MessageSender<Out>,
    MessageReceiver<In> {
  /** Number that is unique among all connections of this process. */
  readonly id: number;

  /** The value that `authorize` returned. The application may replace it. */
  data: UserData;

  /** On a client, the URL that it connected to. On a server, the URL of the request. */
  readonly url: string;

  /** The negotiated subprotocol, as `protocol` of a WHATWG WebSocket. Empty if there is none. */
  readonly protocol: string;

  /** The negotiated extensions, in the notation of the server's response. Empty if there are none. */
  readonly extensions: string;

  /** The kind of the connection: a WebSocket, or framed TCP. */
  readonly kind: "websocket" | "tcp";

  readonly state: ReadyState;

  /** The IP address of this side, such as `127.0.0.1` or `::1`. Empty if there is none, as on a unix socket. */
  readonly localAddress: string;

  /** The port of this side. Undefined if there is none, as on a unix socket. */
  readonly localPort: number | undefined;

  /** The IP address of the peer, in the form of `localAddress`. */
  readonly remoteAddress: string;

  /** The port of the peer. Undefined if there is none. */
  readonly remotePort: number | undefined;

  /** True if the bytes are encrypted on the network (TLS). */
  readonly secure: boolean;

  /**
   * Bytes of messages that were written and that the peer has not acknowledged, as far as this side knows. Undefined without the
   * option `maxInFlightBytes`.
   */
  readonly inFlightBytes: number | undefined;

  /**
   * Milliseconds since this side noticed the peer's FIN. Undefined before that. This side sends its own FIN within
   * `lingerTimeout`.
   */
  readonly peerEndedFor: number | undefined;

  /**
   * Aborts when the server begins to close. Its reason is the error that calls for a message get after the received messages are
   * taken. The connection stays open for sending until the handler returns or the promises of the hooks settle. A handler that
   * does work other than receiving can stop when this signal aborts.
   */
  readonly draining: AbortSignal;

  /**
   * Reads the next message in pieces. Without the option `streaming`, the message is one piece of at most `maxMessageSize` bytes.
   * Rejects with a TypeError if there is a codec, which decodes whole messages.
   */
  reader(options?: WaitOptions): Promise<MessageReader>;

  /**
   * Starts a message that is written in parts. This call determines its position among the sent messages. Throws a TypeError if
   * the framing needs the size of a message before its first byte or if there is a codec, and a LimitError if neither the send
   * queue nor the calls that wait for it have room.
   */
  writer(type?: "text" | "binary", options?: WriterOptions): MessageWriter;

  /**
   * Sends a Ping and resolves with the round-trip time in milliseconds. At most 16 pings may be pending: a further call rejects
   * with a LimitError. Rejects with a RangeError if the payload has more than 125 bytes. Framed TCP has no Ping: there the call
   * rejects with a TypeError.
   */
  ping(options?: PingOptions): Promise<number>;

  /**
   * Sends a Pong: the answer to a Ping if `autoPong` is false, or a sign of life that the peer does not answer (RFC 6455 5.5.3).
   * A string is sent as UTF-8. Throws a RangeError if the payload has more than 125 bytes, and a TypeError on framed TCP, which has
   * no Pong.
   *
   * Returns true if the Pong is sent or queued, also while the connection is CLOSING, until its Close frame is written. Pongs that
   * the kernel does not accept are not collected: at most 16 wait, and a further one replaces the newest of them.
   */
  pong(payload?: Message | ArrayBuffer | ArrayBufferView): boolean;

  /**
   * Sets the time at which pending calls of `receive` fail: a Date, or `{ in: 5_000 }` for 5 s from now. Later calls fail too,
   * until the deadline is replaced or cleared with `undefined`. With a `message` hook no call can fail, so the connection closes
   * with 1008. Throws if the connection is CLOSED.
   */
  setReadDeadline(deadline: Deadline | undefined): void;

  /**
   * Sets the time at which pending calls of `send` fail: a Date, or `{ in: 5_000 }` for 5 s from now. Later calls fail too, until
   * the deadline is replaced or cleared with `undefined`. It never applies to Pong frames. Throws if the connection is CLOSED.
   */
  setWriteDeadline(deadline: Deadline | undefined): void;

  /** Sets the read deadline and the write deadline. */
  setDeadline(deadline: Deadline | undefined): void;

  /** Makes the open connection keep the process alive. This is the initial state, unless the option `ref` is false. */
  ref(): this;

  /** Allows the process to exit while the connection is open. */
  unref(): this;
}

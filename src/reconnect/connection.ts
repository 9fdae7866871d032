/** An object that sends and receives messages over one connection after another. */

import {
  ClosedError,
  type CloseInfo,
  type Connection,
  type ErrorPlace,
  encodedBy,
  type FramedTyping,
  type Framing,
  isConnectionError,
  type Message,
  type MessageIterator,
  type MessageType,
  type ReceivedBy,
  type Sendable,
  type SendOptions,
  type SendResult,
  Streams,
  type WaitOptions,
} from "../core.ts";
import { ABNORMAL, closePayload, INTERNAL_ERROR, NORMAL } from "../engine/websocket/close-codes.ts";
import { timerOf } from "../transport/wait-limit.ts";
import { codeFailure, Interruption, isEndOf } from "./cause.ts";
import { type ReconnectingOptions, type SettledReconnecting, settleReconnecting } from "./connection-options.ts";
import type { ReconnectingClient } from "./contract.ts";
import { type ReceivedMessage, ReconnectingInbox } from "./inbox.ts";
import { ReconnectLoop } from "./loop.ts";
import { ReconnectingOutbox } from "./outbox.ts";
import type { ReconnectState } from "./state.ts";
import type { ReconnectTarget } from "./target.ts";

/** Connections whose types of messages are known to the application only. */
class ReconnectingClientOf<UserData> implements ReconnectingClient<UserData, unknown, unknown> {
  readonly #settled: SettledReconnecting<UserData>;
  readonly #outbox: ReconnectingOutbox<UserData>;
  readonly #inbox: ReconnectingInbox;
  #loop: ReconnectLoop<CloseInfo | undefined, UserData> | undefined;
  /** Ends the loop. */
  readonly #loopController = new AbortController();
  readonly #signalController = new AbortController();
  readonly #closed: Promise<CloseInfo>;
  #state: ReconnectState;
  #connection: Connection<UserData> | undefined;
  /** Set by `close()`: the CloseInfo of the end if there is no connection to close. */
  #closing: CloseInfo | undefined;
  /** True if this program ended it with `terminate()` or the signal. */
  #terminated = false;
  /** Why this side closed the current connection although another one follows. */
  #interruption: Interruption | undefined;
  /** The last error of a hook that was passed to `onError`. */
  #reported: unknown;
  #streams: Streams | undefined;
  /** How the last connection ended. */
  #lastEnd: CloseInfo = { code: ABNORMAL, reason: "", by: "local", wasClean: false, cause: undefined };

  /**
   * Throws TypeError or RangeError for invalid options. An invalid target, or an option that only `connect` validates, ends it:
   * the CloseInfo of `closed` has the error as its cause.
   */
  constructor(target: ReconnectTarget<UserData>, options: ReconnectingOptions<UserData> = {}) {
    this.#settled = settleReconnecting(options);
    const { outbox, pauseTimeout } = this.#settled;
    this.#outbox = new ReconnectingOutbox(outbox);
    this.#inbox = new ReconnectingInbox(outbox.clock, pauseTimeout);
    this.#state = { name: "connecting", attempt: 1, since: new Date(outbox.clock.wallTime()) };
    this.#closed = this.#run(target);
    if (this.#settled.hooks.message !== undefined) void this.#callMessageHooks(this.#settled.hooks.message);
  }

  get state(): ReconnectState {
    return this.#state;
  }

  get connection(): Connection<UserData, unknown, unknown> | undefined {
    return this.#connection as Connection<UserData, unknown, unknown> | undefined;
  }

  /**
   * Bytes in the queue, counted as for `maxQueuedBytes`. Includes messages that are on their way. Excludes calls of `send` that
   * wait for room.
   */
  get queuedBytes(): number {
    return this.#outbox.queue.bytes;
  }

  /** Number of messages in the queue. Includes and excludes the same messages as `queuedBytes`. */
  get queuedMessages(): number {
    return this.#outbox.queue.length;
  }

  /** Exact number of messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  get droppedMessages(): number {
    return this.#outbox.queue.dropped;
  }

  /**
   * Exact number of messages that were refused because the queue had no room. If nothing handles the rejections of `send`,
   * `onError` is called once, with one LimitError that holds the number of unhandled rejections in that event loop turn.
   */
  get refusedMessages(): number {
    return this.#outbox.queue.refused;
  }

  get messagesInDoubt(): number {
    return this.#outbox.inDoubt;
  }

  /** Aborts at the final end. Its reason is the error that later calls get. */
  get signal(): AbortSignal {
    return this.#signalController.signal;
  }

  /** Resolves at the final end, when no file descriptor is left. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed;
  }

  /**
   * Queues a message. The option `delivery` decides when the promise resolves. Messages are sent in the order of the calls. Bytes
   * are copied.
   *
   * A timeout, deadline or signal withdraws a message that waits. If the message is already on its way, a timeout or deadline
   * rejects with an InDoubtError instead of a TimeoutError. If the framing cannot encode the message, the promise rejects with a
   * TypeError or RangeError when the message would be sent. An ignored promise does not cause an unhandled rejection.
   */
  send(message: unknown, options?: SendOptions): Promise<void> {
    try {
      return this.#outbox.send(encodedBy(this.#settled.codec, message), options);
    } catch (error) {
      return this.#outbox.unhandledCalls.misuse(error);
    }
  }

  /**
   * Queues a message without waiting. Returns `sent` if it was passed to the current connection, `queued` if it waits, and
   * `refused` if it was not accepted. Throws TypeError for an invalid message or option.
   */
  trySend(message: unknown, options?: Omit<SendOptions, keyof WaitOptions>): SendResult {
    return this.#outbox.trySend(encodedBy(this.#settled.codec, message), options);
  }

  /**
   * Resolves when the queue is empty: the kernel has accepted all messages, or, with another `delivery` than `at-most-once`, the
   * peer has confirmed them. Messages that were dropped or are in doubt have left the queue. Rejects at the final end, with its
   * reason.
   */
  drain(options?: WaitOptions): Promise<void> {
    try {
      return this.#outbox.drain(options);
    } catch (error) {
      return this.#outbox.unhandledCalls.misuse(error);
    }
  }

  /**
   * `receive` as a WHATWG stream, over all connections. It ends as the iterator does. Cancelling it closes the client. Throws
   * TypeError if there is a `message` hook.
   */
  get readable(): ReadableStream<unknown> {
    this.#refuseIfHooked();
    return this.#webStreams().readable;
  }

  /** `send` as a WHATWG stream, over all connections. Closing it closes the client. Aborting it terminates the client. */
  get writable(): WritableStream<unknown> {
    return this.#webStreams().writable;
  }

  /**
   * Returns the next message. The messages of all connections are in one queue, in order. After the last message, the promise
   * rejects with the reason of the end. Rejects with TypeError if there is a `message` hook.
   */
  receive(options?: WaitOptions): Promise<unknown> {
    try {
      this.#refuseIfHooked();
      return this.#inbox.receive(options);
    } catch (misuse) {
      return Promise.reject(misuse);
    }
  }

  /**
   * Iterates over the received messages. The loop ends after a local `close()`, and after a final end with 1000, 1001, 1005 or,
   * on TCP, a clean FIN. It throws the reason of any other final end. Leaving the loop early closes nothing. Throws TypeError if
   * there is a `message` hook.
   */
  [Symbol.asyncIterator](): MessageIterator<unknown> {
    this.#refuseIfHooked();
    return this.#inbox.iterator();
  }

  /**
   * Ends the client. If a connection is open, queued messages are sent first, within `closeTimeout`, and then the connection is
   * closed with this code and reason. If none is open, the calls of queued messages reject. Resolves like `closed`. Rejects with
   * a TypeError or RangeError for a code or reason that a Close frame cannot contain.
   */
  close(code: number = NORMAL, reason: string = ""): Promise<CloseInfo> {
    try {
      // Validated now, although the Close frame may be sent much later.
      closePayload(code, reason);
    } catch (error) {
      return this.#outbox.unhandledCalls.misuse(error);
    }
    if (this.#closing !== undefined || this.#state.name === "ended") return this.#closed;
    this.#closing = { code, reason, by: "local", wasClean: true, cause: undefined };
    const error = errorAfterEnd(this.#closing);
    this.#outbox.refuse(error);
    const connection = this.#connection;
    if (connection === undefined) this.#loopController.abort(error);
    else void this.#flush(connection).then(() => connection.close(code, reason));
    return this.#closed;
  }

  async reconnect(reason: string = ""): Promise<void> {
    closePayload(NORMAL, reason);
    const connection = this.#connection;
    if (this.#closing !== undefined || this.#loopController.signal.aborted) return;
    if (connection === undefined) {
      if (this.#state.name === "waiting") this.#loop?.skipPause();
      return;
    }
    if (connection.state === "OPEN" && this.#interruption === undefined) {
      this.#interruption = new Interruption("requested");
      void connection.close(NORMAL, reason);
    }
    await connection.closed;
  }

  /**
   * Ends the client at once, without a closing handshake. The calls of queued messages reject. `cause` becomes the cause of the
   * ClosedError; an error of this library is used itself.
   */
  terminate(cause?: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    const error = isConnectionError(cause) ? cause : new ClosedError(facts, cause === undefined ? {} : { cause });
    this.#closing = undefined;
    this.#terminated = true;
    this.#connection?.terminate(error);
    this.#loopController.abort(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #webStreams(): Streams {
    this.#streams ??= new Streams({
      next: () => this.#inbox.iterator().next(),
      send: (message) => this.send(message),
      close: () => this.close(),
      terminate: (cause) => this.terminate(cause),
    });
    return this.#streams;
  }

  #refuseIfHooked(): void {
    if (this.#settled.hooks.message === undefined) return;
    throw new TypeError("Cannot receive: messages go to the message hook");
  }

  async #run(target: ReconnectTarget<UserData>): Promise<CloseInfo> {
    // Without this, hooks could be called before the constructor has returned.
    await Promise.resolve();
    const { hooks, reconnect: options, signal } = this.#settled;
    const abort = (): void => {
      this.#terminated = true;
      this.#loopController.abort(signal?.reason);
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const state = (now: ReconnectState): void => {
      if (now.name !== "ended") this.#changeState(now);
    };
    try {
      const use = (connection: Connection<UserData>): Promise<CloseInfo | undefined> => this.#use(connection);
      const loopOptions = { ...options, signal: this.#loopController.signal, state };
      this.#loop = new ReconnectLoop(target, use, loopOptions, hooks.state !== undefined);
      const info = await this.#loop.run();
      return this.#finish(info ?? this.#lastEnd);
    } catch (error) {
      return this.#finish(this.#closing ?? closeInfoOf(error));
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Uses one connection until its end. Resolves with its CloseInfo after `close()`, and with undefined after any other end, about
   * which the policy decides. Throws an Interruption for a failed hook and for `reconnect()`.
   */
  async #use(connection: Connection<UserData>): Promise<CloseInfo | undefined> {
    this.#connection = connection;
    this.#interruption = undefined;
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#settled.hooks.open?.(connection);
    } catch (error) {
      failure = { error };
    }
    const alive = connection.state === "OPEN" && connection.peerEndedFor === undefined;
    if (failure === undefined) {
      this.#outbox.attach(connection);
      await this.#inbox.receiveFrom(connection);
    } else if (alive) this.#hookFailed("open", failure.error, connection);
    // The connection has ended or is being closed, except on TCP after the peer's FIN: this side's FIN is still missing.
    void connection.close(this.#closing?.code, this.#closing?.reason);
    this.#lastEnd = await connection.closed;
    this.#connection = undefined;
    // An error that only reports the end of the connection is not a failure of the hook.
    if (failure !== undefined && !alive && !isEndOf(connection, this.#lastEnd, failure.error)) {
      this.#hookFailed("open", failure.error, undefined);
    }
    this.#outbox.detach(connection.signal.reason);
    if (this.#closing !== undefined) return closeInfoAfterClose(this.#lastEnd);
    await this.#inbox
      .caughtUp(this.#loopController.signal)
      .catch((error: unknown) => this.#loopController.abort(error));
    if (this.#interruption !== undefined) throw this.#interruption;
    return undefined;
  }

  /**
   * Handles the failure of a hook. Closes `connection`, for which the hook was called, so that the loop consults the policy about
   * the failure. If that connection has already ended, the loop consults the policy about its own end, and this method consults
   * it about the failure. If the program has ended the client, nothing is left to decide.
   */
  #hookFailed(phase: "open" | "message", error: unknown, connection: Connection<UserData> | undefined): void {
    this.#report(error, phase, connection);
    if (this.#closing !== undefined || this.#loopController.signal.aborted) return;
    if (connection?.state === "OPEN") {
      this.#interruption = new Interruption(phase, error);
      void connection.close(INTERNAL_ERROR, "internal error");
    } else this.#applyPolicy(phase, error);
  }

  /** Ends the client if the policy returns false for a failed hook, or throws. */
  #applyPolicy(phase: "open" | "message", error: unknown): void {
    try {
      if (this.#loop?.allows(codeFailure(phase, error, 0)) === false) this.#loopController.abort(error);
    } catch (thrown) {
      this.#loopController.abort(thrown);
    }
  }

  #report(error: unknown, place: ErrorPlace, connection: Connection<UserData> | undefined): void {
    this.#reported = error;
    this.#settled.outbox.onError(error, { place, connection: connection as Connection | undefined });
  }

  /** Waits until the queued messages are sent or the connection has ended, but not longer than `closeTimeout`. */
  async #flush(connection: Connection<UserData>): Promise<void> {
    const { outbox, closeTimeout } = this.#settled;
    const limit = timerOf(outbox.clock, closeTimeout);
    // The drain rejects if the client ends meanwhile, which also ends the connection.
    await Promise.race([this.#outbox.drain().catch(() => undefined), connection.closed, limit.expired]);
    limit.cancel();
  }

  /** Calls the message hook for one message at a time. A message whose hook fails is not delivered again. */
  async #callMessageHooks(hook: NonNullable<SettledReconnecting<UserData>["hooks"]["message"]>): Promise<void> {
    for (;;) {
      let item: ReceivedMessage;
      try {
        item = await this.#inbox.take();
      } catch {
        // The final end. `closed` has its cause.
        return;
      }
      try {
        await hook(this, item.message);
      } catch (error) {
        const current = item.connectionNumber === this.#inbox.connectionNumber;
        this.#hookFailed("message", error, current ? this.#connection : undefined);
      }
    }
  }

  #changeState(state: ReconnectState): void {
    this.#state = state;
    try {
      this.#settled.hooks.state?.(state);
    } catch (error) {
      this.#report(error, "state", this.#connection);
    }
  }

  #finish(info: CloseInfo): CloseInfo {
    const { hooks } = this.#settled;
    const error = errorAfterEnd(info);
    this.#connection = undefined;
    this.#outbox.end(error);
    this.#inbox.end(error, info.cause === undefined);
    const intended = this.#terminated || this.#closing !== undefined || info.cause === undefined;
    const reported = info.cause === this.#reported;
    if (!intended && !reported && hooks.state === undefined && hooks.close === undefined)
      this.#report(info.cause, "connect", undefined);
    this.#changeState(Object.freeze({ name: "ended", cause: info.cause }));
    this.#signalController.abort(error);
    try {
      hooks.close?.(this, info);
    } catch (failure) {
      this.#report(failure, "close", undefined);
    }
    return info;
  }
}

/** The CloseInfo after `close()`. After a complete closing handshake it has no cause, whatever the code is. */
function closeInfoAfterClose(info: CloseInfo): CloseInfo {
  const intended = info.wasClean && info.by === "local" && info.cause !== undefined;
  return intended ? Object.freeze({ ...info, cause: undefined }) : info;
}

/** The CloseInfo of an end that was not the orderly end of a connection. */
function closeInfoOf(cause: unknown): CloseInfo {
  if (cause instanceof ClosedError) {
    const { closeCode: code, reason, by, wasClean } = cause;
    return Object.freeze({ code, reason, by, wasClean, cause });
  }
  return Object.freeze({ code: ABNORMAL, reason: "", by: "local", wasClean: false, cause });
}

/** The error of calls after the end. */
function errorAfterEnd({ code: closeCode, reason, by, wasClean, cause }: CloseInfo): ClosedError {
  if (cause instanceof ClosedError) return cause;
  return new ClosedError({ closeCode, reason, by, wasClean }, cause === undefined ? {} : { cause });
}

/**
 * Sends and receives like a `Connection`, over as many connections as necessary. It begins to connect when it is constructed. It
 * ends when it is closed, when its signal aborts, when `shouldReconnect` returns false, or when `maxAttempts`, `maxElapsed` or
 * `pauseTimeout` is reached.
 *
 * While there is no connection, messages wait in a queue that is bounded in bytes and in number. If a message was on its way when
 * a connection ended, it may have arrived or not: see `delivery`. Messages that the server sends while there is no connection are
 * lost, unless the `open` hook requests them from the server.
 *
 * Without a `state` hook, `onError` gets each kind of passing cause once per run of failures. Without a `state` and a `close`
 * hook, it also gets the cause of the end, unless this program ended the connection.
 */
export interface ReconnectingConnection<UserData = undefined, In = Message, Out = Sendable>
  extends ReconnectingClient<UserData, In, Out> {}

/** The constructor of `ReconnectingConnection`. It infers the types of messages from `messageType`, `framing` and `codec`. */
export interface ReconnectingConnectionConstructor {
  /**
   * Throws TypeError or RangeError for invalid options. An invalid target, or an option that only `connect` validates, ends it:
   * the CloseInfo of `closed` has the error as its cause.
   */
  new <
    UserData = undefined,
    In = never,
    Out = Sendable,
    Type extends MessageType = MessageType,
    const Frames extends Framing | undefined = Framing | undefined,
  >(
    target: ReconnectTarget<UserData>,
    options?: ReconnectingOptions<UserData, ReceivedBy<In, Type, Frames>, Out> & FramedTyping<In, Out, Type, Frames>,
  ): ReconnectingConnection<UserData, ReceivedBy<In, Type, Frames>, Out>;
}

export const ReconnectingConnection: ReconnectingConnectionConstructor =
  ReconnectingClientOf as unknown as ReconnectingConnectionConstructor;
Object.defineProperty(ReconnectingConnection, "name", { value: "ReconnectingConnection" });

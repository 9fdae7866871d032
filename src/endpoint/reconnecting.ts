/** A connection that keeps its identity: behind it one is opened after the other. */

import {
  ClosedError,
  type CloseInfo,
  type Connection,
  type Data,
  isConnectionError,
  isWireCode,
  type Sendable,
  type SendOptions,
  type SendResult,
  type WaitOptions,
} from "../index.js";
import { reconnect } from "./reconnect.js";
import type { ReconnectState } from "./reconnect-state.js";
import type { ReconnectTarget } from "./reconnect-target.js";
import { alarm } from "./reconnect-waiting.js";
import { ReconnectingInbox } from "./reconnecting-inbox.js";
import { type ReconnectingOptions, type SettledReconnecting, settleReconnecting } from "./reconnecting-options.js";
import { ReconnectingOutbox } from "./reconnecting-outbox.js";

const NORMAL = 1000;
const ABNORMAL = 1006;
const INTERNAL_ERROR = 1011;
const LONGEST_REASON = 123;

/**
 * Sends and receives like a `Connection`, over as many connections as it takes. It begins to connect when it is made, and
 * ends when it is closed, when its signal aborts, or when the policy says that there is no use.
 *
 * While there is no connection, messages wait in a queue that is bounded in bytes and in number. Of a message that was on its
 * way when a connection ended nobody knows whether it has arrived: see `delivery`. What the server sends while there is no
 * connection does not come: to ask for it is the `open` hook's task.
 */
export class ReconnectingConnection<UserData = undefined> implements AsyncIterable<Data>, AsyncDisposable {
  readonly #settled: SettledReconnecting<UserData>;
  readonly #outbox: ReconnectingOutbox<UserData>;
  readonly #inbox: ReconnectingInbox;
  /** Ends the loop. */
  readonly #stop = new AbortController();
  readonly #aborter = new AbortController();
  readonly #closed: Promise<CloseInfo>;
  #state: ReconnectState;
  #connection: Connection<UserData> | undefined;
  /** Somebody has closed; how, if there is no connection to tell it. */
  #closing: CloseInfo | undefined;
  /** How the last connection ended. */
  #last: CloseInfo = { code: ABNORMAL, reason: "", by: "local", wasClean: false, cause: undefined };

  /** Options that cannot be are a TypeError or RangeError; those that only `connect` judges end it, as its cause. */
  constructor(target: ReconnectTarget<UserData>, options: ReconnectingOptions<UserData> = {}) {
    this.#settled = settleReconnecting(options);
    const { outbox, pauseTimeout } = this.#settled;
    this.#outbox = new ReconnectingOutbox(outbox);
    this.#inbox = new ReconnectingInbox(outbox.clock, pauseTimeout);
    this.#state = { name: "connecting", attempt: 1, since: new Date(outbox.clock.wallTime()) };
    this.#closed = this.#run(target);
    if (this.#settled.hooks.message !== undefined) void this.#handle(this.#settled.hooks.message);
  }

  /** How things stand; the `state` hook is told of each change. */
  get state(): ReconnectState {
    return this.#state;
  }

  /** The connection of now, to ask it for its addresses or to ping; undefined while there is none. */
  get connection(): Connection<UserData> | undefined {
    return this.#connection;
  }

  /** Payload bytes that wait, those that are on their way included. */
  get queuedBytes(): number {
    return this.#outbox.queue.bytes;
  }

  get queuedMessages(): number {
    return this.#outbox.queue.length;
  }

  /** Messages lost to `drop-newest`, `drop-oldest` and `coalesce`, exactly. */
  get droppedMessages(): number {
    return this.#outbox.queue.dropped;
  }

  /** Messages of which nobody knows whether they have arrived, and that were not sent again; those of `trySend` included. */
  get messagesInDoubt(): number {
    return this.#outbox.inDoubt;
  }

  /** Aborts when it ends for good, with the error that later calls get. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Resolves when it has ended for good and no descriptor is left. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed;
  }

  /**
   * Resolves as `delivery` says. Order is call order. Bytes are copied. A timeout, deadline or signal takes the message back
   * while it waits; when it is on its way already, a timeout or deadline is an InDoubtError. A message that the framing has
   * no form for rejects with its TypeError or RangeError when its turn comes. A rejection that nobody handles is not reported as unhandled.
   */
  send(message: Sendable, options?: SendOptions): Promise<void> {
    return this.#outbox.send(message, options);
  }

  /** Sends without waiting: `sent` was handed to the connection of now, `queued` waits, `refused` was not taken. */
  trySend(message: Sendable, options?: Omit<SendOptions, keyof WaitOptions>): SendResult {
    return this.#outbox.trySend(message, options);
  }

  /** The next message, of whichever connection, in order. Rejects with the reason of the end behind the last one. */
  receive(options?: WaitOptions): Promise<Data> {
    if (this.#settled.hooks.message !== undefined) {
      throw new TypeError("Cannot receive: messages go to the message hook");
    }
    return this.#inbox.receive(options);
  }

  /** Ends at a clean end for good and throws the reason of any other. Leaving the loop early closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Data, undefined> {
    if (this.#settled.hooks.message !== undefined) {
      throw new TypeError("Cannot receive: messages go to the message hook");
    }
    return this.#inbox.iterator();
  }

  /**
   * Ends it for good. If a connection is open, what is queued is sent first, within `closeTimeout`, and then it is closed with
   * this code; if none is, what is queued goes back to its senders. Resolves as `closed` does.
   */
  close(code: number = NORMAL, reason: string = ""): Promise<CloseInfo> {
    judgeClose(code, reason);
    if (this.#closing !== undefined || this.#state.name === "ended") return this.#closed;
    this.#closing = { code, reason, by: "local", wasClean: true, cause: undefined };
    const error = refusalOf(this.#closing);
    this.#outbox.refuse(error);
    const connection = this.#connection;
    if (connection === undefined) this.#stop.abort(error);
    else void this.#flush(connection).then(() => connection.close(code, reason));
    return this.#closed;
  }

  /** Ends it for good, at once and without a closing handshake. What is queued goes back to its senders. */
  terminate(cause?: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    const error = isConnectionError(cause) ? cause : new ClosedError(facts, cause === undefined ? {} : { cause });
    this.#closing = undefined;
    this.#connection?.terminate(error);
    this.#stop.abort(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(target: ReconnectTarget<UserData>): Promise<CloseInfo> {
    // Nothing is called before whoever made it has it in hand.
    await Promise.resolve();
    const { reconnect: options, signal } = this.#settled;
    const abort = (): void => this.#stop.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const state = (now: ReconnectState): void => {
      if (now.name !== "ended") this.#tell(now);
    };
    try {
      const use = (connection: Connection<UserData>): Promise<CloseInfo | undefined> => this.#use(connection);
      const info = await reconnect(target, use, { ...options, signal: this.#stop.signal, state });
      return this.#finish(info ?? this.#last);
    } catch (error) {
      return this.#finish(this.#closing ?? accountOf(error));
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** From the open connection to its end. Answers with an account of it if that is the end of all. */
  async #use(connection: Connection<UserData>): Promise<CloseInfo | undefined> {
    this.#connection = connection;
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#settled.hooks.open?.(connection);
      this.#outbox.attach(connection);
      await this.#inbox.pull(connection);
    } catch (error) {
      if (this.#closing === undefined && connection.state === "OPEN" && connection.peerEndedFor === undefined) {
        // The hook has failed, not the connection: `reconnect` closes it.
        this.#connection = undefined;
        throw error;
      }
      failure = { error };
    }
    // It has ended, but for one case: TCP, where the peer's FIN has come and ours is due.
    void connection.close(this.#closing?.code, this.#closing?.reason);
    this.#last = await connection.closed;
    this.#connection = undefined;
    this.#outbox.detach(connection.signal.reason);
    if (this.#closing !== undefined) return this.#last;
    await this.#inbox.caughtUp(this.#stop.signal).catch((error: unknown) => this.#stop.abort(error));
    if (failure !== undefined) throw failure.error;
    return undefined;
  }

  /** Sends what is queued, for as long as a connection may take to close. */
  async #flush(connection: Connection<UserData>): Promise<void> {
    const { outbox, closeTimeout } = this.#settled;
    const limit = alarm(outbox.clock, closeTimeout);
    await Promise.race([this.#outbox.drained(), connection.closed, limit.rings]);
    limit.cancel();
  }

  /** Gives messages to the hook, one at a time. */
  async #handle(hook: NonNullable<SettledReconnecting<UserData>["hooks"]["message"]>): Promise<void> {
    for (;;) {
      let data: Data;
      try {
        data = await this.#inbox.receive(undefined);
      } catch {
        // The end, of which `closed` tells.
        return;
      }
      try {
        await hook(this, data);
      } catch (cause) {
        this.#settled.outbox.onError(cause);
        const facts = { closeCode: INTERNAL_ERROR, reason: "internal error", by: "local", wasClean: false } as const;
        void this.#connection?.close(facts.closeCode, facts.reason);
        this.#stop.abort(new ClosedError(facts, { cause }));
        return;
      }
    }
  }

  #tell(state: ReconnectState): void {
    this.#state = state;
    try {
      this.#settled.hooks.state?.(state);
    } catch (error) {
      this.#settled.outbox.onError(error);
    }
  }

  #finish(info: CloseInfo): CloseInfo {
    const { hooks, outbox } = this.#settled;
    const error = refusalOf(info);
    this.#outbox.end(error);
    this.#inbox.end(error, info.cause === undefined);
    this.#tell(Object.freeze({ name: "ended", cause: info.cause }));
    this.#aborter.abort(error);
    try {
      hooks.close?.(this, info);
    } catch (failure) {
      outbox.onError(failure);
    }
    return info;
  }
}

/** How it has ended, when not by a connection's clean end. */
function accountOf(cause: unknown): CloseInfo {
  if (cause instanceof ClosedError) {
    const { closeCode: code, reason, by, wasClean } = cause;
    return Object.freeze({ code, reason, by, wasClean, cause });
  }
  return Object.freeze({ code: ABNORMAL, reason: "", by: "local", wasClean: false, cause });
}

/** The error for calls that come too late. */
function refusalOf({ code: closeCode, reason, by, wasClean, cause }: CloseInfo): ClosedError {
  if (cause instanceof ClosedError) return cause;
  return new ClosedError({ closeCode, reason, by, wasClean }, cause === undefined ? {} : { cause });
}

/** Judged now, although the Close that will hold it may be far. */
function judgeClose(code: unknown, reason: unknown): void {
  if (typeof code !== "number") throw new TypeError(`Cannot close with code ${typeof code}: expected an integer`);
  if (typeof reason !== "string") {
    throw new TypeError(`Cannot close with a reason of type ${typeof reason}: expected a string`);
  }
  const size = Buffer.byteLength(reason);
  if (!isWireCode(code) || size > LONGEST_REASON) {
    throw new RangeError(`Cannot close with code ${code} and a reason of ${size} bytes: no Close frame may hold them`);
  }
}

/** The send queue across connections: sends queued messages on the current connection, and decides about them when it ends. */

import { judgeBoolean, judgeChoice, judgeString } from "../base/judge.ts";
import {
  type Clock,
  type Connection,
  type ErrorContext,
  InDoubtError,
  ownedMessage,
  type PreparedMessage,
  type Sendable,
  type SendOptions,
  type SendResult,
  UnhandledCalls,
  type WaitOptions,
} from "../core.ts";
import { ReconnectingCall } from "./call.ts";
import { Entry, type QueueOverflow, ReconnectingQueue } from "./queue.ts";
import { reconnectMetrics } from "./reconnect-metrics.ts";

/**
 * What happens to a message that was on its way when its connection ended, so that it is unknown whether it has arrived.
 *
 * `at-most-once`: the message is not sent again, and its `send` rejects with an InDoubtError. `send` resolves when the kernel has
 * the bytes. A peer that crashes at that moment has not read them.
 * `confirmed`: the same, but `send` resolves when the peer has answered a Ping that was sent after the message. So each message
 * has arrived, or is known to be in doubt. The message keeps its place in the queue until then. Not available on TCP, which has
 * no Ping.
 * `resend`: as `confirmed`, but messages in doubt are sent again, so they may arrive twice.
 */
export type ReconnectDelivery = "at-most-once" | "confirmed" | "resend";

/**
 * The maximum that is passed to a connection and not yet accepted by the kernel: one full write. With a larger window, more
 * messages would be in doubt when the connection ends.
 */
const WINDOW_BYTES = 65_536;
const WINDOW_MESSAGES = 1_024;

const DELIVERIES: readonly string[] = ["at-most-once", "confirmed", "resend"];
const OVERFLOWS: readonly string[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce"];

export interface ReconnectingOutboxSetup {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
  readonly maxInFlightBytes: number;
  readonly overflow: QueueOverflow;
  readonly delivery: ReconnectDelivery;
  readonly clock: Clock;
  readonly onError: (error: unknown, context: ErrorContext) => void;
}

/** The options of one message, without those of waiting. */
type EntryOptions = Omit<SendOptions, keyof WaitOptions>;

/** The current connection, and the part of the window that is used on it. */
interface CurrentConnection<UserData> {
  readonly connection: Connection<UserData>;
  /** Passed to the connection, and not yet accepted by the kernel. */
  readonly sending: Set<Entry>;
  bytes: number;
  /** Accepted by the kernel, and not yet followed by a Ping that confirms it. */
  readonly unconfirmed: Set<Entry>;
  pinging: boolean;
}

export class ReconnectingOutbox<UserData> {
  /** The number of messages in doubt: it is unknown whether they have arrived, and they were not sent again. */
  inDoubt = 0;
  readonly queue: ReconnectingQueue;
  readonly #setup: ReconnectingOutboxSetup;
  readonly unhandledCalls: UnhandledCalls;
  #current: CurrentConnection<UserData> | undefined;
  /** The error of calls after the end has begun. Undefined until then. */
  #refusal: unknown;
  /** True after the final end. */
  #ended = false;
  readonly #drains = new Set<ReconnectingCall<void>>();

  constructor(setup: ReconnectingOutboxSetup) {
    judgeChoice("overflow", setup.overflow, OVERFLOWS);
    judgeChoice("delivery", setup.delivery, DELIVERIES);
    this.#setup = setup;
    this.queue = new ReconnectingQueue(setup.maxQueuedBytes, setup.maxQueuedMessages);
    this.unhandledCalls = new UnhandledCalls((error) =>
      setup.onError(error, { place: "send", connection: this.#current?.connection }),
    );
  }

  send(message: Sendable, options: SendOptions | undefined): Promise<void> {
    const owned = ownedMessage(message);
    const call = new ReconnectingCall<void>("send", options, this.#setup.clock);
    const entry = entryOf(owned, options, call);
    const overflow = this.#overflow(options);
    if (this.#refusal !== undefined) call.reject(this.#refusal);
    if (call.settled) return call.promise;
    call.withdraw = () => this.#withdraw(entry);
    call.lateError = (cause) => new InDoubtError({ returned: owned.message }, { cause });
    if (this.queue.add(entry, overflow) === "refused") {
      // Under `drop-newest` the application accepts the loss of messages, and they are counted. So such a rejection is not
      // reported.
      return overflow === "drop-newest" ? call.promise : this.unhandledCalls.refuse(call.promise);
    }
    this.#fillWindow();
    return call.promise;
  }

  trySend(message: Sendable, options: EntryOptions | undefined): SendResult {
    const entry = entryOf(ownedMessage(message), options, undefined);
    const overflow = this.#overflow(options);
    if (this.#refusal !== undefined || this.queue.add(entry, overflow) === "refused") return "refused";
    this.#fillWindow();
    return this.#current?.sending.has(entry) ? "sent" : "queued";
  }

  /** Sends the queued messages on `connection`, which is open. Throws TypeError if its protocol does not support `delivery`. */
  attach(connection: Connection<UserData>): void {
    const { delivery } = this.#setup;
    if (delivery !== "at-most-once" && connection.kind === "tcp") {
      throw new TypeError(
        `Cannot use delivery ${delivery}: framed TCP has no Ping, so nothing tells what the peer has`,
      );
    }
    this.#current = { connection, sending: new Set(), bytes: 0, unconfirmed: new Set(), pinging: false };
    this.#fillWindow();
  }

  /** The connection has ended. Messages that were on their way are sent again on the next connection, or rejected as in doubt. */
  detach(cause: unknown): void {
    this.#current = undefined;
    if (this.#setup.delivery === "resend") this.queue.putBack();
    else for (const entry of this.queue.removeTaken()) this.#rejectInDoubt(entry, cause);
    this.#resolveIfIdle();
  }

  /** Refuses further messages with `error`. Messages that were accepted are still sent while the connection is open. */
  refuse(error: unknown): void {
    this.#refusal = error;
  }

  /** Resolves when no message waits and none is on its way. Throws TypeError or RangeError for invalid limits. */
  drain(options?: WaitOptions): Promise<void> {
    const call = new ReconnectingCall<void>("drain", options, this.#setup.clock);
    if (this.#ended) call.reject(this.#refusal);
    if (call.settled) return call.promise;
    call.withdraw = () => this.#drains.delete(call);
    this.#drains.add(call);
    this.#resolveIfIdle();
    return call.promise;
  }

  /** The final end: no further connection follows. Rejects all pending calls. */
  end(error: unknown): void {
    this.#ended = true;
    this.#refusal = error;
    this.#current = undefined;
    for (const entry of this.queue.clear()) {
      if (entry.started) this.#rejectInDoubt(entry, error);
      else entry.call?.reject(error);
    }
    for (const call of this.#drains) call.reject(error);
    this.#drains.clear();
  }

  /** Passes messages to the connection while the window has room. */
  #fillWindow(): void {
    const current = this.#current;
    if (current === undefined) return;
    while (
      current.connection.state === "OPEN" &&
      current.bytes < this.#maxSendingBytes() &&
      current.sending.size < this.#maxSending()
    ) {
      const entry = this.queue.take();
      if (entry === undefined) return;
      this.#sendEntry(current, entry);
    }
  }

  #maxSendingBytes(): number {
    // What is passed to a connection cannot be replaced by `coalesce` any more. A connection writes in steps of a quarter.
    return Math.min(WINDOW_BYTES, this.#setup.maxInFlightBytes / 4);
  }

  #maxSending(): number {
    // Not more than may wait for room on the connection: its own send queue may be full.
    return Math.min(WINDOW_MESSAGES, this.#setup.maxQueuedMessages);
  }

  #sendEntry(current: CurrentConnection<UserData>, entry: Entry): void {
    entry.started = true;
    current.sending.add(entry);
    current.bytes += entry.size;
    const leaveWindow = (): void => {
      current.sending.delete(entry);
      current.bytes -= entry.size;
    };
    const refused = (error: unknown): void => {
      leaveWindow();
      // If the connection has ended or is ending, `detach` or `end` decides about the message.
      if (this.#current !== current || current.connection.state !== "OPEN") return;
      this.queue.done(entry);
      if (entry.call === undefined) this.#setup.onError(error, { place: "send", connection: current.connection });
      else entry.call.reject(error);
      this.#advance();
    };
    const { prepared, compress } = entry;
    // Also rejects if the framing cannot encode the message.
    const sent = current.connection.send(prepared, { overflow: "wait", ...(compress !== undefined && { compress }) });
    void sent.then(() => {
      leaveWindow();
      if (this.#current !== current) return;
      if (this.#setup.delivery !== "at-most-once") {
        current.unconfirmed.add(entry);
        this.#requestConfirmation(current);
        this.#fillWindow();
      } else {
        this.queue.done(entry);
        entry.call?.resolve();
        this.#advance();
      }
    }, refused);
  }

  /**
   * Sends a Ping that confirms all messages written before it: the peer reads frames in order, so its Pong shows that it has read
   * them.
   */
  #requestConfirmation(current: CurrentConnection<UserData>): void {
    if (current.pinging || current.unconfirmed.size === 0 || current.connection.state !== "OPEN") return;
    const covered = [...current.unconfirmed];
    current.unconfirmed.clear();
    current.pinging = true;
    void current.connection.ping().then(
      () => {
        current.pinging = false;
        if (this.#current !== current) return;
        for (const entry of covered) {
          this.queue.done(entry);
          entry.call?.resolve();
        }
        this.#requestConfirmation(current);
        this.#advance();
      },
      // The Ping failed, for example because too many others are pending. Without a Pong nothing is confirmed, so the connection
      // is terminated, and `detach` decides about the messages.
      (error: unknown) => current.connection.terminate(error),
    );
  }

  #advance(): void {
    this.#fillWindow();
    this.#resolveIfIdle();
  }

  #withdraw(entry: Entry): boolean {
    const removed = this.queue.withdraw(entry) || this.queue.done(entry);
    // A message that is on its way continues without its call, and is not sent again.
    if (removed && entry.started) this.#countInDoubt();
    this.#advance();
    return !entry.started;
  }

  #rejectInDoubt({ prepared: { message }, call }: Entry, cause: unknown): void {
    this.#countInDoubt();
    call?.reject(new InDoubtError({ returned: message }, { cause }));
  }

  #countInDoubt(): void {
    this.inDoubt += 1;
    reconnectMetrics.inDoubt += 1;
  }

  #resolveIfIdle(): void {
    if (!this.queue.empty) return;
    for (const call of this.#drains) call.resolve();
    this.#drains.clear();
  }

  #overflow(options: EntryOptions | undefined): QueueOverflow {
    const overflow = options?.overflow ?? this.#setup.overflow;
    judgeChoice("overflow", overflow, OVERFLOWS);
    return overflow as QueueOverflow;
  }
}

function entryOf(
  message: PreparedMessage,
  options: EntryOptions = {},
  call: ReconnectingCall<void> | undefined,
): Entry {
  const { key, compress } = options;
  if (key !== undefined) judgeString("key", key);
  if (compress !== undefined) judgeBoolean("compress", compress);
  return new Entry(message, options, call);
}

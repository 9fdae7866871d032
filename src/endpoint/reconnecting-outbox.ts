/** The way out across connections: what waits is handed to the connection of now, and judged again when that has ended. */

import {
  type Clock,
  type Connection,
  type Data,
  InDoubtError,
  prepare,
  type Sendable,
  type SendOptions,
  type SendResult,
  type WaitOptions,
} from "../index.js";
import { Call } from "./reconnecting-call.js";
import { type Entry, type QueueOverflow, ReconnectingQueue } from "./reconnecting-queue.js";

/**
 * What is done about a message that was on its way when its connection ended, so that nobody knows whether it has arrived.
 *
 * `at-most-once`: nothing; its `send` rejects with an InDoubtError. `send` resolves when the kernel has the bytes, which a peer
 * that dies at that moment has not read.
 * `confirmed`: the same, but `send` resolves when the peer has answered a Ping that was sent behind the message. So each message
 * has arrived, or is known to be in doubt. It keeps its place in the queue until then. Not on TCP, which has no Ping.
 * `resend`: confirmed as well, and what is in doubt is sent again, so that it may arrive twice.
 */
export type Delivery = "at-most-once" | "confirmed" | "resend";

/** What is handed to a connection before the kernel has taken what came before: one full write. More would be in doubt at its end. */
const WINDOW_BYTES = 65_536;
const WINDOW_MESSAGES = 1_024;

const DELIVERIES: readonly unknown[] = ["at-most-once", "confirmed", "resend"];
const OVERFLOWS: readonly unknown[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce"];

export interface ReconnectingOutboxSetup {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
  readonly overflow: QueueOverflow;
  readonly delivery: Delivery;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/** How one message is to be sent, without a wait. */
type How = Omit<SendOptions, keyof WaitOptions>;

/** The connection of now, and how much of the window is used on it. */
interface Lane<UserData> {
  readonly connection: Connection<UserData>;
  /** Handed over, and not with the kernel yet. */
  readonly underWay: Set<Entry>;
  bytes: number;
  /** With the kernel, and not confirmed. */
  readonly unconfirmed: Set<Entry>;
  asking: boolean;
}

export class ReconnectingOutbox<UserData> {
  /** Messages of which nobody knows whether they have arrived, and that were not sent again. */
  inDoubt = 0;
  readonly queue: ReconnectingQueue;
  readonly #setup: ReconnectingOutboxSetup;
  #lane: Lane<UserData> | undefined;
  /** The error for calls that come too late. */
  #refusal: unknown;
  #idle: (() => void)[] = [];

  constructor(setup: ReconnectingOutboxSetup) {
    if (!OVERFLOWS.includes(setup.overflow)) {
      throw new TypeError(`Cannot use overflow ${String(setup.overflow)}: expected one of ${OVERFLOWS.join(", ")}`);
    }
    if (!DELIVERIES.includes(setup.delivery)) {
      throw new TypeError(`Cannot use delivery ${String(setup.delivery)}: expected one of ${DELIVERIES.join(", ")}`);
    }
    this.#setup = setup;
    this.queue = new ReconnectingQueue(setup.maxQueuedBytes, setup.maxQueuedMessages);
  }

  send(message: Sendable, options: SendOptions | undefined): Promise<void> {
    const { data } = prepare(message);
    const call = new Call<void>("send", options, this.#setup.clock);
    const entry = entryOf(data, options, call);
    const overflow = this.#overflow(options);
    if (this.#refusal !== undefined) call.reject(this.#refusal);
    if (call.settled) return call.promise;
    call.withdraw = () => this.#withdraw(entry);
    call.late = (cause) => new InDoubtError({ doubtful: data }, { cause });
    if (this.queue.add(entry, overflow) !== "refused") this.#pump();
    return call.promise;
  }

  trySend(message: Sendable, options: How | undefined): SendResult {
    const entry = entryOf(prepare(message).data, options, undefined);
    const overflow = this.#overflow(options);
    if (this.#refusal !== undefined || this.queue.add(entry, overflow) === "refused") return "refused";
    this.#pump();
    return this.#lane?.underWay.has(entry) ? "sent" : "queued";
  }

  /** A connection is open: what waits goes out on it. */
  attach(connection: Connection<UserData>): void {
    const { delivery } = this.#setup;
    if (delivery !== "at-most-once" && connection.protocol === "tcp") {
      throw new TypeError(
        `Cannot use delivery ${delivery}: framed TCP has no Ping, so nothing tells what the peer has`,
      );
    }
    this.#lane = { connection, underWay: new Set(), bytes: 0, unconfirmed: new Set(), asking: false };
    this.#pump();
  }

  /** The connection has ended. What was on its way is sent again on the next one, or given back as in doubt. */
  detach(cause: unknown): void {
    this.#lane = undefined;
    if (this.#setup.delivery === "resend") this.queue.putBack();
    else for (const entry of this.queue.giveUpTaken()) this.#doubt(entry, cause);
    this.#tellIfIdle();
  }

  /** Nothing is accepted any more; what has been is sent as far as the connection lives. */
  refuse(error: unknown): void {
    this.#refusal = error;
  }

  /** Resolves when nothing waits and nothing is on its way. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIfIdle();
    });
  }

  /** There will be no connection any more: everything goes back to its owner. */
  end(error: unknown): void {
    this.#refusal = error;
    this.#lane = undefined;
    for (const entry of this.queue.clear()) {
      if (entry.tried) this.#doubt(entry, error);
      else entry.call?.reject(error);
    }
    this.#tellIfIdle();
  }

  /** Hands over what the window has room for. */
  #pump(): void {
    const lane = this.#lane;
    if (lane === undefined) return;
    while (lane.connection.state === "OPEN" && lane.bytes < WINDOW_BYTES && lane.underWay.size < this.#mostAtOnce()) {
      const entry = this.queue.take();
      if (entry === undefined) return;
      this.#hand(lane, entry);
    }
  }

  #mostAtOnce(): number {
    // No more than may wait for room on the connection, should its own queue be full.
    return Math.min(WINDOW_MESSAGES, this.#setup.maxQueuedMessages);
  }

  #hand(lane: Lane<UserData>, entry: Entry): void {
    entry.tried = true;
    lane.underWay.add(entry);
    lane.bytes += entry.size;
    const landed = (): void => {
      lane.underWay.delete(entry);
      lane.bytes -= entry.size;
    };
    const refused = (error: unknown): void => {
      landed();
      // What the end of the connection means for the message is decided when that has ended.
      if (this.#lane !== lane || lane.connection.state !== "OPEN") return;
      this.queue.done(entry);
      if (entry.call === undefined) this.#setup.onError(error);
      else entry.call.reject(error);
      this.#landed();
    };
    let sent: Promise<void>;
    try {
      const { data, compress } = entry;
      sent = lane.connection.send(data, { overflow: "wait", ...(compress !== undefined && { compress }) });
    } catch (misuse) {
      // The framing has no form for it.
      refused(misuse);
      return;
    }
    void sent.then(() => {
      landed();
      if (this.#lane !== lane) return;
      if (this.#setup.delivery !== "at-most-once") {
        lane.unconfirmed.add(entry);
        this.#ask(lane);
        this.#pump();
      } else {
        this.queue.done(entry);
        entry.call?.resolve();
        this.#landed();
      }
    }, refused);
  }

  /** Asks the peer whether it has all that was written before: frames are read in order, so its Pong says so. */
  #ask(lane: Lane<UserData>): void {
    if (lane.asking || lane.unconfirmed.size === 0 || lane.connection.state !== "OPEN") return;
    const covered = [...lane.unconfirmed];
    lane.unconfirmed.clear();
    lane.asking = true;
    void lane.connection.ping().then(
      () => {
        lane.asking = false;
        if (this.#lane !== lane) return;
        for (const entry of covered) {
          this.queue.done(entry);
          entry.call?.resolve();
        }
        this.#ask(lane);
        this.#landed();
      },
      // Too many other Pings wait. Without an answer nothing is known, and on a new connection everything is sent again.
      (error: unknown) => lane.connection.terminate(error),
    );
  }

  #landed(): void {
    this.#pump();
    this.#tellIfIdle();
  }

  #withdraw(entry: Entry): boolean {
    const held = this.queue.withdraw(entry) || this.queue.done(entry);
    // What was on its way goes on without its caller, and is not sent again.
    if (held && entry.tried) this.inDoubt += 1;
    this.#landed();
    return !entry.tried;
  }

  #doubt({ data, call }: Entry, cause: unknown): void {
    this.inDoubt += 1;
    call?.reject(new InDoubtError({ doubtful: data }, { cause }));
  }

  #tellIfIdle(): void {
    if (this.queue.empty) for (const tell of this.#idle.splice(0)) tell();
  }

  #overflow(options: How | undefined): QueueOverflow {
    const overflow = options?.overflow ?? this.#setup.overflow;
    if (OVERFLOWS.includes(overflow)) return overflow as QueueOverflow;
    throw new TypeError(`Cannot use overflow ${String(overflow)}: expected one of ${OVERFLOWS.join(", ")}`);
  }
}

function entryOf(data: Data, { key, compress }: How = {}, call: Call<void> | undefined): Entry {
  if (key !== undefined && typeof key !== "string") {
    throw new TypeError(`Cannot use key: expected a string, got ${typeof key}`);
  }
  if (compress !== undefined && typeof compress !== "boolean") {
    throw new TypeError(`Cannot use compress: expected a boolean, got ${typeof compress}`);
  }
  const size = typeof data === "string" ? Buffer.byteLength(data) : data.length;
  return { data, size, key, compress, call, tried: false };
}

/** The received messages of all connections in one queue: those of a connection come after those of the connection before it. */

import {
  type Clock,
  type Connection,
  isConnectionError,
  type Message,
  type MessageIterator,
  TimeoutError,
  type WaitOptions,
} from "../core.ts";
import { timerOf } from "../transport/wait-limit.ts";
import { ReconnectingCall } from "./call.ts";

/** A message, and the number of the connection on which it was received. */
export interface ReceivedMessage {
  readonly message: Message;
  readonly connectionNumber: number;
}

export class ReconnectingInbox {
  readonly #clock: Clock;
  readonly #pauseTimeout: number;
  readonly #messages: ReceivedMessage[] = [];
  readonly #calls = new Set<ReconnectingCall<ReceivedMessage>>();
  #connectionNumber = 0;
  #ended: { readonly error: unknown; readonly intended: boolean } | undefined;
  /** Called when a message was taken. */
  #onTaken: () => void = () => undefined;

  constructor(clock: Clock, pauseTimeout: number) {
    this.#clock = clock;
    this.#pauseTimeout = pauseTimeout;
  }

  /** The number of the current connection, from 1. */
  get connectionNumber(): number {
    return this.#connectionNumber;
  }

  /**
   * Receives messages until `connection` has ended. Until then it holds at most one message that no call has taken, so that the
   * inbox of the connection fills up and the peer has to wait. At the end it takes all messages of that inbox.
   * `connection.signal` has the reason of the end.
   */
  async receiveFrom(connection: Connection): Promise<void> {
    this.#connectionNumber += 1;
    try {
      for (;;) {
        while (this.#messages.length > 0 && !connection.signal.aborted) await this.#nextTake(connection.signal);
        this.#deliver(await connection.receive());
      }
    } catch (error) {
      if (!isConnectionError(error)) throw error;
    }
  }

  /**
   * Resolves when all messages of the connections before the last one are taken, or `signal` aborts. Without this wait, the
   * messages of many connections would accumulate if the application does not read. Rejects with a TimeoutError after
   * `pauseTimeout`: a single connection would also be closed if the application did not read for so long.
   */
  async caughtUp(signal: AbortSignal): Promise<void> {
    if (!this.#hasOlderMessages()) return;
    const limit = timerOf(this.#clock, this.#pauseTimeout);
    const expired = limit.expired.then(() => {
      const facts = { operation: "receive", limit: "pauseTimeout", bound: this.#pauseTimeout } as const;
      throw new TimeoutError({ ...facts, after: this.#pauseTimeout, retriable: false });
    });
    try {
      while (this.#hasOlderMessages() && !signal.aborted) await Promise.race([this.#nextTake(signal), expired]);
    } finally {
      limit.cancel();
    }
  }

  receive(options: WaitOptions | undefined): Promise<Message> {
    const received = this.take(options).then(({ message }) => message);
    // As with every call: a dropped promise must not become an unhandled rejection, which would end the process.
    received.catch(() => undefined);
    return received;
  }

  /** Takes the next message, with the number of its connection. Throws TypeError or RangeError for invalid limits. */
  take(options?: WaitOptions): Promise<ReceivedMessage> {
    const call = new ReconnectingCall<ReceivedMessage>("receive", options, this.#clock);
    if (call.settled) return call.promise;
    const item = this.#messages.shift();
    if (item !== undefined) {
      call.resolve(item);
      this.#onTaken();
    } else if (this.#ended !== undefined) call.reject(this.#ended.error);
    else {
      this.#calls.add(call);
      call.withdraw = () => this.#calls.delete(call);
    }
    return call.promise;
  }

  iterator(): MessageIterator<Message> {
    const iterator: MessageIterator<Message> = {
      next: async () => {
        try {
          return { done: false, value: await this.receive(undefined) };
        } catch (error) {
          if (this.#ended?.intended) return { done: true, value: undefined };
          throw error;
        }
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /**
   * Ends the input. Queued messages can still be taken. After them, `receive` rejects with `error`, and a loop ends without an
   * error if `intended` is true.
   */
  end(error: unknown, intended: boolean): void {
    this.#ended = { error, intended };
    for (const call of this.#calls) call.reject(error);
    this.#calls.clear();
  }

  #deliver(message: Message): void {
    const item = { message, connectionNumber: this.#connectionNumber };
    const [call] = this.#calls;
    if (call === undefined) {
      this.#messages.push(item);
      return;
    }
    this.#calls.delete(call);
    call.resolve(item);
  }

  #hasOlderMessages(): boolean {
    const [oldest] = this.#messages;
    return oldest !== undefined && oldest.connectionNumber < this.#connectionNumber;
  }

  /** Resolves when a message was taken, or when `signal` aborts. */
  #nextTake(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#onTaken = done;
      if (signal.aborted) done();
      else signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** The way in across connections: one line of messages, each connection's behind those of the one before. */

import { type Clock, ClosedError, type Connection, type Data, TimeoutError, type WaitOptions } from "../index.js";
import { alarm } from "./reconnect-waiting.js";
import { Call } from "./reconnecting-call.js";

/** A message that nobody has taken, and the number of the connection that brought it. */
interface Item {
  readonly data: Data;
  readonly round: number;
}

export class ReconnectingInbox {
  readonly #clock: Clock;
  readonly #pauseTimeout: number;
  readonly #items: Item[] = [];
  readonly #calls = new Set<Call<Data>>();
  #round = 0;
  #ended: { readonly error: unknown; readonly wanted: boolean } | undefined;
  /** Told when a message was taken. */
  #taken: () => void = () => undefined;

  constructor(clock: Clock, pauseTimeout: number) {
    this.#clock = clock;
    this.#pauseTimeout = pauseTimeout;
  }

  /**
   * Takes messages in until `connection` has ended: one ahead of who asks for them, so that it is the connection's own inbox
   * that holds the peer back. What that still holds at the end is taken in at once. Throws the error of any end but a clean one.
   */
  async pull(connection: Connection): Promise<void> {
    this.#round += 1;
    try {
      for (;;) {
        while (this.#items.length > 0 && !connection.signal.aborted) await this.#change(connection.signal);
        this.#put(await connection.receive());
      }
    } catch (error) {
      if (!(error instanceof ClosedError && error.wasClean)) throw error;
    }
  }

  /**
   * Resolves when nothing is left of the connections before the last one. Without this bound they would pile up for somebody
   * who does not read. Whoever takes longer than `pauseTimeout` over it would have been given up by a connection, too.
   */
  async caughtUp(signal: AbortSignal): Promise<void> {
    if (!this.#behind()) return;
    const limit = alarm(this.#clock, this.#pauseTimeout);
    const expired = limit.rings.then(() => {
      const facts = { operation: "receive", limit: "pauseTimeout", bound: this.#pauseTimeout } as const;
      throw new TimeoutError({ ...facts, after: this.#pauseTimeout, retriable: false });
    });
    try {
      while (this.#behind() && !signal.aborted) await Promise.race([this.#change(signal), expired]);
    } finally {
      limit.cancel();
    }
  }

  receive(options: WaitOptions | undefined): Promise<Data> {
    const call = new Call<Data>("receive", options, this.#clock);
    if (call.settled) return call.promise;
    const item = this.#items.shift();
    if (item !== undefined) {
      call.resolve(item.data);
      this.#taken();
    } else if (this.#ended !== undefined) call.reject(this.#ended.error);
    else {
      this.#calls.add(call);
      call.withdraw = () => this.#calls.delete(call);
    }
    return call.promise;
  }

  iterator(): AsyncIterableIterator<Data, undefined> {
    const iterator: AsyncIterableIterator<Data, undefined> = {
      next: async () => {
        try {
          return { done: false, value: await this.receive(undefined) };
        } catch (error) {
          if (this.#ended?.wanted) return { done: true, value: undefined };
          throw error;
        }
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** There will be no further message. Those that are here can still be taken. A loop over them then ends, if it was `wanted`. */
  end(error: unknown, wanted: boolean): void {
    this.#ended = { error, wanted };
    for (const call of this.#calls) call.reject(error);
    this.#calls.clear();
  }

  #put(data: Data): void {
    const [call] = this.#calls;
    if (call === undefined) {
      this.#items.push({ data, round: this.#round });
      return;
    }
    this.#calls.delete(call);
    call.resolve(data);
  }

  #behind(): boolean {
    const [oldest] = this.#items;
    return oldest !== undefined && oldest.round < this.#round;
  }

  /** Resolves when a message was taken, or `signal` aborts. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#taken = done;
      if (signal.aborted) done();
      else signal.addEventListener("abort", done, { once: true });
    });
  }
}

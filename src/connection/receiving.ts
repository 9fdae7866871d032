/** The calls that take messages out of a connection. */

import { concat } from "../base/bytes.js";
import { ClosedError, LimitError } from "../base/errors.js";
import type { Instant } from "../base/time.js";
import type { Data } from "../engine/protocol.js";
import type { Core } from "./core.js";
import type { Item, Piece } from "./inbox.js";
import { asPiece, MessageReader, whole } from "./reader.js";
import type { WaitOptions } from "./waits.js";

export class Receiving {
  readonly #core: Core;
  /** A message is being read in pieces. */
  #reading = false;
  /** What `receive` had put together of a message when it had to give up: the next call begins with it. */
  #kept: Piece | undefined;
  /** The message under way was more than `receive` may put together, and its rest is nobody's. */
  #skipping = false;

  constructor(core: Core) {
    this.#core = core;
  }

  receive(options: WaitOptions | undefined): Promise<Data> {
    return this.#core.options.streaming ? this.#whole(options) : this.#taken(options);
  }

  async #taken(options: WaitOptions | undefined): Promise<Data> {
    return (await this.#take(options)) as Data;
  }

  async #whole(options: WaitOptions | undefined): Promise<Data> {
    this.#begin();
    try {
      return await this.#collect(options);
    } finally {
      this.#reading = false;
    }
  }

  async reader(options: WaitOptions | undefined): Promise<MessageReader> {
    this.#begin();
    const done = (): void => {
      this.#reading = false;
    };
    try {
      const first = await this.#piece(options, this.#core.options.clock.now());
      return new MessageReader(first, (bounds) => this.#take(bounds), done);
    } catch (error) {
      done();
      throw error;
    }
  }

  next(): Promise<IteratorResult<Data, undefined>> {
    const { delivery, options, waits } = this.#core;
    // What is there needs no wait. Most messages of a busy connection are.
    if (!options.streaming && !delivery.hooked && !delivery.inbox.empty && waits.readExpired === undefined) {
      return Promise.resolve({ done: false, value: delivery.take() as Data });
    }
    return this.receive(undefined).then(toResult, endOrError);
  }

  iterator(): AsyncIterableIterator<Data, undefined> {
    const iterator: AsyncIterableIterator<Data, undefined> = {
      next: () => this.next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #begin(): void {
    const { inbox } = this.#core.delivery;
    // A message that the end has cut has no end to be read to.
    const cut = inbox.ended !== undefined && inbox.empty;
    if (this.#reading && !cut) {
      throw new TypeError("Cannot read a message: the one before it has not been read to its end");
    }
    this.#reading = true;
  }

  /** Puts a message together from its pieces, as `collect` does, but within the bounds of one call. */
  async #collect(options: WaitOptions | undefined): Promise<Data> {
    const { clock, maxMessageSize: maximum } = this.#core.options;
    const since = clock.now();
    const { type, bytes, last } = await this.#piece(options, since);
    const pieces = [bytes];
    let size = bytes.length;
    for (let ended = last; ; ) {
      if (size > maximum) {
        this.#skipping = !ended;
        throw new LimitError({ operation: "receive", limit: "maxMessageSize", maximum, actual: size });
      }
      if (ended) return whole(type, pieces);
      try {
        const next = asPiece(await this.#take(options, since));
        pieces.push(next.bytes);
        size += next.bytes.length;
        ended = next.last;
      } catch (error) {
        this.#kept = { type, bytes: concat(pieces), last: false };
        throw error;
      }
    }
  }

  /** The first piece of a message, or all that is known of one that was begun. */
  async #piece(options: WaitOptions | undefined, since: Instant): Promise<Piece> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) return kept;
    while (this.#skipping) this.#skipping = !asPiece(await this.#take(options, since)).last;
    return asPiece(await this.#take(options, since));
  }

  #take(options: WaitOptions | undefined, since?: Instant): Promise<Item> {
    const { delivery, waits } = this.#core;
    if (delivery.hooked) throw new TypeError("Cannot receive: messages go to the message hook");
    const withdraw = (): boolean => {
      delivery.inbox.withdraw(wait);
      return true;
    };
    const wait = waits.begin<Item>("receive", "read", options, withdraw, since);
    if (wait.settled) return wait.promise;
    const item = delivery.take();
    if (item !== undefined) wait.resolve(item);
    else if (delivery.inbox.ended !== undefined) wait.reject(delivery.inbox.ended.error);
    else {
      waits.watch(wait);
      delivery.wait(wait);
    }
    return wait.promise;
  }
}

function toResult(value: Data): IteratorResult<Data, undefined> {
  return { done: false, value };
}

function endOrError(error: unknown): IteratorResult<Data, undefined> {
  if (error instanceof ClosedError && error.wasClean) return { done: true, value: undefined };
  throw error;
}

/** The calls that take messages out of a connection. */

import { concat } from "../base/bytes.js";
import { ClosedError, LimitError } from "../base/errors.js";
import type { Instant } from "../base/time.js";
import type { Data } from "../engine/protocol.js";
import type { Core } from "./core.js";
import type { Item, Piece } from "./inbox.js";
import { asPiece, MessageReader, whole } from "./reader.js";
import type { Streams } from "./streams.js";
import type { Form, WaitOptions } from "./waits.js";

export class Receiving {
  /** The views of the connection, once somebody has asked for one. */
  streams: Streams | undefined;
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
    return this.#core.options.streaming ? this.#whole(options) : (this.#taken(options) as Promise<Data>);
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
    const core = this.#core;
    if (core.options.streaming) return this.#whole(undefined).then(STEP.resolved, lastStep);
    // What is there needs no wait. Most messages of a busy connection are.
    if (!core.hooked && !core.inboxEmpty && core.waits.readExpired === undefined) {
      return Promise.resolve({ done: false, value: core.delivery.take() as Data });
    }
    return this.#taken(undefined, STEP);
  }

  iterator(): AsyncIterableIterator<Data, undefined> {
    return new MessageIterator(this);
  }

  async #whole(options: WaitOptions | undefined): Promise<Data> {
    this.#begin();
    try {
      return await this.#collect(options);
    } finally {
      this.#reading = false;
    }
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

  /** As `#take`, but misuse rejects. No function of its own waits here: each that does costs a loop that is idle 300 bytes. */
  #taken<R = Item>(options: WaitOptions | undefined, form?: Form<Item, R>): Promise<R> {
    try {
      return this.#take(options, undefined, form);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #take<R = Item>(options: WaitOptions | undefined, since?: Instant, form?: Form<Item, R>): Promise<R> {
    const { delivery, waits } = this.#core;
    if (delivery.hooked) throw new TypeError("Cannot receive: messages go to the message hook");
    const withdraw = (): boolean => {
      delivery.inbox.withdraw(wait);
      return true;
    };
    const wait = waits.begin<Item, R>("receive", "read", options, withdraw, since, form);
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

type Step = IteratorResult<Data, undefined>;

/** A clean end is the end of a loop, and no error. Any other is thrown in it. */
const STEP: Form<Item, Step> = {
  resolved: (item) => ({ done: false, value: item as Data }),
  rejected: (error) => (error instanceof ClosedError && error.wasClean ? { done: true, value: undefined } : undefined),
};

function lastStep(error: unknown): Step {
  const step = STEP.rejected(error);
  if (step === undefined) throw error;
  return step;
}

class MessageIterator implements AsyncIterableIterator<Data, undefined> {
  readonly #receiving: Receiving;

  constructor(receiving: Receiving) {
    this.#receiving = receiving;
  }

  next(): Promise<Step> {
    return this.#receiving.next();
  }

  return(): Promise<Step> {
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

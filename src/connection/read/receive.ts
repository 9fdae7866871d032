/** Implements the calls that take messages from a connection. */

import { concat } from "../../base/bytes.ts";
import { ClosedError, LimitError } from "../../base/errors.ts";
import type { Instant } from "../../base/time.ts";
import type { Message } from "../../engine/protocol.ts";
import { isNormalEnd } from "../../engine/websocket/close-codes.ts";
import { DecodedValue } from "../codec.ts";
import type { MessageIterator, WaitOptions } from "../contract.ts";
import type { Core } from "../core.ts";
import { callsOf, dispatcherOf, inboxIsEmpty } from "../lazy-parts.ts";
import { withCallerStack } from "../time/caller-stack.ts";
import type { ResultForm } from "../time/pending-calls.ts";
import type { Streams } from "../web-streams.ts";
import type { InboxItem, Piece } from "./inbox.ts";
import { asPiece, joinPieces, PieceReader } from "./message-reader.ts";

export class Receiver {
  /** The streams of the connection, created on first use. */
  streams: Streams | undefined;
  readonly #core: Core;
  /** True while a message is read in pieces. */
  #reading = false;
  /** The part of a message that `receive` had read when it failed. The next call starts with it. */
  #savedPiece: Piece | undefined;
  /**
   * The number of calls whose promise settles through `withCallerStack`, some microtasks later than another one. While there are
   * any, all calls do, so that concurrent calls continue in the order of their messages.
   */
  #delayed = 0;
  /** True if the current message is larger than `receive` may assemble. Its remaining pieces are discarded. */
  #skipping = false;

  constructor(core: Core) {
    this.#core = core;
  }

  receive(options: WaitOptions | undefined): Promise<Message> {
    const { streaming, codec } = this.#core.options;
    if (streaming) return this.#receiveWhole(options);
    return codec === undefined
      ? (this.#receiveItemOrReject(options) as Promise<Message>)
      : this.#receiveItemOrReject(options, AS_VALUE);
  }

  async reader(options: WaitOptions | undefined): Promise<PieceReader> {
    if (this.#core.options.codec !== undefined) {
      throw new TypeError("Cannot read a message in pieces: the codec decodes whole messages");
    }
    this.#beginMessage();
    const onEnd = (): void => {
      this.#reading = false;
    };
    try {
      const first = await this.#firstPiece(options, this.#core.options.clock.now());
      return new PieceReader(first, (bounds) => this.#receiveItem(bounds), onEnd, this.#textAsBytes);
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const core = this.#core;
    if (core.options.streaming) return this.#receiveWhole(undefined).then(AS_ITERATION_STEP.resolved, lastStep);
    // A message in the inbox needs no pending call. On a busy connection that is the usual case.
    if (
      !core.hooked &&
      this.#delayed === 0 &&
      !inboxIsEmpty(core) &&
      core.rareParts?.calls?.readExpired === undefined
    ) {
      return Promise.resolve({ done: false, value: messageOf(dispatcherOf(core).takeItem()) });
    }
    return this.#receiveItemOrReject(undefined, AS_ITERATION_STEP);
  }

  iterator(): MessageIterator<Message> {
    this.refuseIfHooked();
    return new InboxIterator(this);
  }

  /** Throws TypeError if the connection has a message hook: it takes all messages. */
  refuseIfHooked(): void {
    if (this.#core.hooked) throw new TypeError("Cannot receive: messages go to the message hook");
  }

  async #receiveWhole(options: WaitOptions | undefined): Promise<Message> {
    this.#beginMessage();
    try {
      return await this.#collect(options);
    } finally {
      this.#reading = false;
    }
  }

  get #textAsBytes(): boolean {
    return this.#core.options.messageType === "bytes";
  }

  #beginMessage(): void {
    const { inbox } = dispatcherOf(this.#core);
    // A message that the end of the connection has truncated cannot be read to its end.
    const truncated = inbox.closed !== undefined && inbox.empty;
    if (this.#reading && !truncated) {
      throw new TypeError("Cannot read a message: the one before it has not been read to its end");
    }
    this.#reading = true;
  }

  /** Joins the pieces of a message, as `PieceReader.collect` does, but within the time limits of one call. */
  async #collect(options: WaitOptions | undefined): Promise<Message> {
    const { clock, maxMessageSize: maximum } = this.#core.options;
    const since = clock.now();
    const { type, bytes, last } = await this.#firstPiece(options, since);
    const pieces = [bytes];
    let size = bytes.length;
    for (let ended = last; ; ) {
      if (size > maximum) {
        this.#skipping = !ended;
        throw new LimitError({ operation: "receive", limit: "maxMessageSize", maximum, actual: size });
      }
      if (ended) return joinPieces(type, pieces, this.#textAsBytes);
      try {
        const next = asPiece(await this.#receiveItem(options, since));
        pieces.push(next.bytes);
        size += next.bytes.length;
        ended = next.last;
      } catch (error) {
        this.#savedPiece = { type, bytes: concat(pieces), last: false };
        throw error;
      }
    }
  }

  /** Returns the first piece of a message, or the saved part of a message that was read before. */
  async #firstPiece(options: WaitOptions | undefined, since: Instant): Promise<Piece> {
    const saved = this.#savedPiece;
    this.#savedPiece = undefined;
    if (saved !== undefined) return saved;
    while (this.#skipping) this.#skipping = !asPiece(await this.#receiveItem(options, since)).last;
    return asPiece(await this.#receiveItem(options, since));
  }

  /** As `#receiveItem`, but misuse rejects. Not an async function, which would cost 300 bytes while an idle loop waits. */
  #receiveItemOrReject<R = InboxItem>(options: WaitOptions | undefined, form?: ResultForm<InboxItem, R>): Promise<R> {
    try {
      return this.#receiveItem(options, undefined, form);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #receiveItem<R = InboxItem>(
    options: WaitOptions | undefined,
    since?: Instant,
    form?: ResultForm<InboxItem, R>,
  ): Promise<R> {
    this.refuseIfHooked();
    const dispatcher = dispatcherOf(this.#core);
    const calls = callsOf(this.#core);
    const withdraw = (): boolean => {
      dispatcher.inbox.removeCall(call);
      return true;
    };
    this.#core.receiveCalled();
    const call = calls.begin<InboxItem, R>("receive", "read", options, withdraw, since, form);
    if (call.settled) return call.promise;
    // Only for a call that waits and has a limit: the stack costs a promise.
    let limited = false;
    const item = dispatcher.takeItem();
    if (item !== undefined) call.resolve(item);
    else if (dispatcher.inbox.closed !== undefined) {
      call.reject(dispatcher.inbox.closed.error);
      this.#core.receiveRejected();
    } else {
      calls.track(call);
      dispatcher.addCall(call);
      limited = calls.readBounded || options?.timeout !== undefined || options?.deadline !== undefined;
    }
    if (!limited && this.#delayed === 0) return call.promise;
    this.#delayed += 1;
    return withCallerStack(call.promise, () => {
      this.#delayed -= 1;
    });
  }
}

type IterationStep = IteratorResult<Message, undefined>;

/** The message of an item, or its value. The types of values are known to the application only. */
const messageOf = (item: InboxItem | undefined): Message =>
  item instanceof DecodedValue ? (item.value as Message) : (item as Message);

const AS_VALUE: ResultForm<InboxItem, Message> = { resolved: messageOf, rejected: () => undefined };

/** A loop ends at a normal end. At any other end it throws, also after a clean close with another code. */
const AS_ITERATION_STEP: ResultForm<InboxItem, IterationStep> = {
  resolved: (item) => ({ done: false, value: messageOf(item) }),
  rejected: (error) =>
    error instanceof ClosedError && error.wasClean && isNormalEnd(error.closeCode)
      ? { done: true, value: undefined }
      : undefined,
};

function lastStep(error: unknown): IterationStep {
  const step = AS_ITERATION_STEP.rejected(error);
  if (step === undefined) throw error;
  return step;
}

class InboxIterator implements MessageIterator<Message> {
  readonly #receiver: Receiver;

  constructor(receiving: Receiver) {
    this.#receiver = receiving;
  }

  next(): Promise<IterationStep> {
    return this.#receiver.next();
  }

  return(): Promise<IterationStep> {
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** One message written in parts, for those too large to hold. */

import { asData } from "../base/bytes.js";
import { type ConnectionError, LimitError } from "../base/errors.js";
import type { Data, Encoder } from "../engine/protocol.js";
import type { SettledOptions } from "./options.js";
import type { Outbox } from "./outbox.js";
import { Outgoing, type OutgoingStream } from "./outgoing.js";
import { rejected, type Wait, type WaitOptions, type Waits } from "./waits.js";

/** What a writer needs of its connection. */
export interface WriterOwner {
  readonly outbox: Outbox;
  readonly waits: Waits;
  readonly judge: Pick<Encoder, "payload">;
  readonly options: SettledOptions;
  /** Its `refusal` is set once the connection takes no more. */
  readonly closing: { readonly refusal: ConnectionError | undefined };
  /** Half a message is on the wire, and its end will not come. */
  truncated(cause: unknown): void;
}

/**
 * A message whose parts are sent as they are written: fragments on a WebSocket, with pings and pongs between them.
 * Messages sent meanwhile wait behind its end. Dispose of it (`await using`) to give up a message that was not ended.
 */
export class MessageWriter implements AsyncDisposable {
  readonly #owner: WriterOwner;
  readonly #stream: OutgoingStream;
  /** Whether a part has been judged. The next one is judged as what follows it. */
  #judged = false;
  #ended = false;

  constructor(owner: WriterOwner, stream: OutgoingStream) {
    this.#owner = owner;
    this.#stream = stream;
  }

  /**
   * Sends one part, which must not be changed until the promise settles: with the kernel, or rejected with the reason.
   * Parts go in the order of the calls. As many as `maxQueuedMessages` may wait; one more is a LimitError. As with `send`,
   * a bound in time takes a part back of which nothing has been written, and the message goes on without it.
   */
  write(part: Data | ArrayBuffer | ArrayBufferView, options?: WaitOptions): Promise<void> {
    return this.#put(asData(part), false, options);
  }

  /** Ends the message, with a last part if one is given. One that was taken back has yet to be ended. */
  end(part: Data | ArrayBuffer | ArrayBufferView = "", options?: WaitOptions): Promise<void> {
    return this.#put(asData(part), true, options);
  }

  /**
   * Gives the message up: what waits of it is rejected with `cause`. If part of it is on the wire the connection ends, since
   * nothing else can tell the peer.
   */
  abort(cause: unknown = new DOMException("The message was given up", "AbortError")): void {
    const { outbox, closing, truncated } = this.#owner;
    if (this.#ended) return;
    this.#ended = true;
    // The connection's end is the message's.
    if (closing.refusal !== undefined) return;
    const parts = this.#stream.parts.splice(0);
    if (!outbox.withdraw(this.#stream)) truncated(cause);
    for (const { wait } of parts) wait?.reject(cause);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort();
  }

  #put(data: Data, last: boolean, options: WaitOptions | undefined): Promise<void> {
    if (this.#ended) throw new TypeError("Cannot write: the message has ended");
    const { options: limits, judge, closing, waits, outbox } = this.#owner;
    const stream = this.#stream;
    if (closing.refusal !== undefined) return rejected(closing.refusal);
    const wait: Wait<void> = waits.begin<void>("send", "write", options, () => {
      if (!outbox.withdrawPart(stream, message)) return false;
      if (last) this.#ended = false;
      return true;
    });
    if (wait.settled) return wait.promise;
    const actual = stream.parts.length + 1;
    const maximum = limits.maxQueuedMessages;
    if (actual > maximum) {
      wait.reject(new LimitError({ operation: "send", limit: "maxQueuedMessages", maximum, actual, refused: data }));
      return wait.promise;
    }
    const payload = judge.payload(data, this.#judged ? (last ? "last" : "middle") : last ? "whole" : "first");
    const message = new Outgoing(data, payload);
    message.text = stream.text;
    message.compress = stream.compress;
    message.wait = wait;
    this.#judged = true;
    this.#ended = last;
    waits.watch(wait);
    outbox.put(stream, message, last);
    return wait.promise;
  }
}

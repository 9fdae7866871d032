/** Writes one message in parts, for messages that are too large to hold in memory. */

import { asData, lengthOf, utf8Length } from "../../base/bytes.ts";
import { type ConnectionError, LimitError } from "../../base/errors.ts";
import type { Encoder, MessageContent } from "../../engine/protocol.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import type { MessageWriter, WaitOptions } from "../contract.ts";
import type { SettledOptions } from "../options.ts";
import { handledRejection, type PendingCall, type PendingCalls } from "../time/pending-calls.ts";
import type { Outbox } from "./outbox.ts";
import { OutgoingMessage, type OutgoingStream } from "./outgoing-message.ts";
import { copyOf } from "./retained-copies.ts";

/** The connection of a `PartWriter`. */
export interface WriterOwner {
  readonly options: SettledOptions;
  readonly validator: Pick<Encoder, "payload">;
  outbox(): Outbox;
  calls(): PendingCalls;
  /** Error of parts that are written after the end has begun. Undefined while the connection accepts messages. */
  refusal(): ConnectionError | undefined;
  /** Part of a message is written, and the rest will not follow. */
  truncated(cause: unknown): void;
  /** Return the promises for a part that was refused, and for one that is invalid. See `UnhandledCalls`. */
  refuse(refused: Promise<unknown>): Promise<never>;
  misuse(error: unknown): Promise<never>;
}

export class PartWriter implements MessageWriter {
  readonly #owner: WriterOwner;
  readonly #stream: OutgoingStream;
  /** True if a part has been validated. The next one is validated as its continuation. */
  #validated = false;
  #ended = false;

  constructor(owner: WriterOwner, stream: OutgoingStream) {
    this.#owner = owner;
    this.#stream = stream;
  }

  write(part: MessageContent | ArrayBuffer | ArrayBufferView, options?: WaitOptions): Promise<void> {
    return this.#sendOrReject(part, false, options);
  }

  end(part: MessageContent | ArrayBuffer | ArrayBufferView = "", options?: WaitOptions): Promise<void> {
    return this.#sendOrReject(part, true, options);
  }

  abort(cause: unknown = new DOMException("The message was given up", "AbortError")): void {
    if (this.#ended) return;
    this.#ended = true;
    // The end of the connection also ends the message.
    if (this.#owner.refusal() !== undefined) return;
    const parts = this.#stream.parts.splice(0);
    if (!this.#owner.outbox().withdraw(this.#stream)) this.#owner.truncated(cause);
    for (const { call } of parts) call?.reject(cause);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort();
  }

  #sendOrReject(
    part: MessageContent | ArrayBuffer | ArrayBufferView,
    last: boolean,
    options?: WaitOptions,
  ): Promise<void> {
    try {
      return this.#send(asData(part), last, options);
    } catch (error) {
      return this.#owner.misuse(error);
    }
  }

  #send(data: MessageContent, last: boolean, options: WaitOptions | undefined): Promise<void> {
    if (this.#ended) throw new TypeError("Cannot write: the message has ended");
    const { validator, refuse } = this.#owner;
    const stream = this.#stream;
    const refusal = this.#owner.refusal();
    if (refusal !== undefined) return handledRejection(refusal);
    const [calls, outbox] = [this.#owner.calls(), this.#owner.outbox()];
    const call: PendingCall<void> = calls.begin<void>("send", "write", options, () => {
      if (!this.#owner.outbox().withdrawPart(stream, message)) return false;
      if (last) this.#ended = false;
      return true;
    });
    if (call.settled) return call.promise;
    const copied = typeof data === "string" ? data : copyOf(data, lengthOf(data), outbox.blocked);
    const excess = this.#excess(data);
    if (excess !== undefined) {
      call.reject(new LimitError({ operation: "send", ...excess, returned: copied }));
      return refuse(call.promise);
    }
    const payload = validator.payload(copied, this.#validated ? (last ? "last" : "middle") : last ? "whole" : "first");
    const message = new OutgoingMessage(copied, payload);
    message.text = stream.text;
    message.compress = stream.compress;
    message.call = call;
    this.#validated = true;
    this.#ended = last;
    calls.track(call);
    outbox.addPart(stream, message, last);
    return call.promise;
  }

  /**
   * The limit that a part exceeds together with the waiting parts before it. A part without others before it is accepted,
   * whatever its size.
   */
  #excess(
    data: MessageContent,
  ): { readonly limit: string; readonly maximum: number; readonly actual: number } | undefined {
    const { maxQueuedBytes, maxQueuedMessages } = this.#owner.options;
    const { bytes, parts } = this.#stream;
    if (parts.length === 0) return undefined;
    const size = typeof data === "string" ? utf8Length(data) : lengthOf(data);
    const actual = bytes + size + MESSAGE_OVERHEAD;
    if (actual > maxQueuedBytes) return { limit: "maxQueuedBytes", maximum: maxQueuedBytes, actual };
    if (parts.length < maxQueuedMessages) return undefined;
    return { limit: "maxQueuedMessages", maximum: maxQueuedMessages, actual: parts.length + 1 };
  }
}

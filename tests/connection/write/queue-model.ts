/** The model of a bounded queue: the rules of `overflow`, with plain lists. */

import type { Overflow } from "../../../src/index.ts";
import { type CallState, charged } from "../../kit/blocked-connection.ts";

export interface Sent {
  readonly given: string | Buffer;
  readonly text: string;
  readonly key: string | undefined;
  /** A `send`, whose promise reports the result. A `trySend` returns it. */
  readonly outcome: CallState | undefined;
  /** The expected result. */
  fate: "delivered" | "handed back" | "withdrawn";
}

/** The queued messages, and the calls that wait for room, as lists. */
export class QueueModel {
  queue: Sent[] = [];
  waiting: Sent[] = [];
  dropped = 0;
  refused = 0;
  readonly #mostBytes: number;
  readonly #mostMessages: number;
  /** The counted size of the message that is being written, before all others. 0 if there is none. */
  readonly #plug: number;

  /** `plug`: the bytes of a message that is being written. */
  constructor({ mostBytes, mostMessages }: { mostBytes: number; mostMessages: number }, plug?: number) {
    this.#mostBytes = mostBytes;
    this.#mostMessages = mostMessages;
    this.#plug = plug === undefined ? 0 : charged(plug, 1);
  }

  get bytes(): number {
    return this.#plug + this.queue.reduce((sum, { text }) => sum + this.#counted(text.length), 0);
  }

  /** The size that counts for a message of so many bytes. */
  #counted(size: number): number {
    return charged(size, 1);
  }

  get messages(): number {
    return (this.#plug > 0 ? 1 : 0) + this.queue.length;
  }

  add(sent: Sent, overflow: Overflow): "queued" | "refused" {
    const older = overflow === "coalesce" && sent.key !== undefined && this.queue.find(({ key }) => key === sent.key);
    if (
      older &&
      sent.text.length <= this.#mostBytes &&
      (this.messages === 1 || this.bytes - older.text.length + sent.text.length <= this.#mostBytes)
    ) {
      this.queue[this.queue.indexOf(older)] = sent;
      this.#drop(older);
      return "queued";
    }
    while (overflow === "drop-oldest" && !this.#fits(sent) && this.#couldFit(sent)) {
      const oldest = this.queue.shift();
      if (oldest === undefined) break;
      this.#drop(oldest);
      this.admit();
    }
    if (this.#fits(sent)) {
      this.queue.push(sent);
      return "queued";
    }
    const awaited = sent.outcome !== undefined && overflow === "wait" && sent.text.length <= this.#mostBytes;
    if (awaited && this.#mayWait(sent)) {
      this.waiting.push(sent);
      return "queued";
    }
    if (overflow === "drop-newest") this.dropped += 1;
    else this.refused += 1;
    sent.fate = "handed back";
    return "refused";
  }

  withdraw(sent: Sent): void {
    const here = (one: Sent): boolean => one === sent;
    if (![...this.queue, ...this.waiting].some(here)) return;
    this.queue = this.queue.filter((one) => one !== sent);
    this.waiting = this.waiting.filter((one) => one !== sent);
    sent.fate = "withdrawn";
    this.admit();
  }

  /** Queues the messages of waiting calls, in order, as far as there is room. */
  admit(): void {
    for (let [first] = this.waiting; first !== undefined && this.#hasRoom(first); [first] = this.waiting) {
      this.queue.push(first);
      this.waiting.shift();
    }
  }

  #fits(sent: Sent): boolean {
    return this.waiting.length === 0 && this.#hasRoom(sent);
  }

  /** Waiting calls have the same limits as queued messages, separately. */
  #mayWait({ text }: Sent): boolean {
    const bytes = this.waiting.reduce((sum, one) => sum + this.#counted(one.text.length), 0);
    if (this.waiting.length === 0) return true;
    return this.waiting.length < this.#mostMessages && bytes + this.#counted(text.length) <= 32 * this.#mostBytes;
  }

  /** True if there would be room after all droppable messages were dropped. */
  #couldFit({ text }: Sent): boolean {
    if (this.#plug === 0) return text.length <= this.#mostBytes;
    return this.#plug + this.#counted(text.length) <= this.#mostBytes && this.#mostMessages > 1;
  }

  #hasRoom({ text }: Sent): boolean {
    if (this.messages === 0) return text.length <= this.#mostBytes;
    return this.bytes + this.#counted(text.length) <= this.#mostBytes && this.messages < this.#mostMessages;
  }

  #drop(sent: Sent): void {
    sent.fate = "handed back";
    this.dropped += 1;
  }
}

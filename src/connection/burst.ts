/** The messages of one turn that many connections are sent: encoded once, and joined, so that each connection writes them as one. */

import type { Connection } from "./connection.js";
import type { SettledOptions } from "./options.js";
import type { Outgoing } from "./outgoing.js";
import type { Encoded, PreparedMessage } from "./prepared.js";
import { type How, judged } from "./send-options.js";
import { SLAB } from "./slab.js";
import type { Wire } from "./wire.js";

/** What one connection has taken. */
export interface Batch {
  /** The frames, which do not change any more. */
  readonly bytes: Uint8Array;
  /** The messages, as it would have queued them by itself. */
  outgoing(): Outgoing[];
}

/**
 * A connection that follows is sent all that is added from then on, and is not touched for it: its outbox takes everything when
 * it writes, or before anything else is asked of it, and from then on does not follow. So whoever follows has nothing else to
 * send, and room for all.
 */
export class Burst {
  /** How many follow. */
  following = 0;
  /** Those who do not, or no more: each is to be sent by itself what is added. */
  readonly apart: Connection[] = [];
  /** Somebody has followed, and nobody does. */
  #over = false;
  #messages: PreparedMessage[];
  #forms: Encoded[] = [];
  /** That of the first to follow: all others write the same. */
  #wire: Wire | undefined;
  /** The frames, one behind the other; where each begins; and where the last one ends. */
  #joined: Uint8Array = NOTHING;
  readonly #starts: number[] = [];
  #end = 0;
  /** All the frames: what nearly everybody writes. */
  #whole: Batch | undefined;
  /** Bytes of payload. */
  #size = 0;
  /** The least room that one of those who follow has for all of it. */
  #mostBytes = Infinity;
  #mostMessages = Infinity;

  constructor(first: PreparedMessage) {
    this.#messages = [first];
  }

  /** Counts a connection of this kind, if it has room, as one that follows; undefined if it cannot, else the index of its first message. */
  follow(wire: Wire, options: SettledOptions): number | undefined {
    const { kind } = wire;
    if (kind === undefined || this.#over) return undefined;
    if (this.#wire === undefined) {
      const form = formOf(this.#messages[0] as PreparedMessage, wire);
      if (form === undefined || !this.#fits(form)) return undefined;
      this.#wire = wire;
      this.#join(form);
    } else if (kind !== this.#wire.kind) return undefined;
    // At the high water mark its owner would have to be told.
    const bytes = Math.min(options.maxQueuedBytes, options.highWaterMark);
    if (this.#size > bytes || this.#messages.length > options.maxQueuedMessages) return undefined;
    if (bytes < this.#mostBytes) this.#mostBytes = bytes;
    if (options.maxQueuedMessages < this.#mostMessages) this.#mostMessages = options.maxQueuedMessages;
    this.following += 1;
    return this.#messages.length - 1;
  }

  /** Sends `message` to all who follow. False if nobody does, or if it cannot go with the others: the burst ends before it. */
  add(message: PreparedMessage, how: How): boolean {
    const { key } = judged(how);
    if (this.following === 0 || this.#wire === undefined || key !== undefined) return false;
    if (this.#messages.length >= this.#mostMessages) return false;
    const form = formOf(message, this.#wire);
    if (form === undefined || this.#size + form.size > this.#mostBytes || !this.#fits(form)) return false;
    this.#messages.push(message);
    this.#join(form);
    return true;
  }

  /** `connection` has taken all there is, and follows no more. */
  part(connection: Connection): void {
    this.following -= 1;
    this.apart.push(connection);
    if (this.following === 0) this.#finish();
  }

  /** Those apart, who are none until they are sent something again. */
  takeApart(): Connection[] {
    return this.apart.splice(0);
  }

  /** Whoever sends keeps it until the next message, and that may take long. */
  #finish(): void {
    this.#over = true;
    this.apart.length = 0;
    this.#messages = [];
    this.#forms = [];
    this.#joined = NOTHING;
    this.#whole = undefined;
  }

  /** All from the message at `index` on. */
  from(index: number): Batch {
    if (index > 0) return this.#batch(index);
    this.#whole ??= this.#batch(0);
    return this.#whole;
  }

  #batch(index: number): Batch {
    const messages = this.#messages.slice(index);
    const forms = this.#forms.slice(index);
    const wire = this.#wire as Wire;
    return {
      bytes: this.#joined.subarray(this.#starts[index], this.#end),
      outgoing: () => messages.map((message, at) => message.outgoing(wire, forms[at])),
    };
  }

  #fits({ frame }: Encoded): boolean {
    return this.#end + frame.length <= SLAB;
  }

  #join(form: Encoded): void {
    const { frame } = form;
    this.#starts.push(this.#end);
    this.#forms.push(form);
    if (this.#end === 0) this.#joined = frame;
    else {
      // What is being written stays as it is: bytes are only put behind it.
      if (this.#end + frame.length > this.#joined.length) this.#grow(frame.length);
      this.#joined.set(frame, this.#end);
    }
    this.#end += frame.length;
    this.#size += form.size;
    this.#whole = undefined;
  }

  #grow(by: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.min(SLAB, Math.max(LEAST, 2 * (this.#end + by))));
    larger.set(this.#joined.subarray(0, this.#end));
    this.#joined = larger;
  }
}

const NOTHING = new Uint8Array();

/** Bytes that a burst of more than one message is given at first. */
const LEAST = 4_096;

/** A message for which a framing has no form is for its connections to tell of, one by one. */
function formOf(message: PreparedMessage, wire: Wire): Encoded | undefined {
  try {
    return message.for(wire);
  } catch {
    return undefined;
  }
}

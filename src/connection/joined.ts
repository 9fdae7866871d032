/** Messages that many connections write as one: their frames, one behind the other. */

import type { Outgoing } from "./outgoing.js";
import type { Encoded, PreparedMessage } from "./prepared.js";
import { SLAB } from "./shared-slab.js";
import type { Wire } from "./wire.js";

/** Some of them, to the last. */
export interface Batch {
  /** The frames, which do not change any more. */
  readonly bytes: Uint8Array;
  /** The messages, as a connection would have queued them by itself. */
  outgoing(): Outgoing[];
}

export class Joined {
  #messages: PreparedMessage[] = [];
  #forms: Encoded[] = [];
  #frames: Uint8Array = NOTHING;
  /** Where each begins; and where the last one ends. */
  #starts: number[] = [];
  #end = 0;
  /** All of them: what nearly everybody writes. */
  #whole: Batch | undefined;
  /** Bytes of payload. */
  size = 0;

  get length(): number {
    return this.#messages.length;
  }

  /** Whether they would still leave in one write. */
  fits({ frame }: Encoded): boolean {
    return this.#end + frame.length <= SLAB;
  }

  add(message: PreparedMessage, form: Encoded): void {
    const { frame, size } = form;
    this.#messages.push(message);
    this.#forms.push(form);
    this.#starts.push(this.#end);
    if (this.#end === 0) this.#frames = frame;
    else {
      // What is being written stays as it is: bytes are only put behind it.
      if (this.#end + frame.length > this.#frames.length) this.#grow(frame.length);
      this.#frames.set(frame, this.#end);
    }
    this.#end += frame.length;
    this.size += size;
    this.#whole = undefined;
  }

  /** All from the message at `index` on, as connections like `wire` write them. */
  from(index: number, wire: Wire): Batch {
    if (index > 0) return this.#batch(index, wire);
    this.#whole ??= this.#batch(0, wire);
    return this.#whole;
  }

  /** Whoever sends keeps it until the next message, and that may take long. */
  clear(): void {
    this.#messages = [];
    this.#forms = [];
    this.#frames = NOTHING;
    this.#starts = [];
    this.#end = 0;
    this.#whole = undefined;
    this.size = 0;
  }

  #batch(index: number, wire: Wire): Batch {
    const messages = this.#messages.slice(index);
    const forms = this.#forms.slice(index);
    return {
      bytes: this.#frames.subarray(this.#starts[index], this.#end),
      outgoing: () => messages.map((message, at) => message.outgoing(wire, forms[at])),
    };
  }

  #grow(by: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.min(SLAB, Math.max(LEAST, 2 * (this.#end + by))));
    larger.set(this.#frames.subarray(0, this.#end));
    this.#frames = larger;
  }
}

const NOTHING = new Uint8Array();

/** Bytes that more than one message is given at first. */
const LEAST = 4_096;

/** Copies of what waits and may yet be dropped, in memory that is used again for what comes next. */

import type { Data } from "../engine/protocol.js";
import type { Outgoing } from "./outgoing.js";
import { SLAB } from "./shared-slab.js";
import { copy } from "./slab.js";

/** Smallest payload that is copied, in bytes. Of less, the objects around it are more than it is. */
export const LEAST = 512;

/** Most memory that is kept for copies to come, in pieces and in bytes, by all connections together. */
const MOST_SPARE = 128;
const MOST_SPARE_BYTES = 2_097_152;

/** Among so many of the latest messages one that comes again is known, as when a program sends to many. They are kept meanwhile. */
const RECENT = 32;

/** One payload, for all the messages that wait with it. */
export class Copy {
  readonly memory: Buffer;
  /** The payload, which begins where the memory does. */
  bytes: Uint8Array;
  #text = false;
  /** Messages that wait with it. */
  holders = 0;

  constructor(size: number) {
    this.memory = Buffer.allocUnsafeSlow(size);
    this.bytes = this.memory;
  }

  /** Takes `data`, which measures `size`, in the place of what it held. */
  fill(data: Data, size: number): void {
    const { memory } = this;
    if (this.bytes.length !== size) this.bytes = new Uint8Array(memory.buffer, 0, size);
    this.#text = typeof data === "string";
    if (typeof data === "string") memory.write(data, 0, size, "utf8");
    else copy(data, 0, size, memory, 0);
  }

  /** Whether it is still like the `data` that it was made of: a program may have put something else there since. */
  shows(data: Data, size: number): boolean {
    return this.bytes.length === size && (typeof data === "string" || Buffer.compare(this.bytes, data) === 0);
  }

  /** What it is a copy of, as somebody's own. */
  original(): Data {
    return this.#text ? this.memory.toString("utf8", 0, this.bytes.length) : Uint8Array.from(this.bytes);
  }
}

export class Copies {
  /** The latest messages that were copied, and their copies, as long as those are held. */
  readonly #given: (Data | undefined)[] = new Array(RECENT).fill(undefined);
  readonly #made: (Copy | undefined)[] = new Array(RECENT).fill(undefined);
  #next = 0;
  readonly #spare: Copy[] = [];
  #spareBytes = 0;

  /** A copy of `data`, which measures `size`: the one that is held already, if that can be seen. */
  take(data: Data, size: number): Copy {
    const known = this.#given.indexOf(data);
    let taken = this.#made[known];
    if (taken?.shows(data, size) !== true) {
      taken = this.#unused(size) ?? new Copy(size);
      taken.fill(data, size);
      const at = known === -1 ? this.#next : known;
      this.#given[at] = data;
      this.#made[at] = taken;
      if (known === -1) this.#next = (this.#next + 1) % RECENT;
    }
    taken.holders += 1;
    return taken;
  }

  /** One message less waits with `taken`. */
  giveBack(taken: Copy): void {
    taken.holders -= 1;
    if (taken.holders > 0) return;
    const at = this.#made.indexOf(taken);
    if (at !== -1) {
      this.#given[at] = undefined;
      this.#made[at] = undefined;
    }
    this.#spare.push(taken);
    this.#spareBytes += taken.memory.length;
    while (this.#spare.length > MOST_SPARE || this.#spareBytes > MOST_SPARE_BYTES) {
      this.#spareBytes -= (this.#spare.shift() as Copy).memory.length;
    }
  }

  /** Spare memory for so many bytes, of which no more than a third lies idle. */
  #unused(size: number): Copy | undefined {
    for (let index = this.#spare.length - 1; index >= 0; index -= 1) {
      const spare = this.#spare[index] as Copy;
      const { length } = spare.memory;
      if (length < size || 2 * length > 3 * size) continue;
      this.#spare.splice(index, 1);
      this.#spareBytes -= length;
      return spare;
    }
    return undefined;
  }
}

/** Those of this process. */
const copies = new Copies();

/**
 * Has `message`, which has to wait and may yet be dropped, wait as a copy. What waits is called old by the collector, and what
 * is old and dropped stays until the next full collection: under a flood that is more than the queues hold, and of text some
 * times as much. So the sender's own is let go of at once, and dies young.
 */
export function keep(message: Outgoing): void {
  const { given, data, size, frame, wait } = message;
  // What somebody waits with is handed back as it was given. What was encoded for many is theirs together. And what is
  // larger is written from where it is, in several steps.
  if (wait !== undefined || frame !== undefined || size < LEAST || size > SLAB || given !== data) return;
  const taken = copies.take(data, size);
  message.given = taken;
  message.data = taken.bytes;
}

/** `message` waits no more, and nobody asks for it any more. */
export function letGo(message: Outgoing): void {
  if (!(message.given instanceof Copy)) return;
  copies.giveBack(message.given);
  message.given = undefined;
}

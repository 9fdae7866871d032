/** Messages that go straight into the shared slab, while the chunk that they answer is being handled: they need no place in a queue. */

import { lengthOf } from "../base/bytes.js";
import type { Data, Encoder } from "../engine/protocol.js";
import type { SettledOptions } from "./options.js";
import { Outgoing } from "./outgoing.js";
import { beginning, isTaken, SLAB, sharedSlab, takeShared } from "./shared-slab.js";
import type { Filled } from "./slab.js";

/** Whose messages they are. */
export interface StraightOwner {
  /** Takes them, as messages that wait: from now on somebody else may fill the slab. */
  queueStraight(): void;
}

const NOTHING = new Uint8Array();

type Bounds = Pick<SettledOptions, "highWaterMark" | "maxQueuedBytes" | "maxQueuedMessages">;

// Most messages that are known apart: as many as have room in a queue, unless its owner has chosen otherwise.
const MOST = 1_024;

// By its name it would be looked up anew each time: V8 does not know what a Buffer has it from.
const { set } = Uint8Array.prototype;

/**
 * There is one, as there is one slab. Whoever has it has nothing else to send, and what it holds leaves with this turn's write; so
 * nothing has to be known of a message but where it lies, in case that something has to be known after all.
 */
class Straight {
  /** Undefined if nobody has it. */
  owner: StraightOwner | undefined;
  /** Whether its owner may put more into it: not while it is being written. */
  open = false;
  /** Messages, and bytes of their payloads. */
  length = 0;
  bytes = 0;
  #at = 0;
  /** Where the payload of each message begins and ends; the latter is negative if it is a text. */
  readonly #marks = new Int32Array(2 * MOST);

  /** Makes ready for the messages of `owner`; false if that cannot be now. */
  begin(owner: StraightOwner): boolean {
    if (isTaken()) return false;
    this.owner = owner;
    this.open = true;
    this.length = 0;
    this.bytes = 0;
    this.#at = 0;
    return true;
  }

  /** Encodes `data` behind what is there; false if there is no room. */
  put(data: Data, encoder: Encoder, { highWaterMark, maxQueuedBytes, maxQueuedMessages }: Bounds): boolean {
    if (data.length > SLAB) return false;
    const text = typeof data === "string";
    const size = text ? Buffer.byteLength(data) : data.length;
    const bytes = this.bytes + size;
    const index = this.length;
    // Past the high water mark its owner would have to be told.
    if (bytes > highWaterMark || bytes > maxQueuedBytes) return false;
    if (index >= maxQueuedMessages || index >= MOST) return false;
    if (bytes + (index + 1) * encoder.overhead > SLAB) return false;
    // A class of the caller's own may say what it likes of its length.
    if (!text && lengthOf(data) !== size) return false;
    const slab = sharedSlab();
    const start = encoder.before(slab, this.#at, size, text, "whole");
    const end = start + size;
    if (text) slab.write(data, start, size, "utf8");
    else set.call(slab, data, start);
    this.#marks[2 * index] = start;
    this.#marks[2 * index + 1] = text ? ~end : end;
    this.#at = encoder.after(slab, end, "whole");
    this.length = index + 1;
    this.bytes = bytes;
    return true;
  }

  /** All of it, to be written. */
  leave(): Filled {
    this.open = false;
    takeShared();
    return { bytes: beginning(sharedSlab(), this.#at), operation: "write:data", shared: true };
  }

  end(): void {
    this.owner = undefined;
    this.open = false;
  }

  /** The messages, as they would have been queued one by one. Then it is nobody's. */
  outgoing(): Outgoing[] {
    const waits = this.open;
    const marks = this.#marks;
    const slab = sharedSlab();
    this.end();
    return Array.from({ length: this.length }, (_, index) => {
      const start = marks[2 * index] as number;
      const mark = marks[2 * index + 1] as number;
      const end = mark < 0 ? ~mark : mark;
      // Nobody asks any more what it was that is with the kernel.
      const payload = waits ? Uint8Array.prototype.slice.call(slab, start, end) : NOTHING;
      const message = new Outgoing(payload, payload, end - start);
      message.text = mark < 0;
      if (!waits) message.state = "written";
      return message;
    });
  }
}

export const straight: Straight = new Straight();

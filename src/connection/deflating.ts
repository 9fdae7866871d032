/** Compresses the messages of one connection, in the order in which they are written (RFC 7692 section 7.2.1). */

import { History } from "../engine/history.js";
import type { Data, Part } from "../engine/protocol.js";
import { AT_ONCE, deflateLater, deflateNow } from "../transport/zlib.js";
import { COMPRESSION_DEFAULTS, mostInflated } from "./compression.js";
import type { Outgoing } from "./outgoing.js";

export interface DeflatingOptions {
  /** Smallest message that is compressed, in bytes. */
  readonly threshold: number;
  readonly level: number;
  /** The window that our messages may refer into, as a power of two. */
  readonly windowBits: number;
  /** Whether they may refer to earlier ones. */
  readonly contextTakeover: boolean;
}

export class Deflating {
  readonly #options: DeflatingOptions;
  /** What the peer has of our messages; undefined if each stands alone. */
  readonly #history: History | undefined;
  /** The parts so far of the message in parts that is being written; undefined if it is not compressed. */
  #parts: History | undefined;

  constructor(options: DeflatingOptions) {
    this.#options = options;
    this.#history = options.contextTakeover ? new History(options.windowBits) : undefined;
  }

  /**
   * Decides what is to be written for `message`, which is the next one: `packed` is its compressed form, or `plain`. False if
   * that takes another thread: `ready` is called then. What is decided holds until another message is written.
   */
  pack(message: Outgoing, part: Part, ready: () => void): boolean {
    if (message.packed !== undefined) return message.packed !== "pending";
    const continued = part === "middle" || part === "last";
    if (continued ? this.#parts === undefined : !this.#wanted(message.size, message.compress)) {
      message.packed = "plain";
      return true;
    }
    const { level, windowBits } = this.#options;
    const dictionary = (continued ? this.#parts : this.#history)?.bytes;
    const how = { level, windowBits, dictionary };
    const last = part === "whole" || part === "last";
    const done = (packed: Uint8Array): void => {
      // A message in parts has said already what it is.
      message.packed = part === "whole" && !isWorth(packed, message.size) ? "plain" : packed;
    };
    if (message.size <= AT_ONCE) {
      done(deflateNow(message.data, how, last));
      return true;
    }
    message.packed = "pending";
    // A copy: its owner may transfer the buffer away, and another thread would read what that memory holds by then.
    deflateLater(Uint8Array.from(bytesOf(message.data)), how, last, (packed) => {
      done(packed);
      ready();
    });
    return false;
  }

  /** `message` is written: later ones may refer to it, if it was compressed. */
  written({ data, frame, packed }: Outgoing, part: Part): void {
    if (part === "first") this.#parts = packed instanceof Uint8Array ? this.#begun() : undefined;
    const isPacked = packed instanceof Uint8Array || (frame !== undefined && isPackedFrame(frame));
    if (isPacked) {
      const bytes = this.#history !== undefined || this.#parts !== undefined ? bytesOf(data) : undefined;
      if (bytes !== undefined) {
        this.#history?.push(bytes);
        this.#parts?.push(bytes);
      }
    }
    if (part === "last") this.#parts = undefined;
  }

  /** What stands for a message that is the same on many connections, so that it cannot refer to any other; undefined: itself. */
  alone(data: Uint8Array, compress: boolean | undefined): Uint8Array | undefined {
    if (!this.#wanted(data.length, compress)) return undefined;
    const packed = deflateNow(data, { ...this.#options, dictionary: undefined }, true);
    return isWorth(packed, data.length) ? packed : undefined;
  }

  #wanted(size: number, compress: boolean | undefined): boolean {
    return compress ?? size >= this.#options.threshold;
  }

  /** What the parts of one message may refer to: what came before it, and each other. */
  #begun(): History {
    const parts = new History(this.#options.windowBits);
    const before = this.#history?.bytes;
    if (before !== undefined) parts.push(before);
    return parts;
  }
}

/** Whether the compressed form is smaller; and not so small that whoever has our defaults would take it for a bomb. */
function isWorth(packed: Uint8Array, size: number): boolean {
  return packed.length < size && size <= mostInflated(packed.length, COMPRESSION_DEFAULTS.maxInflationRatio);
}

/** Whether RSV1 is set in the frame's first byte. */
function isPackedFrame(frame: Uint8Array): boolean {
  return ((frame[0] as number) & 0x40) !== 0;
}

function bytesOf(data: Data): Uint8Array {
  return typeof data === "string" ? Buffer.from(data) : data;
}

/** Decompresses the messages that come on one connection, one at a time and within bounds (RFC 7692 section 7.2.2). */

import { Assembler, type MessageVisitor } from "../engine/assembler.js";
import { INVALID_PAYLOAD, TOO_BIG } from "../engine/close.js";
import { History } from "../engine/history.js";
import type { DecoderLimits, Violation } from "../engine/protocol.js";
import { AT_ONCE, type Inflated, inflateLater, inflateNow } from "../transport/zlib.js";
import { mostInflated } from "./compression.js";

/** What inflating tells the connection. */
export interface InflatingOwner extends MessageVisitor {
  /** A message that took its time has been delivered, or has failed: what stands behind it may be decoded. */
  inflated(deliver: () => void): void;
  /** This process could not do it. */
  fault(error: unknown): void;
}

export interface InflatingOptions {
  readonly maxInflationRatio: number;
  /** The window that the peer's messages may refer into; undefined if each stands alone. */
  readonly windowBits: number | undefined;
}

export class Inflating {
  readonly #limits: DecoderLimits;
  readonly #ratio: number;
  readonly #history: History | undefined;
  #busy = false;

  constructor(limits: DecoderLimits, { maxInflationRatio, windowBits }: InflatingOptions) {
    this.#limits = limits;
    this.#ratio = maxInflationRatio;
    this.#history = windowBits === undefined ? undefined : new History(windowBits);
  }

  /** A message is being decompressed on another thread: nothing behind it may be decoded. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Delivers the message that `packed` was, or fails. Answers as a visitor does: `false` if it takes its time, too. */
  take(type: "text" | "binary", packed: Uint8Array, owner: InflatingOwner): boolean {
    const most = this.#most(packed.length);
    const dictionary = this.#history?.bytes;
    if (packed.length <= AT_ONCE) {
      const inflated = inflateNow(packed, dictionary, Math.min(most, AT_ONCE));
      // What is larger than we have time for now is begun again, with the work done so far lost.
      const larger = inflated.bytes === undefined && inflated.why === "over" && most > AT_ONCE;
      if (!larger) return this.#deliver(type, packed.length, inflated, owner);
    }
    this.#busy = true;
    inflateLater(packed, dictionary, most, (inflated) => {
      this.#busy = false;
      owner.inflated(() => this.#deliver(type, packed.length, inflated, owner));
    });
    return false;
  }

  /** Most bytes that so many may become. */
  #most(packedSize: number): number {
    return Math.min(this.#limits.maxMessageSize, mostInflated(packedSize, this.#ratio));
  }

  #deliver(type: "text" | "binary", packedSize: number, inflated: Inflated, owner: InflatingOwner): boolean {
    if (inflated.bytes !== undefined) {
      this.#history?.push(inflated.bytes);
      const assembler = new Assembler(this.#limits, "RFC 6455 8.1");
      return assembler.whole(type === "text", inflated.bytes, 0, inflated.bytes.length, owner);
    }
    if (inflated.why === "failed") owner.fault(inflated.error);
    else owner.fail(inflated.why === "over" ? this.#over(packedSize) : invalid(inflated.problem));
    return false;
  }

  #over(packedSize: number): Violation {
    const { maxMessageSize } = this.#limits;
    const most = this.#most(packedSize);
    const facts = { closeCode: TOO_BIG, clause: "RFC 6455 10.4" };
    if (most === maxMessageSize) {
      const problem = `a compressed message of ${packedSize} bytes inflates to more than ${maxMessageSize}`;
      return { ...facts, problem, limit: { name: "maxMessageSize", maximum: maxMessageSize, actual: most + 1 } };
    }
    const problem = `a compressed message of ${packedSize} bytes inflates to more than ${this.#ratio} times as many`;
    const actual = Math.ceil((most + 1) / packedSize);
    return { ...facts, problem, limit: { name: "maxInflationRatio", maximum: this.#ratio, actual } };
  }
}

function invalid(problem: string): Violation {
  return { closeCode: INVALID_PAYLOAD, clause: "RFC 7692 7.2.2", problem };
}

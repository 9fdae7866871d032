/** Messages whose size is known before they come: told by a prefix, or always the same. */

import { utf8Length } from "../../base/bytes.js";
import type { Progress } from "../../base/errors.js";
import { Assembler, plain } from "../assembler.js";
import type { Data, Decoder, DecoderLimits, Part, Violation, Visitor } from "../protocol.js";
import { FramingEncoder } from "./encoder.js";
import type { LengthPrefix } from "./prefix.js";

export class SizedDecoder implements Decoder {
  /** The prefix that tells a message's size, or the size that every message has. */
  readonly #teller: LengthPrefix | number;
  readonly #text: boolean;
  readonly #maxMessageSize: number;
  readonly #assembler: Assembler;
  /** Bytes of the prefix that have been read, and what they make. */
  #prefixed = 0;
  #size = 0;
  /** Whether `#size` is complete and has been judged. */
  #announced = false;
  #failed = false;

  constructor(teller: LengthPrefix | number, text: boolean, limits: DecoderLimits) {
    this.#teller = teller;
    this.#text = text;
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new Assembler(limits, "text framing");
  }

  get partial(): Progress {
    if (this.#failed) return { received: 0, expected: undefined };
    return {
      received: this.#prefixed + this.#assembler.size,
      expected: this.#announced ? this.#prefixed + this.#size : undefined,
    };
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const bytes = plain(chunk);
    let at = from;
    let goOn = true;
    while (goOn && at < bytes.length && !this.#failed) {
      if (!this.#announced) at = this.#announce(bytes, at, visitor);
      if (!this.#announced) break;
      const start = at;
      const end = at + this.#size - this.#assembler.size;
      at = Math.min(end, bytes.length);
      goOn = at === end ? this.#complete(bytes, start, at, visitor) : this.#take(bytes, start, at, visitor);
    }
    return this.#failed ? bytes.length : at;
  }

  /** Reads as much of a prefix as there is, and judges the size once it is known. */
  #announce(bytes: Uint8Array, from: number, visitor: Visitor): number {
    const teller = this.#teller;
    if (typeof teller === "number") {
      this.#size = teller;
      this.#judge(visitor);
      return from;
    }
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] as number;
      const problem = teller.problem(byte, this.#prefixed);
      if (problem !== undefined) {
        this.#fail({ closeCode: 1002, clause: "length-prefix framing", problem }, visitor);
        break;
      }
      this.#size = teller.add(this.#size, byte, this.#prefixed);
      this.#prefixed += 1;
      if (teller.ends(byte, this.#prefixed - 1)) {
        this.#judge(visitor);
        return at + 1;
      }
    }
    return bytes.length;
  }

  #judge(visitor: Visitor): void {
    const clause = typeof this.#teller === "number" ? "fixed framing" : "length-prefix framing";
    const size = this.#size;
    const maximum = this.#maxMessageSize;
    if (size > maximum) {
      const problem = `a message of ${size} bytes was announced, and maxMessageSize is ${maximum}`;
      this.#fail(
        { closeCode: 1009, clause, problem, limit: { name: "maxMessageSize", maximum, actual: size } },
        visitor,
      );
    } else if (size > Number.MAX_SAFE_INTEGER) {
      this.#fail({ closeCode: 1009, clause, problem: `a message of ${size} bytes cannot be counted` }, visitor);
    } else {
      this.#announced = true;
    }
  }

  #take(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    // With nothing but its prefix at hand a message has not begun: it may yet come whole.
    if (from === to) return true;
    const assembler = this.#assembler;
    if (!assembler.active) {
      assembler.begin(this.#text);
      assembler.expect(this.#size);
    }
    const goOn = assembler.take(bytes, from, to, visitor);
    this.#failed = assembler.failed;
    return goOn;
  }

  #complete(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const assembler = this.#assembler;
    this.#prefixed = 0;
    this.#size = 0;
    this.#announced = false;
    const goOn = assembler.active
      ? assembler.last(bytes, from, to, visitor)
      : assembler.whole(this.#text, bytes, from, to, visitor);
    this.#failed = assembler.failed;
    return goOn;
  }

  #fail(violation: Violation, visitor: Visitor): void {
    this.#failed = true;
    visitor.fail(violation);
  }
}

/** Writes the size of each message before it. */
export class PrefixedEncoder extends FramingEncoder {
  override readonly overhead: number;
  readonly #prefix: LengthPrefix;

  constructor(prefix: LengthPrefix) {
    super();
    this.overhead = prefix.longest;
    this.#prefix = prefix;
  }

  payload(data: Data): Data {
    const most = this.#prefix.most;
    // No UTF-16 unit takes more than three bytes: most strings need not be counted.
    if ((typeof data === "string" ? data.length * 3 : data.length) > most) {
      const size = sizeOf(data);
      if (size > most) {
        throw new RangeError(`Cannot send ${size} bytes: the length prefix of this framing goes up to ${most}`);
      }
    }
    return data;
  }

  override before(target: Uint8Array, at: number, size: number, _text: boolean, _part: Part): number {
    return this.#prefix.write(target, at, size);
  }
}

/** Writes nothing but messages, all of one size. */
export class FixedEncoder extends FramingEncoder {
  readonly #size: number;

  constructor(size: number) {
    super();
    this.#size = size;
  }

  payload(data: Data): Data {
    const size = sizeOf(data);
    if (size !== this.#size) {
      throw new RangeError(`Cannot send ${size} bytes: every message of this framing has ${this.#size}`);
    }
    return data;
  }
}

const sizeOf = (data: Data): number => (typeof data === "string" ? utf8Length(data) : data.length);

/** Decodes and encodes messages whose size is known in advance: from a length prefix, or because all have the same size. */

import { utf8Length } from "../../base/bytes.ts";
import type { Progress } from "../../base/errors.ts";
import type { Decoder, DecoderLimits, MessageContent, Part, Violation, Visitor } from "../protocol.ts";
import { MessageAssembler, plainBytes } from "../websocket/message-assembler.ts";
import { FramingEncoder } from "./encoder.ts";
import type { LengthPrefix } from "./prefix.ts";

export class SizedDecoder implements Decoder {
  /** The form of the length prefix, or the fixed size of all messages. */
  readonly #sizeSource: LengthPrefix | number;
  readonly #text: boolean;
  readonly #maxMessageSize: number;
  readonly #assembler: MessageAssembler;
  /** The number of prefix bytes read so far. */
  #prefixSize = 0;
  /** The size that these bytes encode. */
  #size = 0;
  /** True if `#size` is complete and within the limits. */
  #announced = false;
  #failed = false;

  constructor(sizeSource: LengthPrefix | number, text: boolean, limits: DecoderLimits) {
    this.#sizeSource = sizeSource;
    this.#text = text;
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new MessageAssembler(limits, "text framing");
  }

  get partial(): Progress {
    if (this.#failed) return { received: 0, expected: undefined };
    return {
      received: this.#prefixSize + this.#assembler.size,
      expected: this.#announced ? this.#prefixSize + this.#size : undefined,
    };
  }

  get heldBytes(): number {
    return this.#assembler.heldBytes;
  }

  discard(): void {
    this.#assembler.clear();
    this.#failed = true;
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const bytes = plainBytes(chunk);
    let at = from;
    let proceed = true;
    while (proceed && at < bytes.length && !this.#failed) {
      if (!this.#announced) at = this.#announce(bytes, at, visitor);
      if (!this.#announced) break;
      const start = at;
      const end = at + this.#size - this.#assembler.size;
      at = Math.min(end, bytes.length);
      proceed = at === end ? this.#complete(bytes, start, at, visitor) : this.#payloadBytes(bytes, start, at, visitor);
    }
    return this.#failed ? bytes.length : at;
  }

  /** Reads the available bytes of the prefix. Checks the size as soon as it is complete. */
  #announce(bytes: Uint8Array, from: number, visitor: Visitor): number {
    const sizeSource = this.#sizeSource;
    if (typeof sizeSource === "number") {
      this.#size = sizeSource;
      this.#checkSize(visitor);
      return from;
    }
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] as number;
      const problem = sizeSource.problem(byte, this.#prefixSize);
      if (problem !== undefined) {
        this.#fail({ closeCode: 1002, reason: "invalid-framing", clause: "length-prefix framing", problem }, visitor);
        break;
      }
      this.#size = sizeSource.add(this.#size, byte, this.#prefixSize);
      this.#prefixSize += 1;
      if (sizeSource.ends(byte, this.#prefixSize - 1)) {
        this.#checkSize(visitor);
        return at + 1;
      }
    }
    return bytes.length;
  }

  #checkSize(visitor: Visitor): void {
    const clause = typeof this.#sizeSource === "number" ? "fixed framing" : "length-prefix framing";
    const size = this.#size;
    const maximum = this.#maxMessageSize;
    if (size > maximum) {
      const problem = `a message of ${size} bytes was announced, and maxMessageSize is ${maximum}`;
      this.#fail(
        { closeCode: 1009, clause, problem, limit: { name: "maxMessageSize", maximum, actual: size } },
        visitor,
      );
    } else if (size > Number.MAX_SAFE_INTEGER) {
      const problem = `a message of ${size} bytes cannot be counted`;
      this.#fail({ closeCode: 1009, reason: "uncountable-length", clause, problem }, visitor);
    } else {
      this.#announced = true;
    }
  }

  #payloadBytes(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    // If only the prefix has arrived, the message does not begin yet: all its payload may arrive in one chunk, which saves a
    // copy.
    if (from === to) return true;
    const assembler = this.#assembler;
    if (!assembler.active) {
      assembler.begin(this.#text);
      assembler.expect(this.#size);
    }
    const proceed = assembler.append(bytes, from, to, visitor);
    this.#failed = assembler.failed;
    return proceed;
  }

  #complete(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const assembler = this.#assembler;
    this.#prefixSize = 0;
    this.#size = 0;
    this.#announced = false;
    const proceed = assembler.active
      ? assembler.finishWith(bytes, from, to, visitor)
      : assembler.deliverWhole(this.#text, bytes, from, to, visitor);
    this.#failed = assembler.failed;
    return proceed;
  }

  #fail(violation: Violation, visitor: Visitor): void {
    this.#failed = true;
    visitor.fail(violation);
  }
}

/** Writes a length prefix before each message. */
export class PrefixedEncoder extends FramingEncoder {
  override readonly overhead: number;
  readonly #prefix: LengthPrefix;

  constructor(prefix: LengthPrefix) {
    super();
    this.overhead = prefix.maxBytes;
    this.#prefix = prefix;
  }

  payload(data: MessageContent): MessageContent {
    const maximum = this.#prefix.maxSize;
    // A UTF-16 unit takes at most three bytes in UTF-8. So the exact size is computed only for long strings.
    if ((typeof data === "string" ? data.length * 3 : data.length) > maximum) {
      const size = byteLength(data);
      if (size > maximum) {
        throw new RangeError(`Cannot send ${size} bytes: the length prefix of this framing goes up to ${maximum}`);
      }
    }
    return data;
  }

  override before(target: Uint8Array, at: number, size: number, _text: boolean, _part: Part): number {
    return this.#prefix.write(target, at, size);
  }
}

/** Writes only the payload, and refuses a message of another size. */
export class FixedEncoder extends FramingEncoder {
  readonly #size: number;

  constructor(size: number) {
    super();
    this.#size = size;
  }

  payload(data: MessageContent): MessageContent {
    const size = byteLength(data);
    if (size !== this.#size) {
      throw new RangeError(`Cannot send ${size} bytes: every message of this framing has ${this.#size}`);
    }
    return data;
  }
}

const byteLength = (data: MessageContent): number => (typeof data === "string" ? utf8Length(data) : data.length);

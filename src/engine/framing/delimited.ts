/** Messages that end at a delimiter. */

import type { Progress } from "../../base/errors.js";
import { Assembler, plain } from "../assembler.js";
import type { Data, Decoder, DecoderLimits, Part, Visitor } from "../protocol.js";
import { type Delimiter, ExactDelimiter } from "./delimiter.js";
import { bytesOf, FramingEncoder } from "./encoder.js";

export class DelimitedDecoder implements Decoder {
  readonly #delimiter: Delimiter;
  readonly #text: boolean;
  readonly #maxMessageSize: number;
  readonly #assembler: Assembler;
  #failed = false;

  constructor(delimiter: Delimiter, text: boolean, limits: DecoderLimits) {
    this.#delimiter = delimiter;
    this.#text = text;
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new Assembler(limits, "text framing");
  }

  get partial(): Progress {
    const received = this.#failed ? 0 : this.#assembler.size + this.#delimiter.held;
    return { received, expected: undefined };
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const bytes = plain(chunk);
    const delimiter = this.#delimiter;
    const assembler = this.#assembler;
    let at = from;
    let goOn = true;
    while (goOn && at < bytes.length && !this.#failed) {
      const start = at;
      // What is held stands before the chunk, as if at the indexes below `start`.
      const held = delimiter.held;
      const end = delimiter.find(bytes, start);
      const stop = delimiter.stop;
      const size = assembler.size + held + stop - start;
      if (size > this.#maxMessageSize) {
        this.#refuse(size, visitor);
        break;
      }
      at = end === -1 ? bytes.length : end;
      if (end !== -1 && !assembler.active) {
        goOn = assembler.whole(this.#text, bytes, start, stop, visitor);
      } else {
        // Even if all there is may be the delimiter: while something is held, a message is under way.
        if (!assembler.active) assembler.begin(this.#text);
        // Of what was held, that which turned out to be payload.
        const released = Math.min(held, held + stop - start);
        if (!assembler.take(delimiter.opening, 0, released, visitor)) {
          delimiter.held = held - released;
          at = start;
          goOn = false;
        } else {
          const to = Math.max(start, stop);
          goOn = end === -1 ? assembler.take(bytes, start, to, visitor) : assembler.last(bytes, start, to, visitor);
        }
      }
      this.#failed = assembler.failed;
    }
    return this.#failed ? bytes.length : at;
  }

  #refuse(size: number, visitor: Visitor): void {
    this.#failed = true;
    this.#assembler.clear();
    const maximum = this.#maxMessageSize;
    visitor.fail({
      closeCode: 1009,
      clause: "delimited framing",
      problem: `a message of at least ${size} bytes came, and maxMessageSize is ${maximum}`,
      limit: { name: "maxMessageSize", maximum, actual: size },
    });
  }
}

const HOLDS_IT = "Cannot send a message that holds the delimiter of its framing";
const FORMS_IT = "Cannot send a message whose end and the delimiter behind it form a delimiter too early";

function judged(text: string, delimiter: string): string {
  if (text.includes(delimiter)) throw new RangeError(HOLDS_IT);
  const end = text.slice(Math.max(0, text.length - delimiter.length + 1));
  if ((end + delimiter).indexOf(delimiter) !== end.length) throw new RangeError(FORMS_IT);
  return text;
}

/** Writes any delimiter but a line's, and refuses what the other side would take for one. */
export class DelimitedEncoder extends FramingEncoder {
  override readonly overhead: number;
  override readonly streams = true;
  readonly #delimiter: Uint8Array;
  /** The delimiter as text, if it is ASCII: then it cannot lie in the bytes of another character. */
  readonly #ascii: string | undefined;
  readonly #whole: ExactDelimiter;
  /** Goes on from part to part: a delimiter may be cut by their boundary. */
  readonly #parts: ExactDelimiter;

  constructor(delimiter: Uint8Array) {
    super();
    this.overhead = delimiter.length;
    this.#delimiter = delimiter;
    this.#ascii = delimiter.every((byte) => byte < 0x80) ? String.fromCharCode(...delimiter) : undefined;
    this.#whole = new ExactDelimiter(delimiter);
    this.#parts = new ExactDelimiter(delimiter);
  }

  payload(data: Data, part: Part): Data {
    // What most messages are is judged without being encoded, which would take several times as long.
    if (part === "whole" && typeof data === "string" && this.#ascii !== undefined) {
      return judged(data, this.#ascii);
    }
    const bytes = bytesOf(data);
    const search = part === "whole" ? this.#whole : this.#parts;
    const before = search.held;
    if (part === "whole" || part === "first") search.held = 0;
    if (search.find(bytes, 0) !== -1) {
      search.held = before;
      throw new RangeError(HOLDS_IT);
    }
    if ((part === "whole" || part === "last") && search.find(this.#delimiter, 0) !== this.#delimiter.length) {
      search.held = before;
      throw new RangeError(FORMS_IT);
    }
    return bytes;
  }

  override after(target: Uint8Array, at: number, part: Part): number {
    if (part === "first" || part === "middle") return at;
    target.set(this.#delimiter, at);
    return at + this.#delimiter.length;
  }
}

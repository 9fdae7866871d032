/** Decodes and encodes messages that end at a delimiter. */

import { NO_BYTES } from "../../base/bytes.ts";
import type { Progress } from "../../base/errors.ts";
import type { Decoder, DecoderLimits, MessageContent, Part, Visitor } from "../protocol.ts";
import { MessageAssembler, plainBytes } from "../websocket/message-assembler.ts";
import { type Delimiter, ExactDelimiter } from "./delimiter.ts";
import { FramingEncoder, utf8Bytes } from "./encoder.ts";

export class DelimitedDecoder implements Decoder {
  readonly #delimiter: Delimiter;
  readonly #text: boolean;
  readonly #maxMessageSize: number;
  readonly #assembler: MessageAssembler;
  readonly #endCompletes: boolean;
  #failed = false;

  /** `endCompletes`: the end of the stream completes a message as a delimiter does. */
  constructor(delimiter: Delimiter, text: boolean, limits: DecoderLimits, endCompletes: boolean = false) {
    this.#delimiter = delimiter;
    this.#text = text;
    this.#endCompletes = endCompletes;
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new MessageAssembler(limits, "text framing");
  }

  get partial(): Progress {
    const received = this.#failed ? 0 : this.#assembler.size + this.#delimiter.pendingSize;
    return { received, expected: undefined };
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
    const delimiter = this.#delimiter;
    const assembler = this.#assembler;
    let at = from;
    let proceed = true;
    while (proceed && at < bytes.length && !this.#failed) {
      const start = at;
      // The pending bytes precede the chunk. They count as if they were at the indexes below `start`.
      const pendingSize = delimiter.pendingSize;
      const end = delimiter.find(bytes, start);
      const payloadEnd = delimiter.payloadEnd;
      const size = assembler.size + pendingSize + payloadEnd - start;
      if (size > this.#maxMessageSize) {
        this.#failTooLarge(size, visitor);
        break;
      }
      at = end === -1 ? bytes.length : end;
      if (end !== -1 && !assembler.active) {
        proceed = assembler.deliverWhole(this.#text, bytes, start, payloadEnd, visitor);
      } else {
        // Even if all received bytes may belong to the delimiter: while bytes are pending, a message is in progress.
        if (!assembler.active) assembler.begin(this.#text);
        // The number of pending bytes that are payload after all.
        const payloadSize = Math.min(pendingSize, pendingSize + payloadEnd - start);
        if (!assembler.append(delimiter.pendingBytes, 0, payloadSize, visitor)) {
          delimiter.pendingSize = pendingSize - payloadSize;
          at = start;
          proceed = false;
        } else {
          const to = Math.max(start, payloadEnd);
          proceed =
            end === -1 ? assembler.append(bytes, start, to, visitor) : assembler.finishWith(bytes, start, to, visitor);
        }
      }
      this.#failed = assembler.failed;
    }
    return this.#failed ? bytes.length : at;
  }

  end(visitor: Visitor): void {
    // While bytes are pending, a message is in progress, so it is active here if anything of it was received.
    if (!this.#endCompletes || this.#failed || !this.#assembler.active) return;
    // The first bytes of a delimiter are dropped, as bufio.ScanLines of Go drops a carriage return at the end of the stream.
    this.#delimiter.pendingSize = 0;
    this.#assembler.finishWith(NO_BYTES, 0, 0, visitor);
    this.#failed = this.#assembler.failed;
  }

  #failTooLarge(size: number, visitor: Visitor): void {
    this.#failed = true;
    this.#assembler.clear();
    const maximum = this.#maxMessageSize;
    visitor.fail({
      closeCode: 1009,
      clause: "delimited framing",
      problem: `a message has at least ${size} bytes, and maxMessageSize is ${maximum}`,
      limit: { name: "maxMessageSize", maximum, actual: size },
    });
  }
}

const CONTAINS_DELIMITER = "Cannot send a message that contains the delimiter of its framing";
const FORMS_DELIMITER = "Cannot send a message whose last bytes and the delimiter after them form an earlier delimiter";

function checkedText(text: string, delimiter: string): string {
  if (text.includes(delimiter)) throw new RangeError(CONTAINS_DELIMITER);
  const end = text.slice(Math.max(0, text.length - delimiter.length + 1));
  if ((end + delimiter).indexOf(delimiter) !== end.length) throw new RangeError(FORMS_DELIMITER);
  return text;
}

/**
 * Writes messages with a delimiter of the application. Refuses a message in which the receiver would find the delimiter too
 * early.
 */
export class DelimitedEncoder extends FramingEncoder {
  override readonly overhead: number;
  override readonly streams = true;
  readonly #delimiter: Uint8Array;
  /**
   * The delimiter as text, if it is ASCII. An ASCII byte is never part of another character in UTF-8, so strings can be compared.
   */
  readonly #ascii: string | undefined;
  readonly #whole: ExactDelimiter;
  /** Continues from one part of a message to the next: a delimiter may begin in one part and end in the next. */
  readonly #parts: ExactDelimiter;

  constructor(delimiter: Uint8Array) {
    super();
    this.overhead = delimiter.length;
    this.#delimiter = delimiter;
    this.#ascii = delimiter.every((byte) => byte < 0x80) ? String.fromCharCode(...delimiter) : undefined;
    this.#whole = new ExactDelimiter(delimiter);
    this.#parts = new ExactDelimiter(delimiter);
  }

  payload(data: MessageContent, part: Part): MessageContent {
    // Fast path for most messages: the string is checked without encoding it. Encoding takes several times as long.
    if (part === "whole" && typeof data === "string" && this.#ascii !== undefined) {
      return checkedText(data, this.#ascii);
    }
    const bytes = utf8Bytes(data);
    const search = part === "whole" ? this.#whole : this.#parts;
    const before = search.pendingSize;
    if (part === "whole" || part === "first") search.pendingSize = 0;
    if (search.find(bytes, 0) !== -1) {
      search.pendingSize = before;
      throw new RangeError(CONTAINS_DELIMITER);
    }
    if ((part === "whole" || part === "last") && search.find(this.#delimiter, 0) !== this.#delimiter.length) {
      search.pendingSize = before;
      throw new RangeError(FORMS_DELIMITER);
    }
    return bytes;
  }

  override after(target: Uint8Array, at: number, part: Part): number {
    if (part === "first" || part === "middle") return at;
    target.set(this.#delimiter, at);
    return at + this.#delimiter.length;
  }
}

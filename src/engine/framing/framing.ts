/** The `framing` option for plain TCP: its forms, and their validation. */

import { isBytes } from "../../base/bytes.ts";
import { isObject, kindOf, present } from "../../base/forms.ts";
import { judgeBoolean, judgeChoice, judgeFunction, judgeNumber } from "../../base/judge.ts";
import type { Decoder, DecoderLimits, Encoder } from "../protocol.ts";
import { CustomDecoder, CustomEncoder, type CustomFraming } from "./custom.ts";
import { DelimitedDecoder, DelimitedEncoder } from "./delimited.ts";
import { ExactDelimiter, LineEnd } from "./delimiter.ts";
import { utf8Bytes } from "./encoder.ts";
import { type EndOfLine, LinesEncoder } from "./lines.ts";
import { FixedWidthPrefix, type LengthPrefix, VarintPrefix } from "./prefix.ts";
import { RawDecoder, RawEncoder } from "./raw.ts";
import { FixedEncoder, PrefixedEncoder, SizedDecoder } from "./sized.ts";

/** Each message ends at a delimiter. Messages can be written in parts. */
export interface DelimitedFraming {
  /**
   * The delimiter that follows each message: 1 to 64 bytes. A string is encoded as UTF-8. A message in which the
   * receiver would find the delimiter too early is refused with RangeError.
   */
  readonly delimiter: string | Uint8Array;
  /** True: messages arrive as strings, and bytes that are not UTF-8 end the connection with close code 1007. @default false */
  readonly text?: boolean | undefined;
}

/** Each message is a line, and arrives as a string. `"lines"` is the same as `{ eol: "\n" }`. */
export interface LinesFraming {
  /**
   * The bytes that are written after each line. Both `"\n"` and `"\r\n"` end a received line, whatever is written: people type
   * either into the same server. In a protocol in which only `"\r\n"` may end a line, such as SMTP, this difference between two
   * programs lets an attacker smuggle messages. There use `{ delimiter: "\r\n", text: true }`.
   * @default "\n"
   */
  readonly eol?: EndOfLine | undefined;
  /**
   * What happens to the received part of a line if the peer's FIN comes before the line end. `"refuse"`: the line is not delivered,
   * and the connection ends with a ProtocolError (`unexpected-eof`), because the line may be truncated. `"deliver"`: it is
   * delivered as a line, for peers that send no line end after the last line, such as `printf` and `nc`. After a reset it is never
   * delivered.
   * @default "refuse"
   */
  readonly lastLine?: "deliver" | "refuse" | undefined;
}

/** The size of each message, in bytes, precedes it. A message that is too large for the prefix is refused with RangeError. */
export interface LengthPrefixedFraming {
  /**
   * The length of the size field in bytes, or `"varint"`: an unsigned LEB128 number, as in protobuf's delimited messages. A
   * varint must have its shortest form. A longer form ends the connection with close code 1002.
   */
  readonly lengthPrefix: 1 | 2 | 4 | 8 | "varint";
  /** The byte order of the size. `"big"`: the most significant byte first. Not allowed with a varint. @default "big" */
  readonly endian?: "big" | "little" | undefined;
  /** True: messages arrive as strings, and bytes that are not UTF-8 end the connection with close code 1007. @default false */
  readonly text?: boolean | undefined;
}

/** All messages have the same size. A message of another size is refused with RangeError. */
export interface FixedFraming {
  /**
   * The size in bytes, at least 1. A size above `maxMessageSize` is a RangeError, because no message could be received, unless
   * messages are streamed.
   */
  readonly fixed: number;
  /** True: messages arrive as strings, and bytes that are not UTF-8 end the connection with close code 1007. @default false */
  readonly text?: boolean | undefined;
}

/**
 * How messages are delimited on plain TCP, which transports only bytes. Both sides must use the same framing.
 *
 * - `"raw"`: no framing. Each received chunk is a binary message; a chunk longer than `maxMessageSize` becomes several messages.
 *   An empty message is refused with RangeError, because no bytes can represent it.
 * - `"lines"`: a message ends at a newline. The receiver removes a carriage return before the newline. Messages arrive as
 *   strings. A message that contains a newline or ends in a carriage return is refused with RangeError.
 *   `{ eol: "\r\n" }` writes a carriage return too, as telnet, Redis and most text protocols require.
 * - An object: lines with options, a delimiter, a length before each message, a fixed length, or functions of the application.
 *
 * For a refused message `send` rejects and `trySend` throws.
 *
 * A framing does not transmit the type of a message. A string is sent as UTF-8, bytes are sent unchanged, and the receiver's
 * framing decides which type arrives: with a framing without `text`, a message that was sent as a string arrives as bytes.
 */
export type Framing =
  | "raw"
  | "lines"
  | LinesFraming
  | DelimitedFraming
  | LengthPrefixedFraming
  | FixedFraming
  | CustomFraming;

/** Creates the decoder and the encoder for each connection. */
export interface Codec {
  /** The size of every message. Undefined if messages can have different sizes. */
  readonly fixedSize?: number;
  decoder(limits: DecoderLimits): Decoder;
  encoder(): Encoder;
}

const MAX_DELIMITER = 64;

/** Validates the option once, not for each connection. Throws TypeError for a wrong type and RangeError for a wrong value. */
export function resolveFraming(option: Framing = "raw"): Codec {
  if (option === "raw") return { decoder: (limits) => new RawDecoder(limits), encoder: () => new RawEncoder() };
  if (option === "lines") return lines({});
  if (isObject(option)) {
    if (isSet(option, "eol") || isSet(option, "lastLine")) return lines(option);
    if (isSet(option, "delimiter")) return delimited(option);
    if (isSet(option, "lengthPrefix")) return lengthPrefixed(option);
    if (isSet(option, "fixed")) return fixed(option);
    if (isSet(option, "encode") || isSet(option, "decode")) return custom(option);
  }
  const expected =
    '"raw", "lines" or an object with eol, lastLine, delimiter, lengthPrefix, fixed, or encode and decode';
  throw invalidOption("framing", option, expected, typeof option === "string");
}

function lines(option: LinesFraming): Codec {
  const { eol = "\n", lastLine = "refuse" } = withKnownOptions(option, ["eol", "lastLine"]);
  if (eol !== "\n" && eol !== "\r\n") {
    throw invalidOption("eol", eol, '"\\n" or "\\r\\n"', typeof eol === "string");
  }
  judgeChoice("lastLine", lastLine, ["deliver", "refuse"]);
  return {
    decoder: (limits) => new DelimitedDecoder(new LineEnd(), true, limits, lastLine === "deliver"),
    encoder: () => new LinesEncoder(eol),
  };
}

function delimited(option: DelimitedFraming): Codec {
  const { delimiter, text } = withKnownOptions(option, ["delimiter", "text"]);
  if (typeof delimiter !== "string" && !isBytes(delimiter)) {
    throw invalidOption("delimiter", delimiter, "a string or a Uint8Array", false);
  }
  const bytes = new Uint8Array(utf8Bytes(delimiter));
  if (bytes.length < 1 || bytes.length > MAX_DELIMITER) {
    throw new RangeError(`Cannot use a delimiter of ${bytes.length} bytes: expected 1 to ${MAX_DELIMITER}`);
  }
  const strings = isText(text);
  return {
    decoder: (limits) => new DelimitedDecoder(new ExactDelimiter(bytes), strings, limits),
    encoder: () => new DelimitedEncoder(bytes),
  };
}

function lengthPrefixed(option: LengthPrefixedFraming): Codec {
  const { lengthPrefix, endian, text } = withKnownOptions(option, ["lengthPrefix", "endian", "text"]);
  if (endian !== undefined) judgeChoice("endian", endian, ["big", "little"]);
  let prefix: LengthPrefix;
  if (lengthPrefix === "varint") {
    if (endian !== undefined) throw new RangeError('Cannot use endian with lengthPrefix "varint": its order is fixed');
    prefix = new VarintPrefix();
  } else if (lengthPrefix === 1 || lengthPrefix === 2 || lengthPrefix === 4 || lengthPrefix === 8) {
    prefix = new FixedWidthPrefix(lengthPrefix, endian ?? "big");
  } else {
    const given: unknown = lengthPrefix;
    const known = typeof given === "number" || typeof given === "string";
    throw invalidOption("lengthPrefix", given, '1, 2, 4, 8 or "varint"', known);
  }
  const strings = isText(text);
  return {
    decoder: (limits) => new SizedDecoder(prefix, strings, limits),
    encoder: () => new PrefixedEncoder(prefix),
  };
}

function fixed(option: FixedFraming): Codec {
  const { fixed: size, text } = withKnownOptions(option, ["fixed", "text"]);
  judgeNumber("fixed", size, { least: 1, most: Number.MAX_SAFE_INTEGER, whole: true });
  const strings = isText(text);
  return {
    fixedSize: size,
    decoder: (limits) => new SizedDecoder(size, strings, limits),
    encoder: () => new FixedEncoder(size),
  };
}

function custom(option: CustomFraming): Codec {
  for (const name of ["encode", "decode"] as const) judgeFunction(name, option[name]);
  return {
    decoder: (limits) => new CustomDecoder(option, limits),
    encoder: () => new CustomEncoder(option),
  };
}

/** True if the property is set, also on the prototype: a custom framing may be an instance of a class. */
function isSet<Name extends string>(
  option: object,
  name: Name,
): option is Extract<Exclude<Framing, string>, { readonly [K in Name]?: unknown }> {
  return (option as Readonly<Record<string, unknown>>)[name] !== undefined;
}

/**
 * Throws TypeError for an unknown option. Without this check a misspelt option has no effect, and an object with two framings is
 * ambiguous.
 */
function withKnownOptions<T extends object>(option: T, known: readonly string[]): T {
  for (const name of Object.keys(present(option))) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot use ${name} in a framing with ${known[0]}: expected nothing but ${known.join(", ")}`);
    }
  }
  return option;
}

function isText(text: unknown): boolean {
  if (text !== undefined) judgeBoolean("text", text);
  return text === true;
}

function invalidOption(name: string, given: unknown, expected: string, rightType: boolean): Error {
  const shown = typeof given === "string" ? JSON.stringify(given) : typeof given === "number" ? given : kindOf(given);
  const problem = `Cannot use ${name} ${shown}: expected ${expected}`;
  return rightType ? new RangeError(problem) : new TypeError(problem);
}

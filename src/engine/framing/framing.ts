/** Where a message ends on plain TCP: the choices, and what judges them at the door. */

import type { Decoder, DecoderLimits, Encoder } from "../protocol.js";
import { CustomDecoder, CustomEncoder, type CustomFraming } from "./custom.js";
import { DelimitedDecoder, DelimitedEncoder } from "./delimited.js";
import { ExactDelimiter, LineEnd } from "./delimiter.js";
import { bytesOf } from "./encoder.js";
import { LinesEncoder } from "./lines.js";
import { FixedWidthPrefix, type LengthPrefix, VarintPrefix } from "./prefix.js";
import { RawDecoder, RawEncoder } from "./raw.js";
import { FixedEncoder, PrefixedEncoder, SizedDecoder } from "./sized.js";

/** Messages that end at a delimiter. They may be written in parts. */
export interface DelimitedFraming {
  /** What ends a message: 1 to 64 bytes, a string standing for its UTF-8. A message that would be cut by it is refused with `RangeError`. */
  readonly delimiter: string | Uint8Array;
  /** Whether messages arrive as strings; what is then not UTF-8 ends the connection with 1007. @default false */
  readonly text?: boolean;
}

/** Messages with their size in bytes before them. A message too large for the prefix is refused with `RangeError`. */
export interface LengthPrefixedFraming {
  /**
   * How many bytes the size takes; or `"varint"`, an unsigned LEB128 as before protobuf's delimited messages, which
   * must be as short as it can be.
   */
  readonly lengthPrefix: 1 | 2 | 4 | 8 | "varint";
  /** Which byte of the size comes first: the highest or the lowest. Not for a varint. @default "big" */
  readonly endian?: "big" | "little";
  /** Whether messages arrive as strings; what is then not UTF-8 ends the connection with 1007. @default false */
  readonly text?: boolean;
}

/** Messages of one size. One of another size is refused with `RangeError`. */
export interface FixedFraming {
  /** The size in bytes, at least 1 and at most `maxMessageSize`. */
  readonly fixed: number;
  /** Whether messages arrive as strings; what is then not UTF-8 ends the connection with 1007. @default false */
  readonly text?: boolean;
}

/**
 * Where a message ends on a connection that knows only bytes. Both sides must agree on it.
 *
 * - `"raw"`: nowhere. What the network gives at a time is a binary message, cut at `maxMessageSize`. An empty message
 *   has no bytes to stand for it and is refused with `RangeError`.
 * - `"lines"`: at a newline, with a carriage return before it stripped. Messages arrive as strings. One that holds a
 *   newline or ends in a carriage return is refused with `RangeError`.
 * - or an object: a delimiter, a length before each message, a fixed length, or code of your own.
 *
 * A framing knows no types: a string is sent as its UTF-8 and bytes are sent as they are, whichever arrive at the other
 * side, so that what is sent as a string through a framing without `text` arrives as bytes.
 */
export type Framing = "raw" | "lines" | DelimitedFraming | LengthPrefixedFraming | FixedFraming | CustomFraming;

/** Makes the two halves of a protocol for each connection. */
export interface Codec {
  decoder(limits: DecoderLimits): Decoder;
  encoder(): Encoder;
}

const LONGEST_DELIMITER = 64;

/** Judges the option once. A wrong type is a `TypeError`, a wrong value a `RangeError`. */
export function resolveFraming(option: Framing = "raw"): Codec {
  if (option === "raw") return { decoder: (limits) => new RawDecoder(limits), encoder: () => new RawEncoder() };
  if (option === "lines") {
    return {
      decoder: (limits) => new DelimitedDecoder(new LineEnd(), true, limits),
      encoder: () => new LinesEncoder(),
    };
  }
  if (typeof option === "object" && option !== null) {
    if ("delimiter" in option) return delimited(option);
    if ("lengthPrefix" in option) return lengthPrefixed(option);
    if ("fixed" in option) return fixed(option);
    if ("encode" in option || "decode" in option) return custom(option);
  }
  const expected = '"raw", "lines" or an object with delimiter, lengthPrefix, fixed, or encode and decode';
  throw wrong("framing", option, expected, typeof option === "string");
}

function delimited(option: DelimitedFraming): Codec {
  const { delimiter, text } = onlyKnown(option, ["delimiter", "text"]);
  if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
    throw wrong("delimiter", delimiter, "a string or a Uint8Array", false);
  }
  const bytes = new Uint8Array(bytesOf(delimiter));
  if (bytes.length < 1 || bytes.length > LONGEST_DELIMITER) {
    throw new RangeError(`Cannot use a delimiter of ${bytes.length} bytes: expected 1 to ${LONGEST_DELIMITER}`);
  }
  const strings = isText(text);
  return {
    decoder: (limits) => new DelimitedDecoder(new ExactDelimiter(bytes), strings, limits),
    encoder: () => new DelimitedEncoder(bytes),
  };
}

function lengthPrefixed(option: LengthPrefixedFraming): Codec {
  const { lengthPrefix, endian, text } = onlyKnown(option, ["lengthPrefix", "endian", "text"]);
  if (endian !== undefined && endian !== "big" && endian !== "little") {
    throw wrong("endian", endian, '"big" or "little"', typeof endian === "string");
  }
  let prefix: LengthPrefix;
  if (lengthPrefix === "varint") {
    if (endian !== undefined) throw new RangeError('Cannot use endian with lengthPrefix "varint": its order is fixed');
    prefix = new VarintPrefix();
  } else if (lengthPrefix === 1 || lengthPrefix === 2 || lengthPrefix === 4 || lengthPrefix === 8) {
    prefix = new FixedWidthPrefix(lengthPrefix, endian ?? "big");
  } else {
    const given: unknown = lengthPrefix;
    const known = typeof given === "number" || typeof given === "string";
    throw wrong("lengthPrefix", given, '1, 2, 4, 8 or "varint"', known);
  }
  const strings = isText(text);
  return {
    decoder: (limits) => new SizedDecoder(prefix, strings, limits),
    encoder: () => new PrefixedEncoder(prefix),
  };
}

function fixed(option: FixedFraming): Codec {
  const { fixed: size, text } = onlyKnown(option, ["fixed", "text"]);
  if (!Number.isSafeInteger(size) || size < 1) {
    throw wrong("fixed", size, "a whole number of bytes, at least 1", typeof size === "number");
  }
  const strings = isText(text);
  return {
    decoder: (limits) => new SizedDecoder(size, strings, limits),
    encoder: () => new FixedEncoder(size),
  };
}

function custom(option: CustomFraming): Codec {
  for (const name of ["encode", "decode"] as const) {
    if (typeof option[name] !== "function") throw wrong(name, option[name], "a function", false);
  }
  return {
    decoder: (limits) => new CustomDecoder(option, limits),
    encoder: () => new CustomEncoder(option),
  };
}

/** A misspelt option would otherwise be one that does nothing; two framings in one object, a guess. */
function onlyKnown<T extends object>(option: T, known: readonly string[]): T {
  for (const name of Object.keys(option)) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot use ${name} in a framing with ${known[0]}: expected nothing but ${known.join(", ")}`);
    }
  }
  return option;
}

function isText(text: unknown): boolean {
  if (text === undefined || typeof text === "boolean") return text === true;
  throw wrong("text", text, "true or false", false);
}

function wrong(name: string, given: unknown, expected: string, rightType: boolean): Error {
  const shown =
    typeof given === "string" ? JSON.stringify(given) : typeof given === "number" ? given : typeNameOf(given);
  const problem = `Cannot use ${name} ${shown}: expected ${expected}`;
  return rightType ? new RangeError(problem) : new TypeError(problem);
}

const typeNameOf = (given: unknown): string => (given === null ? "null" : typeof given);

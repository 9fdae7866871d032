/** Encodes and decodes the messages that a group sends to its members in other processes. */

import { judgeChoice } from "../base/judge.ts";
import type { Overflow } from "../core.ts";

/** The policy for a member without room. `wait` is not possible: one slow member would delay all others. */
export type GroupOverflow = Exclude<Overflow, "wait">;

/** A message to a group, with the options that apply to the members in every process. */
export interface GroupMessage {
  readonly data: string | Uint8Array;
  readonly overflow: GroupOverflow;
  readonly key: string | undefined;
  readonly compress: boolean | undefined;
}

// The first byte of an encoded message. While processes are restarted one by one, old and new versions of the library exchange
// messages.
const VERSION = 1;

const OVERFLOWS = ["close", "reject", "drop-newest", "drop-oldest", "coalesce"] as const;
const COMPRESS = [undefined, false, true] as const;

// In bytes. One byte each: version, overflow, compress, text (1) or binary (0). Four bytes: the length of the key.
const HEAD = 8;
/** The length that means "no key". An empty string is a key. */
const NO_KEY = 2 ** 32 - 1;

export function encodeGroupMessage({ data, overflow, key, compress }: GroupMessage): Uint8Array {
  judgeChoice("overflow", overflow, OVERFLOWS);
  const index = OVERFLOWS.indexOf(overflow);
  const text = typeof data === "string";
  const keyLength = key === undefined ? 0 : Buffer.byteLength(key);
  const bytes = Buffer.alloc(HEAD + keyLength + (text ? Buffer.byteLength(data) : data.length));
  bytes.set([VERSION, index, COMPRESS.indexOf(compress), text ? 1 : 0]);
  bytes.writeUInt32BE(key === undefined ? NO_KEY : keyLength, 4);
  if (key !== undefined) bytes.write(key, HEAD);
  if (text) bytes.write(data, HEAD + keyLength);
  else bytes.set(data, HEAD + keyLength);
  return bytes;
}

/** Throws RangeError for bytes that are not a message of a group of this version. */
export function decodeGroupMessage(message: Uint8Array): GroupMessage {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const [version, index = -1, compress = -1, text] = bytes;
  const overflow = OVERFLOWS[index];
  const keyLength = bytes.length < HEAD ? Infinity : bytes.readUInt32BE(4);
  const end = HEAD + (keyLength === NO_KEY ? 0 : keyLength);
  if (version !== VERSION || overflow === undefined || compress >= COMPRESS.length || end > bytes.length) {
    throw new RangeError(
      "Cannot read a message to a group: it is of another version of this library, or not of a group",
    );
  }
  const key = keyLength === NO_KEY ? undefined : bytes.toString("utf8", HEAD, end);
  const payload = bytes.subarray(end);
  return { data: text === 1 ? payload.toString() : payload, overflow, key, compress: COMPRESS[compress] };
}

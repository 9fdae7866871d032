/** A message to a group, as it goes to members in other processes. */

import type { Data, GroupSendOptions } from "../index.js";

/** What a group does with a message, wherever the members are. */
export interface GroupMessage {
  readonly data: Data;
  readonly overflow: NonNullable<GroupSendOptions["overflow"]>;
  readonly key: string | undefined;
  readonly compress: boolean | undefined;
}

// The first byte. While programs are restarted one by one, the old and the new talk to each other.
const VERSION = 1;

const OVERFLOWS = ["close", "reject", "drop-newest", "drop-oldest", "coalesce"] as const;
const COMPRESS = [undefined, false, true] as const;

// Version, overflow, compress, text or not, length of the key.
const HEAD = 8;

export function encodeGroupMessage({ data, overflow, key = "", compress }: GroupMessage): Uint8Array {
  const index = OVERFLOWS.indexOf(overflow);
  if (index === -1) throw new TypeError(`Cannot use overflow ${JSON.stringify(overflow)} for a group`);
  const text = typeof data === "string";
  const keyLength = Buffer.byteLength(key);
  const bytes = Buffer.alloc(HEAD + keyLength + (text ? Buffer.byteLength(data) : data.length));
  bytes.set([VERSION, index, COMPRESS.indexOf(compress), text ? 1 : 0]);
  bytes.writeUInt32BE(keyLength, 4);
  bytes.write(key, HEAD);
  if (text) bytes.write(data, HEAD + keyLength);
  else bytes.set(data, HEAD + keyLength);
  return bytes;
}

/** The key is empty if there is none. Throws RangeError if it is nothing that a group of this version has sent. */
export function decodeGroupMessage(message: Uint8Array): GroupMessage {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const [version, index = -1, compress = -1, text] = bytes;
  const overflow = OVERFLOWS[index];
  const end = HEAD + (bytes.length < HEAD ? Infinity : bytes.readUInt32BE(4));
  if (version !== VERSION || overflow === undefined || compress >= COMPRESS.length || end > bytes.length) {
    throw new RangeError(
      "Cannot read a message to a group: it is of another version of this library, or not of a group",
    );
  }
  const key = end === HEAD ? undefined : bytes.toString("utf8", HEAD, end);
  const payload = bytes.subarray(end);
  return { data: text === 1 ? payload.toString() : payload, overflow, key, compress: COMPRESS[compress] };
}

/** Encodes and decodes the messages that a hub publishes to its broker. */

import type { Message } from "../core.ts";

// Hubs of several versions of the library use one broker during a restart, and the log of a broker outlives them. So the form has a
// version, and docs/topics.md describes it:
//
// | bytes | meaning |
// |---|---|
// | 1 | version: 1 |
// | 1 | flags: 1 text (else binary), 2 a key follows |
// | 8 | the hub that has published the message: random bytes |
// | 4 | number of the message among those of this hub in this topic, modulo 2^32, big-endian |
// | 1 + n | with flag 2: the length of the key, and the key in UTF-8 |
// | rest | the message |
const VERSION = 1;
const TEXT = 1;
const KEY = 2;
const KNOWN_FLAGS = TEXT | KEY;
const HEAD = 14;

/** The length of the name of a hub, in bytes. */
export const NODE_BYTES = 8;
/** The greatest length of a key, in bytes of UTF-8. */
export const MAX_KEY = 255;

/** A message that a hub publishes. `text`: the bytes are those of a text. */
export interface OutgoingHubMessage extends HubMessage {
  readonly text: boolean;
}

/** A message, as a hub has published it. */
export interface HubMessage {
  readonly data: Message;
  readonly key: string | undefined;
  /** The hub that has published it, in base64url. */
  readonly node: string;
  readonly number: number;
}

/** A message whose bytes are no message of a hub of this version. */
export class UnreadableMessage extends RangeError {
  override readonly name = "UnreadableMessage";
}

export function encodeHubMessage({ data, text, key, node, number }: OutgoingHubMessage): Uint8Array {
  const size = typeof data === "string" ? Buffer.byteLength(data) : data.length;
  const keyLength = key === undefined ? 0 : Buffer.byteLength(key);
  const start = key === undefined ? HEAD : HEAD + 1 + keyLength;
  const bytes = Buffer.allocUnsafeSlow(start + size);
  bytes[0] = VERSION;
  bytes[1] = (text ? TEXT : 0) | (key === undefined ? 0 : KEY);
  bytes.write(node, 2, NODE_BYTES, "base64url");
  bytes.writeUInt32BE(number, 2 + NODE_BYTES);
  if (key !== undefined) {
    bytes[HEAD] = keyLength;
    bytes.write(key, HEAD + 1);
  }
  if (typeof data === "string") bytes.write(data, start);
  else bytes.set(data, start);
  return bytes;
}

/** Throws UnreadableMessage for bytes that are not a message of a hub of this version. */
export function decodeHubMessage(message: Uint8Array): HubMessage {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const [version = 0, flags = 0] = bytes;
  if (version > VERSION) throw new UnreadableMessage(`it has version ${version}, and this hub reads up to ${VERSION}`);
  if (version < VERSION || bytes.length < HEAD || (flags & ~KNOWN_FLAGS) !== 0)
    throw new UnreadableMessage("it is not a message of a hub");
  const start = payloadStart(bytes);
  if (start > bytes.length) throw new UnreadableMessage("it is truncated");
  const payload = bytes.subarray(start);
  return {
    data: (flags & TEXT) !== 0 ? payload.toString() : new Uint8Array(payload),
    key: (flags & KEY) === 0 ? undefined : bytes.toString("utf8", HEAD + 1, start),
    node: bytes.toString("base64url", 2, 2 + NODE_BYTES),
    number: bytes.readUInt32BE(2 + NODE_BYTES),
  };
}

/** The bytes of the message itself, in an encoded message that `decodeHubMessage` can read. */
export function payloadOf(message: Uint8Array): Uint8Array {
  return message.subarray(payloadStart(message));
}

function payloadStart(message: Uint8Array): number {
  return ((message[1] ?? 0) & KEY) === 0 ? HEAD : HEAD + 1 + (message[HEAD] ?? 0);
}

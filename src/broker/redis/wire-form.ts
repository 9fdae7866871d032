/** The form in which a message of a topic passes through Pub/Sub. */

/**
 * A published message is `1 history offset:epoch:message`, without the spaces:
 *
 * | part | bytes | meaning |
 * |---|---|---|
 * | version | 1 | 0x01 |
 * | history | 8 | names the replication history of the server on which it was published |
 * | offset | 1 to 16 | decimal digits; 0 for a message that is not kept |
 * | epoch | 0 to 64 | letters, digits, "-" and "_"; empty for a message that is not kept |
 * | message | the rest | any bytes |
 */
export interface LiveMessage {
  readonly history: string;
  readonly offset: number;
  readonly epoch: string;
  readonly message: Uint8Array;
}

const VERSION = 1;
const HISTORY_LENGTH = 8;
const MAX_EPOCH = 64;
const COLON = 0x3a;
const EPOCH = /^[\w-]*$/;

/** Names a replication history (`master_replid` of Redis) in eight characters. */
export function historyOf(replicationId: string): string {
  return replicationId.slice(0, HISTORY_LENGTH).padEnd(HISTORY_LENGTH, "0");
}

/** What stands before the offset. */
export function liveHeader(history: string): string {
  return String.fromCharCode(VERSION) + history;
}

/** A message that is not kept, as it is published. */
export function encodeUnkept(history: string, message: Uint8Array): Buffer {
  const header = `${liveHeader(history)}0::`;
  const bytes = Buffer.allocUnsafe(header.length + message.length);
  bytes.write(header, "latin1");
  bytes.set(message, header.length);
  return bytes;
}

/**
 * Reads a published message. `bytes` may be a part of a larger buffer that the caller does not keep: the message is a copy. Returns
 * the reason if the bytes have another form, with the offset if that could be read.
 */
export function decodeLive(
  bytes: Buffer,
): LiveMessage | { readonly problem: string; readonly offset: number | undefined } {
  if (bytes.length === 0) return { problem: "it is empty", offset: undefined };
  if (bytes[0] !== VERSION)
    return { problem: `its version is ${bytes[0]}, and this one reads ${VERSION}`, offset: undefined };
  let at = 1 + HISTORY_LENGTH;
  let offset = 0;
  const digits = at;
  for (; bytes[at] !== COLON; at += 1) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9 || at - digits > 15) return { problem: "it has no offset", offset: undefined };
    offset = offset * 10 + digit;
  }
  if (at === digits || !Number.isSafeInteger(offset)) return { problem: "it has no offset", offset: undefined };
  const begin = at + 1;
  const end = bytes.indexOf(COLON, begin);
  if (end === -1 || end - begin > MAX_EPOCH) return { problem: "it has no epoch", offset };
  const epoch = bytes.toString("latin1", begin, end);
  if ((epoch === "") !== (offset === 0) || !EPOCH.test(epoch)) return { problem: "its epoch is not one", offset };
  const history = bytes.toString("latin1", 1, 1 + HISTORY_LENGTH);
  // A copy: a short message would keep the whole buffer of its read in memory.
  return { history, offset, epoch, message: new Uint8Array(bytes.subarray(end + 1)) };
}

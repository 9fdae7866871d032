/** Writes and reads the messages of a run, each of which begins with a stamp. */

/** Hexadecimal digits: tag, sender, number, and time in nanoseconds since the start. ASCII, so that a message may be a text. */
const DIGITS = { tag: 3, sender: 6, number: 10, time: 13 } as const;

/** Bytes of the stamp, the least size of a message. */
export const STAMP_SIZE = 32;

/** A message of at most this many bytes is compared by a loop: a call of native code would take longer. */
const SHORT = 256;

const NANOSECONDS = 1e6;
// Bits of one half of a number that does not fit into the 32 bits of an integer operation.
const HALF = 24;

const CODES = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
/** The value of each ASCII code that is a digit; 16 for others. */
const VALUES = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = CODES.indexOf(code);
  return value === -1 ? 16 : value;
});

/** `ok`, or why it is not a message of this run: `foreign` has no stamp of it, `changed` has other bytes behind the stamp. */
export type Reading = "ok" | "foreign" | "changed";

/**
 * The stamp says which run, which sender, which number, and when the message was due. So the receiver finds a lost, doubled, swapped
 * or damaged message, and knows the latency without a table, also in another process than the sender's.
 */
export class StampedMessages {
  readonly #template: Buffer;
  readonly #rest: string;
  readonly #scratch: Buffer = Buffer.alloc(STAMP_SIZE);
  readonly #text: boolean;
  readonly #tag: number;
  /** Of the last message that `read` has accepted. */
  sender = 0;
  number = 0;
  /** When it was due: milliseconds since the start of the run. */
  time = 0;

  /** @param size bytes of a message, at least STAMP_SIZE */
  constructor({ size, text, tag }: { readonly size: number; readonly text: boolean; readonly tag: number }) {
    // Not one letter repeated: a message whose parts were swapped differs, and compression does not make it vanish.
    let random = 2_463_534_242;
    this.#template = Buffer.from(
      Uint8Array.from({ length: size }, () => {
        random ^= random << 13;
        random ^= random >>> 17;
        random ^= random << 5;
        return 0x61 + ((random >>> 0) % 26);
      }),
    );
    this.#rest = this.#template.toString("latin1", STAMP_SIZE);
    this.#text = text;
    this.#tag = tag;
    this.#write(0, DIGITS.tag, tag);
  }

  /** The message, valid until the next call. */
  stamped(sender: number, number: number, time: number): Uint8Array | string {
    let at = this.#write(DIGITS.tag, DIGITS.sender, sender);
    at = this.#write(at, DIGITS.number, number);
    this.#write(at, DIGITS.time, Math.round(time * NANOSECONDS));
    if (!this.#text) return this.#template;
    return this.#template.toString("latin1", 0, STAMP_SIZE) + this.#rest;
  }

  /** Reads the stamp of a received message into `sender`, `number` and `time`, and compares the rest. */
  read(message: Uint8Array | string): Reading {
    let bytes = message;
    if (typeof bytes === "string") {
      if (bytes.length < STAMP_SIZE) return "foreign";
      this.#scratch.write(bytes.slice(0, STAMP_SIZE), "latin1");
      bytes = this.#scratch;
    }
    if (!this.#readStamp(bytes)) return "foreign";
    return this.#hasRest(message) ? "ok" : "changed";
  }

  #hasRest(message: Uint8Array | string): boolean {
    const { length } = this.#template;
    if (message.length !== length) return false;
    if (typeof message === "string") return message.endsWith(this.#rest);
    if (length > SHORT) return this.#template.compare(message, STAMP_SIZE, length, STAMP_SIZE, length) === 0;
    for (let at = STAMP_SIZE; at < length; at++) if (message[at] !== this.#template[at]) return false;
    return true;
  }

  #readStamp(bytes: Uint8Array): boolean {
    const { tag, sender, number, time } = DIGITS;
    const from = [tag, tag + sender, tag + sender + number] as const;
    this.sender = read(bytes, from[0], sender);
    this.number = read(bytes, from[1], number);
    this.time = read(bytes, from[2], time) / NANOSECONDS;
    return read(bytes, 0, tag) === this.#tag && this.sender + this.number + this.time >= 0;
  }

  #write(from: number, digits: number, value: number): number {
    let [high, low] = [Math.floor(value / 2 ** HALF), value % 2 ** HALF];
    for (let at = from + digits - 1; at >= from; at--) {
      this.#template[at] = CODES[low & 15] ?? 0;
      low = (low >>> 4) | ((high & 15) << (HALF - 4));
      high = Math.floor(high / 16);
    }
    return from + digits;
  }
}

/** The number of `digits` hexadecimal digits at `from`. NaN if one of them is none. */
function read(bytes: Uint8Array, from: number, digits: number): number {
  let high = 0;
  let low = 0;
  for (let at = from; at < from + digits; at++) {
    const value = VALUES[bytes[at] ?? 0] ?? 16;
    if (value === 16) return Number.NaN;
    high = (high << 4) | (low >>> (HALF - 4));
    low = ((low << 4) | value) & 0xff_ffff;
  }
  return (high >>> 0) * 2 ** HALF + low;
}

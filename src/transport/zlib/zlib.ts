/** Compresses and decompresses single messages with Node's zlib (RFC 7692 section 7.2). */

import { constants, deflateRaw, deflateRawSync, inflateRaw, inflateRawSync, type ZlibOptions } from "node:zlib";
import { concat } from "../../base/bytes.ts";
import { between } from "../../base/time.ts";
import { systemClock } from "../clock.ts";
import { LOOK_AHEAD, reusableZlib } from "./reusable.ts";

// Each message is a zlib stream of its own: the bytes that the next message may refer to are its dictionary. So with context
// takeover a connection costs one window of at most 32 KiB, and not a zlib stream of 40 to 300 KiB.

/** Messages up to this size, in bytes, are processed synchronously: waiting for another thread would take longer. */
export const MAX_SYNCHRONOUS = 65_536;

/**
 * The result of decompression: the bytes, or the reason for a failure. `over`: more bytes than the limit. `invalid`: no valid
 * compressed data. `failed`: this process could not do it.
 */
export type Inflated =
  | { readonly bytes: Uint8Array }
  | { readonly bytes: undefined; readonly why: "over" | "invalid"; readonly problem: string }
  | { readonly bytes: undefined; readonly why: "failed"; readonly error: Error };

/** Parameters of compression. */
export interface DeflateOptions {
  /** From 1 (fastest) to 9 (smallest). */
  readonly level: number;
  /** The window size, as a power of two: 8 to 15. The result refers back by at most that many bytes. */
  readonly windowBits: number;
  /** The bytes before this message. The result may refer to their end. */
  readonly dictionary: Uint8Array | undefined;
}

// The four octets that the sender removes from a message (section 7.2.1), then an empty block that is marked as the last. The
// message ends at a block boundary only if zlib reads that block. The block is a stored one, because it must begin at an octet
// boundary: a compressed block could be read as the end of a block that the message has left open.
const FLUSHED = 4;
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff);
const TAIL_OF_NOTHING = TAIL.subarray(FLUSHED);

/** An empty last block of a different length from the one in `TAIL`. */
const SHORTER_LAST = Uint8Array.of(0x03, 0x00);

// A block that is marked as the last may be followed by more blocks (section 7.2.3.4 shows the reason). Each one makes zlib start
// again, and a peer must not be able to multiply that cost.
const MAX_LAST_BLOCKS = 16;

/**
 * Compresses a message, or a part of it. If `last`, the result lacks its last four octets. Otherwise it ends with them, and more
 * of the same message can follow.
 */
export function deflateNow(data: string | Uint8Array, how: DeflateOptions, last: boolean): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    const reused = how.dictionary === undefined ? reusableZlib()?.deflate(data, how.level, how.windowBits) : undefined;
    if (reused !== undefined) return Buffer.from(withoutTail(reused, last));
    bytes = typeof data === "string" ? Buffer.from(data) : data;
    return withoutTail(deflateRawSync(bytes, deflateOptions(bytes.length, how)), last);
  } catch {
    return withoutTail(stored(bytes ?? (typeof data === "string" ? Buffer.from(data) : data)), last);
  }
}

/** As `deflateNow`, on another thread. `done` also gets how long the job took, in milliseconds. */
export function deflateLater(
  data: Uint8Array,
  how: DeflateOptions,
  last: boolean,
  done: (packed: Uint8Array, length: number) => void,
): void {
  jobs.run((finished) => {
    const began = systemClock.now();
    const callback = (error: Error | null, packed: Uint8Array): void => {
      finished();
      done(withoutTail(error === null ? packed : stored(data), last), between(began, systemClock.now()));
    };
    try {
      deflateRaw(data, deflateOptions(data.length, how), callback);
    } catch (error) {
      callback(error as Error, data);
    }
  });
}

/** Decompresses one message, to at most `most` bytes. Read the result before the next call: the memory is reused. */
export function inflateNow(packed: Uint8Array, dictionary: Uint8Array | undefined, maxSize: number): Inflated {
  const reused = inflateReused(packed, dictionary, maxSize);
  if (reused !== undefined) return reused;
  let inflated: Inflated | undefined;
  new Inflation(inflateSync, dictionary, maxSize, (outcome) => {
    inflated = outcome;
  }).run(withTail(packed));
  return inflated as Inflated;
}

/** As `inflateNow`, with the reusable zlib. Undefined if there is none, or if the message has an unusual ending. */
function inflateReused(packed: Uint8Array, dictionary: Uint8Array | undefined, maxSize: number): Inflated | undefined {
  const tail = tailOf(packed);
  const size = packed.length + tail.length;
  const ran = reusableZlib()?.inflate(packed, tail, dictionary, pieceSize(size), Math.max(maxSize, 1));
  if (ran === undefined) return undefined;
  if (ran.error !== null) {
    const outcome = failureOf(ran.error, maxSize);
    // The reusable zlib may fail where a new one would not, for example for lack of memory.
    return "error" in outcome ? undefined : outcome;
  }
  if (ran.bytes.length > maxSize) return tooLarge(maxSize);
  const rest = size - ran.taken;
  const isWhole = rest === 0 ? !endsWithTail(ran.bytes) : isAppendedTail(rest, packed.at(-1));
  return isWhole ? { bytes: ran.bytes } : undefined;
}

/**
 * As `inflateNow`, on another thread, when one of the concurrent jobs has ended, if too many are running. `done` also gets how long
 * the job took, in milliseconds.
 */
export function inflateLater(
  packed: Uint8Array,
  dictionary: Uint8Array | undefined,
  maxSize: number,
  done: (inflated: Inflated, length: number) => void,
): void {
  jobs.run((finished) => {
    const began = systemClock.now();
    new Inflation(inflateAsync, dictionary, maxSize, (outcome) => {
      finished();
      done(outcome, between(began, systemClock.now()));
    }).run(withTail(packed));
  });
}

/** Most messages that are compressed or decompressed on other threads at a time. libuv has as many threads by default. */
const MAX_CONCURRENT_JOBS = 4;

/**
 * Limits the number of concurrent jobs of all connections together. A message that waits holds the bytes that its peer sent, and
 * no more.
 */
class JobLimit {
  readonly #waiting: ((finished: () => void) => void)[] = [];
  #running = 0;

  run(job: (finished: () => void) => void): void {
    this.#waiting.push(job);
    this.#next();
  }

  #next(): void {
    if (this.#running >= MAX_CONCURRENT_JOBS) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#running += 1;
    job(() => {
      this.#running -= 1;
      this.#next();
    });
  }
}

const jobs = new JobLimit();

/** The result of Node with the option `info`, which Node's types lack. */
interface WithInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

type Answer = (error: NodeJS.ErrnoException | null, result: WithInfo) => void;
type Inflate = (input: Uint8Array, options: ZlibOptions, answer: Answer) => void;

const inflateAsync: Inflate = (input, options, callback) => {
  try {
    inflateRaw(input, options, callback as never);
  } catch (error) {
    callback(error as Error, undefined as never);
  }
};

const inflateSync: Inflate = (input, options, callback) => {
  let result: WithInfo;
  try {
    result = inflateRawSync(input, options) as unknown as WithInfo;
  } catch (error) {
    callback(error as Error, undefined as never);
    return;
  }
  callback(null, result);
};

/** The decompression of one message. */
class Inflation {
  readonly #inflate: Inflate;
  readonly #maxSize: number;
  readonly #done: (inflated: Inflated) => void;
  readonly #pieces: Uint8Array[] = [];
  #dictionary: Uint8Array | undefined;
  #size = 0;
  #lastBlocks = 0;
  /** True after the second check of the message's end. */
  #endChecked = false;

  constructor(
    inflate: Inflate,
    dictionary: Uint8Array | undefined,
    maxSize: number,
    done: (inflated: Inflated) => void,
  ) {
    this.#inflate = inflate;
    this.#dictionary = dictionary;
    this.#maxSize = maxSize;
    this.#done = done;
  }

  run(input: Uint8Array): void {
    const left = this.#maxSize - this.#size;
    // Node rejects a limit of 0.
    const options = { chunkSize: pieceSize(input.length), maxOutputLength: Math.max(left, 1), info: true };
    this.#inflate(
      input,
      this.#dictionary === undefined ? options : { ...options, dictionary: this.#dictionary },
      (error, result) => {
        if (error !== null) this.#done(failureOf(error, this.#maxSize));
        else if (result.buffer.length > left) this.#done(tooLarge(this.#maxSize));
        else this.#runDone(input, result);
      },
    );
  }

  #runDone(input: Uint8Array, { buffer, engine }: WithInfo): void {
    const rest = input.subarray(engine.bytesWritten);
    if (!this.#endChecked && rest.length === 0 && endsWithTail(buffer)) {
      // A stored block of the message may have included the appended octets in its announced length. Such a block does not end
      // with fewer octets, so the second run uses a shorter end.
      this.#endChecked = true;
      this.run(concat([input.subarray(0, input.length - TAIL.length + FLUSHED), SHORTER_LAST]));
      return;
    }
    this.#pieces.push(buffer);
    this.#size += buffer.length;
    this.#lastBlocks += 1;
    // If no input is left, the last of these blocks is the appended one. If input is left, it is a block of the sender.
    if (rest.length > 0 && this.#lastBlocks > MAX_LAST_BLOCKS) {
      this.#done(invalidResult(`more than ${MAX_LAST_BLOCKS} blocks are marked as the last`));
    } else if (rest.length === 0 || isAppendedTail(rest.length, rest[0])) {
      this.#done({ bytes: this.#pieces.length === 1 ? buffer : concat(this.#pieces) });
    } else {
      this.#dictionary = concat([this.#dictionary ?? new Uint8Array(), buffer]).subarray(-32_768);
      this.run(rest);
    }
  }
}

/** Size of one output piece, in bytes. The size is checked after each piece. An output that fits is returned as one piece. */
function pieceSize(size: number): number {
  return Math.min(Math.max(size * 4, 1_024), MAX_SYNCHRONOUS);
}

/**
 * True if the input after the message's own last block is only the appended octets, or these octets after the single octet that
 * the sender adds (section 7.2.3.4). `rest` is the length of that input, `next` its first octet.
 */
function isAppendedTail(rest: number, next: number | undefined): boolean {
  return rest === TAIL.length || (rest === TAIL.length + 1 && next === 0);
}

function failureOf(error: NodeJS.ErrnoException, maxSize: number): Inflated {
  if (error.code === "ERR_BUFFER_TOO_LARGE") return tooLarge(maxSize);
  if (error.code === "Z_BUF_ERROR") return invalidResult("the compressed data ends inside a block");
  if (error.code === "Z_DATA_ERROR") return invalidResult(`the compressed data is invalid: ${error.message}`);
  return { bytes: undefined, why: "failed", error };
}

function tooLarge(maxSize: number): Inflated {
  return { bytes: undefined, why: "over", problem: `a message inflates to more than ${maxSize} bytes` };
}

function invalidResult(problem: string): Inflated {
  return { bytes: undefined, why: "invalid", problem };
}

function deflateOptions(size: number, { level, windowBits, dictionary }: DeflateOptions): ZlibOptions {
  const chunkSize = Math.min(Math.max(size + 64, 256), MAX_SYNCHRONOUS);
  // zlib does not support a window of 2^8 for raw data. Because of the look-ahead, a window of 2^9 refers back by at most 250
  // bytes, which the smaller window also contains. Node makes the same replacement.
  const options = { level, windowBits: Math.max(windowBits, 9), chunkSize, finishFlush: constants.Z_SYNC_FLUSH };
  if (dictionary !== undefined) return { ...options, dictionary };
  // A window that is larger than the data is only cleared, without use. A smaller one saves a sixth of the time for 834 bytes.
  const enough = Math.max(Math.ceil(Math.log2(size + LOOK_AHEAD)), 9);
  if (enough < options.windowBits) options.windowBits = enough;
  return options;
}

/**
 * Encodes the data without compression, for use when zlib has no memory: stored blocks of 65,535 bytes each, then an empty one
 * (RFC 1951 section 3.2.4).
 */
function stored(data: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += 0xffff) {
    const block = data.subarray(at, at + 0xffff);
    const { length } = block;
    blocks.push(Uint8Array.of(0, length, length >> 8, ~length, ~length >> 8), block);
  }
  return concat([...blocks, Uint8Array.of(0), TAIL.subarray(0, FLUSHED)]);
}

function withoutTail(packed: Uint8Array, last: boolean): Uint8Array {
  return last ? packed.subarray(0, packed.length - FLUSHED) : packed;
}

function endsWithTail(bytes: Uint8Array): boolean {
  const start = bytes.length - TAIL.length;
  return start >= 0 && TAIL.every((octet, index) => bytes[start + index] === octet);
}

function tailOf(packed: Uint8Array): Uint8Array {
  // Some senders write an empty message as no octets, although section 7.2.3.6 requires one octet.
  return packed.length === 0 ? TAIL_OF_NOTHING : TAIL;
}

function withTail(packed: Uint8Array): Uint8Array {
  return concat([packed, tailOf(packed)]);
}

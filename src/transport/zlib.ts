/** Compresses and decompresses single messages with Node's zlib (RFC 7692 section 7.2). */

import { constants, deflateRaw, deflateRawSync, inflateRaw, inflateRawSync, type ZlibOptions } from "node:zlib";
import { concat } from "../base/bytes.js";
import { keptZlib } from "./kept-zlib.js";

// Nothing of a message is kept: what the next may refer to is its dictionary. So a connection whose context is taken
// over costs a window, 32 KiB at the most, and not a zlib stream of 40 to 300.

/** Messages up to this size are done at once: to wait for another thread would take longer. */
export const AT_ONCE = 65_536;

/**
 * What came of decompressing: the bytes, or why there are none. They are more than the limit, or no compressed data, or this
 * process could not do it.
 */
export type Inflated =
  | { readonly bytes: Uint8Array }
  | { readonly bytes: undefined; readonly why: "over" | "invalid"; readonly problem: string }
  | { readonly bytes: undefined; readonly why: "failed"; readonly error: Error };

/** How to compress. */
export interface DeflateHow {
  /** 1, fast, to 9, small. */
  readonly level: number;
  /** How far back the result may refer, as a power of two: 8 to 15. */
  readonly windowBits: number;
  /** What came before; the result may refer to its end. */
  readonly dictionary: Uint8Array | undefined;
}

// The four octets that a message does without (section 7.2.1), and behind them an empty block that says it is the last: only
// if zlib comes upon that one did the message end where a block ends. The block is one that is not compressed, because it has
// to begin with an octet: a compressed one could be the end of a block that the message has left open.
const FLUSHED = 4;
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff);
const TAIL_OF_NOTHING = TAIL.subarray(FLUSHED);

/** An empty last block of another length than the one in `TAIL`. */
const SHORTER_LAST = Uint8Array.of(0x03, 0x00);

// A block that says it is the last may be followed by others (section 7.2.3.4 shows why it is there at all). Each one
// makes zlib begin anew, at a cost that a peer must not be able to multiply.
const MOST_LAST_BLOCKS = 16;

/** The message without its last four octets if `last`; with them it can be followed by more of the same message. */
export function deflateNow(data: string | Uint8Array, how: DeflateHow, last: boolean): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    const kept = how.dictionary === undefined ? keptZlib()?.deflate(data, how.level, how.windowBits) : undefined;
    if (kept !== undefined) return Buffer.from(ending(kept, last));
    bytes = typeof data === "string" ? Buffer.from(data) : data;
    return ending(deflateRawSync(bytes, deflateOptions(bytes.length, how)), last);
  } catch {
    return ending(stored(bytes ?? (typeof data === "string" ? Buffer.from(data) : data)), last);
  }
}

/** The same on another thread. */
export function deflateLater(
  data: Uint8Array,
  how: DeflateHow,
  last: boolean,
  done: (packed: Uint8Array) => void,
): void {
  pool.run((finished) => {
    const answer = (error: Error | null, packed: Uint8Array): void => {
      finished();
      done(ending(error === null ? packed : stored(data), last));
    };
    try {
      deflateRaw(data, deflateOptions(data.length, how), answer);
    } catch (error) {
      answer(error as Error, data);
    }
  });
}

/** The message that `packed` was, of `most` bytes at the most. It is to be read before the next call. */
export function inflateNow(packed: Uint8Array, dictionary: Uint8Array | undefined, most: number): Inflated {
  const kept = inflateKept(packed, dictionary, most);
  if (kept !== undefined) return kept;
  let inflated: Inflated | undefined;
  new Inflation(inflateSync, dictionary, most, (outcome) => {
    inflated = outcome;
  }).run(withTail(packed));
  return inflated as Inflated;
}

/** The same by what is kept. Undefined if there is none, or if a message ends as few do. */
function inflateKept(packed: Uint8Array, dictionary: Uint8Array | undefined, most: number): Inflated | undefined {
  const tail = tailOf(packed);
  const size = packed.length + tail.length;
  const ran = keptZlib()?.inflate(packed, tail, dictionary, pieceOf(size), Math.max(most, 1));
  if (ran === undefined) return undefined;
  if (ran.error !== null) {
    const outcome = failed(ran.error, most);
    // What is kept may lack what another would get.
    return "error" in outcome ? undefined : outcome;
  }
  if (ran.bytes.length > most) return over(most);
  const rest = size - ran.taken;
  const isWhole = rest === 0 ? !endsInTail(ran.bytes) : isOurs(rest, packed.at(-1));
  return isWhole ? { bytes: ran.bytes } : undefined;
}

/** The same on another thread, when it is this message's turn. */
export function inflateLater(
  packed: Uint8Array,
  dictionary: Uint8Array | undefined,
  most: number,
  done: (inflated: Inflated) => void,
): void {
  pool.run((finished) => {
    new Inflation(inflateAsync, dictionary, most, (outcome) => {
      finished();
      done(outcome);
    }).run(withTail(packed));
  });
}

/** Most messages that are compressed or decompressed on other threads at a time: as many as libuv has threads by default. */
const MOST_AT_ONCE = 4;

/**
 * Bounds what all connections together let decompress at a time: each that waits holds what its peer has sent and no more.
 */
class Pool {
  readonly #waiting: ((finished: () => void) => void)[] = [];
  #running = 0;

  run(job: (finished: () => void) => void): void {
    this.#waiting.push(job);
    this.#next();
  }

  #next(): void {
    if (this.#running >= MOST_AT_ONCE) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#running += 1;
    job(() => {
      this.#running -= 1;
      this.#next();
    });
  }
}

const pool = new Pool();

/** What Node answers with the option `info`, which its types leave out. */
interface WithInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

type Answer = (error: NodeJS.ErrnoException | null, result: WithInfo) => void;
type Inflate = (input: Uint8Array, options: ZlibOptions, answer: Answer) => void;

const inflateAsync: Inflate = (input, options, answer) => {
  try {
    inflateRaw(input, options, answer as never);
  } catch (error) {
    answer(error as Error, undefined as never);
  }
};

const inflateSync: Inflate = (input, options, answer) => {
  let result: WithInfo;
  try {
    result = inflateRawSync(input, options) as unknown as WithInfo;
  } catch (error) {
    answer(error as Error, undefined as never);
    return;
  }
  answer(null, result);
};

/** One message that is decompressed. */
class Inflation {
  readonly #inflate: Inflate;
  readonly #most: number;
  readonly #done: (inflated: Inflated) => void;
  readonly #pieces: Uint8Array[] = [];
  #dictionary: Uint8Array | undefined;
  #size = 0;
  #lastBlocks = 0;
  /** The end has been looked at twice. */
  #sure = false;

  constructor(inflate: Inflate, dictionary: Uint8Array | undefined, most: number, done: (inflated: Inflated) => void) {
    this.#inflate = inflate;
    this.#dictionary = dictionary;
    this.#most = most;
    this.#done = done;
  }

  run(input: Uint8Array): void {
    const left = this.#most - this.#size;
    // Node refuses a limit of 0.
    const options = { chunkSize: pieceOf(input.length), maxOutputLength: Math.max(left, 1), info: true };
    this.#inflate(
      input,
      this.#dictionary === undefined ? options : { ...options, dictionary: this.#dictionary },
      (error, result) => {
        if (error !== null) this.#done(failed(error, this.#most));
        else if (result.buffer.length > left) this.#done(over(this.#most));
        else this.#take(input, result);
      },
    );
  }

  #take(input: Uint8Array, { buffer, engine }: WithInfo): void {
    const rest = input.subarray(engine.bytesWritten);
    if (!this.#sure && rest.length === 0 && endsInTail(buffer)) {
      // What is not compressed may have announced our octets as its own. Then it does not end with fewer.
      this.#sure = true;
      this.run(concat([input.subarray(0, input.length - TAIL.length + FLUSHED), SHORTER_LAST]));
      return;
    }
    this.#pieces.push(buffer);
    this.#size += buffer.length;
    this.#lastBlocks += 1;
    // The last of them is ours where nothing is left, and its sender's where something is.
    if (rest.length > 0 && this.#lastBlocks > MOST_LAST_BLOCKS) {
      this.#done(invalid(`more than ${MOST_LAST_BLOCKS} blocks are marked as the last`));
    } else if (rest.length === 0 || isOurs(rest.length, rest[0])) {
      this.#done({ bytes: this.#pieces.length === 1 ? buffer : concat(this.#pieces) });
    } else {
      this.#dictionary = concat([this.#dictionary ?? new Uint8Array(), buffer]).subarray(-32_768);
      this.run(rest);
    }
  }
}

/** How much output is made before it is looked at: what fits is given in one piece. */
function pieceOf(size: number): number {
  return Math.min(Math.max(size * 4, 1_024), AT_ONCE);
}

/**
 * Whether the `rest` behind a message's own last block, which begins with `next`, is our octets, and before them the one that
 * its sender has put there (section 7.2.3.4).
 */
function isOurs(rest: number, next: number | undefined): boolean {
  return rest === TAIL.length || (rest === TAIL.length + 1 && next === 0);
}

function failed(error: NodeJS.ErrnoException, most: number): Inflated {
  if (error.code === "ERR_BUFFER_TOO_LARGE") return over(most);
  if (error.code === "Z_BUF_ERROR") return invalid("the compressed data ends inside a block");
  if (error.code === "Z_DATA_ERROR") return invalid(`the compressed data is invalid: ${error.message}`);
  return { bytes: undefined, why: "failed", error };
}

function over(most: number): Inflated {
  return { bytes: undefined, why: "over", problem: `a message inflates to more than ${most} bytes` };
}

function invalid(problem: string): Inflated {
  return { bytes: undefined, why: "invalid", problem };
}

// For raw data zlib cannot do a window of 2^8: with 2^9 it refers back by 250 bytes at the most, because of this look-ahead,
// which is within the smaller window as well. Node makes the one of the other, too.
const LOOK_AHEAD = 262;

function deflateOptions(size: number, { level, windowBits, dictionary }: DeflateHow): ZlibOptions {
  const chunkSize = Math.min(Math.max(size + 64, 256), AT_ONCE);
  const options = { level, windowBits: Math.max(windowBits, 9), chunkSize, finishFlush: constants.Z_SYNC_FLUSH };
  if (dictionary !== undefined) return { ...options, dictionary };
  // A window of which there would be nothing to see only has to be cleared: a sixth of the time for 834 bytes.
  const enough = Math.max(Math.ceil(Math.log2(size + LOOK_AHEAD)), 9);
  if (enough < options.windowBits) options.windowBits = enough;
  return options;
}

/** The data uncompressed, for when zlib has no memory: a block of each 65,535 bytes, then the empty one (RFC 1951 3.2.4). */
function stored(data: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += 0xffff) {
    const block = data.subarray(at, at + 0xffff);
    const { length } = block;
    blocks.push(Uint8Array.of(0, length, length >> 8, ~length, ~length >> 8), block);
  }
  return concat([...blocks, Uint8Array.of(0), TAIL.subarray(0, FLUSHED)]);
}

function ending(packed: Uint8Array, last: boolean): Uint8Array {
  return last ? packed.subarray(0, packed.length - FLUSHED) : packed;
}

function endsInTail(bytes: Uint8Array): boolean {
  const start = bytes.length - TAIL.length;
  return start >= 0 && TAIL.every((octet, index) => bytes[start + index] === octet);
}

function tailOf(packed: Uint8Array): Uint8Array {
  // Some senders write an empty message as no octet at all, where section 7.2.3.6 has one.
  return packed.length === 0 ? TAIL_OF_NOTHING : TAIL;
}

function withTail(packed: Uint8Array): Uint8Array {
  return concat([packed, tailOf(packed)]);
}

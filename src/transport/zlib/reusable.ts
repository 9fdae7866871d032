/** Reusable zlib streams for small messages, because creating a stream takes almost as long as using it. */

// The results are those of Node's `deflateRawSync` and `inflateRawSync`, in the same steps. Those functions create a zlib stream
// for each call. Resetting a stream is public API, running it synchronously is not. So a self-test runs before a message depends
// on it. If it fails, the callers use Node's public functions.

import {
  constants,
  createDeflateRaw,
  createInflateRaw,
  type DeflateRaw,
  deflateRawSync,
  type InflateRaw,
  inflateRawSync,
} from "node:zlib";
import { NO_BYTES } from "../../base/bytes.ts";
import { warnOfFallback } from "../internals/fallback-warning.ts";
import { runsOf, ZlibHandle } from "../internals/zlib.ts";

/**
 * The result of a run: bytes, which are valid until the next run, or the error that Node would throw. `taken` is the number of
 * input bytes that were read.
 */
export type ZlibResult =
  | { readonly error: null; readonly bytes: Buffer; readonly taken: number }
  | { readonly error: NodeJS.ErrnoException; readonly bytes?: undefined };

/** Largest input to decompress, and largest piece of output, in bytes. */
const MAX_INPUT = 65_536;

/**
 * Largest input to compress, in bytes. For larger input the time to start zlib is negligible, and zlib moves the data within its
 * window, so that `#used` would be wrong.
 */
const MAX_DEFLATE_INPUT = 16_384;

const ZEROS = Buffer.alloc(MAX_DEFLATE_INPUT);

/** Largest tail after an input, in bytes. */
const MAX_TAIL = 16;

// A UTF-16 code unit takes at most 3 bytes in UTF-8.
const MAX_BYTES_PER_UNIT = 3;

const WINDOW_BITS = 15;
const MAX_WINDOW = 2 ** WINDOW_BITS;

/** Length of the header of a stored block, in bytes. */
const STORED = 5;

// zlib refers back by less than its window size, because it reserves this many bytes for look-ahead.
export const LOOK_AHEAD = 262;

/** A zlib stream that processes successive messages synchronously. */
class Engine {
  readonly #stream: DeflateRaw | InflateRaw;
  readonly #handle: ZlibHandle;
  readonly #flush: number;
  #error: NodeJS.ErrnoException | undefined;

  constructor(stream: DeflateRaw | InflateRaw, flush: number) {
    this.#stream = stream;
    this.#flush = flush;
    // If Node emitted an error on the stream instead of calling our handler, the process would end for lack of a listener.
    stream.on("error", () => undefined);
    this.#handle = new ZlibHandle(stream, (error) => {
      this.#error = error;
    });
  }

  begin(): void {
    this.#error = undefined;
    this.#stream.reset();
  }

  /** Reads the first `size` bytes of `input`. More input follows. The output must be smaller than `output`. */
  feed(flush: number, input: Uint8Array, size: number, output: Buffer): void {
    this.#handle.run(flush, input, 0, size, output, 0, output.length);
  }

  /**
   * Reads the first `size` bytes of `input`, which are the last of the message. Stops after the first piece of output that brings
   * the total above `most` bytes. Returns undefined if `output` has no space for another piece.
   */
  finish(input: Uint8Array, size: number, output: Buffer, piece: number, length: number): ZlibResult | undefined {
    let taken = 0;
    let made = 0;
    while (made + piece <= output.length) {
      this.#handle.run(this.#flush, input, taken, size - taken, output, made, piece);
      if (this.#error !== undefined) return { error: this.#error };
      const { room } = this.#handle;
      made += piece - room;
      taken = size - this.#handle.rest;
      if (made > length || room > 0) return { error: null, bytes: output.subarray(0, made), taken };
      // Node has handled an error in place of our handler and closed the stream. A closed stream must not be run.
      if (this.#stream.destroyed) throw new Error("the stream was closed");
    }
    return undefined;
  }
}

/** Compresses successive messages. The result never depends on an earlier message. */
class Deflate {
  readonly #engine: Engine;
  /** The number of bytes of zlib's window that hold data of earlier messages. */
  #used = 0;

  constructor(level: number) {
    this.#engine = new Engine(createDeflateRaw({ level, windowBits: WINDOW_BITS }), constants.Z_SYNC_FLUSH);
  }

  run(input: Uint8Array, size: number, output: Buffer): Buffer | undefined {
    // A reset does not clear the window, and Node's zlib reads one byte after the message when it searches for the message's end
    // in earlier data. So the compressed form of one peer's message would reveal one bit of another peer's message. Therefore
    // zeros overwrite the used part of the window before a shorter message.
    if (size < this.#used) {
      this.#engine.begin();
      this.#engine.feed(constants.Z_NO_FLUSH, ZEROS, this.#used, output);
      this.#used = 0;
    }
    this.#used = size;
    this.#engine.begin();
    return this.#engine.finish(input, size, output, output.length, Infinity)?.bytes;
  }
}

/**
 * The reusable zlib streams of one thread, shared by all its connections: 0.25 MB, plus 0.3 MB for each compression level in use
 * (at most nine).
 */
class ReusableZlib {
  readonly #input = Buffer.allocUnsafeSlow(MAX_INPUT + MAX_TAIL);
  // Space for one piece more than the limit permits: the limit is checked after each piece.
  readonly #output = Buffer.allocUnsafeSlow(2 * MAX_INPUT);
  readonly #deflates = new Map<number, Deflate>();
  #inflate: Engine | undefined;

  /**
   * Compresses without a dictionary. The output is flushed, not ended. Returns undefined if `data` is too large, or does not fit
   * into a window of `windowBits`.
   */
  deflate(data: string | Uint8Array, level: number, windowBits: number): Buffer | undefined {
    let input = data;
    let size: number;
    if (typeof input === "string") {
      if (input.length * MAX_BYTES_PER_UNIT > this.#input.length) return undefined;
      size = this.#input.write(input);
      input = this.#input;
    } else {
      size = input.byteLength;
    }
    if (size > MAX_DEFLATE_INPUT || size + LOOK_AHEAD > 2 ** windowBits) return undefined;
    let deflate = this.#deflates.get(level);
    if (deflate === undefined) {
      deflate = new Deflate(level);
      this.#deflates.set(level, deflate);
    }
    return deflate.run(input, size, this.#output);
  }

  /**
   * Decompresses `packed` and the following `tail`, in pieces, as `inflateRawSync` does with `chunkSize` and `maxOutputLength`.
   * One difference: where that function throws because of `maxOutputLength`, this returns more than `most` bytes. Returns
   * undefined if an argument is too large.
   */
  inflate(
    packed: Uint8Array,
    tail: Uint8Array,
    dictionary: Uint8Array | undefined,
    piece: number,
    maxSize: number,
  ): ZlibResult | undefined {
    const input = this.#input;
    const size = packed.length + tail.length;
    if (size > input.length || (dictionary !== undefined && dictionary.length > MAX_WINDOW)) return undefined;
    this.#inflate ??= new Engine(createInflateRaw(), constants.Z_FINISH);
    this.#inflate.begin();
    if (dictionary !== undefined) {
      // The dictionary is passed as a stored block (RFC 1951 section 3.2.4): Node's zlib accepts a dictionary only when a stream
      // is created.
      const { length } = dictionary;
      input.fill(0, 0, STORED);
      input.writeUInt16LE(length, 1);
      input.writeUInt16LE(0xffff - length, 3);
      input.set(dictionary, STORED);
      this.#inflate.feed(constants.Z_SYNC_FLUSH, input, STORED + length, this.#output);
    }
    input.set(packed);
    input.set(tail, packed.length);
    return this.#inflate.finish(input, size, this.#output, piece, maxSize);
  }
}

let reusable: ReusableZlib | "none" | undefined;

/** Returns the reusable zlib streams of this thread. Undefined if Node's public functions must be used. */
export function reusableZlib(): ReusableZlib | undefined {
  reusable ??= createTested();
  return reusable === "none" ? undefined : reusable;
}

function createTested(): ReusableZlib | "none" {
  if ("bun" in process.versions || "deno" in process.versions || process.env["HOLDFAST_TRANSPORT"] === "socket") {
    return "none";
  }
  try {
    const zlib = new ReusableZlib();
    selfTest(zlib);
    return zlib;
  } catch (error) {
    warnOfFallback("HOLDFAST_ZLIB", "reusable zlib", error);
    return "none";
  }
}

const TEST_TAIL = Uint8Array.of(1, 2, 3, 4);

/** The self-test. Throws unless `zlib` gives the same results as Node's public functions, also when it is reused. */
function selfTest(zlib: ReusableZlib): void {
  for (const stream of [createDeflateRaw(), createInflateRaw()]) assertKnownCall(stream);
  const message = Buffer.from(Array.from({ length: 99 }, (_, index) => `Holdfast ${index * index} `).join(""));
  const options = { level: 1, finishFlush: constants.Z_SYNC_FLUSH };
  const beginning = message.subarray(0, 50);
  const packed = deflateRawSync(message, options);
  const whole = deflateRawSync(message);
  const zeros = deflateRawSync(Buffer.alloc(9_999));
  const referring = deflateRawSync(message.subarray(0, 99), { dictionary: message });
  for (let round = 0; round < 2; round += 1) {
    assertEqual(zlib.deflate(message, 1, WINDOW_BITS), packed);
    assertEqual(zlib.deflate(message.toString(), 1, WINDOW_BITS), packed);
    assertEqual(zlib.deflate(beginning, 1, WINDOW_BITS), deflateRawSync(beginning, options));
    // In one piece and in many, so also with less output space than the message needs.
    for (const piece of [MAX_INPUT, 64]) {
      const result = zlib.inflate(whole, TEST_TAIL, undefined, piece, MAX_INPUT);
      assertEqual(result?.bytes, message);
      if (result?.error !== null || result.taken !== whole.length)
        throw new Error("the end of a message was not found");
    }
    assertEqual(zlib.inflate(referring, NO_BYTES, message, MAX_INPUT, MAX_INPUT)?.bytes, message.subarray(0, 99));
    const length = zlib.inflate(zeros, NO_BYTES, undefined, 1_024, 5_000)?.bytes?.length;
    if (length !== 5_120) throw new Error(`the output did not end at the limit, but at ${length} bytes`);
    // An input that ends too early, an invalid block type, and a reference to data of an earlier message.
    for (const wrong of [packed, whole.subarray(0, -1), Uint8Array.of(7), referring]) {
      const error = zlib.inflate(wrong, NO_BYTES, undefined, MAX_INPUT, MAX_INPUT)?.error;
      const other = errorOf(() => inflateRawSync(wrong));
      if (error?.code !== other.code || error?.message !== other.message) {
        throw new Error(`the error is "${error?.message}" instead of "${other.message}"`);
      }
    }
  }
}

function assertEqual(found: Buffer | undefined, expected: Buffer): void {
  if (found?.equals(expected) !== true) throw new Error("the result is different");
}

function errorOf(call: () => unknown): NodeJS.ErrnoException {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error("invalid data caused no error");
}

/** Throws unless Node runs `stream` with the arguments that this file uses. A run with other arguments ends the process. */
function assertKnownCall(stream: DeflateRaw | InflateRaw): void {
  const chunk = Buffer.from("0300", "hex");
  const runs = runsOf(stream, chunk, constants.Z_SYNC_FLUSH);
  const [[flush, input, from, size, output, at, room, ...more] = []] = runs;
  const known =
    flush === constants.Z_SYNC_FLUSH &&
    input === chunk &&
    from === 0 &&
    size === chunk.length &&
    output instanceof Uint8Array &&
    at === 0 &&
    room === output.length &&
    more.length === 0;
  if (!known || runs.length !== 1) throw new Error("Node runs zlib with other arguments");
}

/** A zlib of each kind that is kept and begun anew for each small message: to make one takes almost as long as to use it. */

// It gives what Node's `deflateRawSync` and `inflateRawSync` give, in the same steps; these make a zlib for each call. That a
// stream can be begun anew is public, that it can be used at once is not. So this is tried before a message depends on it, and
// where it is not as it is known here, the callers do without.

import {
  constants,
  createDeflateRaw,
  createInflateRaw,
  type DeflateRaw,
  deflateRawSync,
  type InflateRaw,
  inflateRawSync,
} from "node:zlib";
import { runsOf, ZlibHandle } from "./node-internals.js";

/** What came of a run: bytes, which hold until the next run, or the error that Node would throw. */
export type Ran =
  | { readonly error: null; readonly bytes: Buffer; readonly taken: number }
  | { readonly error: NodeJS.ErrnoException; readonly bytes?: undefined };

/** Largest that is decompressed, and largest piece of what that becomes. */
const LARGEST = 65_536;

/** Largest that is compressed: what is larger takes so long that the start of zlib is nothing, and moves within its window. */
const LARGEST_DEFLATED = 16_384;

const ZEROS = Buffer.alloc(LARGEST_DEFLATED);

/** Largest that may stand behind an input. */
const LARGEST_TAIL = 16;

// No character takes more in UTF-8.
const MOST_BYTES_OF_UNIT = 3;

const WINDOW_BITS = 15;
const LARGEST_WINDOW = 2 ** WINDOW_BITS;

/** Bytes before the data of a block that is not compressed. */
const STORED = 5;

// zlib refers back by less than its window, to see so far ahead.
const LOOK_AHEAD = 262;

/** Zlib for one message after the other. It is done when its call returns. */
class Engine {
  readonly #stream: DeflateRaw | InflateRaw;
  readonly #handle: ZlibHandle;
  readonly #flush: number;
  #error: NodeJS.ErrnoException | undefined;

  constructor(stream: DeflateRaw | InflateRaw, flush: number) {
    this.#stream = stream;
    this.#flush = flush;
    // Where Node told it of an error in our place, the process would end for want of a listener.
    stream.on("error", () => undefined);
    this.#handle = new ZlibHandle(stream, (error) => {
      this.#error = error;
    });
  }

  begin(): void {
    this.#error = undefined;
    this.#stream.reset();
  }

  /** Takes the first `size` bytes of `input`, of which more is to come and which becomes less than `output` has room for. */
  feed(flush: number, input: Uint8Array, size: number, output: Buffer): void {
    this.#handle.run(flush, input, 0, size, output, 0, output.length);
  }

  /**
   * Takes the first `size` bytes of `input`, which are the last. Ends behind the first piece of output with which there are
   * more than `most` bytes. Undefined if there is no room for a piece.
   */
  finish(input: Uint8Array, size: number, output: Buffer, piece: number, most: number): Ran | undefined {
    let taken = 0;
    let made = 0;
    while (made + piece <= output.length) {
      this.#handle.run(this.#flush, input, taken, size - taken, output, made, piece);
      if (this.#error !== undefined) return { error: this.#error };
      const { room } = this.#handle;
      made += piece - room;
      taken = size - this.#handle.rest;
      if (made > most || room > 0) return { error: null, bytes: output.subarray(0, made), taken };
      // Node has heard of an error in our place: what is closed must not be called.
      if (this.#stream.destroyed) throw new Error("it was closed");
    }
    return undefined;
  }
}

/** Compresses one message after the other, each as if there had never been another. */
class Deflate {
  readonly #engine: Engine;
  /** How much of zlib's window earlier messages have left something in. */
  #used = 0;

  constructor(level: number) {
    this.#engine = new Engine(createDeflateRaw({ level, windowBits: WINDOW_BITS }), constants.Z_SYNC_FLUSH);
  }

  run(input: Uint8Array, size: number, output: Buffer): Buffer | undefined {
    // To begin anew does not clear the window, and the zlib of Node looks at a byte behind the message when it seeks for its end
    // in what came before. So the compressed form of one peer's message would tell a bit of what another's was.
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

/** What one thread keeps for all its connections: 0.25 MB, and 0.3 MB for each level that is in use, of which there are nine. */
class KeptZlib {
  readonly #input = Buffer.allocUnsafeSlow(LARGEST + LARGEST_TAIL);
  // With a piece of what is more than it may be.
  readonly #output = Buffer.allocUnsafeSlow(2 * LARGEST);
  readonly #deflates = new Map<number, Deflate>();
  #inflate: Engine | undefined;

  /**
   * Compresses without a dictionary, flushed and not ended. Undefined if `data` is too large, or does not fit into a window of
   * `windowBits`.
   */
  deflate(data: string | Uint8Array, level: number, windowBits: number): Buffer | undefined {
    let input = data;
    let size: number;
    if (typeof input === "string") {
      if (input.length * MOST_BYTES_OF_UNIT > this.#input.length) return undefined;
      size = this.#input.write(input);
      input = this.#input;
    } else {
      size = input.byteLength;
    }
    if (size > LARGEST_DEFLATED || size + LOOK_AHEAD > 2 ** windowBits) return undefined;
    let deflate = this.#deflates.get(level);
    if (deflate === undefined) {
      deflate = new Deflate(level);
      this.#deflates.set(level, deflate);
    }
    return deflate.run(input, size, this.#output);
  }

  /**
   * Decompresses `packed` and the `tail` behind it, in pieces as `inflateRawSync` does with `chunkSize` and `maxOutputLength`,
   * only that there are more than `most` bytes where that would throw for it. Undefined if anything of it is too large.
   */
  inflate(
    packed: Uint8Array,
    tail: Uint8Array,
    dictionary: Uint8Array | undefined,
    piece: number,
    most: number,
  ): Ran | undefined {
    const input = this.#input;
    const size = packed.length + tail.length;
    if (size > input.length || (dictionary !== undefined && dictionary.length > LARGEST_WINDOW)) return undefined;
    this.#inflate ??= new Engine(createInflateRaw(), constants.Z_FINISH);
    this.#inflate.begin();
    if (dictionary !== undefined) {
      // As a block that is not compressed (RFC 1951 section 3.2.4): a dictionary can only be given to a zlib that is made for it.
      const { length } = dictionary;
      input.fill(0, 0, STORED);
      input.writeUInt16LE(length, 1);
      input.writeUInt16LE(0xffff - length, 3);
      input.set(dictionary, STORED);
      this.#inflate.feed(constants.Z_SYNC_FLUSH, input, STORED + length, this.#output);
    }
    input.set(packed);
    input.set(tail, packed.length);
    return this.#inflate.finish(input, size, this.#output, piece, most);
  }
}

let kept: KeptZlib | "none" | undefined;

/** What this thread keeps; undefined where Node's public calls are to be used. */
export function keptZlib(): KeptZlib | undefined {
  kept ??= tried();
  return kept === "none" ? undefined : kept;
}

function tried(): KeptZlib | "none" {
  if ("bun" in process.versions || "deno" in process.versions || process.env["HOLDFAST_TRANSPORT"] === "socket") {
    return "none";
  }
  try {
    const zlib = new KeptZlib();
    trial(zlib);
    return zlib;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`Holdfast cannot keep zlib on Node ${process.version}, and compresses slower: ${reason}`, {
      type: "HoldfastWarning",
      code: "HOLDFAST_ZLIB",
    });
    return "none";
  }
}

const NOTHING = new Uint8Array();
const TAIL = Uint8Array.of(1, 2, 3, 4);

/** Throws unless it does what Node's public calls do, and does it again. */
function trial(zlib: KeptZlib): void {
  for (const stream of [createDeflateRaw(), createInflateRaw()]) knownCall(stream);
  const message = Buffer.from(Array.from({ length: 99 }, (_, index) => `Holdfast ${index * index} `).join(""));
  const how = { level: 1, finishFlush: constants.Z_SYNC_FLUSH };
  const beginning = message.subarray(0, 50);
  const packed = deflateRawSync(message, how);
  const whole = deflateRawSync(message);
  const zeros = deflateRawSync(Buffer.alloc(9_999));
  const back = deflateRawSync(message.subarray(0, 99), { dictionary: message });
  for (let round = 0; round < 2; round += 1) {
    same(zlib.deflate(message, 1, WINDOW_BITS), packed);
    same(zlib.deflate(message.toString(), 1, WINDOW_BITS), packed);
    same(zlib.deflate(beginning, 1, WINDOW_BITS), deflateRawSync(beginning, how));
    // In one piece and in many; with less room than it needs.
    for (const piece of [LARGEST, 64]) {
      const ran = zlib.inflate(whole, TAIL, undefined, piece, LARGEST);
      same(ran?.bytes, message);
      if (ran?.error !== null || ran.taken !== whole.length) throw new Error("it does not know where a message ends");
    }
    same(zlib.inflate(back, NOTHING, message, LARGEST, LARGEST)?.bytes, message.subarray(0, 99));
    const most = zlib.inflate(zeros, NOTHING, undefined, 1_024, 5_000)?.bytes?.length;
    if (most !== 5_120) throw new Error(`it does not end at a limit, but at ${most} bytes`);
    // What ends too early; a block that there is not; what was before this message.
    for (const wrong of [packed, whole.subarray(0, -1), Uint8Array.of(7), back]) {
      const error = zlib.inflate(wrong, NOTHING, undefined, LARGEST, LARGEST)?.error;
      const other = errorOf(() => inflateRawSync(wrong));
      if (error?.code !== other.code || error?.message !== other.message) {
        throw new Error(`it says "${error?.message}" instead of "${other.message}"`);
      }
    }
  }
}

function same(found: Buffer | undefined, expected: Buffer): void {
  if (found?.equals(expected) !== true) throw new Error("it gives other bytes");
}

function errorOf(call: () => unknown): NodeJS.ErrnoException {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error("what is wrong is not told apart");
}

/** Throws unless Node runs it as it is run here: to be run otherwise ends the process. */
function knownCall(stream: DeflateRaw | InflateRaw): void {
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
  if (!known || runs.length !== 1) throw new Error("it is called in another way");
}

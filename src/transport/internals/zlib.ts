/** All uses of Node's internals for zlib: the handle of a zlib stream. No other file names any of them. */

// `zlib/reusable.ts` compares Node with the assumptions of this file before a message depends on them.

import type { DeflateRaw, InflateRaw } from "node:zlib";

/** The private members of a zlib stream that are used here. */
interface ZlibInside {
  readonly _handle: {
    onerror: (message: string, errno: number, code: string) => void;
    /** Runs zlib once, synchronously. Sets `_writeState` to the unused output space and the unread input, in bytes. */
    writeSync(...run: Run): void;
  };
  readonly _writeState: Uint32Array;
  /** Deprecated. Node's synchronous calls use it. It closes the stream. */
  _processChunk(chunk: Uint8Array, flush: number): Uint8Array;
}

type Run = [flush: number, input: Uint8Array, from: number, size: number, output: Uint8Array, at: number, room: number];

/** A zlib stream that is run synchronously, on memory of the caller. */
export class ZlibHandle {
  readonly #inside: ZlibInside;

  constructor(stream: DeflateRaw | InflateRaw, failed: (error: NodeJS.ErrnoException) => void) {
    this.#inside = stream as unknown as ZlibInside;
    const { _handle: handle } = this.#inside;
    handle.onerror = (message, errno, code) => failed(Object.assign(new Error(message), { errno, code }));
  }

  run(...run: Run): void {
    this.#inside._handle.writeSync(...run);
  }

  /** Unused output space after the last run, in bytes. */
  get room(): number {
    return this.#inside._writeState[0] as number;
  }

  /** Unread input after the last run, in bytes. */
  get rest(): number {
    return this.#inside._writeState[1] as number;
  }
}

/** Returns the arguments with which Node itself runs `stream` for `chunk`. The stream must not be used afterwards. */
export function runsOf(stream: DeflateRaw | InflateRaw, chunk: Uint8Array, flush: number): unknown[][] {
  const inside = stream as unknown as ZlibInside;
  const { _handle: handle } = inside;
  const runs: Run[] = [];
  const { writeSync } = handle;
  handle.writeSync = (...run) => {
    runs.push(run);
    Reflect.apply(writeSync, handle, run);
  };
  inside._processChunk(chunk, flush);
  return runs;
}

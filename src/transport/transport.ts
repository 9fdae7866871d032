/** What a connection needs of the world below it: bytes pushed in, bytes written out, and one end. */

import type { TransportError } from "../base/errors.js";

/** Who is told what happens on a transport. */
export interface TransportEvents {
  /** Bytes came. They may be changed in place (unmasking), and are not kept. Never called while paused. */
  data(chunk: Uint8Array): void;
  /** All bytes given to a `write` that answered with false are with the kernel. */
  written(): void;
  /** The peer's FIN: no data follows, and we may still write. */
  ended(): void;
  /**
   * The peer's FIN is with our kernel, behind bytes that were not read because of the pause. Not an end, which follows when
   * reading goes on. Told at most once for each pause, and only where the kernel can be asked.
   */
  endSeen?(): void;
  /** The peer's system has taken bytes that were on their way. Told while `follow` is on, and only where the kernel can be asked. */
  acknowledged?(): void;
  /** The descriptor is free. Called once, and last; with the error, if one was the reason. */
  closed(error: TransportError | undefined): void;
}

/** Where a transport leads. */
export interface Ends {
  /** `127.0.0.1:9000`, `[::1]:9000`, a socket's path, or empty where there is none. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  /** Whether the bytes are encrypted on the way. */
  readonly secure: boolean;
}

/**
 * A stream of bytes to one peer and back. Every implementation passes `tests/contract`.
 *
 * The seam for a faster transport: the connection knows only this interface, keeps at most one write under way,
 * and gives no callback per write.
 */
export interface Transport {
  readonly ends: Ends;
  /** Starts the flow of events. Nothing is reported before. */
  open(events: TransportEvents): void;
  /**
   * Takes bytes, and answers whether the kernel has them all by now. If not they must not change until `written`, and no
   * other write may be made before that. A failure is reported by `closed`, never thrown.
   */
  write(bytes: Uint8Array): boolean;
  /** Stops `data` at once, and reading soon. */
  pause(): void;
  resume(): void;
  /** Whether to ask the kernel, now and then, if what was written is on its way. It costs little, but not nothing. */
  follow?(wanted: boolean): void;
  /** Sends our FIN behind what was written. Reading goes on. */
  end(): void;
  /** Gives up both directions at once; what is not with the peer may be lost. `closed` follows. */
  abort(): void;
  /** Bytes given to `write` that the kernel does not have yet. */
  readonly queuedBytes: number;
}

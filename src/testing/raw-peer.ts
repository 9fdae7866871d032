/** A peer that a test controls byte by byte. */

import { concat } from "../base/bytes.ts";
import type { Transport, TransportEvents } from "../transport/transport.ts";

/** The raw-byte peer of a connection that `wired` has made. */
export class RawPeer {
  readonly #transport: Transport;
  readonly #chunks: Uint8Array[] = [];
  #writeQueue: Uint8Array[] = [];
  #writing = false;
  #endWanted = false;
  #changed: (() => void) | undefined;
  /** True when the connection's FIN has been received. */
  ended = false;
  /** True when the link is closed, by a reset or by a FIN in each direction. */
  closed = false;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
    const notify = (): void => this.#changed?.();
    const events: TransportEvents = {
      data: (chunk) => {
        this.#chunks.push(Uint8Array.from(chunk));
        notify();
      },
      written: () => {
        this.#writing = false;
        this.#next();
      },
      fin: () => {
        this.ended = true;
        notify();
      },
      closed: () => {
        this.closed = true;
        notify();
      },
    };
    transport.open(events);
  }

  /** The received bytes that were not taken. */
  get received(): Uint8Array {
    return concat(this.#chunks);
  }

  /** Returns the received bytes and removes them from `received`. */
  take(): Uint8Array {
    const taken = this.received;
    this.#chunks.length = 0;
    return taken;
  }

  /** Sends bytes unchanged; a string is sent as UTF-8. */
  write(bytes: Uint8Array | string | readonly number[]): void {
    this.#writeQueue.push(typeof bytes === "string" ? new TextEncoder().encode(bytes) : Uint8Array.from(bytes));
    this.#next();
  }

  /** Sends a FIN after the written bytes. */
  end(): void {
    this.#endWanted = true;
    this.#next();
  }

  /** Sends a reset. */
  reset(): void {
    this.#transport.abort();
  }

  /** Stops reading: when the capacity of the link is used up, the connection's writes wait. */
  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  /** Resolves when `condition` returns true. It is called at once, and after each received chunk, the FIN and the link's end. */
  async until(condition: (peer: RawPeer) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #next(): void {
    if (this.#writing) return;
    const bytes = this.#writeQueue.shift();
    if (bytes !== undefined) {
      this.#writing = !this.#transport.write(bytes);
      this.#next();
    } else if (this.#endWanted) {
      this.#endWanted = false;
      this.#transport.end();
    }
  }
}

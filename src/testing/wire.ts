/** A peer made of raw bytes. */

import { concat } from "../base/bytes.js";
import type { Transport, TransportEvents } from "../transport/transport.js";

export class Wire {
  readonly #transport: Transport;
  readonly #chunks: Uint8Array[] = [];
  #unwritten: Uint8Array[] = [];
  #writing = false;
  #endWanted = false;
  #changed: (() => void) | undefined;
  /** Whether the connection's FIN has come. */
  ended = false;
  /** Whether the link is gone, by a reset or a FIN each way. */
  closed = false;

  constructor(transport: Transport) {
    this.#transport = transport;
    const tell = (): void => this.#changed?.();
    const events: TransportEvents = {
      data: (chunk) => {
        this.#chunks.push(Uint8Array.from(chunk));
        tell();
      },
      written: () => {
        this.#writing = false;
        this.#next();
      },
      ended: () => {
        this.ended = true;
        tell();
      },
      closed: () => {
        this.closed = true;
        tell();
      },
    };
    transport.open(events);
  }

  /** Everything that has come and was not taken. */
  get received(): Uint8Array {
    return concat(this.#chunks);
  }

  /** Takes everything that has come. */
  take(): Uint8Array {
    const taken = this.received;
    this.#chunks.length = 0;
    return taken;
  }

  /** Sends bytes as they are; a string stands for its UTF-8. */
  write(bytes: Uint8Array | string | readonly number[]): void {
    this.#unwritten.push(typeof bytes === "string" ? new TextEncoder().encode(bytes) : Uint8Array.from(bytes));
    this.#next();
  }

  /** Sends a FIN behind what was written. */
  end(): void {
    this.#endWanted = true;
    this.#next();
  }

  /** Sends a reset. */
  reset(): void {
    this.#transport.abort();
  }

  /** Stops taking bytes: behind the kernels' capacity the connection's writes wait. */
  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  /** Resolves once `condition` holds, which is asked whenever something comes. */
  async until(condition: (wire: Wire) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #next(): void {
    if (this.#writing) return;
    const bytes = this.#unwritten.shift();
    if (bytes !== undefined) {
      this.#writing = !this.#transport.write(bytes);
      this.#next();
    } else if (this.#endWanted) {
      this.#endWanted = false;
      this.#transport.end();
    }
  }
}

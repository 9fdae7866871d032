/** Two connected Duplex streams without sockets: they have only what every stream has. */

import { Duplex } from "node:stream";

class End extends Duplex {
  other!: End;
  /** The callback of the other side's write, called when this side has room again. */
  #taken: ((error?: Error) => void) | undefined;
  #finGiven = false;

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: (error?: Error | null) => void): void {
    this.other.#give(chunk, taken);
  }

  override _final(done: () => void): void {
    this.other.#giveFin();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#taken?.(closedStreamError());
    this.#taken = undefined;
    this.other.#giveFin();
    done(error);
  }

  #give(chunk: Buffer, taken: (error?: Error) => void): void {
    if (this.destroyed) taken(closedStreamError());
    else if (chunk.length === 0 || this.push(Buffer.from(chunk))) taken();
    else this.#taken = taken;
  }

  #giveFin(): void {
    if (this.#finGiven || this.destroyed) return;
    this.#finGiven = true;
    this.push(null);
  }
}

function closedStreamError(): Error {
  return Object.assign(new Error("nobody reads any more"), { code: "EPIPE", syscall: "write" });
}

export function duplexPair(): [Duplex, Duplex] {
  const one = new End();
  const other = new End();
  one.other = other;
  other.other = one;
  return [one, other];
}

/** The application's own pings that wait for their answer. */

import { between, type Instant } from "../base/time.js";
import type { Wait } from "./waits.js";

/** Most pings that may wait at once. */
export const MAX_PINGS = 16;

export class Pings {
  readonly #waiting: { readonly mark: number; readonly wait: Wait<number> }[] = [];
  #next = 0;

  get full(): boolean {
    return this.#waiting.length >= MAX_PINGS;
  }

  /** The payload by which the answer to `wait` will be known. */
  add(wait: Wait<number>): Uint8Array {
    this.#next = (this.#next + 1) >>> 0;
    this.#waiting.push({ mark: this.#next, wait });
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, this.#next);
    return payload;
  }

  remove(wait: Wait<number>): void {
    const index = this.#waiting.findIndex((ping) => ping.wait === wait);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** A Pong came: it answers its Ping and all before it (RFC 6455 5.5.3: a peer may answer only the newest). */
  answered(payload: Uint8Array, now: Instant): void {
    if (payload.length !== 4) return;
    const mark = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    const index = this.#waiting.findIndex((ping) => ping.mark === mark);
    for (const { wait } of this.#waiting.splice(0, index + 1)) wait.resolve(between(wait.since, now));
  }

  end(error: unknown): void {
    for (const { wait } of this.#waiting.splice(0)) wait.reject(error);
  }
}

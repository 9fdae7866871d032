/** Matches Pongs to the pending pings of the application. */

import { between, type Instant } from "../../base/time.ts";
import type { PendingCall } from "./pending-calls.ts";

/** Most pings that may be pending. */
export const MAX_PINGS = 16;

export class Pings {
  readonly #waiting: { readonly payload: Uint8Array; readonly wait: PendingCall<number> }[] = [];
  #next = 0;

  /** True if a ping is pending. */
  get pending(): boolean {
    return this.#waiting.length > 0;
  }

  get full(): boolean {
    return this.#waiting.length >= MAX_PINGS;
  }

  /** Adds a pending ping. Returns the payload that identifies its answer: `payload`, or the number of the ping. */
  add(call: PendingCall<number>, payload: Uint8Array = this.#number()): Uint8Array {
    this.#waiting.push({ payload, wait: call });
    return payload;
  }

  remove(call: PendingCall<number>): void {
    const index = this.#waiting.findIndex((ping) => ping.wait === call);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** A Pong arrived: it answers its Ping and all earlier ones (RFC 6455 5.5.3: a peer may answer only the newest). */
  answered(payload: Uint8Array, now: Instant): void {
    const index = this.#waiting.findIndex((ping) => equal(ping.payload, payload));
    for (const { wait: call } of this.#waiting.splice(0, index + 1)) call.resolve(between(call.since, now));
  }

  rejectAll(error: unknown): void {
    for (const { wait: call } of this.#waiting.splice(0)) call.reject(error);
  }

  #number(): Uint8Array {
    this.#next = (this.#next + 1) >>> 0;
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, this.#next);
    return payload;
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** One direction of a connection through the chaos proxy: takes bytes from one socket, and gives them to the other when it is time. */

import type { Socket } from "node:net";
import { HEALTH, type SettledFaults } from "./chaos-faults.js";

/** What a pipe needs to know, and whom it tells. */
export interface PipeOwner {
  readonly faults: SettledFaults;
  readonly random: () => number;
  /** Bytes have gone on. */
  passed(direction: "to-server" | "to-client", bytes: number): void;
  /** `resetAfter` has been reached. */
  reset(): void;
}

interface Parcel {
  bytes: Uint8Array;
  readonly due: number;
  /** What comes behind it. */
  readonly then: "more" | "fin" | "reset";
}

// Beyond it the sender waits. The kernels hold as much again and more.
const MOST = 65_536;

// How finely a bandwidth is shared out, in milliseconds.
const SLICE = 10;

export class Pipe {
  readonly direction: "to-server" | "to-client";
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #owner: PipeOwner;
  readonly #parcels: Parcel[] = [];
  /** Bytes in the parcels. */
  #held = 0;
  /** Bytes taken in since the beginning, by which it is known where to cut. */
  #taken = 0;
  #cut = false;
  #latest = 0;
  /** When the bytes that have gone on are through, at the bandwidth that there is. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #full = false;

  constructor(direction: "to-server" | "to-client", from: Socket, to: Socket, owner: PipeOwner) {
    this.direction = direction;
    this.#from = from;
    this.#to = to;
    this.#owner = owner;
    from.on("data", (chunk: Uint8Array) => this.#take(chunk));
    from.on("end", () => {
      if (!this.#cut) this.#put(new Uint8Array(), "fin");
      this.pump();
    });
    to.on("drain", () => {
      this.#full = false;
      this.pump();
    });
  }

  /** The faults that hold in this direction. */
  get faults(): SettledFaults {
    const { faults } = this.#owner;
    return faults.direction === "both" || faults.direction === this.direction ? faults : HEALTH;
  }

  /** Sends a FIN behind what is on its way, and loses what comes after it. */
  end(): void {
    if (this.#cut || this.#from.readableEnded) return;
    this.#cut = true;
    this.#put(new Uint8Array(), "fin");
    this.pump();
  }

  /** Nothing goes on any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#parcels.length = 0;
    this.#cut = true;
  }

  /** Lets go what is due. To be called when the faults have changed. */
  pump(): void {
    clearTimeout(this.#timer);
    const { bandwidth, blackhole } = this.faults;
    if (blackhole || bandwidth === 0) return;
    for (let parcel = this.#parcels[0]; parcel !== undefined && !this.#full; parcel = this.#parcels[0]) {
      const now = performance.now();
      const wait = Math.max(parcel.due, this.#freeAt) - now;
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(wait));
        return;
      }
      this.#give(parcel, bandwidth, now);
    }
  }

  #take(chunk: Uint8Array): void {
    if (this.#cut) return;
    const { resetAfter, truncateAfter } = this.faults;
    const room = Math.max(Math.min(resetAfter, truncateAfter) - this.#taken, 0);
    this.#cut = chunk.length >= room;
    const bytes = chunk.subarray(0, room);
    this.#taken += bytes.length;
    this.#put(bytes, this.#cut ? (resetAfter <= truncateAfter ? "reset" : "fin") : "more");
    this.pump();
  }

  #put(bytes: Uint8Array, then: Parcel["then"]): void {
    const { latency, jitter } = this.faults;
    this.#latest = Math.max(this.#latest, performance.now() + latency + jitter * this.#owner.random());
    this.#parcels.push({ bytes, due: this.#latest, then });
    this.#held += bytes.length;
    if (this.#held >= MOST) this.#from.pause();
  }

  #give(parcel: Parcel, bandwidth: number, now: number): void {
    const { bytes, then } = parcel;
    const share = bandwidth === Infinity ? bytes.length : Math.max(1, Math.ceil((bandwidth * SLICE) / 1_000));
    const part = bytes.subarray(0, share);
    parcel.bytes = bytes.subarray(share);
    this.#held -= part.length;
    this.#freeAt = Math.max(this.#freeAt, now) + (part.length / bandwidth) * 1_000;
    if (part.length > 0 && this.#to.writable) {
      this.#full = !this.#to.write(part);
      this.#owner.passed(this.direction, part.length);
    }
    // What has been cut off has a sender, too, who is not to wait for ever.
    if (this.#held < MOST / 2 && this.#from.isPaused()) this.#from.resume();
    if (parcel.bytes.length > 0) return;
    this.#parcels.shift();
    if (then === "fin") this.#to.end();
    // Behind the last byte, which a reset would otherwise overtake.
    else if (then === "reset") this.#to.write(new Uint8Array(), () => this.#owner.reset());
  }
}

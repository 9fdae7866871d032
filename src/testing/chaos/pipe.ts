/** One direction of a connection through the chaos proxy: reads from one socket, and writes to the other when bytes are due. */

import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { NO_BYTES } from "../../base/bytes.ts";
import { clearTimeout, setTimeout } from "../../transport/timers.ts";
import { NO_FAULTS, type SettledFaults } from "./faults.ts";

/** The state that a pipe reads, and the callbacks that it calls. */
export interface PipeOwner {
  readonly faults: SettledFaults;
  readonly random: () => number;
  /** Called when bytes were written to the other socket. */
  forwarded(direction: "to-server" | "to-client", bytes: number): void;
  /** Called when `resetAfter` is reached. */
  reset(): void;
}

interface QueuedChunk {
  bytes: Uint8Array;
  readonly dueAt: number;
  /** What follows the bytes. */
  readonly then: "more" | "fin" | "reset";
}

// Bytes held before the proxy stops reading. The kernels' socket buffers hold at least as much in addition.
const MAX_QUEUED_BYTES = 65_536;

// With a limited bandwidth, one write holds the bytes of this many milliseconds.
const SLICE = 10;

export class Pipe {
  readonly direction: "to-server" | "to-client";
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #owner: PipeOwner;
  readonly #queue: QueuedChunk[] = [];
  /** Bytes in the queue. */
  #queuedBytes = 0;
  /** Bytes read since the beginning, compared with `resetAfter` and `truncateAfter`. */
  #readBytes = 0;
  #ended = false;
  #lastDueAt = 0;
  /** The time at which the bytes already forwarded have passed at the current bandwidth. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #targetFull = false;

  constructor(direction: "to-server" | "to-client", from: Socket, to: Socket, owner: PipeOwner) {
    this.direction = direction;
    this.#from = from;
    this.#to = to;
    this.#owner = owner;
    from.on("data", (chunk: Uint8Array) => this.#received(chunk));
    from.on("end", () => {
      if (!this.#ended) this.#enqueue(NO_BYTES, "fin");
      this.pump();
    });
    to.on("drain", () => {
      this.#targetFull = false;
      this.pump();
    });
  }

  /** The faults that apply in this direction. */
  get faults(): SettledFaults {
    const { faults } = this.#owner;
    return faults.direction === "both" || faults.direction === this.direction ? faults : NO_FAULTS;
  }

  /** Sends a FIN after the queued bytes, and discards all later bytes. */
  end(): void {
    if (this.#ended || this.#from.readableEnded) return;
    this.#ended = true;
    this.#enqueue(NO_BYTES, "fin");
    this.pump();
  }

  /** Stops forwarding, and drops the queued bytes. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#ended = true;
  }

  /** Forwards the queued chunks that are due. Must be called when the faults have changed. */
  pump(): void {
    clearTimeout(this.#timer);
    const { bandwidth, blackhole } = this.faults;
    if (blackhole || bandwidth === 0) return;
    for (let chunk = this.#queue[0]; chunk !== undefined && !this.#targetFull; chunk = this.#queue[0]) {
      const now = performance.now();
      const wait = Math.max(chunk.dueAt, this.#freeAt) - now;
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(wait));
        return;
      }
      this.#forward(chunk, bandwidth, now);
    }
  }

  #received(chunk: Uint8Array): void {
    if (this.#ended) return;
    const { resetAfter, truncateAfter } = this.faults;
    const room = Math.max(Math.min(resetAfter, truncateAfter) - this.#readBytes, 0);
    this.#ended = chunk.length >= room;
    const bytes = chunk.subarray(0, room);
    this.#readBytes += bytes.length;
    this.#enqueue(bytes, this.#ended ? (resetAfter <= truncateAfter ? "reset" : "fin") : "more");
    this.pump();
  }

  #enqueue(bytes: Uint8Array, then: QueuedChunk["then"]): void {
    const { latency, jitter } = this.faults;
    this.#lastDueAt = Math.max(this.#lastDueAt, performance.now() + latency + jitter * this.#owner.random());
    this.#queue.push({ bytes, dueAt: this.#lastDueAt, then });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes >= MAX_QUEUED_BYTES) this.#from.pause();
  }

  #forward(chunk: QueuedChunk, bandwidth: number, now: number): void {
    const { bytes, then } = chunk;
    const share = bandwidth === Infinity ? bytes.length : Math.max(1, Math.ceil((bandwidth * SLICE) / 1_000));
    const part = bytes.subarray(0, share);
    chunk.bytes = bytes.subarray(share);
    this.#queuedBytes -= part.length;
    this.#freeAt = Math.max(this.#freeAt, now) + (part.length / bandwidth) * 1_000;
    if (part.length > 0 && this.#to.writable) {
      this.#targetFull = !this.#to.write(part);
      this.#owner.forwarded(this.direction, part.length);
    }
    // Also after a cut: the sender must not wait for ever, so the proxy reads and discards its bytes.
    if (this.#queuedBytes < MAX_QUEUED_BYTES / 2 && this.#from.isPaused()) this.#from.resume();
    if (chunk.bytes.length > 0) return;
    this.#queue.shift();
    if (then === "fin") this.#to.end();
    // Wait until the last byte is written: a reset would overtake it otherwise.
    else if (then === "reset") this.#to.write(NO_BYTES, () => this.#owner.reset());
  }
}

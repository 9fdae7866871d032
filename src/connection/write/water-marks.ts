/** Reports the size of the send queue: the water marks to the connection, and an empty queue to `drain` calls. */

import type { SettledOptions } from "../options.ts";
import type { PendingCall } from "../time/pending-calls.ts";
import type { SendQueue } from "./send-queue.ts";

/** Receives the water mark events. */
export interface WaterMarksOwner {
  highWater(): void;
  lowWater(): void;
  /** The memory that the connection holds has changed. */
  heldChanged(): void;
}

export class WaterMarks {
  readonly #sendQueue: Pick<SendQueue, "bytes" | "length">;
  readonly #options: SettledOptions;
  readonly #drains: PendingCall<void>[] = [];
  #aboveHighWater = false;

  constructor(sendQueue: Pick<SendQueue, "bytes" | "length">, options: SettledOptions) {
    this.#sendQueue = sendQueue;
    this.#options = options;
  }

  /** True if no `drain()` call is pending and the queue has not been above the high-water mark since the last `lowWater`. */
  get isInitial(): boolean {
    return this.#drains.length === 0 && !this.#aboveHighWater;
  }

  /** Resolves `call` when the send queue is empty. */
  addDrain(call: PendingCall<void>): void {
    if (this.#sendQueue.length === 0) call.resolve();
    else this.#drains.push(call);
  }

  removeDrain(call: PendingCall<void>): void {
    const index = this.#drains.indexOf(call);
    if (index !== -1) this.#drains.splice(index, 1);
  }

  /** Nothing more will be written: rejects pending `drain()` calls. */
  rejectDrains(error: unknown): void {
    for (const call of this.#drains.splice(0)) call.reject(error);
  }

  /** The send queue has become shorter. */
  queueShrunk(owner: WaterMarksOwner): void {
    if (this.#sendQueue.length === 0 && this.#drains.length > 0)
      for (const call of this.#drains.splice(0)) call.resolve();
    this.queueChanged(owner);
  }

  queueChanged(owner: WaterMarksOwner): void {
    const { bytes } = this.#sendQueue;
    const { highWaterMark, lowWaterMark } = this.#options;
    if (!this.#aboveHighWater && bytes > highWaterMark) {
      this.#aboveHighWater = true;
      owner.highWater();
    } else if (this.#aboveHighWater && bytes <= lowWaterMark) {
      this.#aboveHighWater = false;
      owner.lowWater();
    }
    owner.heldChanged();
  }
}

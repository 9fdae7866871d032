/** How much waits to be written, for those who want to know: when it crosses a water mark, and when nothing does. */

import type { Backlog } from "./backlog.js";
import type { SettledOptions } from "./options.js";
import type { Wait } from "./waits.js";

/** Is told of the water marks. */
export interface LevelsOwner {
  highWater(): void;
  lowWater(): void;
}

export class Levels {
  readonly #backlog: Pick<Backlog, "bytes" | "length">;
  readonly #options: SettledOptions;
  readonly #drains: Wait<void>[] = [];
  #aboveHighWater = false;

  constructor(backlog: Pick<Backlog, "bytes" | "length">, options: SettledOptions) {
    this.#backlog = backlog;
    this.#options = options;
  }

  /** Whether nobody is yet to be told of less. */
  get atRest(): boolean {
    return this.#drains.length === 0 && !this.#aboveHighWater;
  }

  /** Resolves `wait` once nothing waits to be written. */
  drain(wait: Wait<void>): void {
    if (this.#backlog.length === 0) wait.resolve();
    else this.#drains.push(wait);
  }

  forgetDrain(wait: Wait<void>): void {
    const index = this.#drains.indexOf(wait);
    if (index !== -1) this.#drains.splice(index, 1);
  }

  /** Nothing will be written any more. */
  end(error: unknown): void {
    for (const wait of this.#drains.splice(0)) wait.reject(error);
  }

  /** Less waits than before. */
  shrunk(owner: LevelsOwner): void {
    if (this.#backlog.length === 0 && this.#drains.length > 0)
      for (const wait of this.#drains.splice(0)) wait.resolve();
    this.changed(owner);
  }

  changed(owner: LevelsOwner): void {
    const { bytes } = this.#backlog;
    const { highWaterMark, lowWaterMark } = this.#options;
    if (!this.#aboveHighWater && bytes > highWaterMark) {
      this.#aboveHighWater = true;
      owner.highWater();
    } else if (this.#aboveHighWater && bytes <= lowWaterMark) {
      this.#aboveHighWater = false;
      owner.lowWater();
    }
  }
}

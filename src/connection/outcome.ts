/** How a connection's end is told: by a signal when it begins, and by a promise when it is over. */

import type { ConnectionError } from "../base/errors.js";
import type { CloseInfo } from "./options.js";

/** Made for whoever asks first. Most connections of a server that has hooks are never asked. */
export class Outcome {
  #refusal: ConnectionError | undefined;
  #info: CloseInfo | undefined;
  #aborter: AbortController | undefined;
  #closed: Promise<CloseInfo> | undefined;
  #resolve: ((info: CloseInfo) => void) | undefined;

  /** With what is known of the end by now. */
  constructor(refusal: ConnectionError | undefined, info: CloseInfo | undefined) {
    this.#refusal = refusal;
    this.#info = info;
  }

  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController();
      if (this.#refusal !== undefined) this.#aborter.abort(this.#refusal);
    }
    return this.#aborter.signal;
  }

  get closed(): Promise<CloseInfo> {
    this.#closed ??= new Promise((resolve) => {
      if (this.#info === undefined) this.#resolve = resolve;
      else resolve(this.#info);
    });
    return this.#closed;
  }

  begun(refusal: ConnectionError): void {
    this.#refusal = refusal;
    this.#aborter?.abort(refusal);
  }

  over(info: CloseInfo): void {
    this.#info = info;
    this.#resolve?.(info);
  }
}

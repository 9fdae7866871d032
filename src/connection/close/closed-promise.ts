/** Reports the end of a connection: by a signal when it begins, and by a promise when it is complete. */

import type { ConnectionError } from "../../base/errors.ts";
import type { CloseInfo } from "../contract.ts";

/** Created on first use. Most connections of a server with hooks never need it. */
export class ClosedPromise {
  #refusal: ConnectionError | undefined;
  #info: CloseInfo | undefined;
  #draining: ConnectionError | undefined;
  #endController: AbortController | undefined;
  #drainController: AbortController | undefined;
  #closed: Promise<CloseInfo> | undefined;
  #resolve: ((info: CloseInfo) => void) | undefined;

  /** Starts with the facts of the end that are already known. */
  constructor(
    refusal: ConnectionError | undefined,
    info: CloseInfo | undefined,
    draining: ConnectionError | undefined,
  ) {
    this.#refusal = refusal;
    this.#info = info;
    this.#draining = draining;
  }

  /** Aborts when the server begins to close. */
  get draining(): AbortSignal {
    if (this.#drainController === undefined) {
      this.#drainController = new AbortController();
      if (this.#draining !== undefined) this.#drainController.abort(this.#draining);
    }
    return this.#drainController.signal;
  }

  beginDraining(error: ConnectionError): void {
    this.#draining = error;
    this.#drainController?.abort(error);
  }

  get signal(): AbortSignal {
    if (this.#endController === undefined) {
      this.#endController = new AbortController();
      if (this.#refusal !== undefined) this.#endController.abort(this.#refusal);
    }
    return this.#endController.signal;
  }

  get closed(): Promise<CloseInfo> {
    this.#closed ??= new Promise((resolve) => {
      if (this.#info === undefined) this.#resolve = resolve;
      else resolve(this.#info);
    });
    return this.#closed;
  }

  endBegun(refusal: ConnectionError): void {
    this.#refusal = refusal;
    this.#endController?.abort(refusal);
  }

  endComplete(info: CloseInfo): void {
    this.#info = info;
    this.#resolve?.(info);
  }
}

/** Keeps the context of asynchronous calls (`AsyncLocalStorage`) in which it was created, for calls that come from elsewhere. */

import { AsyncResource } from "node:async_hooks";

export class CallContext {
  readonly #resource = new AsyncResource("HoldfastConnection");

  /** Calls `call` in the context. Returns its result, or throws its error. */
  run<T>(call: () => T): T {
    return this.#resource.runInAsyncScope(call);
  }
}

/** How a connection ends: its state, and the first cause, which everyone is told. */

import { ClosedError, type ConnectionError, isConnectionError, type Side } from "../base/errors.js";
import { ABNORMAL } from "../engine/close.js";
import { type State, step, type Trigger } from "../engine/lifecycle.js";
import { stackless } from "../transport/stackless.js";
import type { CloseInfo } from "./options.js";

/** What began the end. */
export interface Beginning {
  readonly code: number;
  readonly reason: string;
  readonly by: Side;
  /** Undefined for an orderly close. */
  readonly cause: unknown;
}

export class Ending {
  #state: State = "open";
  #beginning: Beginning | undefined;
  /** As it was when the end was over: what goes wrong behind that is no part of the account. */
  #settled: Beginning | undefined;
  #refusal: ConnectionError | undefined;

  get state(): State {
    return this.#state;
  }

  /** Undefined while nothing has begun to end. */
  get refusal(): ConnectionError | undefined {
    return this.#refusal;
  }

  /** Whether something other than an orderly close began it, or came in its way. */
  get failed(): boolean {
    return this.#beginning?.cause !== undefined;
  }

  step(trigger: Trigger): void {
    this.#state = step(this.#state, trigger);
    if (this.#state === "closed") this.#settled = this.#beginning;
  }

  /** The first beginning counts; a later one only adds the cause that an orderly close did not have. Answers whether it was the first. */
  begin(beginning: Beginning): boolean {
    const first = this.#beginning;
    if (first !== undefined) {
      if (first.cause === undefined) this.#beginning = { ...first, cause: beginning.cause };
      return false;
    }
    this.#beginning = beginning;
    const { code, reason, by, cause } = beginning;
    const facts = { closeCode: code, reason, by, wasClean: cause === undefined };
    const closed = (): ClosedError => new ClosedError(facts, cause === undefined ? {} : { cause });
    // Of what this side does, the stack tells where.
    this.#refusal = isConnectionError(cause) ? cause : by === "peer" ? stackless(closed) : closed();
    return true;
  }

  /** The account of the end. To be asked for when the transport is gone. */
  info(clean: boolean): CloseInfo {
    const { code, reason, by, cause } = this.#settled ?? { code: ABNORMAL, reason: "", by: "peer", cause: undefined };
    const wasClean = clean && cause === undefined;
    return Object.freeze({ code, reason, by, wasClean, cause: wasClean ? undefined : (cause ?? this.#refusal) });
  }
}

/** Records why a connection ends: the first cause, which every call and every listener receives. */

import { ClosedError, type ConnectionError, type ConnectionSide, isConnectionError } from "../../base/errors.ts";
import { ABNORMAL, isNormalEnd } from "../../engine/websocket/close-codes.ts";
import { withoutStack } from "../../transport/errors-without-stack.ts";
import type { CloseInfo } from "../contract.ts";

/** Code, reason, side and cause of the start of an end. */
export interface EndStart {
  readonly code: number;
  readonly reason: string;
  readonly by: ConnectionSide;
  /** Undefined for an orderly close. */
  readonly cause: unknown;
}

export class CloseReason {
  #start: EndStart | undefined;
  /** The cause at the moment when the connection was over. Later errors are not part of the result. */
  #settled: EndStart | undefined;
  #refusal: ConnectionError | undefined;
  /** Error of an orderly close that has not begun yet. */
  #announced: ClosedError | undefined;

  /** Error of calls after the end has begun. Undefined before that. */
  get refusal(): ConnectionError | undefined {
    return this.#refusal;
  }

  /** True if an error started the end or came after its start. */
  get failed(): boolean {
    return this.#start?.cause !== undefined;
  }

  /** The error that started the end or came after its start. Undefined if there is none, or if it is one of the application. */
  get failure(): ConnectionError | undefined {
    const cause = this.#start?.cause;
    return isConnectionError(cause) ? cause : undefined;
  }

  /**
   * Creates the error of an orderly close before the close begins, so that calls before and after that moment get the same error.
   */
  announce(code: number, reason: string, by: ConnectionSide): ClosedError {
    const closed = (): ClosedError => new ClosedError({ closeCode: code, reason, by, wasClean: true });
    this.#announced = by === "peer" ? withoutStack(closed) : closed();
    return this.#announced;
  }

  /** Records a cause. Only the first one counts. A later one is added only to an orderly close. */
  record(start: EndStart): void {
    const first = this.#start;
    if (first !== undefined) {
      if (first.cause === undefined) this.#start = { ...first, cause: start.cause };
      return;
    }
    this.#start = start;
    const { code, reason, by, cause } = start;
    const announced = this.#announced;
    if (isConnectionError(cause)) this.#refusal = cause;
    else if (cause === undefined && announced?.by === by && announced.closeCode === code && announced.reason === reason)
      this.#refusal = announced;
    else {
      const facts = { closeCode: code, reason, by, wasClean: cause === undefined };
      const closed = (): ClosedError => new ClosedError(facts, cause === undefined ? {} : { cause });
      // If this side ends the connection, the stack shows the call.
      this.#refusal = by === "peer" ? withoutStack(closed) : closed();
    }
  }

  /** The connection is over. */
  settle(): void {
    this.#settled = this.#start;
  }

  /** Result of the end, after the connection is over. */
  info(clean: boolean): CloseInfo {
    const { code, reason, by, cause } = this.#settled ?? { code: ABNORMAL, reason: "", by: "peer", cause: undefined };
    const wasClean = clean && cause === undefined;
    const normal = wasClean && isNormalEnd(code);
    return Object.freeze({ code, reason, by, wasClean, cause: normal ? undefined : (cause ?? this.#refusal) });
  }
}

/** A visitor that records its calls. */

import type { Message, Violation, Visitor } from "../../src/engine/protocol.ts";

export type Call =
  | readonly ["message", Message]
  | readonly ["piece", "text" | "binary", Uint8Array, boolean]
  | readonly ["ping" | "pong", Uint8Array]
  | readonly ["close", number, string]
  | readonly ["fail", Violation];

export class Recorder implements Visitor {
  readonly calls: Call[] = [];
  readonly #answer: () => boolean;

  /** `answer` determines the result of each call that has one. */
  constructor(answer: () => boolean = () => true) {
    this.#answer = answer;
  }

  message(data: Message): boolean {
    this.calls.push(["message", data]);
    return this.#answer();
  }

  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean {
    this.calls.push(["piece", type, bytes, last]);
    return this.#answer();
  }

  ping(payload: Uint8Array): boolean {
    this.calls.push(["ping", payload]);
    return this.#answer();
  }

  pong(payload: Uint8Array): boolean {
    this.calls.push(["pong", payload]);
    return this.#answer();
  }

  close(code: number, reason: string): void {
    this.calls.push(["close", code, reason]);
  }

  fail(violation: Violation): void {
    this.calls.push(["fail", violation]);
  }

  /** The one violation, which must be the only call. */
  get violation(): Violation {
    const call = this.calls[0];
    if (this.calls.length !== 1 || call?.[0] !== "fail")
      throw new Error(`not one violation: ${JSON.stringify(this.calls)}`);
    return call[1];
  }
}

/** A visitor that writes down what it is told. */

import type { Data, FrameFacts, Violation, Visitor } from "../../src/engine/protocol.js";

export type Call =
  | readonly ["message", Data]
  | readonly ["piece", "text" | "binary", Uint8Array, boolean]
  | readonly ["ping" | "pong", Uint8Array]
  | readonly ["close", number, string]
  | readonly ["fail", Violation];

export class Recorder implements Visitor {
  readonly calls: Call[] = [];
  readonly #answer: () => boolean;

  /** `answer` is asked at each call that may be answered. */
  constructor(answer: () => boolean = () => true) {
    this.#answer = answer;
  }

  message(data: Data): boolean {
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

  /** The one violation that it was told, which must be all that it was told. */
  get violation(): Violation {
    const call = this.calls[0];
    if (this.calls.length !== 1 || call?.[0] !== "fail")
      throw new Error(`not one violation: ${JSON.stringify(this.calls)}`);
    return call[1];
  }
}

/** One that is also told of headers. */
export class Tracer extends Recorder {
  readonly frames: FrameFacts[] = [];

  frame(facts: FrameFacts): void {
    this.frames.push(facts);
  }
}

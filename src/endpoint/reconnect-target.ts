/** Where each attempt connects to: found out anew, once at a time, within bounds. */

import { type Clock, type ConnectOptions, TimeoutError } from "../index.js";
import type { ReconnectCause } from "./reconnect-cause.js";
import { alarm, unlessAborted } from "./reconnect-waiting.js";

/** An address, and options of `connect` that go with it this time. */
export interface Destination<UserData = undefined>
  extends Pick<ConnectOptions<UserData>, "subprotocols" | "headers" | "origin" | "tls" | "data"> {
  readonly url: string | URL;
}

/** The attempt that wants to know where to connect to. */
export interface ReconnectAttempt {
  /** 1 for the first one in a row. */
  readonly attempt: number;
  /** Why there has to be one; undefined for the very first. */
  readonly why: ReconnectCause | undefined;
  /** Aborts when the answer is no longer wanted. */
  readonly signal: AbortSignal;
}

/**
 * An address, or a function that is asked before each attempt: for a fresh token, or for another server. It has
 * `openTimeout` to answer. It is called once at a time: if it takes longer than its attempt could wait, the next attempt
 * waits for the same answer.
 */
export type ReconnectTarget<UserData = undefined> =
  | string
  | URL
  | ((
      attempt: ReconnectAttempt,
    ) => string | URL | Destination<UserData> | Promise<string | URL | Destination<UserData>>);

export class FreshTarget<UserData> {
  readonly #target: ReconnectTarget<UserData>;
  readonly #clock: Clock;
  readonly #openTimeout: number;
  #underWay: Promise<Destination<UserData>> | undefined;

  constructor(target: ReconnectTarget<UserData>, clock: Clock, openTimeout: number) {
    if (typeof target !== "string" && typeof target !== "function" && !(target instanceof URL)) {
      throw new TypeError(`Cannot connect to ${typeof target}: expected a URL, or a function that gives one`);
    }
    this.#target = target;
    this.#clock = clock;
    this.#openTimeout = openTimeout;
  }

  /** The destination of one attempt. Rejects with what the function threw, a TimeoutError, or the reason of `signal`. */
  async next(
    attempt: Omit<ReconnectAttempt, "signal">,
    signal: AbortSignal | undefined,
  ): Promise<Destination<UserData>> {
    const target = this.#target;
    if (typeof target !== "function") return { url: target };
    const patience = new AbortController();
    const cancel = (): void => patience.abort(signal?.reason);
    signal?.addEventListener("abort", cancel, { once: true });
    const limit = alarm(this.#clock, this.#openTimeout);
    void limit.rings.then(() => patience.abort(this.#timeout()));
    try {
      this.#underWay ??= this.#ask(target, { ...attempt, signal: patience.signal });
      return await unlessAborted(this.#underWay, patience.signal);
    } finally {
      limit.cancel();
      signal?.removeEventListener("abort", cancel);
    }
  }

  async #ask(
    target: Exclude<ReconnectTarget<UserData>, string | URL>,
    attempt: ReconnectAttempt,
  ): Promise<Destination<UserData>> {
    try {
      const answer = await target(attempt);
      return typeof answer === "string" || answer instanceof URL ? { url: answer } : answer;
    } finally {
      this.#underWay = undefined;
    }
  }

  #timeout(): TimeoutError {
    const bound = this.#openTimeout;
    const facts = { operation: "connect:target", limit: "openTimeout", bound, after: bound } as const;
    return new TimeoutError({ ...facts, retriable: true });
  }
}

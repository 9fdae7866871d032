/** Determines the address of each attempt: runs the target function, one call at a time, with a time limit. */

import { isUrl, kindOf } from "../base/forms.ts";
import { type Clock, type ConnectOptions, TimeoutError } from "../core.ts";
import { unlessAborted, WaitLimit } from "../transport/wait-limit.ts";
import type { ReconnectCause } from "./cause.ts";

/** An address, and options of `connect` for this attempt. They replace those of the client's options. */
export interface ReconnectDestination<UserData = undefined>
  extends Pick<ConnectOptions<UserData>, "subprotocols" | "headers" | "origin" | "tls" | "data" | "dial"> {
  readonly url: string | URL;
}

/** The attempt for which the target function is called. */
export interface ReconnectAttempt {
  /** The number of the attempt in a row, from 1. */
  readonly attempt: number;
  /** The cause of this attempt: the last failure. Undefined for the very first attempt. */
  readonly why: ReconnectCause | undefined;
  /** Aborts when the attempt does not wait any longer: after `openTimeout`, and when the client ends. */
  readonly signal: AbortSignal;
}

/**
 * An address, or a function that is called before each attempt, for example to get a fresh token or another server. The function
 * must settle within `openTimeout`. At most one call runs at a time: if a call takes longer than its attempt waits, the next
 * attempt waits for the result of the same call.
 */
export type ReconnectTarget<UserData = undefined> =
  | string
  | URL
  | ((
      attempt: ReconnectAttempt,
    ) => string | URL | ReconnectDestination<UserData> | Promise<string | URL | ReconnectDestination<UserData>>);

export class TargetResolver<UserData> {
  readonly #target: ReconnectTarget<UserData>;
  readonly #clock: Clock;
  readonly #openTimeout: number;
  #running: Promise<ReconnectDestination<UserData>> | undefined;

  constructor(target: ReconnectTarget<UserData>, clock: Clock, openTimeout: number) {
    if (typeof target !== "string" && typeof target !== "function" && !isUrl(target)) {
      throw new TypeError(`Cannot connect to ${kindOf(target)}: expected a URL, or a function that gives one`);
    }
    this.#target = target;
    this.#clock = clock;
    this.#openTimeout = openTimeout;
  }

  /**
   * Returns the destination of one attempt. Rejects with the error of the function, a TimeoutError, or the reason of `signal`.
   */
  async resolve(
    attempt: Omit<ReconnectAttempt, "signal">,
    signal: AbortSignal | undefined,
  ): Promise<ReconnectDestination<UserData>> {
    const target = this.#target;
    if (typeof target !== "function") return { url: target };
    const limit = new WaitLimit(this.#clock, this.#openTimeout, () => this.#timeout(), signal);
    try {
      // Not in the function itself: if the target throws at once, that would happen before this assignment.
      this.#running ??= this.#callTarget(target, { ...attempt, signal: limit.signal }).finally(() => {
        this.#running = undefined;
      });
      return await unlessAborted(this.#running, limit.signal);
    } finally {
      limit.end();
    }
  }

  async #callTarget(
    target: Exclude<ReconnectTarget<UserData>, string | URL>,
    attempt: ReconnectAttempt,
  ): Promise<ReconnectDestination<UserData>> {
    const answer = await target(attempt);
    return typeof answer === "string" || isUrl(answer) ? { url: answer } : answer;
  }

  #timeout(): TimeoutError {
    const bound = this.#openTimeout;
    const facts = { operation: "connect:target", limit: "openTimeout", bound, after: bound } as const;
    return new TimeoutError({ ...facts, retriable: true });
  }
}

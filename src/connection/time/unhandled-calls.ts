/** Reports rejected promises of sending calls that nothing handles, instead of an unhandled rejection. */

import { LimitError } from "../../base/errors.ts";
import { atEndOfTurn, type EndOfTurnTask } from "../../transport/end-of-turn.ts";

/** The rejections of one kind in one event loop turn. */
interface Rejections {
  /** Number of promises that have no handler so far. */
  unhandled: number;
  first: unknown;
}

/**
 * A rejected promise that records whether a handler was added. `await`, `Promise.all` and similar code call `then` of a subclass.
 */
class RejectedCall extends Promise<never> {
  declare rejections: Rejections | undefined;

  // `then` returns a plain promise.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: a promise has one.
  override then<A = never, B = never>(
    resolved?: ((value: never) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (this.rejections !== undefined) this.rejections.unhandled -= 1;
    this.rejections = undefined;
    return super.then(resolved, rejected);
  }
}

/**
 * The rejected calls of one connection. Created at the first rejection. An unhandled rejection would end the process, and a peer
 * can cause one: it does not read, or it sends a message to which the application sends an invalid answer. So each kind is
 * reported, once per connection.
 */
export class UnhandledCalls implements EndOfTurnTask {
  readonly #report: (error: unknown) => void;
  #refused: Rejections | undefined;
  #misused: Rejections | undefined;
  readonly #reported = { refused: false, misused: false };
  #scheduled = false;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  /** Returns the promise for a call that the queue has no room for. `refused` rejects it. */
  refuse(refused: Promise<unknown>): Promise<never> {
    this.#refused ??= { unhandled: 0, first: undefined };
    return this.#track(refused, this.#refused);
  }

  /** Returns the promise for a call with invalid arguments. */
  misuse(error: unknown): Promise<never> {
    this.#misused ??= { unhandled: 0, first: undefined };
    return this.#track(Promise.reject(error), this.#misused);
  }

  turnEnded(): void {
    const [refused, misused] = [this.#refused, this.#misused];
    this.#scheduled = false;
    this.#refused = undefined;
    this.#misused = undefined;
    if (misused !== undefined && misused.unhandled > 0 && !this.#reported.misused) {
      this.#reported.misused = true;
      this.#report(misused.first);
    }
    if (refused === undefined || refused.unhandled === 0 || this.#reported.refused) return;
    this.#reported.refused = true;
    const cause = refused.first as LimitError;
    const { limit, maximum, actual } = cause;
    const subject = refused.unhandled === 1 ? "1 message was" : `${refused.unhandled} messages were`;
    const problem = `${subject} refused, and nothing handles the rejected promises; later refusals are only counted`;
    this.#report(new LimitError({ operation: "send", problem, limit, maximum, actual }, { cause }));
  }

  #track(rejected: Promise<unknown>, rejections: Rejections): Promise<never> {
    const promise = new RejectedCall((_, reject) => {
      rejected.then(undefined, (error: unknown) => {
        rejections.first ??= error;
        reject(error);
      });
    });
    Promise.prototype.then.call(promise, undefined, () => undefined);
    rejections.unhandled += 1;
    promise.rejections = rejections;
    if (!this.#scheduled) {
      this.#scheduled = true;
      atEndOfTurn(this);
    }
    return promise;
  }
}

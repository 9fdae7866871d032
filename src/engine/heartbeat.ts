/** The heartbeat: when to ask whether the peer is alive, and when to give it up. */

import { after, between, earlier, type Instant, NEVER, reached, whole } from "../base/time.js";

// Called later than this, it was not the peer who was slow but this side: a second, or for a shorter timeout as much as
// that. But timers are some milliseconds late at all times, and that must not excuse a peer for ever.
const STALL = 1_000;
const LEAST_STALL = 100;

/** How long the peer may be silent, in milliseconds: before it is asked, and behind that. */
export interface HeartbeatBounds {
  readonly interval: number;
  readonly timeout: number;
}

/** Ask again at `until`; or send a Ping now and ask again at once; or fail: the peer is dead. */
export type Beat = { readonly do: "wait"; readonly until: Instant } | { readonly do: "ping" } | { readonly do: "fail" };

/**
 * A Ping after a silence of `interval`, failure after another of `timeout`; any byte from the peer is life. Its owner
 * calls `next` at the instant it named, or as soon after as it can. An `interval` of `Infinity` never pings.
 *
 * It does not blame the peer for our own stall: when `next` comes more than a second late (for a shorter `timeout` more
 * than that, but at least 100 ms), the event loop was blocked, what the peer sent meanwhile may not have been read, and
 * the wait for its answer starts again. That is once for each stall, not once for each Ping. So while every single call
 * is that late, nobody fails: such an overload has to be ended by other bounds.
 */
export class Heartbeat {
  readonly #bounds: HeartbeatBounds;
  #heardAt: Instant;
  #pingedAt: Instant | undefined;
  #askedFor: Instant | undefined;
  #suspendedAt: Instant | undefined;

  constructor(bounds: HeartbeatBounds, now: Instant) {
    this.#bounds = bounds;
    this.#heardAt = whole(now);
  }

  /** Bytes came. Any byte from the peer counts as life, not only a Pong. */
  heard(now: Instant): void {
    this.#heardAt = whole(now);
    this.#pingedAt = undefined;
  }

  /** Reading stops: the peer cannot be heard, so its silence means nothing. There is no Ping and no failure until `resume`. */
  suspend(now: Instant): void {
    this.#suspendedAt = whole(now);
  }

  /** Since when reading has been stopped; undefined while it has not. */
  get suspendedAt(): Instant | undefined {
    return this.#suspendedAt;
  }

  /** Reading goes on, and whichever wait was under way starts again. To be followed by `next`. */
  resume(now: Instant): void {
    if (this.#suspendedAt === undefined) return;
    this.#suspendedAt = undefined;
    Heartbeat.#restart(this, now);
  }

  /** Whether there has been no answer to the last Ping yet. */
  get unanswered(): boolean {
    return this.#pingedAt !== undefined && this.#suspendedAt === undefined;
  }

  next(now: Instant): Beat {
    if (this.#suspendedAt !== undefined) return Heartbeat.#wait(this, NEVER);
    const { interval, timeout } = this.#bounds;
    if (this.#pingedAt === undefined) {
      const due = after(this.#heardAt, interval);
      if (!reached(due, now)) return Heartbeat.#wait(this, due);
      this.#pingedAt = whole(now);
      // Whatever it was asked for last, since the owner may have found out by itself that the peer was heard.
      this.#askedFor = this.#pingedAt;
      return { do: "ping" };
    }
    const stall = Math.min(STALL, Math.max(timeout, LEAST_STALL));
    if (this.#askedFor !== undefined && between(this.#askedFor, now) > stall) Heartbeat.#restart(this, now);
    const dead = after(this.#pingedAt, timeout);
    if (reached(dead, now)) return { do: "fail" };
    // In steps, although nothing is to be done at most of them: a stall is seen by being late, and one that ends before
    // the wait does would otherwise go unseen. Nor may the next Ping, after an answer, come later than it should. A peer
    // that answers within the first step costs no further call.
    return Heartbeat.#wait(this, earlier(dead, whole(after(now, Math.min(stall, interval)))));
  }

  static #wait(heartbeat: Heartbeat, until: Instant): Beat {
    heartbeat.#askedFor = until;
    return { do: "wait", until };
  }

  static #restart(heartbeat: Heartbeat, now: Instant): void {
    if (heartbeat.#pingedAt === undefined) heartbeat.#heardAt = whole(now);
    else heartbeat.#pingedAt = whole(now);
    heartbeat.#askedFor = whole(now);
  }
}

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

/** What a heartbeat remembers from call to call. For whoever is one all its life, and need not have one: an object less for each connection. */
export interface Pulse {
  /** When bytes last came, or silence began to count. */
  heardAt: Instant;
  /** When the Ping was sent that has no answer yet. */
  pingedAt: Instant | undefined;
  /** When `next` was last to be called. */
  askedFor: Instant | undefined;
  /** Since when reading has been stopped; undefined while it has not. */
  suspendedAt: Instant | undefined;
}

/** Bytes came. Any byte from the peer counts as life, not only a Pong. */
export function heard(pulse: Pulse, now: Instant): void {
  pulse.heardAt = whole(now);
  pulse.pingedAt = undefined;
}

/** Reading stops: the peer cannot be heard, so its silence means nothing. There is no Ping and no failure until `resume`. */
export function suspend(pulse: Pulse, now: Instant): void {
  pulse.suspendedAt = whole(now);
}

/** Reading goes on, and whichever wait was under way starts again. To be followed by `next`. */
export function resume(pulse: Pulse, now: Instant): void {
  if (pulse.suspendedAt === undefined) return;
  pulse.suspendedAt = undefined;
  restart(pulse, now);
}

/** Whether there has been no answer to the last Ping yet. */
export function unanswered({ pingedAt, suspendedAt }: Pulse): boolean {
  return pingedAt !== undefined && suspendedAt === undefined;
}

/**
 * A Ping after a silence of `interval`, failure after another of `timeout`; any byte from the peer is life. Its owner
 * calls this at the instant it named, or as soon after as it can. An `interval` of `Infinity` never pings.
 *
 * It does not blame the peer for our own stall: when the call comes more than a second late (for a shorter `timeout` more
 * than that, but at least 100 ms), the event loop was blocked, what the peer sent meanwhile may not have been read, and
 * the wait for its answer starts again. That is once for each stall, not once for each Ping. So while every single call
 * is that late, nobody fails: such an overload has to be ended by other bounds.
 */
export function next(pulse: Pulse, { interval, timeout }: HeartbeatBounds, now: Instant): Beat {
  if (pulse.suspendedAt !== undefined) return wait(pulse, NEVER);
  if (pulse.pingedAt === undefined) {
    const due = after(pulse.heardAt, interval);
    if (!reached(due, now)) return wait(pulse, due);
    pulse.pingedAt = whole(now);
    // Whatever it was asked for last, since the owner may have found out by itself that the peer was heard.
    pulse.askedFor = pulse.pingedAt;
    return PING;
  }
  const stall = Math.min(STALL, Math.max(timeout, LEAST_STALL));
  if (pulse.askedFor !== undefined && between(pulse.askedFor, now) > stall) restart(pulse, now);
  const dead = after(pulse.pingedAt, timeout);
  if (reached(dead, now)) return FAIL;
  // In steps, although nothing is to be done at most of them: a stall is seen by being late, and one that ends before
  // the wait does would otherwise go unseen. Nor may the next Ping, after an answer, come later than it should. A peer
  // that answers within the first step costs no further call.
  return wait(pulse, earlier(dead, whole(after(now, Math.min(stall, interval)))));
}

const PING: Beat = Object.freeze({ do: "ping" });
const FAIL: Beat = Object.freeze({ do: "fail" });

function wait(pulse: Pulse, until: Instant): Beat {
  pulse.askedFor = until;
  return { do: "wait", until };
}

function restart(pulse: Pulse, now: Instant): void {
  if (pulse.pingedAt === undefined) pulse.heardAt = whole(now);
  else pulse.pingedAt = whole(now);
  pulse.askedFor = whole(now);
}

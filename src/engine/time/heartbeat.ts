/** The heartbeat: it decides when to send a Ping, and when to treat the peer as dead. */

import { after, between, earlier, type Instant, NEVER, reached, roundedUp } from "../../base/time.ts";
import { stallBound } from "./stall.ts";

/** How long the peer may be silent, in milliseconds: `interval` before a Ping, `timeout` after it. */
export interface HeartbeatBounds {
  readonly interval: number;
  readonly timeout: number;
}

/**
 * A decision of `next`. `wait`: call `next` again at `until`. `ping`: send a Ping now, and call `next` again at once. `fail`: the
 * peer is dead.
 */
export type HeartbeatDecision =
  | { readonly do: "wait"; readonly until: Instant }
  | { readonly do: "ping" }
  | { readonly do: "fail" };

/**
 * The state of a heartbeat, for the functions below. The connection implements this interface itself, which saves one object for
 * each connection.
 */
export interface HeartbeatState {
  /** When bytes were last received, or the count of the silence began. */
  receivedAt: Instant;
  /** When the unanswered Ping was sent. Undefined if there is none. */
  pingedAt: Instant | undefined;
  /** The instant at which `next` is to be called, according to its last decision. */
  nextDueAt: Instant | undefined;
  /** When reading was stopped. Undefined while reading is not stopped. */
  suspendedAt: Instant | undefined;
}

/** Call this when bytes are received. Any byte shows that the peer is alive, not only a Pong. */
export function recordReceived(state: HeartbeatState, now: Instant): void {
  state.receivedAt = roundedUp(now);
  state.pingedAt = undefined;
}

/** Call this when reading stops. Silence is then no evidence against the peer: no Ping and no failure follow until `resume`. */
export function suspend(state: HeartbeatState, now: Instant): void {
  state.suspendedAt = roundedUp(now);
}

/** Call this when reading continues. The wait in progress (for silence or for an answer) starts again. Call `next` after it. */
export function resume(state: HeartbeatState, now: Instant): void {
  if (state.suspendedAt === undefined) return;
  state.suspendedAt = undefined;
  restartWait(state, now);
}

/** True if the last Ping has no answer yet and reading is not stopped. */
export function unanswered({ pingedAt, suspendedAt }: HeartbeatState): boolean {
  return pingedAt !== undefined && suspendedAt === undefined;
}

/**
 * Decides what to do now: a Ping after a silence of `interval`, failure after a further silence of `timeout`. Any byte from the
 * peer ends the silence. The owner calls this function at the instant that the last decision named, or as soon afterwards as it
 * can. With an `interval` of `Infinity` there is never a Ping.
 *
 * A stall of this process does not count against the peer. If the call is more than a second late (if `timeout` is shorter: more
 * than `timeout`, but at least 100 ms), the event loop was blocked, and received bytes may be unread. Then the wait for the
 * answer starts again: once for each stall, not once for each Ping. So while every call is that late, no peer fails. Other limits
 * must end such an overload.
 */
export function nextBeat(
  state: HeartbeatState,
  { interval, timeout }: HeartbeatBounds,
  now: Instant,
): HeartbeatDecision {
  if (state.suspendedAt !== undefined) return waitUntil(state, NEVER);
  if (state.pingedAt === undefined) {
    const due = after(state.receivedAt, interval);
    if (!reached(due, now)) return waitUntil(state, due);
    state.pingedAt = roundedUp(now);
    // The instant of the last decision may be out of date: after received bytes the owner may have scheduled this call by itself,
    // without a call of `next`. So the next call is compared with the instant of the Ping.
    state.nextDueAt = state.pingedAt;
    return SEND_PING;
  }
  const stall = stallBound(timeout);
  if (state.nextDueAt !== undefined && between(state.nextDueAt, now) > stall) restartWait(state, now);
  const dead = after(state.pingedAt, timeout);
  if (reached(dead, now)) return PEER_DEAD;
  // Waits in short steps, although most steps have nothing to do. A stall is detected by a late call, so with one long step a
  // stall that ends before the step does is not detected. A long step would also delay the next Ping after an answer. If the peer
  // answers within the first step, there is no further call.
  return waitUntil(state, earlier(dead, roundedUp(after(now, Math.min(stall, interval)))));
}

const SEND_PING: HeartbeatDecision = Object.freeze({ do: "ping" });
const PEER_DEAD: HeartbeatDecision = Object.freeze({ do: "fail" });

function waitUntil(state: HeartbeatState, until: Instant): HeartbeatDecision {
  state.nextDueAt = until;
  return { do: "wait", until };
}

function restartWait(state: HeartbeatState, now: Instant): void {
  if (state.pingedAt === undefined) state.receivedAt = roundedUp(now);
  else state.pingedAt = roundedUp(now);
  state.nextDueAt = roundedUp(now);
}

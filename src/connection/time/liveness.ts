/** Time limits that apply to the whole connection: heartbeat, idle, message, pause and lifetime. */

import { TimeoutError } from "../../base/errors.ts";
import { after, between, earlier, type Instant, reached, roundedUp } from "../../base/time.ts";
import {
  type HeartbeatState,
  nextBeat,
  recordReceived,
  resume,
  suspend,
  unanswered,
} from "../../engine/time/heartbeat.ts";
import { GOING_AWAY, POLICY_VIOLATION } from "../../engine/websocket/close-codes.ts";
import { type CountingConnection, countPause, countPing } from "../counting.ts";
import type { SettledOptions } from "../options.ts";
import { RareTimes } from "./rare-times.ts";
import { clearTimer, postponeHeartbeat, setTimer, type TimerName, type TimersOwner } from "./timers.ts";

/** The connection, as the time limits use it. */
export interface LivenessOwner extends TimersOwner, HeartbeatState, CountingConnection {
  readonly options: SettledOptions;
  /** When the last Ping or heartbeat message was sent. */
  probedAt: Instant | undefined;
  rareTimes: RareTimes | undefined;
  /** True if the application has received messages whose handling is not finished. */
  readonly busy: boolean;
  /** Sends a Ping, or the heartbeat message. */
  probePeer(): void;
  /** Starts or stops polling the kernel: whether bytes reach the peer, although the peer does not answer. */
  pollKernel(wanted: boolean): void;
  /** A limit is reached: closes with `closeCode`. If that is undefined, the peer is gone and the connection ends at once. */
  limitReached(error: TimeoutError, closeCode: number | undefined): void;
}

/** Sets the timers of a new connection. */
export function startLiveness(record: LivenessOwner): void {
  const { heartbeat, idleTimeout, lifetime } = record.options;
  const now = record.receivedAt;
  setTimer(record, "heartbeat", after(now, heartbeat.interval));
  if (lifetime !== Infinity) {
    rareTimesOf(record).openedAt = now;
    setTimer(record, "lifetime", after(now, lifetime));
  }
  if (idleTimeout !== Infinity) {
    rareTimesOf(record).receivedAt = now;
    setTimer(record, "idle", after(now, idleTimeout));
  }
}

/**
 * Bytes arrived: the peer is alive. Unless a Ping was unanswered, this only stores numbers, and timers check them when they are
 * due.
 */
export function bytesReceived(record: LivenessOwner, now: Instant): void {
  if (record.rareTimes?.receivedAt !== undefined) record.rareTimes.receivedAt = roundedUp(now);
  const answer = unanswered(record);
  if (answer) countPing(record, record.pingedAt as Instant, now);
  recordReceived(record, now);
  if (!answer) return;
  // After an answer, the heartbeat has nothing to do until the next Ping. To move the timer there saves a wakeup.
  record.pollKernel(false);
  postponeHeartbeat(record, after(record.receivedAt, record.options.heartbeat.interval), now);
}

/** The peer has read bytes from this side: it is alive, but may be too busy with them to answer a Ping behind them. */
export function peerReadBytes(record: LivenessOwner, now: Instant): void {
  recordReceived(record, now);
}

/** A chunk was decoded. `underWay`: it ended inside a message. `completed`: it ended at least one message. */
export function chunkDecoded(record: LivenessOwner, now: Instant, underWay: boolean, completed: boolean): void {
  const times = record.rareTimes;
  if (times !== undefined && (completed || !underWay)) times.messageBeganAt = undefined;
  // A message that is read in pieces may take any time, as long as its peer is alive.
  if (!underWay || times?.messageBeganAt !== undefined || record.options.streaming) return;
  rareTimesOf(record).messageBeganAt = now;
  setTimer(record, "message", after(now, record.options.messageTimeout));
}

/** The application has finished its work on a message. The time of its own work is not silence of the peer. */
export function applicationRequestedMore(record: LivenessOwner): void {
  if (record.rareTimes?.receivedAt !== undefined) record.rareTimes.receivedAt = roundedUp(record.options.clock.now());
}

/** Reading has stopped. */
export function readingStopped(record: LivenessOwner, now: Instant): void {
  const since = roundedUp(now);
  rareTimesOf(record);
  suspend(record, since);
  setTimer(record, "pause", after(since, record.options.pauseTimeout));
}

/**
 * The peer's FIN is behind bytes that this pause leaves unread. If the application takes a message now and then, its time starts
 * again.
 */
export function finLeftUnread(record: LivenessOwner, now: Instant): void {
  if (record.suspendedAt === undefined || record.rareTimes?.finSeenAt !== undefined) return;
  rareTimesOf(record).finSeenAt = now;
  const { lingerTimeout, pauseTimeout } = record.options;
  setTimer(record, "pause", earlier(after(record.suspendedAt, pauseTimeout), after(now, lingerTimeout)));
}

export function readingResumed(record: LivenessOwner, now: Instant): void {
  countPause(record, record.suspendedAt, now);
  if (record.rareTimes !== undefined) record.rareTimes.finSeenAt = undefined;
  clearTimer(record, "pause");
  if (record.rareTimes?.receivedAt !== undefined) record.rareTimes.receivedAt = roundedUp(now);
  resume(record, now);
  heartbeatExpired(record, now);
}

/** One of the timers of these limits is due. Returns false for another timer. */
export function livenessTimerExpired(record: LivenessOwner, name: TimerName, now: Instant): boolean {
  switch (name) {
    case "heartbeat":
      heartbeatExpired(record, now);
      return true;
    case "idle":
      idleExpired(record, now);
      return true;
    case "message":
      messageExpired(record, now);
      return true;
    case "pause":
      pauseExpired(record, now);
      return true;
    case "lifetime":
      reachLimit(record, "lifetime", "lifetime", record.options.lifetime, record.rareTimes?.openedAt, now, GOING_AWAY);
      return true;
    default:
      return false;
  }
}

function rareTimesOf(record: LivenessOwner): RareTimes {
  record.rareTimes ??= new RareTimes();
  return record.rareTimes;
}

function heartbeatExpired(record: LivenessOwner, now: Instant): void {
  const { heartbeat } = record.options;
  let decision = nextBeat(record, heartbeat, now);
  if (decision.do === "ping") {
    record.probedAt = record.pingedAt;
    record.options.counters.pingSent(now);
    record.probePeer();
    decision = nextBeat(record, heartbeat, now);
  } else {
    // On a slow link the Ping may be queued for minutes behind a long message. By now most answers have arrived.
    record.pollKernel(unanswered(record));
  }
  if (decision.do === "wait") setTimer(record, "heartbeat", decision.until);
  else reachLimit(record, "ping", "heartbeat.timeout", heartbeat.timeout, record.probedAt, now, undefined);
}

function idleExpired(record: LivenessOwner, now: Instant): void {
  const { busy, options } = record;
  const { idleTimeout } = options;
  const expiresAt = after(
    busy || record.suspendedAt !== undefined ? now : (record.rareTimes?.receivedAt ?? now),
    idleTimeout,
  );
  if (reached(expiresAt, now))
    reachLimit(record, "receive", "idleTimeout", idleTimeout, record.rareTimes?.receivedAt, now, GOING_AWAY);
  else setTimer(record, "idle", expiresAt);
}

function messageExpired(record: LivenessOwner, now: Instant): void {
  // Reading pauses only between messages, so a pause never delays an incomplete one.
  const since = record.rareTimes?.messageBeganAt;
  if (since === undefined) return;
  reachLimit(record, "receive", "messageTimeout", record.options.messageTimeout, since, now, POLICY_VIOLATION);
}

function pauseExpired(record: LivenessOwner, now: Instant): void {
  if (record.suspendedAt === undefined) return;
  const { lingerTimeout, pauseTimeout } = record.options;
  const finSeenAt = record.rareTimes?.finSeenAt;
  const overdue = reached(after(record.suspendedAt, pauseTimeout), now);
  if (finSeenAt === undefined || overdue)
    reachLimit(record, "receive", "pauseTimeout", pauseTimeout, record.suspendedAt, now, POLICY_VIOLATION);
  else reachLimit(record, "receive", "lingerTimeout", lingerTimeout, finSeenAt, now, POLICY_VIOLATION);
}

function reachLimit(
  record: LivenessOwner,
  operation: "ping" | "receive" | "lifetime",
  limit: string,
  bound: number,
  since: Instant | undefined,
  now: Instant,
  closeCode: number | undefined,
): void {
  const error = new TimeoutError({ operation, limit, bound, after: between(since ?? now, now), retriable: false });
  record.limitReached(error, closeCode);
}

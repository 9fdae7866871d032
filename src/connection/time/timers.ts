/** Keeps all time limits of one connection on one timer. */

import { between, type Clock, earlier, type Instant, NEVER, reached, type Wakeup } from "../../base/time.ts";
import type { Timer } from "../../engine/time/timer-wheel.ts";
import { SystemClock } from "../../transport/clock.ts";

/** All timers except `heartbeat`, in the order in which they take effect after it. */
const OTHERS = ["idle", "lifetime", "message", "pause", "calls", "write", "close", "linger"] as const;

/** Name of a timer. `timerExpired` has one case for each. */
export type TimerName = "heartbeat" | (typeof OTHERS)[number];

/** State of the timers of a connection, which is itself the entry in the timer wheel of the system's clock. */
export interface TimersState extends Timer {
  readonly options: { readonly clock: Clock };
  /** When the heartbeat is due. Separate from the other timers, because an idle connection has only this one. */
  heartbeatAt: Instant | undefined;
  /** When the other timers are due, in the order of their names. Undefined while none is set. */
  timersAt: Instant[] | undefined;
  /** The wakeup on a clock other than the system's. */
  wakeup: Wakeup | undefined;
  /** While the state is `expiring`, to set a timer does not arm it. It is armed once, after all due timers have been handled. */
  timerState: "waiting" | "expiring" | "stopped";
}

/** A connection whose timers can expire. */
export interface TimersOwner extends TimersState {
  /** The timer `name` is due. */
  timerExpired(name: TimerName, now: Instant): void;
}

// How late a heartbeat may be, as a fraction of its delay, and the maximum in milliseconds. A late Ping delays nothing else. In a
// batch of a hundred Pings, each costs less than in a batch of forty. A much larger batch would delay other work. After a Ping,
// the heartbeat waits no longer than the time that counts as a stall, so this lateness is far below a stall.
const SLACK = 1 / 64;
const MAX_SLACK = 128;

/**
 * Sets the timer `name` to `at`, instead of its previous instant. `NEVER` clears it. To move a timer later only stores a number.
 * Only a timer that is earlier than all others is armed. So activity that keeps moving the idle limit never touches the timer
 * wheel.
 */
export function setTimer(record: TimersOwner, name: TimerName, at: Instant): void {
  const next = nextDue(record);
  storeTimer(record, name, at);
  if (record.timerState === "waiting" && !reached(next, at)) arm(record, at, record.options.clock.now());
}

/** Moves the heartbeat later. For rare calls only: then moving the timer costs less than a wakeup at which nothing is due. */
export function postponeHeartbeat(record: TimersOwner, at: Instant, now: Instant): void {
  record.heartbeatAt = at;
  const { clock } = record.options;
  if (record.timerState === "waiting" && record.timersAt === undefined && clock instanceof SystemClock) {
    record.cancel();
    arm(record, at, now);
  }
}

export function clearTimer(record: TimersState, name: TimerName): void {
  storeTimer(record, name, NEVER);
}

/** Stops all timers for good. */
export function stopTimers(record: TimersState): void {
  record.timerState = "stopped";
  record.cancel();
  record.wakeup?.cancel();
  record.wakeup = undefined;
}

/** The clock has reached the instant for which the timer was armed. */
export function expireTimers(record: TimersOwner, now: Instant): void {
  record.wakeup = undefined;
  if (record.timerState === "waiting") record.timerState = "expiring";
  try {
    expireIfDue(record, "heartbeat", now);
    if (record.timersAt !== undefined) {
      for (const name of OTHERS) expireIfDue(record, name, now);
      if (record.timersAt?.every((at) => at === NEVER)) record.timersAt = undefined;
    }
  } finally {
    rearm(record, now);
  }
}

function rearm(record: TimersOwner, now: Instant): void {
  if (record.timerState !== "expiring") return;
  record.timerState = "waiting";
  arm(record, nextDue(record), now);
}

function expireIfDue(record: TimersOwner, name: TimerName, now: Instant): void {
  if (record.timerState === "stopped" || !reached(dueOf(record, name), now)) return;
  storeTimer(record, name, NEVER);
  record.timerExpired(name, now);
}

function nextDue(record: TimersState): Instant {
  const heartbeat = dueOf(record, "heartbeat");
  return record.timersAt === undefined ? heartbeat : record.timersAt.reduce(earlier, heartbeat);
}

/** When the timer `name` is due. `NEVER` if it is not set. */
export function dueOf(record: TimersState, name: TimerName): Instant {
  return (name === "heartbeat" ? record.heartbeatAt : record.timersAt?.[OTHERS.indexOf(name)]) ?? NEVER;
}

function storeTimer(record: TimersState, name: TimerName, at: Instant): void {
  if (name === "heartbeat") record.heartbeatAt = at === NEVER ? undefined : at;
  else if (record.timersAt !== undefined || at !== NEVER) {
    record.timersAt ??= OTHERS.map(() => NEVER);
    record.timersAt[OTHERS.indexOf(name)] = at;
  }
}

/**
 * Arms the timer for `at`. A wakeup that is already armed for an earlier instant stays: it finds nothing due and arms the timer
 * again. So to set and clear a timer for each write costs no wakeup.
 */
function arm(record: TimersOwner, at: Instant, now: Instant): void {
  if (at === NEVER) return;
  const { clock } = record.options;
  if (clock instanceof SystemClock) {
    clock.armBy(record, at, at === record.heartbeatAt ? Math.min(between(now, at) * SLACK, MAX_SLACK) : 0);
    return;
  }
  record.wakeup?.cancel();
  record.wakeup = clock.wakeAt(at, (then) => expireTimers(record, then));
}

/** The limits of time that nobody calls for: heartbeat, idle, message, pause and lifetime. */

import { TimeoutError } from "../base/errors.js";
import { after, between, earlier, type Instant, reached, whole } from "../base/time.js";
import { GOING_AWAY, POLICY_VIOLATION } from "../engine/close.js";
import { heard, next, type Pulse, resume, suspend, unanswered } from "../engine/heartbeat.js";
import { type AlarmName, Alarms } from "./alarms.js";
import type { SettledOptions } from "./options.js";

/** What the limits remember that most connections do not have, or not most of the time. */
class Limits {
  /** Kept where there is a lifetime. */
  openedAt: Instant | undefined;
  /** When bytes came, where that is bounded. */
  heardAt: Instant | undefined;
  /** Since when reading has been stopped. */
  suspendedAt: Instant | undefined;
  /** When the message that is under way began to arrive. */
  messageSince: Instant | undefined;
  /** When the peer was found to have ended behind what the pause leaves unread. */
  endSeenAt: Instant | undefined;
}

/** The heartbeat, and what else is watched beside it. Every connection is one all its life, as it is its own alarms. */
export abstract class Watch extends Alarms implements Pulse {
  readonly options: SettledOptions;
  heardAt: Instant;
  pingedAt: Instant | undefined;
  askedFor: Instant | undefined;
  /** When the peer was last asked for a sign of life. */
  #askedAt: Instant | undefined;
  #limits: Limits | undefined;

  constructor(options: SettledOptions) {
    super();
    const { clock, heartbeat, idleTimeout, lifetime } = options;
    const now = whole(clock.now());
    this.options = options;
    this.heardAt = now;
    this.set("heartbeat", after(now, heartbeat.interval));
    if (lifetime !== Infinity) {
      Watch.#made(this).openedAt = now;
      this.set("lifetime", after(now, lifetime));
    }
    if (idleTimeout !== Infinity) {
      Watch.#made(this).heardAt = now;
      this.set("idle", after(now, idleTimeout));
    }
  }

  get suspendedAt(): Instant | undefined {
    return this.#limits?.suspendedAt;
  }

  set suspendedAt(at: Instant | undefined) {
    if (at !== undefined || this.#limits !== undefined) Watch.#made(this).suspendedAt = at;
  }

  /** Asks the peer for a sign of life. */
  abstract askForLife(): void;
  /** Whether to find out if what is on its way to the peer gets there, though the peer does not answer. */
  abstract follow(wanted: boolean): void;
  /** The limit has been reached: close with `closeCode`, or end at once where the peer is gone. */
  abstract limitReached(error: TimeoutError, closeCode: number | undefined): void;
  /** Whether the application is at work on what it was given, and has not asked for more. */
  abstract get busy(): boolean;

  /** Bytes came: the peer lives. Unless it had been asked, this only stores numbers; the alarms find out when they ring. */
  heard(now: Instant): void {
    if (this.#limits?.heardAt !== undefined) this.#limits.heardAt = whole(now);
    const answer = unanswered(this);
    heard(this, now);
    if (answer) Watch.#answered(this, now);
  }

  /** The peer has read what we sent: it lives, though it may be too busy with that to answer a Ping behind it. */
  readByPeer(now: Instant): void {
    heard(this, now);
  }

  /** A chunk has been decoded. `underWay`: it ended inside a message; `completed`: it ended one at least. */
  decoded(now: Instant, underWay: boolean, completed: boolean): void {
    const limits = this.#limits;
    if (limits !== undefined && (completed || !underWay)) limits.messageSince = undefined;
    // A message that is read in pieces may take as long as its peer lives.
    if (!underWay || limits?.messageSince !== undefined || this.options.streaming) return;
    Watch.#made(this).messageSince = now;
    this.set("message", after(now, this.options.messageTimeout));
  }

  /** The application asks for more, after it was busy: what it did meanwhile is not the peer's silence. */
  askedForMore(): void {
    if (this.#limits?.heardAt !== undefined) this.#limits.heardAt = whole(this.options.clock.now());
  }

  readingStopped(now: Instant): void {
    const since = whole(now);
    suspend(this, since);
    this.set("pause", after(since, this.options.pauseTimeout));
  }

  /** The peer's FIN stands behind what this pause leaves unread. An application that takes something now and then has its time anew. */
  endLeftUnread(now: Instant): void {
    if (this.suspendedAt === undefined || this.#limits?.endSeenAt !== undefined) return;
    Watch.#made(this).endSeenAt = now;
    const { lingerTimeout, pauseTimeout } = this.options;
    this.set("pause", earlier(after(this.suspendedAt, pauseTimeout), after(now, lingerTimeout)));
  }

  readingGoesOn(now: Instant): void {
    if (this.#limits !== undefined) this.#limits.endSeenAt = undefined;
    this.clear("pause");
    if (this.#limits?.heardAt !== undefined) this.#limits.heardAt = whole(now);
    resume(this, now);
    Watch.#heartbeatRang(this, now);
  }

  /** One of its own alarms has come due. */
  override rang(name: AlarmName, now: Instant): void {
    if (name === "heartbeat") Watch.#heartbeatRang(this, now);
    else if (name === "idle") Watch.#idleRang(this, now);
    else if (name === "message") Watch.#messageRang(this, now);
    else if (name === "pause") Watch.#pauseRang(this, now);
    else if (name === "lifetime") Watch.#lifetimeRang(this, now);
  }

  static #made(watch: Watch): Limits {
    watch.#limits ??= new Limits();
    return watch.#limits;
  }

  /** The next Ping is due when no further call of the heartbeat's is: nobody need be woken to find that out. */
  static #answered(watch: Watch, now: Instant): void {
    watch.follow(false);
    watch.postpone(after(watch.heardAt, watch.options.heartbeat.interval), now);
  }

  static #heartbeatRang(watch: Watch, now: Instant): void {
    const { heartbeat } = watch.options;
    let beat = next(watch, heartbeat, now);
    if (beat.do === "ping") {
      watch.#askedAt = watch.pingedAt;
      watch.askForLife();
      beat = next(watch, heartbeat, now);
    } else {
      // Behind a long message on a slow link the Ping may take minutes to leave. Most answers are here by now.
      watch.follow(unanswered(watch));
    }
    if (beat.do === "wait") watch.set("heartbeat", beat.until);
    else Watch.#end(watch, "ping", "heartbeat.timeout", heartbeat.timeout, watch.#askedAt, now, undefined);
  }

  static #idleRang(watch: Watch, now: Instant): void {
    const { busy, options } = watch;
    const { idleTimeout } = options;
    const due = after(busy || watch.suspendedAt !== undefined ? now : (watch.#limits?.heardAt ?? now), idleTimeout);
    if (reached(due, now))
      Watch.#end(watch, "receive", "idleTimeout", idleTimeout, watch.#limits?.heardAt, now, GOING_AWAY);
    else watch.set("idle", due);
  }

  static #messageRang(watch: Watch, now: Instant): void {
    // Reading pauses only between messages, so that one which is under way is never held up by it.
    if (watch.#limits?.messageSince === undefined) return;
    const { messageTimeout } = watch.options;
    Watch.#end(watch, "receive", "messageTimeout", messageTimeout, watch.#limits?.messageSince, now, POLICY_VIOLATION);
  }

  static #pauseRang(watch: Watch, now: Instant): void {
    if (watch.suspendedAt === undefined) return;
    const { lingerTimeout, pauseTimeout } = watch.options;
    const overdue = reached(after(watch.suspendedAt, pauseTimeout), now);
    if (watch.#limits?.endSeenAt === undefined || overdue)
      Watch.#end(watch, "receive", "pauseTimeout", pauseTimeout, watch.suspendedAt, now, POLICY_VIOLATION);
    else Watch.#end(watch, "receive", "lingerTimeout", lingerTimeout, watch.#limits?.endSeenAt, now, POLICY_VIOLATION);
  }

  static #lifetimeRang(watch: Watch, now: Instant): void {
    Watch.#end(watch, "live", "lifetime", watch.options.lifetime, watch.#limits?.openedAt, now, GOING_AWAY);
  }

  static #end(
    watch: Watch,
    operation: "ping" | "receive" | "live",
    limit: string,
    bound: number,
    since: Instant | undefined,
    now: Instant,
    closeCode: number | undefined,
  ): void {
    const error = new TimeoutError({ operation, limit, bound, after: between(since ?? now, now), retriable: false });
    watch.limitReached(error, closeCode);
  }
}

/** The limits of time that nobody calls for: heartbeat, idle, message, pause and lifetime. */

import { TimeoutError } from "../base/errors.js";
import { after, between, earlier, type Instant, reached, whole } from "../base/time.js";
import { GOING_AWAY, POLICY_VIOLATION } from "../engine/close.js";
import { Heartbeat } from "../engine/heartbeat.js";
import type { Alarms } from "./alarms.js";
import type { SettledOptions } from "./options.js";

/** What the watch asks of the connection. */
export interface Watched {
  readonly options: SettledOptions;
  readonly alarms: Alarms;
  /** Asks the peer for a sign of life. */
  askForLife(): void;
  /** Whether to find out if what is on its way to the peer gets there, though the peer does not answer. */
  follow(wanted: boolean): void;
  /** The limit has been reached: close with `closeCode`, or end at once where the peer is gone. */
  limitReached(error: TimeoutError, closeCode: number | undefined): void;
  /** Whether the application is at work on what it was given, and has not asked for more. */
  readonly busy: boolean;
}

/** The heartbeat, and what else is watched beside it: one object, because every connection has it for all its life. */
export class Watch extends Heartbeat {
  readonly #connection: Watched;
  /** Kept where there is a lifetime. */
  readonly #openedAt: Instant | undefined;
  /** When bytes came, where that is bounded. */
  #heardAt: Instant | undefined;
  /** When the peer was last asked for a sign of life. */
  #askedAt: Instant | undefined;
  /** When the message that is under way began to arrive. */
  #messageSince: Instant | undefined;
  /** When the peer was found to have ended behind what the pause leaves unread. */
  #endSeenAt: Instant | undefined;

  constructor(connection: Watched) {
    const { alarms, options } = connection;
    const { clock, heartbeat, idleTimeout, lifetime } = options;
    const now = whole(clock.now());
    super(heartbeat, now);
    this.#connection = connection;
    this.#openedAt = lifetime === Infinity ? undefined : now;
    this.#heardAt = idleTimeout === Infinity ? undefined : now;
    alarms.set("heartbeat", after(now, heartbeat.interval));
    alarms.set("idle", after(now, idleTimeout));
    alarms.set("lifetime", after(now, lifetime));
  }

  /** Bytes came: the peer lives. Unless it had been asked, this only stores numbers; the alarms find out when they ring. */
  override heard(now: Instant): void {
    if (this.#heardAt !== undefined) this.#heardAt = whole(now);
    const answer = this.unanswered;
    super.heard(now);
    if (answer) Watch.#answered(this, now);
  }

  /** The peer has read what we sent: it lives, though it may be too busy with that to answer a Ping behind it. */
  read(now: Instant): void {
    super.heard(now);
  }

  /** A chunk has been decoded. `underWay`: it ended inside a message; `completed`: it ended one at least. */
  decoded(now: Instant, underWay: boolean, completed: boolean): void {
    if (completed || !underWay) this.#messageSince = undefined;
    // A message that is read in pieces may take as long as its peer lives.
    const { alarms, options } = this.#connection;
    if (!underWay || this.#messageSince !== undefined || options.streaming) return;
    this.#messageSince = now;
    alarms.set("message", after(now, options.messageTimeout));
  }

  /** The application asks for more, after it was busy: what it did meanwhile is not the peer's silence. */
  asked(): void {
    if (this.#heardAt !== undefined) this.#heardAt = whole(this.#connection.options.clock.now());
  }

  paused(now: Instant): void {
    const { alarms, options } = this.#connection;
    const since = whole(now);
    this.suspend(since);
    alarms.set("pause", after(since, options.pauseTimeout));
  }

  /** The peer's FIN stands behind what this pause leaves unread. An application that takes something now and then has its time anew. */
  endSeen(now: Instant): void {
    if (this.suspendedAt === undefined || this.#endSeenAt !== undefined) return;
    this.#endSeenAt = now;
    const { alarms, options } = this.#connection;
    const { lingerTimeout, pauseTimeout } = options;
    alarms.set("pause", earlier(after(this.suspendedAt, pauseTimeout), after(now, lingerTimeout)));
  }

  resumed(now: Instant): void {
    this.#endSeenAt = undefined;
    this.#connection.alarms.clear("pause");
    if (this.#heardAt !== undefined) this.#heardAt = whole(now);
    this.resume(now);
    Watch.#heartbeatRang(this, now);
  }

  /** One of its own alarms has come due. */
  rang(name: "heartbeat" | "idle" | "lifetime" | "message" | "pause", now: Instant): void {
    if (name === "heartbeat") Watch.#heartbeatRang(this, now);
    else if (name === "idle") Watch.#idleRang(this, now);
    else if (name === "message") Watch.#messageRang(this, now);
    else if (name === "pause") Watch.#pauseRang(this, now);
    else Watch.#lifetimeRang(this, now);
  }

  /** The next Ping is due when no further call of the heartbeat's is: nobody need be woken to find that out. */
  static #answered(watch: Watch, now: Instant): void {
    const { alarms, options } = watch.#connection;
    watch.#connection.follow(false);
    alarms.postpone(after(whole(now), options.heartbeat.interval), now);
  }

  static #heartbeatRang(watch: Watch, now: Instant): void {
    const { alarms, options } = watch.#connection;
    let beat = watch.next(now);
    if (beat.do === "ping") {
      watch.#askedAt = whole(now);
      watch.#connection.askForLife();
      beat = watch.next(now);
    } else {
      // Behind a long message on a slow link the Ping may take minutes to leave. Most answers are here by now.
      watch.#connection.follow(watch.unanswered);
    }
    if (beat.do === "wait") alarms.set("heartbeat", beat.until);
    else Watch.#end(watch, "ping", "heartbeat.timeout", options.heartbeat.timeout, watch.#askedAt, now, undefined);
  }

  static #idleRang(watch: Watch, now: Instant): void {
    const { alarms, busy, options } = watch.#connection;
    const { idleTimeout } = options;
    const due = after(busy || watch.suspendedAt !== undefined ? now : (watch.#heardAt ?? now), idleTimeout);
    if (reached(due, now)) Watch.#end(watch, "receive", "idleTimeout", idleTimeout, watch.#heardAt, now, GOING_AWAY);
    else alarms.set("idle", due);
  }

  static #messageRang(watch: Watch, now: Instant): void {
    // Reading pauses only between messages, so that one which is under way is never held up by it.
    if (watch.#messageSince === undefined) return;
    const { messageTimeout } = watch.#connection.options;
    Watch.#end(watch, "receive", "messageTimeout", messageTimeout, watch.#messageSince, now, POLICY_VIOLATION);
  }

  static #pauseRang(watch: Watch, now: Instant): void {
    if (watch.suspendedAt === undefined) return;
    const { lingerTimeout, pauseTimeout } = watch.#connection.options;
    const overdue = reached(after(watch.suspendedAt, pauseTimeout), now);
    if (watch.#endSeenAt === undefined || overdue)
      Watch.#end(watch, "receive", "pauseTimeout", pauseTimeout, watch.suspendedAt, now, POLICY_VIOLATION);
    else Watch.#end(watch, "receive", "lingerTimeout", lingerTimeout, watch.#endSeenAt, now, POLICY_VIOLATION);
  }

  static #lifetimeRang(watch: Watch, now: Instant): void {
    Watch.#end(watch, "live", "lifetime", watch.#connection.options.lifetime, watch.#openedAt, now, GOING_AWAY);
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
    watch.#connection.limitReached(error, closeCode);
  }
}

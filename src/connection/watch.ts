/** The limits of time that nobody calls for: heartbeat, idle, message, pause and lifetime. */

import { TimeoutError } from "../base/errors.js";
import { after, between, type Clock, earlier, type Instant, reached } from "../base/time.js";
import { GOING_AWAY, POLICY_VIOLATION } from "../engine/close.js";
import { Heartbeat } from "../engine/heartbeat.js";
import type { Alarms } from "./alarms.js";
import type { SettledOptions } from "./options.js";

/** What the watch asks of the connection. */
export interface Watched {
  /** Asks the peer for a sign of life. */
  askForLife(): void;
  /** The limit has been reached: close with `closeCode`, or end at once where the peer is gone. */
  limitReached(error: TimeoutError, closeCode: number | undefined): void;
  /** Whether the application is at work on what it was given, and has not asked for more. */
  readonly busy: boolean;
}

export class Watch {
  readonly #options: SettledOptions;
  readonly #clock: Clock;
  readonly #alarms: Alarms;
  readonly #connection: Watched;
  readonly #heartbeat: Heartbeat;
  readonly #openedAt: Instant;
  #heardAt: Instant;
  /** When the peer was last asked for a sign of life. */
  #askedAt: Instant;
  /** When the message that is under way began to arrive. */
  #messageSince: Instant | undefined;
  #pausedAt: Instant | undefined;
  /** When the peer was found to have ended behind what the pause leaves unread. */
  #endSeenAt: Instant | undefined;

  constructor(options: SettledOptions, alarms: Alarms, connection: Watched) {
    this.#options = options;
    this.#clock = options.clock;
    this.#alarms = alarms;
    this.#connection = connection;
    const now = this.#clock.now();
    this.#openedAt = now;
    this.#heardAt = now;
    this.#askedAt = now;
    this.#heartbeat = new Heartbeat(options.heartbeat.interval, options.heartbeat.timeout, now);
    alarms.set("heartbeat", after(now, options.heartbeat.interval));
    alarms.set("idle", after(now, options.idleTimeout));
    alarms.set("lifetime", after(now, options.lifetime));
  }

  /** Bytes came: the peer lives. Only stores numbers; the alarms find out when they ring. */
  heard(now: Instant): void {
    this.#heardAt = now;
    this.#heartbeat.heard(now);
  }

  /** The peer has read what we sent: it lives, though it may be too busy with that to answer a Ping behind it. */
  read(now: Instant): void {
    this.#heartbeat.heard(now);
  }

  /** A chunk has been decoded. `underWay`: it ended inside a message; `completed`: it ended one at least. */
  decoded(now: Instant, underWay: boolean, completed: boolean): void {
    if (completed || !underWay) this.#messageSince = undefined;
    // A message that is read in pieces may take as long as its peer lives.
    if (!underWay || this.#messageSince !== undefined || this.#options.streaming) return;
    this.#messageSince = now;
    this.#alarms.set("message", after(now, this.#options.messageTimeout));
  }

  /** The application asks for more, after it was busy: what it did meanwhile is not the peer's silence. */
  asked(): void {
    if (this.#options.idleTimeout === Infinity) return;
    this.#heardAt = this.#clock.now();
  }

  paused(now: Instant): void {
    this.#pausedAt = now;
    this.#heartbeat.suspend();
    this.#alarms.set("pause", after(now, this.#options.pauseTimeout));
  }

  /** The peer's FIN stands behind what this pause leaves unread. An application that takes something now and then has its time anew. */
  endSeen(now: Instant): void {
    if (this.#pausedAt === undefined || this.#endSeenAt !== undefined) return;
    this.#endSeenAt = now;
    const { lingerTimeout, pauseTimeout } = this.#options;
    this.#alarms.set("pause", earlier(after(this.#pausedAt, pauseTimeout), after(now, lingerTimeout)));
  }

  resumed(now: Instant): void {
    this.#pausedAt = undefined;
    this.#endSeenAt = undefined;
    this.#alarms.clear("pause");
    this.#heardAt = now;
    this.#heartbeat.resume(now);
    this.#heartbeatRang(now);
  }

  /** One of its own alarms has come due. */
  rang(name: "heartbeat" | "idle" | "lifetime" | "message" | "pause", now: Instant): void {
    if (name === "heartbeat") this.#heartbeatRang(now);
    else if (name === "idle") this.#idleRang(now);
    else if (name === "message") this.#messageRang(now);
    else if (name === "pause") this.#pauseRang(now);
    else this.#lifetimeRang(now);
  }

  #heartbeatRang(now: Instant): void {
    let beat = this.#heartbeat.next(now);
    if (beat.do === "ping") {
      this.#askedAt = now;
      this.#connection.askForLife();
      beat = this.#heartbeat.next(now);
    }
    if (beat.do === "wait") this.#alarms.set("heartbeat", beat.until);
    else this.#end("ping", "heartbeat.timeout", this.#options.heartbeat.timeout, this.#askedAt, now, undefined);
  }

  #idleRang(now: Instant): void {
    const { idleTimeout } = this.#options;
    const suspended = this.#connection.busy || this.#pausedAt !== undefined;
    const due = after(suspended ? now : this.#heardAt, idleTimeout);
    if (reached(due, now)) this.#end("receive", "idleTimeout", idleTimeout, this.#heardAt, now, GOING_AWAY);
    else this.#alarms.set("idle", due);
  }

  #messageRang(now: Instant): void {
    // Reading pauses only between messages, so that one which is under way is never held up by it.
    if (this.#messageSince === undefined) return;
    this.#end("receive", "messageTimeout", this.#options.messageTimeout, this.#messageSince, now, POLICY_VIOLATION);
  }

  #pauseRang(now: Instant): void {
    if (this.#pausedAt === undefined) return;
    const { lingerTimeout, pauseTimeout } = this.#options;
    const overdue = reached(after(this.#pausedAt, pauseTimeout), now);
    if (this.#endSeenAt === undefined || overdue)
      this.#end("receive", "pauseTimeout", pauseTimeout, this.#pausedAt, now, POLICY_VIOLATION);
    else this.#end("receive", "lingerTimeout", lingerTimeout, this.#endSeenAt, now, POLICY_VIOLATION);
  }

  #lifetimeRang(now: Instant): void {
    this.#end("live", "lifetime", this.#options.lifetime, this.#openedAt, now, GOING_AWAY);
  }

  #end(
    operation: "ping" | "receive" | "live",
    limit: string,
    bound: number,
    since: Instant,
    now: Instant,
    closeCode: number | undefined,
  ): void {
    const error = new TimeoutError({ operation, limit, bound, after: between(since, now), retriable: false });
    this.#connection.limitReached(error, closeCode);
  }
}

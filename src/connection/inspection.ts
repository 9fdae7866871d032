/** Reads what the dashboard shows of a connection, and does what it asks for. */

import { between, type Instant, NEVER } from "../base/time.ts";
import { unanswered } from "../engine/time/heartbeat.ts";
import type { Connection } from "./contract.ts";
import type { Core } from "./core.ts";
import {
  droppedMessagesOf,
  heldBytesOf,
  outgoingPathOf,
  progressOf,
  queuedBytesOf,
  queuedMessagesOf,
  rarePartsOf,
  readPumpOf,
  refusedMessagesOf,
} from "./lazy-parts.ts";
import { NO_TALLY, type Tally } from "./tally.ts";
import { dueOf, type TimerName } from "./time/timers.ts";
import { frameTap, type Report } from "./trace.ts";
import { TransportConnection } from "./transport-connection.ts";

/** A limit of a connection, and how much of it is used. */
export interface LimitState {
  /** The name of the option. */
  readonly name: string;
  readonly unit: "ms" | "bytes" | "messages";
  /** Infinity: no limit. */
  readonly limit: number;
  /** Undefined: it does not count now. */
  readonly used: number | undefined;
}

/** A view of one connection. It reads the connection when its properties are read, and keeps nothing but the connection. */
export class Inspection {
  readonly connection: Connection;
  readonly #core: Core;

  /** */
  private constructor(core: Core) {
    this.#core = core;
    this.connection = core.connection;
  }

  /** The view of a connection. Undefined if this copy of the library has not made it. */
  static of(connection: object): Inspection | undefined {
    const core = TransportConnection.coreOf(connection);
    return core === undefined ? undefined : new Inspection(core);
  }

  get role(): "server" | "client" {
    return this.#core.options.counters.role;
  }

  get tally(): Readonly<Tally> {
    return this.#core.tally ?? NO_TALLY;
  }

  /** In milliseconds. */
  get age(): number {
    // The stored time is rounded up, to up to a millisecond after now.
    return Math.max(0, between(this.#core.openedAt, this.#now));
  }

  /** Milliseconds since the last byte of the peer. */
  get silentFor(): number {
    return Math.max(0, between(this.#core.receivedAt, this.#now));
  }

  get queuedBytes(): number {
    return queuedBytesOf(this.#core);
  }

  get queuedMessages(): number {
    return queuedMessagesOf(this.#core);
  }

  get inboxBytes(): number {
    return this.#core.dispatcher?.inbox.bytes ?? 0;
  }

  get inboxMessages(): number {
    return this.#core.dispatcher?.inbox.length ?? 0;
  }

  get heldBytes(): number {
    return heldBytesOf(this.#core);
  }

  get droppedMessages(): number {
    return droppedMessagesOf(this.#core);
  }

  get refusedMessages(): number {
    return refusedMessagesOf(this.#core);
  }

  get groups(): number {
    const { groups } = this.#core;
    return groups instanceof Set ? groups.size : groups === undefined ? 0 : 1;
  }

  /** For how many milliseconds it does not read. Undefined while it reads. */
  get pausedFor(): number | undefined {
    const { suspendedAt } = this.#core;
    return suspendedAt === undefined ? undefined : Math.max(0, between(suspendedAt, this.#now));
  }

  get peerEndedFor(): number | undefined {
    return this.connection.peerEndedFor;
  }

  get readingHeld(): boolean {
    return this.#core.rareParts?.readingHeld === true;
  }

  /** Stops reading until this is set to false or the end begins. */
  holdReading(held: boolean): void {
    const core = this.#core;
    rarePartsOf(core).readingHeld = held || undefined;
    if (held) readPumpOf(core).hold();
    else if (!core.inboxFull) core.inboxHasRoom();
  }

  /** Sets the round trip that a Ping of the dashboard has measured. */
  pinged(rtt: number): void {
    (this.#core.tally ?? this.#core.beginTally()).rtt = rtt;
  }

  /**
   * Reports the frames from now on, apart from their payload. Returns the directions that are traced now: a direction begins only between
   * two messages, so call it again until both are.
   */
  trace(report: (direction: "in" | "out", facts: Parameters<Report>[0]) => void): boolean {
    const core = this.#core;
    const tally = core.tally ?? core.beginTally();
    const tap = (direction: "in" | "out") => frameTap(core.protocol, direction, (facts) => report(direction, facts));
    const { readPump } = core;
    if (readPump === undefined || (!readPump.pending && progressOf(core).received === 0)) tally.received ??= tap("in");
    if (outgoingPathOf(core) === "idle") tally.sent ??= tap("out");
    return tally.received !== undefined && tally.sent !== undefined;
  }

  untrace(): void {
    const { tally } = this.#core;
    if (tally === undefined) return;
    tally.received = undefined;
    tally.sent = undefined;
  }

  /** Every limit of the connection, and how near it is. */
  limits(): LimitState[] {
    const core = this.#core;
    const { options, rareTimes, closing } = core;
    const since = (at: Instant | undefined): number | undefined =>
      at === undefined ? undefined : Math.max(0, between(at, this.#now));
    const time = (name: string, limit: number, used: number | undefined): LimitState => {
      return { name, unit: "ms", limit, used };
    };
    const timer = (name: TimerName, limit: number): number | undefined => {
      const due = dueOf(core, name);
      return due === NEVER ? undefined : Math.max(0, limit - between(this.#now, due));
    };
    const size = (name: string, limit: number, used: number): LimitState => ({ name, unit: "bytes", limit, used });
    const count = (name: string, limit: number, used: number): LimitState => ({ name, unit: "messages", limit, used });
    const { heartbeat } = options;
    const beats = heartbeat.interval !== Infinity;
    const open = closing?.refusal === undefined;
    return [
      time("heartbeat.interval", heartbeat.interval, beats && open ? since(core.receivedAt) : undefined),
      time("heartbeat.timeout", heartbeat.timeout, beats && unanswered(core) ? since(core.probedAt) : undefined),
      time("idleTimeout", options.idleTimeout, since(rareTimes?.receivedAt)),
      time("messageTimeout", options.messageTimeout, since(rareTimes?.messageBeganAt)),
      time("pauseTimeout", options.pauseTimeout, timer("pause", options.pauseTimeout)),
      time("writeTimeout", options.writeTimeout, timer("write", options.writeTimeout)),
      time("lingerTimeout", options.lingerTimeout, open ? since(closing?.peerEndedAt) : undefined),
      time("closeTimeout", options.closeTimeout, timer("close", options.closeTimeout)),
      time("lifetime", options.lifetime, this.age),
      size("maxMessageSize", options.maxMessageSize, progressOf(core).received),
      size("highWaterMark", options.highWaterMark, this.queuedBytes),
      size("maxQueuedBytes", options.maxQueuedBytes, this.queuedBytes),
      count("maxQueuedMessages", options.maxQueuedMessages, this.queuedMessages),
      size("maxInFlightBytes", options.maxInFlightBytes, core.inFlight?.bytes ?? 0),
      size("maxInboxBytes", options.maxInboxBytes, this.inboxBytes),
      count("maxInboxMessages", options.maxInboxMessages, this.inboxMessages),
    ];
  }

  get #now(): Instant {
    return this.#core.options.clock.now();
  }
}

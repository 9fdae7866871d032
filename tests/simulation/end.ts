/** One end of a connection: what its application did, and what must hold for it. Each limit is measured against its own length. */

import {
  ClosedError,
  type CloseInfo,
  type Connection,
  LimitError,
  type Message,
  type Overflow,
  TimeoutError,
} from "../../src/index.ts";
import type { VirtualLoop } from "./loop.ts";
import type { Reach } from "./reach.ts";
import { type Wire, wireOf } from "./wire.ts";

/** The lengths in milliseconds with which the limits of a run are measured. All of them are different. */
export interface Limits {
  readonly openTimeout: number;
  readonly writeTimeout: number;
  readonly maxInFlightBytes: number;
  readonly closeTimeout: number;
  readonly lingerTimeout: number;
  readonly messageTimeout: number;
  readonly pauseTimeout: number;
  readonly idleTimeout: number;
  readonly lifetime: number;
  readonly heartbeat: { readonly interval: number; readonly timeout: number } | false;
  readonly maxQueuedBytes: number;
  readonly maxInboxBytes: number;
  readonly maxMessageSize: number;
  readonly overflow: Overflow;
}

/** A process, as far as the oracle needs it. */
export interface Process {
  readonly name: string;
  alive: boolean;
  frozen: boolean;
  thawedAt: number;
}

/** A message that an end was called to send. */
export interface Sent {
  readonly text: string;
  /** It may be dropped for its own policy, or for a later message with drop-oldest. Then it is counted. */
  lossy: boolean;
  /** False for a message in parts. One that has not ended when an end begins is given up, and so are those behind it. */
  readonly whole: boolean;
  /** The call was made while the connection was open. */
  readonly inTime: boolean;
  state: "pending" | "accepted" | "rejected" | "in doubt";
  /** False if nothing handles the result of the call: it counts as accepted. */
  awaited: boolean;
  arrived: boolean;
}

/** One direction of a connection. */
class Direction {
  readonly sent: Sent[] = [];
  /** The index of the next message that may arrive. */
  next = 0;
  /** True if the sender is not watched: its messages may be any. */
  loose = false;
}

/** A connection, by the addresses of client and server. */
export class Line {
  readonly name: string;
  readonly up: Direction = new Direction();
  readonly down: Direction = new Direction();
  client: End | undefined;
  server: End | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

// Timers of 1/64 lateness, and the turns that an event needs.
const GRACE = 60;
// On a good link an end without anything to send takes two round trips, and no limit is needed.
const PROMPT = 650;
/** How the last message of a server of lines begins. */
export const FAREWELL = "bye ";
// Headers, Pings and Pongs, which do not count as messages.
const IN_FLIGHT_SLACK = 2_000;
// The same for received bytes: of all messages that are not taken, and of all Pings and Pongs of a connection.
const UNTAKEN_SLACK = 8_192;

/** The judge of a run, as one end needs it. */
export interface Judge {
  readonly loop: VirtualLoop;
  readonly reach: Reach;
  /** For the test of shrinking: the sixth message of a connection breaks a rule. */
  readonly broken: boolean;
  /** The links are fast. */
  readonly prompt: boolean;
  /** The most bytes that a connection gets at once. */
  readonly largestChunk: number;
  /** Faults were injected: an end need not be clean. */
  faulty: boolean;
  note(where: string, what: string): void;
  /** A rule is broken. */
  wrong(rule: string, what: string): void;
  lineOf(connection: Connection, role: "client" | "server"): Line;
  /** An end is over. */
  ended(end: End, info: CloseInfo): void;
}

interface Call {
  readonly what: string;
  readonly since: number;
  readonly timeout: number;
}

/** One end of a connection, with everything that its application did. */
export class End {
  readonly connection: Connection;
  readonly role: "client" | "server";
  readonly limits: Limits;
  readonly process: Process;
  readonly line: Line;
  readonly wire: Wire;
  readonly calls: Set<Call> = new Set();
  readonly openedAt: number;
  closingAt: number | undefined;
  closedAt: number | undefined;
  info: CloseInfo | undefined;
  /** Times that the hook `close` was called. */
  closes = 0;
  /** The application called `close` or `terminate`. */
  closedHere: "close" | "terminate" | undefined;
  /** The number of messages sent before `close` was called. */
  sentBeforeClose = 0;
  /** When the application last took a message. */
  takenAt = 0;
  /** Bytes of the messages that the application has taken, with their headers. */
  taken = 0;
  /** False if the application does not say what it takes. */
  saysTaken = true;
  /** When the application began to wait for a message. Undefined while it does not wait. */
  askingSince: number | undefined;
  /** The application reads all messages to the end. */
  readsAll = false;
  /** A write deadline is set, and may have passed. */
  writeDeadline = false;
  /** A write deadline was set at some time. */
  hadWriteDeadline = false;
  /** The application takes no message: the option `messageType` is "none". */
  sendsOnly = false;
  /** The connection has a last message for its peer. */
  says = false;
  /** The size of the largest message so far. */
  #largest = 0;
  /** Since when messages are held back because of `maxInFlightBytes`, although the peer has read everything. */
  #heldSince: number | undefined;
  /** Bytes that had been written then. */
  #heldWritten = 0;
  /** The last message of the peer, behind which nothing may follow. */
  #farewell: string | undefined;
  /** The number of messages whose call has said that they were refused or dropped. */
  counted = 0;
  /** The errors of calls that were ended by the end of the connection. */
  readonly #reasons: { readonly what: string; readonly error: unknown }[] = [];
  /** Nothing was left to send at either end when this end began to close. */
  #idleAtClosing = false;
  #peerSentAtClosing = 0;
  /** Anything of the peer had arrived when this end began to close: bytes, a FIN or a reset. */
  heardBeforeClosing = true;
  readonly #oracle: Judge;

  constructor(oracle: Judge, connection: Connection, role: "client" | "server", process: Process, limits: Limits) {
    this.#oracle = oracle;
    this.connection = connection;
    this.role = role;
    this.process = process;
    this.limits = limits;
    this.line = oracle.lineOf(connection, role);
    this.line[role] = this;
    this.openedAt = oracle.loop.time;
    const wire = wireOf(connection);
    if (wire === undefined) throw new Error("a connection without a transport in memory");
    this.wire = wire;
  }

  get out(): Direction {
    return this.role === "client" ? this.line.up : this.line.down;
  }

  get in(): Direction {
    return this.role === "client" ? this.line.down : this.line.up;
  }

  get name(): string {
    return `${this.process.name} ${this.line.name}`;
  }

  get #peer(): End | undefined {
    return this.role === "client" ? this.line.server : this.line.client;
  }

  get #idle(): boolean {
    return this.connection.queuedMessages === 0 && this.wire.writingSince === undefined;
  }

  note(what: string): void {
    this.#oracle.note(this.process.name, `${this.line.name} ${what}`);
  }

  /** A message that is passed to the library now. */
  sending(text: string, lossy: boolean, whole = true): Sent {
    const inTime = whole && this.connection.state === "OPEN";
    const sent: Sent = { text, lossy, whole, inTime, state: "pending", awaited: true, arrived: false };
    this.out.sent.push(sent);
    this.#largest = Math.max(this.#largest, text.length);
    return sent;
  }

  /** A message is sent for which earlier ones may be dropped. */
  mayDropOldest(): void {
    for (const one of this.out.sent) one.lossy ||= one.state === "accepted" && !one.arrived;
  }

  accepted(sent: Sent): void {
    if (this.#oracle.broken && this.out.sent.length > 5) this.#oracle.wrong("planned", this.name);
    this.#settle(sent, "accepted");
  }

  /** The call for the message has failed. */
  rejected(sent: Sent, error: unknown): void {
    const own =
      error !== this.connection.signal.reason || (error instanceof LimitError && error.returned === sent.text);
    // A LimitError may also be that of a received message, which has ended the connection.
    const limited = error instanceof LimitError && error.message.startsWith("Cannot send");
    const refused = own && (limited || (error instanceof TimeoutError && error.retriable));
    if (refused && limited) this.counted += 1;
    this.#settle(sent, refused ? "rejected" : "in doubt");
    if (refused && sent.arrived)
      this.#oracle.wrong("I2 refused and delivered", `${this.name}: ${short(sent.text)} after ${String(error)}`);
    if (!refused) this.judgeReason("send", error);
  }

  #settle(sent: Sent, state: Sent["state"]): void {
    if (sent.state !== "pending") this.#oracle.wrong("I2 settled twice", `${this.name}: ${short(sent.text)}`);
    sent.state = state;
  }

  /** The error of a call that was no limit of the call: it is the reason of the end, the same for all. */
  judgeReason(what: string, error: unknown): void {
    if (error instanceof LimitError && !this.connection.signal.aborted) return;
    if (error instanceof TimeoutError && error.retriable) return;
    const { signal, draining } = this.connection;
    // On TCP the peer may have ended its direction, and this side is still writing.
    const ended = this.connection.peerEndedFor !== undefined && endOfStream(error);
    if (ended) return;
    if (!signal.aborted && !draining.aborted)
      this.#oracle.wrong("I3 failed before the end", `${this.name}: ${what}: ${String(error)}`);
    else if (error !== draining.reason) this.#reasons.push({ what, error });
  }

  /** A message was received. */
  received(data: Message): void {
    const now = this.#oracle.loop.time;
    this.takenAt = now;
    this.taken += data.length + this.#headerOf(data.length);
    const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1");
    this.note(`received ${short(text)}`);
    if (this.#farewell !== undefined)
      this.#oracle.wrong("F1 a message behind the farewell", `${this.name}: ${short(text)}`);
    if (text.startsWith(FAREWELL)) {
      this.#receivedFarewell(text);
      return;
    }
    const { in: direction } = this;
    if (direction.loose) return;
    const { sent } = direction;
    let index = direction.next;
    while (index < sent.length && sent[index]!.text !== text) index += 1;
    if (index === sent.length) {
      const known = sent.some((one) => one.text === text);
      this.#oracle.wrong(known ? "I1 twice or out of order" : "I1 other bytes", `${this.name}: ${short(text)}`);
      return;
    }
    for (const skipped of sent.slice(direction.next, index)) {
      // A message in parts of which nothing is written is withdrawn when its side begins to end.
      const withdrawn = !skipped.whole && skipped.state !== "accepted" && this.#peer?.closingAt !== undefined;
      // An oldest message is dropped when a later one is sent, so before the later one arrives.
      if (skipped.state !== "rejected" && !skipped.lossy && !withdrawn)
        this.#oracle.wrong("I1 a message is missing", `${this.name}: ${short(skipped.text)} before ${short(text)}`);
    }
    const one = sent[index]!;
    one.arrived = true;
    if (one.state === "rejected") this.#oracle.wrong("I2 refused and delivered", `${this.name}: ${short(text)}`);
    direction.next = index + 1;
  }

  /** RFC 6455 5.2: a client masks. In lines it is the end of the line. */
  #headerOf(length: number): number {
    if (this.connection.kind === "tcp") return 1;
    return (length < 126 ? 2 : length < 65_536 ? 4 : 10) + (this.role === "server" ? 4 : 0);
  }

  #receivedFarewell(text: string): void {
    this.#farewell = text;
    this.#oracle.reach.saw("farewell");
    const peer = this.#peer;
    if (peer?.process.alive && peer.closingAt === undefined)
      this.#oracle.wrong("F1 a farewell without an end", `${this.name}: ${text}`);
    if (this.out.loose || this.in.loose) return;
    // It comes behind everything that was queued, unless an error has ended the connection.
    const left = this.in.sent.slice(this.in.next).find(({ state, lossy }) => state === "accepted" && !lossy);
    if (text === `${FAREWELL}CLOSED` && left !== undefined)
      this.#oracle.wrong("F1 a farewell before a message", `${this.name}: ${short(left.text)}`);
  }

  /** The hook `closing`. */
  closing(error: unknown): void {
    if (this.closingAt !== undefined) this.#oracle.wrong("I3 closing twice", this.name);
    this.closingAt = this.#oracle.loop.time;
    this.note(`closing: ${String(error)}`);
    const peer = this.#peer;
    this.#peerSentAtClosing = this.in.sent.length;
    this.heardBeforeClosing =
      this.wire.received > 0 || this.wire.finAt !== undefined || this.wire.closedAt !== undefined;
    this.#idleAtClosing = this.#idle && peer !== undefined && peer.closingAt === undefined && peer.#idle;
    // With the policy close, the peer may still be sending more than the end has time for.
    if (error instanceof LimitError) this.#oracle.faulty = true;
    if (this.closes > 0) this.#oracle.wrong("I3 closing after close", this.name);
    if (error !== this.connection.signal.reason) this.#oracle.wrong("I3 another reason", `${this.name}: closing`);
    if (this.sendsOnly && error instanceof TimeoutError && error.limit === "pauseTimeout")
      this.#oracle.wrong("F2 a side that only sends is called slow", this.name);
    this.#judgeLimit(error);
  }

  /** The hook `close`. */
  close(info: CloseInfo): void {
    this.closes += 1;
    if (this.closes > 1) this.#oracle.wrong("I3 close twice", this.name);
    if (this.closingAt === undefined) this.#oracle.wrong("I3 close without closing", this.name);
    if (this.connection.state !== "CLOSED") this.#oracle.wrong("I3 close before the end", this.name);
    this.closedAt = this.#oracle.loop.time;
    this.info = info;
    this.note(
      `closed ${info.code} ${info.wasClean ? "clean" : "unclean"} by ${info.by}${info.cause === undefined ? "" : `: ${String(info.cause)}`}`,
    );
    if (info.cause instanceof TimeoutError && info.cause.limit === "closeTimeout") this.#judgeLimit(info.cause);
    const { reason: announced } = this.connection.draining;
    const own = announced instanceof ClosedError && announced.by === "local";
    // A server that closes reads no more, so no FIN that comes afterwards is what ends the connection.
    if (this.connection.kind === "tcp" && own && info.by === "peer" && info.wasClean)
      this.#oracle.wrong("I3 an end of the server is called the peer's", `${this.name}: ${info.code}`);
    const lasted = this.closedAt - (this.closingAt ?? this.closedAt);
    const idle = this.#idleAtClosing && this.in.sent.length === this.#peerSentAtClosing && !this.in.loose;
    if (idle && info.wasClean && lasted > PROMPT && this.#oracle.prompt && !this.#oracle.faulty)
      this.#oracle.wrong("I4 a clean end takes long", `${this.name}: ${lasted} ms`);
    this.#oracle.ended(this, info);
  }

  /** A limit must not be reached before its time. */
  #judgeLimit(error: unknown): void {
    if (!(error instanceof TimeoutError)) return;
    const { limits, wire } = this;
    const now = this.#oracle.loop.time;
    const since = this.#sinceOf(error.limit);
    const length =
      error.limit === "heartbeat.timeout"
        ? limits.heartbeat === false
          ? Infinity
          : limits.heartbeat.interval + limits.heartbeat.timeout
        : (limits as unknown as Record<string, number>)[error.limit];
    if (length === undefined) return;
    if (since === undefined || now - since < length - 1)
      this.#oracle.wrong(
        `I5 ${error.limit} too early`,
        `${this.name}: ${length} ms, but ${since === undefined ? "nothing waited" : `only ${now - since} ms`} (received ${wire.received})`,
      );
  }

  /** The instant from which a limit counts. */
  #sinceOf(limit: string): number | undefined {
    const { limits, wire } = this;
    switch (limit) {
      case "heartbeat.timeout":
        return wire.dataAt;
      case "writeTimeout":
        // With a bound of the bytes in flight it also counts from the last acknowledgement, which is not seen here.
        return wire.writingSince ?? (limits.maxInFlightBytes === Infinity ? undefined : 0);
      case "closeTimeout":
        return Math.max(this.closingAt ?? this.#oracle.loop.time, wire.progressAt);
      case "lingerTimeout":
        return wire.finAt;
      case "pauseTimeout":
        // At the beginning of an end reading goes on, before the hook is called.
        return wire.pausedSince ?? (wire.resumedAt === this.#oracle.loop.time ? wire.pausedAt : undefined);
      case "idleTimeout":
        return wire.dataAt;
      case "lifetime":
        return wire.openedAt;
      default:
        return 0;
    }
  }

  /** A limit must not be exceeded by more than the lateness of a timer. */
  sweep(now: number): void {
    const { connection, limits, process, wire } = this;
    const { state } = connection;
    if (!process.alive || process.frozen) return;
    const waited = (since: number): number => now - Math.max(since, process.thawedAt) - GRACE;
    const late = (limit: string, since: number, length: number): void => {
      if (waited(since) > length)
        this.#oracle.wrong(
          `I4 ${limit} too late`,
          `${this.name}: ${length} ms, but already ${now - since} ms in ${state}`,
        );
    };
    for (const call of this.calls) {
      late(`timeout of ${call.what}`, call.since, call.timeout);
      if (this.closedAt !== undefined) late(`${call.what} at the end`, this.closedAt, 0);
    }
    for (const call of this.calls)
      if (call.what === "send" && state === "OPEN" && connection.queuedMessages === 0)
        late("send beside an empty queue", Math.max(call.since, wire.progressAt, wire.resumedAt), 0);
    if (connection.queuedBytes > limits.maxQueuedBytes + 512)
      this.#oracle.wrong("I6 maxQueuedBytes", `${this.name}: ${connection.queuedBytes} bytes`);
    if (state === "CLOSED") {
      if (this.closedAt === undefined && this.askingSince !== undefined)
        late("close hook", wire.closedAt ?? now, 1_000);
      if (wire.closedAt === undefined) this.#oracle.wrong("I7 descriptor is not free", `${this.name} is CLOSED`);
      return;
    }
    if (wire.closedAt !== undefined) late("state CLOSED", wire.closedAt, 0);
    if (wire.writingSince !== undefined && state === "OPEN")
      late("writeTimeout", wire.writingSince, limits.writeTimeout);
    if (state === "CLOSING") {
      late("closeTimeout", Math.max(this.closingAt ?? now, wire.progressAt), limits.closeTimeout);
      return;
    }
    this.#judgeInFlight();
    if (this.sendsOnly && wire.finAt !== undefined && connection.kind === "tcp" && !connection.draining.aborted)
      late("end of a side that only sends", wire.finAt, 0);
    this.#judgeInbox();
    late("lifetime", this.openedAt, limits.lifetime);
    if (wire.pausedSince !== undefined) {
      late("pauseTimeout", wire.pausedSince, limits.pauseTimeout);
      return;
    }
    if (wire.finAt !== undefined) late("lingerTimeout", Math.max(wire.finAt, this.takenAt), limits.lingerTimeout);
    const heard = Math.max(wire.heardAt, wire.resumedAt);
    if (limits.heartbeat !== false && connection.kind === "websocket")
      late("heartbeat.timeout", heard, (limits.heartbeat.interval * 65) / 64 + limits.heartbeat.timeout);
    else if (this.askingSince !== undefined && limits.idleTimeout !== Infinity)
      late("idleTimeout", Math.max(wire.dataAt, wire.resumedAt, this.askingSince), limits.idleTimeout);
  }

  /** The message that reaches the limit is stored, and the chunk in which it ends is kept. */
  #judgeInbox(): void {
    const { limits, wire } = this;
    if (!this.saysTaken) return;
    const untaken = wire.received - this.taken;
    const peer = this.#peer;
    const message = peer === undefined || this.in.loose ? limits.maxMessageSize : peer.#largest;
    if (untaken > limits.maxInboxBytes + message + this.#oracle.largestChunk + UNTAKEN_SLACK)
      this.#oracle.wrong("I6 maxInboxBytes", `${this.name}: ${untaken} bytes`);
    if (untaken > limits.maxInboxBytes / 2) this.#oracle.reach.saw("inbox half full");
  }

  /** Bytes that were written and that the peer has not read. One larger message may be in flight alone. */
  #judgeInFlight(): void {
    const { limits, wire } = this;
    const peer = this.#peer;
    // Without reading no Pong is seen, so nothing is held back.
    if (limits.maxInFlightBytes === Infinity || wire.pausedAt !== undefined) return;
    if (peer === undefined || !peer.process.alive || this.connection.kind === "tcp") return;
    const bytes = wire.written - peer.wire.received;
    if (bytes > Math.max(limits.maxInFlightBytes, this.#largest) + IN_FLIGHT_SLACK)
      this.#oracle.wrong("F3 maxInFlightBytes", `${this.name}: ${bytes} bytes`);
    if (bytes > limits.maxInFlightBytes / 2) this.#oracle.reach.saw("bytes in flight");
    this.#judgeHeld(bytes === 0, peer);
  }

  /** Once the peer has read everything, its Pongs must release the messages that are held back. */
  #judgeHeld(allRead: boolean, peer: End): void {
    const { connection, limits, wire } = this;
    const now = this.#oracle.loop.time;
    const held =
      connection.queuedMessages > 0 &&
      wire.writingSince === undefined &&
      (connection.inFlightBytes ?? 0) >= limits.maxInFlightBytes / 2;
    // Between two looks the Pongs may have come, and so much may have been written that messages are held back again.
    const again = wire.written - this.#heldWritten >= limits.maxInFlightBytes / 2;
    if (!held || !allRead || peer.wire.pausedAt !== undefined) this.#heldSince = undefined;
    else if (this.#heldSince === undefined || again) {
      this.#heldSince = now;
      this.#heldWritten = wire.written;
    }
    if (this.#heldSince === undefined || !this.#oracle.prompt || this.#oracle.faulty) return;
    const since = Math.max(this.#heldSince, wire.resumedAt, this.process.thawedAt, peer.process.thawedAt);
    if (now - since > PROMPT) this.#oracle.wrong("F3 held although the peer has read everything", this.name);
  }

  /** What must hold when nothing happens any more. */
  finish(): void {
    const { connection, info, process, wire } = this;
    if (!process.alive) return;
    if (info === undefined || connection.state !== "CLOSED") {
      this.#oracle.wrong("I4 never ended", `${this.name} is ${connection.state}`);
      return;
    }
    if (this.closes !== 1) this.#oracle.wrong("I3 close hook", `${this.name}: ${this.closes} calls`);
    if (wire.closings !== 1)
      this.#oracle.wrong("I7 descriptor", `${this.name}: ${wire.closings} ends of the transport`);
    for (const { what } of this.calls) this.#oracle.wrong("I2 never settled", `${this.name}: ${what}`);
    for (const { state, text } of this.out.sent)
      if (state === "pending") this.#oracle.wrong("I2 never settled", `${this.name}: send of ${short(text)}`);
    if (connection.queuedBytes !== 0 && info.wasClean)
      this.#oracle.wrong("I7 held bytes", `${this.name}: ${connection.queuedBytes} bytes in the queue`);
    // Behind the last message both sides agreed to end, so nothing that was queued before may be given up.
    const unfinished = this.out.sent.findIndex(({ whole, state }) => !whole && state === "in doubt");
    const ahead = unfinished === -1 ? this.out.sent : this.out.sent.slice(0, unfinished);
    const givenUp = ahead.find(({ inTime, state }) => inTime && state === "in doubt");
    if (info.wasClean && info.by === "peer" && connection.kind === "websocket" && givenUp !== undefined)
      this.#oracle.wrong("S5-1 given up in a clean end", `${this.name}: ${short(givenUp.text)}`);
    // A call that was still in progress when the end began may end with what made the end fail.
    for (const { what, error } of this.#reasons)
      if (error !== connection.signal.reason && error !== info.cause && !endOfStream(error) && !limitOfEnd(error))
        this.#oracle.wrong("I3 another reason", `${this.name}: ${what}: ${String(error)}, not ${String(info.cause)}`);
    this.#finishDelivery(info);
  }

  /** Everything that was accepted arrives if this side ended the connection in order and the peer read on. */
  #finishDelivery(info: CloseInfo): void {
    const peer = this.#peer;
    // The last message names an error. A close with 1000, and an end that the peer began, has none.
    const plain = info.cause === undefined && (info.by === "peer" || info.code === 1000);
    if (plain && peer !== undefined && peer.#farewell !== undefined)
      this.#oracle.wrong("F1 a farewell without an error", `${this.name}: ${peer.#farewell}`);
    if (peer?.info === undefined || !peer.process.alive || this.out.loose || !peer.readsAll) return;
    const says = this.says && info.by === "local" && info.code !== 1000 && info.wasClean;
    if (says && peer.info.by === "peer" && peer.info.wasClean && peer.#farewell === undefined)
      this.#oracle.wrong("F1 no farewell", `${this.name}: ${info.code}`);
    const ended = info.by === "local" && info.wasClean && peer.info.by === "peer" && peer.info.wasClean;
    // An application that closes takes no more, and its connection can still have ended by the FIN of its peer.
    if (peer.closedHere !== undefined) return;
    // A call that nothing handles may have ended by a write deadline, which counts nothing.
    const missing = this.out.sent.filter(
      (one) => !one.arrived && one.state === "accepted" && !(this.hadWriteDeadline && !one.awaited),
    );
    // Every message that was refused or dropped is counted.
    const { droppedMessages, refusedMessages } = this.connection;
    const dropped = droppedMessages + refusedMessages - this.counted;
    const unexplained = missing.filter(({ lossy }) => !lossy);
    if (ended && unexplained.length > 0)
      this.#oracle.wrong("S5-1 accepted and lost", `${this.name}: ${short(unexplained[0]!.text)} of ${missing.length}`);
    if (ended && missing.length > Math.max(0, dropped))
      this.#oracle.wrong("S5-1 lost and not counted", `${this.name}: ${missing.length} lost, ${dropped} counted`);
  }
}

// On TCP a reader that has everything up to the FIN has reached the end in order, whatever happens to the other direction.
const endOfStream = (error: unknown): boolean => error instanceof ClosedError && error.by === "peer" && error.wasClean;

/** An end that had begun took too long: calls that were still pending get this limit. */
const limitOfEnd = (error: unknown): boolean =>
  error instanceof TimeoutError && /^(close|linger)Timeout$/.test(error.limit);

const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 34)}...(${text.length})` : text);

/** Carries out the state table of `engine/closing.ts` for the end of one connection. */

import { NO_BYTES } from "../../base/bytes.ts";
import type { TransportError } from "../../base/errors.ts";
import {
  ClosedError,
  type ConnectionError,
  type ConnectionSide,
  type Progress,
  ProtocolError,
  TimeoutError,
} from "../../base/errors.ts";
import { after, between, earlier, type Instant, NEVER, reached } from "../../base/time.ts";
import {
  type Action,
  discards,
  type Event,
  endsClean,
  isWritten,
  type Kind,
  type State,
  TABLES,
} from "../../engine/closing.ts";
import { ABNORMAL, closePayload, fittingReason, NORMAL } from "../../engine/websocket/close-codes.ts";
import { CLOSE } from "../../engine/websocket/frame.ts";
import { withoutStack } from "../../transport/errors-without-stack.ts";
import type { Transport } from "../../transport/transport.ts";
import type { CloseInfo } from "../contract.ts";
import type { SettledOptions } from "../options.ts";
import type { Protocol } from "../protocol.ts";
import { CloseReason, type EndStart } from "./close-reason.ts";

/**
 * With each step of progress a slow peer gets `closeTimeout` anew, but at most this many times. Without this bound, a peer that
 * takes one byte at a time could hold a file descriptor for as long as the kernel's buffer lasts.
 */
export const MAX_EXTENSIONS = 60;

/**
 * Fraction of the closing time after which the connection polls the kernel: whether the peer takes bytes. Most ends are complete
 * by then.
 */
const POLL_AFTER = 1 / 4;
/**
 * Minimum time for polling, in milliseconds: progress is the difference of two readings, and there is one reading per second. If
 * the closing time leaves less than this, polling begins at once.
 */
const MIN_POLL_TIME = 3_000;

/** The connection, as `Closing` uses it. */
export interface ClosingOwner {
  readonly protocol: Protocol;
  readonly transport: Transport;
  readonly options: SettledOptions;
  readonly queuedMessages: number;
  /** Progress of the message that is being received. */
  readonly progress: Progress;
  /** Set the time limits of the end. */
  setCloseTimer(at: Instant): void;
  setLingerTimer(at: Instant): void;
  clearLingerTimer(): void;
  /** Stops all time limits for good. */
  stopTimers(): void;
  /** The encoded last message for a peer whose protocol has no Close frame. Undefined if the application has none. */
  farewell(cause: ConnectionError): Uint8Array | undefined;
  /** Writes the queued messages, then `frame` if there is one, and accepts no more. Truncated messages reject with `error`. */
  finishWrites(frame: Uint8Array | undefined, error: unknown): void;
  /** Stops reading, so that no further message arrives. */
  stopReading(): void;
  /** Rejects pending calls for a message, and calls made after the received messages are taken. */
  endInput(error: ConnectionError): void;
  /** Rejects queued messages of which no byte is written. */
  dropQueue(error: ConnectionError): void;
  /** Rejects all pending calls. Later calls fail with `refusal`. */
  endCalls(error: ConnectionError): void;
  /** Rejects all messages that the kernel has not accepted, and later ones. */
  endWrites(error: ConnectionError): void;
  /** Starts or stops polling the kernel for the peer's acknowledgement of the written bytes. */
  followWrites(wanted: boolean): void;
  /** A time limit was reached. */
  timedOut(error: TimeoutError): void;
  /** The end has begun. Called once. */
  endBegun(refusal: ConnectionError): void;
  /** The descriptor is free. Called once. */
  endComplete(): void;
}

/** Data of one event. */
interface EndFacts {
  readonly start?: EndStart;
  /** Error for the pending calls, if it differs from the error for later calls. */
  readonly error?: ConnectionError;
  readonly payload?: Uint8Array;
  readonly limit?: "closeTimeout" | "lingerTimeout";
  /** True if messages are still delivered until the peer ends. */
  readonly receives?: boolean;
  /** True if this side ends because of an error, or with a code that the peer should know. */
  readonly explains?: boolean;
}

export class Closing {
  readonly closeReason: CloseReason = new CloseReason();
  state: State = "open";
  /** When this side noticed the peer's FIN. */
  peerEndedAt: Instant | undefined;
  /** The peer's FIN has arrived, but received bytes before it are not decoded yet. */
  finPending = false;
  /** Errors with which parts of the connection start if they are created later. */
  inputError: ConnectionError | undefined;
  writeError: ConnectionError | undefined;
  /** True if `endBegun` was called. */
  beginReported = false;
  readonly #owner: ClosingOwner;
  #info: CloseInfo | undefined;
  #beganAt: Instant | undefined;
  /** When the closing time expires. */
  #closeAt: Instant = NEVER;
  /** True if the kernel is polled for progress once all bytes are written. */
  #polls = false;
  /** The option that bounds the rest of the end. */
  #limit: "closeTimeout" | "lingerTimeout" = "closeTimeout";
  /** Whether the end was clean. Undefined until the end is complete. */
  #clean: boolean | undefined;

  constructor(owner: ClosingOwner) {
    this.#owner = owner;
  }

  /** Error of calls after the end has begun. Undefined while the connection accepts messages. */
  get refusal(): ConnectionError | undefined {
    return this.closeReason.refusal;
  }

  /** True if received bytes are discarded. They are still read, because unread bytes would turn our FIN into a reset. */
  get discards(): boolean {
    return discards(this.state);
  }

  /** Result of the end. Undefined until the end is complete. */
  get info(): CloseInfo | undefined {
    if (this.#clean !== undefined) this.#info ??= this.closeReason.info(this.#clean);
    return this.#info;
  }

  /**
   * The server closes. `code` and `reason` are for the later Close frame. Returns the error that calls get after the received
   * messages are taken. Returns undefined if the connection is closing already.
   */
  beginDraining(code: number, reason: string): ConnectionError | undefined {
    // After the peer's FIN nothing can be read, and calls for a message already reject with this error.
    if (this.state === "halfOpen") return this.inputError;
    if (this.state !== "open") return undefined;
    const error = this.closeReason.announce(code, reason, "local");
    this.#handle("drain");
    return error;
  }

  /** The application closes: as `local`, but with `receiveWhileClosing` messages are still delivered until the peer ends. */
  localByCall(code: number, reason: string): void {
    this.local(code, reason, undefined, this.#owner.options.receiveWhileClosing);
  }

  /** This side closes in order: queued messages are sent first. `cause`: the error that caused the close, if there is one. */
  local(code: number, reason: string, cause?: unknown, receives: boolean = false): void {
    const payload = closePayload(code, reason);
    // While the server closes, nothing is read: a FIN that was seen has unread messages before it, and the end is this side's.
    const by: ConnectionSide = this.peerEndedAt === undefined || this.state === "draining" ? "local" : "peer";
    // On TCP no code is sent. Behind the peer's FIN this side's code would appear as one of the peer's.
    const answersFin = by === "peer" && cause === undefined && roleOf(this.#owner.protocol) === "tcp";
    const start = answersFin ? { code: NORMAL, reason: "", by, cause } : { code, reason, by, cause };
    const explains = !answersFin && (code !== NORMAL || cause !== undefined);
    this.#handle("close", { start, payload, explains, receives });
  }

  /** The peer's Close frame was read. */
  peerClosed(code: number, reason: string): void {
    const start = { code, reason, by: "peer", cause: undefined } as const;
    // RFC 6455 5.5.1: the code is echoed.
    this.#handle("peerClose", { start, payload: closePayload(code, "") });
  }

  /** The peer's FIN was read, and all bytes before it are decoded. */
  peerEnded(): void {
    this.finPending = false;
    const { received, expected } = this.#owner.progress;
    // If received bytes are discarded, a truncated message is not an error.
    if (received > 0 && !this.discards) {
      const problem = `the stream ended after ${received} of ${expected ?? "an unknown number of"} bytes of a message`;
      const facts = { by: "peer", closeCode: ABNORMAL, reason: "unexpected-eof", clause: "unexpected-eof" } as const;
      const cause = new ProtocolError({ problem, ...facts });
      const start = { code: ABNORMAL, reason: "", by: "peer", cause } as const;
      this.#handle("peerCut", { start, limit: "lingerTimeout" });
    } else {
      const start = { code: ABNORMAL, reason: "", by: "peer", cause: endedWithoutClose() } as const;
      this.#handle("peerEnd", { start, limit: "lingerTimeout" });
    }
  }

  /** Ends the connection because of an error. Sends a Close frame, and rejects messages of which no byte is written. */
  fail(error: ConnectionError, code: number, reason: string): void {
    if (this.closeReason.failed) return;
    const start = { code, reason, by: "local", cause: error } as const;
    this.#handle("fail", { start, error, payload: closePayload(code, fittingReason(reason)), explains: true });
  }

  /** A time limit was reached: closes with `closeCode`. If that is undefined, the connection ends at once. */
  timeOut(error: TimeoutError, closeCode: number | undefined): void {
    this.#owner.timedOut(error);
    if (closeCode === undefined) this.abort(error);
    else this.fail(error, closeCode, error.message);
  }

  /** Ends the connection at once, without a Close frame. */
  abort(error: ConnectionError): void {
    const start = { code: ABNORMAL, reason: "", by: "local", cause: error } as const;
    // If the end has already failed, the calls that are still pending get that error, which `closed` reports too.
    this.#handle("abort", { start, error: this.closeReason.failure ?? error });
  }

  /** The kernel has accepted all bytes, including the Close frame. */
  finished(): void {
    this.#handle("flushed");
    this.#pollIfWritten();
  }

  /** The peer's kernel has taken bytes. */
  progressed(): void {
    this.#handle("progress");
  }

  /** The timer of the end has expired: a fraction of the closing time has passed, or all of it. */
  timerExpired(now: Instant): void {
    if (reached(this.#closeAt, now)) this.#timedOut(now);
    else {
      this.#polls = true;
      this.#pollIfWritten();
      this.#owner.setCloseTimer(this.#closeAt);
    }
  }

  #pollIfWritten(): void {
    if (this.#polls && isWritten(this.state)) this.#owner.followWrites(true);
  }

  #timedOut(now: Instant): void {
    const { options, protocol } = this.#owner;
    // Behind a closing handshake only the peer's FIN is missing, which is no failure.
    if (endsClean(roleOf(protocol), this.state, false)) {
      this.#handle("timeout");
      return;
    }
    const limit = this.#limit;
    const elapsed = between(this.#beganAt ?? now, now);
    const facts = { operation: "close", limit, bound: options[limit], after: elapsed, retriable: false } as const;
    const error = new TimeoutError(facts);
    this.#owner.timedOut(error);
    this.#handle("timeout", { start: { code: ABNORMAL, reason: "", by: "local", cause: error }, error });
  }

  /** The descriptor is free. */
  transportClosed(error: TransportError | undefined): void {
    const { state } = this;
    const { queuedMessages, protocol } = this.#owner;
    const clean = endsClean(roleOf(protocol), state, error !== undefined);
    const cause = clean ? undefined : (error ?? endedWithoutClose());
    this.#clean = clean || (state === "closingAnswered" && queuedMessages === 0);
    const recorded = this.#clean ? undefined : cause;
    this.#handle("gone", { start: { code: ABNORMAL, reason: "", by: "peer", cause: recorded } });
  }

  #handle(event: Event, facts: EndFacts = {}): void {
    const next = TABLES[roleOf(this.#owner.protocol)][this.state][event];
    if (next === undefined) return;
    this.state = next.to;
    for (const action of next.actions) this.#perform(action, facts);
  }

  #perform(action: Action, facts: EndFacts): void {
    const owner = this.#owner;
    const { options, transport, protocol } = owner;
    const { start, payload } = facts;
    const refusal = this.refusal as ConnectionError;
    const error = facts.error ?? refusal;
    switch (action) {
      case "begin":
        this.#begin(start as EndStart, facts.limit ?? "closeTimeout");
        break;
      case "setCause":
        if (start?.cause !== undefined) this.closeReason.record(start);
        break;
      case "stopReading":
        owner.stopReading();
        break;
      case "endInputAtClose":
        if (facts.receives !== true) this.#perform("endInput", facts);
        break;
      case "endInput":
        // On TCP this side can still send after the peer's FIN, and no call is refused yet.
        this.inputError ??= error ?? this.closeReason.announce(NORMAL, "", "peer");
        owner.endInput(this.inputError);
        break;
      case "dropQueue":
        owner.dropQueue(error);
        break;
      case "endCalls":
        owner.endCalls(error);
        break;
      case "endWrites":
        this.writeError ??= error;
        owner.endWrites(error);
        break;
      case "sendClose":
        if (protocol.control !== undefined) options.counters.closeSent(payload ?? NO_BYTES);
        // A protocol without Close frames only sends a FIN behind the queued messages, and the farewell.
        owner.finishWrites(protocol.control?.(CLOSE, payload ?? NO_BYTES) ?? this.#farewell(facts), refusal);
        break;
      case "sendRest":
        owner.finishWrites(this.#farewell(facts), refusal);
        break;
      case "sendFin":
        transport.end();
        break;
      case "linger":
        owner.setLingerTimer(after(options.clock.now(), options.lingerTimeout));
        break;
      case "extend":
        this.#extend();
        break;
      case "reset":
        transport.abort();
        break;
      case "release":
        transport.release();
        break;
      case "reportBegun":
        this.#reportBegin();
        break;
      case "reportEnded":
        this.#settle();
        break;
      default:
        action satisfies never;
    }
  }

  #farewell({ explains }: EndFacts): Uint8Array | undefined {
    return explains ? this.#owner.farewell(this.refusal as ConnectionError) : undefined;
  }

  #begin(start: EndStart, limit: "closeTimeout" | "lingerTimeout"): void {
    this.closeReason.record(start);
    if (this.state === "over" || this.state === "aborted") return;
    const owner = this.#owner;
    const { options } = owner;
    this.#beganAt = options.clock.now();
    this.#limit = limit;
    const bound = options[limit];
    this.#closeAt = after(this.#beganAt, bound);
    this.#polls = bound * (1 - POLL_AFTER) < MIN_POLL_TIME;
    owner.clearLingerTimer();
    owner.setCloseTimer(this.#polls ? this.#closeAt : after(this.#beganAt, bound * POLL_AFTER));
  }

  #extend(): void {
    const { options } = this.#owner;
    const bound = options[this.#limit];
    const now = options.clock.now();
    const latest = after(this.#beganAt ?? now, bound * MAX_EXTENSIONS);
    this.#closeAt = earlier(after(now, bound), latest);
    this.#owner.setCloseTimer(this.#polls ? this.#closeAt : earlier(after(now, bound * POLL_AFTER), this.#closeAt));
  }

  #reportBegin(): void {
    if (this.beginReported) return;
    this.beginReported = true;
    this.#owner.endBegun(this.refusal as ConnectionError);
  }

  #settle(): void {
    this.#owner.followWrites(false);
    this.#owner.stopTimers();
    this.closeReason.settle();
    this.#owner.endComplete();
  }
}

function roleOf({ name, closesFirst }: Protocol): Kind {
  if (name === "tcp") return "tcp";
  return closesFirst ? "server" : "client";
}

/** The error for a peer that ended without a Close frame. */
function endedWithoutClose(): ClosedError {
  return withoutStack(() => new ClosedError({ closeCode: ABNORMAL, by: "peer", wasClean: false }));
}

/** From the first sign of the end to the free descriptor: who is told, what is still sent, and how long it may take. */

import {
  ClosedError,
  type ConnectionError,
  type Progress,
  ProtocolError,
  TimeoutError,
  type TransportError,
} from "../base/errors.js";
import { after, between, type Instant } from "../base/time.js";
import { ABNORMAL, closePayload, NO_STATUS, NORMAL } from "../engine/close.js";
import { CLOSE } from "../engine/frame.js";
import { stackless } from "../transport/stackless.js";
import type { Transport } from "../transport/transport.js";
import type { Alarms } from "./alarms.js";
import { type Beginning, Ending } from "./ending.js";
import type { Inbox } from "./inbox.js";
import type { CloseInfo, SettledOptions } from "./options.js";
import type { Outbox } from "./outbox.js";
import type { Pings } from "./pings.js";
import type { Waits } from "./waits.js";
import type { Wire } from "./wire.js";

const NOTHING = new Uint8Array();

/** What belongs to a connection and has to hear of its end. */
export interface Ends {
  readonly wire: Wire;
  readonly transport: Transport;
  readonly options: SettledOptions;
  readonly alarms: Alarms;
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly waits: Waits;
  readonly pings: Pings;
  /** The message that is arriving. */
  readonly progress: Progress;
  /** Every call that waits ends, and nothing arrives any more; what has not been made yet heeds `Closing.told` when it is. */
  endCalls(error: ConnectionError): void;
  /** The same of what is written. */
  endWrites(error: ConnectionError): void;
  /** The end has begun: no message is taken in or out any more. Called once. */
  endBegun(refusal: ConnectionError): void;
  /** The descriptor is free. Called once. */
  endReached(): void;
}

export class Closing {
  readonly ending: Ending = new Ending();
  /** Arriving bytes are thrown away; they are still read, since unread ones would turn our FIN into a reset. */
  deaf = false;
  /** When the peer's FIN was known to have come. */
  peerEndedAt: Instant | undefined;
  /** How far it is: what came before it has yet to be taken, or it has taken effect. */
  peerEnd: "none" | "waits" | "read" = "none";
  /** What all calls were told, when there was no more to come for any of them. */
  told: ConnectionError | undefined;
  #info: CloseInfo | undefined;
  /** Whether it was over in order; undefined while it is not over. */
  #clean: boolean | undefined;
  readonly #parts: Ends;
  #beganAt: Instant | undefined;
  /** The bound that what is left of the end has, counted from its beginning. */
  #limit: "closeTimeout" | "lingerTimeout" = "closeTimeout";
  #flushed = false;

  constructor(parts: Ends) {
    this.#parts = parts;
  }

  /** The error for calls that come too late; undefined while the connection takes messages. */
  get refusal(): ConnectionError | undefined {
    return this.ending.refusal;
  }

  /** The account of the end, when it is over. */
  get info(): CloseInfo | undefined {
    if (this.#clean !== undefined) this.#info ??= this.ending.info(this.#clean);
    return this.#info;
  }

  /** Our side closes in order: what is queued is sent first. `cause` is given when it is on account of an error. */
  local(code: number, reason: string, cause?: unknown): void {
    const payload = closePayload(code, reason);
    const by = this.peerEndedAt === undefined ? "local" : "peer";
    if (!this.#begin({ code, reason, by, cause })) return;
    this.ending.step("closeSent");
    this.#parts.inbox.end(this.refusal);
    this.#finish(payload);
  }

  /** The peer's Close frame. */
  peerClosed(code: number, reason: string): void {
    this.ending.step("closeReceived");
    if (this.#begin({ code, reason, by: "peer", cause: undefined })) {
      this.ending.step("closeSent");
      this.#parts.inbox.end(this.refusal);
      // RFC 6455 5.5.1: the code is echoed. 1005 stands for none, and is not for the wire (7.4.1).
      this.#finish(code === NO_STATUS ? NOTHING : closePayload(code, ""));
    }
    this.#endWhenDone();
  }

  /** The peer's FIN has come, and everything before it has been decoded. */
  peerEnded(now: Instant): void {
    const { alarms, inbox, options, outbox, wire } = this.#parts;
    this.peerEnd = "read";
    const error = this.deaf ? undefined : this.#prematureEnd();
    if (error !== undefined) {
      this.#begin({ code: ABNORMAL, reason: "", by: "peer", cause: error }, "lingerTimeout");
      this.deaf = true;
      inbox.end(error);
      outbox.finish(undefined, error);
    } else if (wire.protocol === "tcp" && !this.deaf) {
      this.ending.step("closeReceived");
      inbox.end(this.refusal ?? new ClosedError({ closeCode: NORMAL, by: "peer", wasClean: true }));
      if (this.refusal === undefined) alarms.set("linger", after(now, options.lingerTimeout));
    }
    this.#endWhenDone();
  }

  /** Something is wrong, and the peer is to be told: what has not begun to be written is given back. */
  fail(error: ConnectionError, code: number, reason: string): void {
    if (this.ending.failed) return;
    const payload = closePayload(code, fitting(reason));
    const { inbox, outbox, pings, waits } = this.#parts;
    const first = this.#begin({ code, reason, by: "local", cause: error });
    this.deaf = true;
    inbox.end(error);
    outbox.abandon(error);
    waits.end(error);
    pings.end(error);
    if (!first) return;
    if (this.ending.state === "open" || this.ending.state === "closeReceived") this.ending.step("closeSent");
    this.#finish(payload);
  }

  /** Ends at once, without a word to the peer. */
  abort(error: ConnectionError): void {
    const parts = this.#parts;
    this.#begin({ code: ABNORMAL, reason: "", by: "local", cause: error });
    this.deaf = true;
    this.told ??= error;
    parts.endCalls(error);
    parts.endWrites(error);
    parts.transport.abort();
  }

  /** Everything was written. */
  finished(): void {
    this.#flushed = true;
    this.#endWhenDone();
  }

  /** It has taken too long. */
  timedOut(now: Instant): void {
    const { options, transport, wire } = this.#parts;
    // The handshake is complete: that the peer keeps the TCP connection open is its own affair (RFC 6455 7.1.1).
    if (wire.protocol === "websocket" && this.ending.state === "closeExchanged" && this.#flushed) {
      transport.abort();
      return;
    }
    const limit = this.#limit;
    const lasted = between(this.#beganAt ?? now, now);
    this.abort(new TimeoutError({ operation: "close", limit, bound: options[limit], after: lasted, retriable: false }));
  }

  /** The transport is gone. */
  transportClosed(error: TransportError | undefined): void {
    const parts = this.#parts;
    const { alarms, wire } = parts;
    // Behind a closing handshake nothing can be lost. A FIN each way is the end itself: if one has met a reset, there was none.
    const clean = this.ending.state === "closeExchanged" && (wire.protocol === "websocket" || error === undefined);
    if (!clean) {
      const cause = error ?? lost();
      this.#begin({ code: ABNORMAL, reason: "", by: "peer", cause }, "over");
    }
    this.ending.step("ended");
    alarms.stop();
    const refusal = this.refusal as ConnectionError;
    this.told ??= refusal;
    parts.endWrites(refusal);
    parts.endCalls(refusal);
    this.#clean = clean;
    parts.endReached();
  }

  /** `limit` bounds what is left of the end, unless it is over with this. */
  #begin(beginning: Beginning, limit: "closeTimeout" | "lingerTimeout" | "over" = "closeTimeout"): boolean {
    if (!this.ending.begin(beginning)) return false;
    const { alarms, options } = this.#parts;
    if (limit !== "over") {
      this.#beganAt = options.clock.now();
      this.#limit = limit;
      alarms.clear("linger");
      alarms.set("close", after(this.#beganAt, options[limit]));
    }
    this.#parts.endBegun(this.refusal as ConnectionError);
    return true;
  }

  /** Says Close behind what is queued, where the protocol has a word for it. */
  #finish(payload: Uint8Array): void {
    const { outbox, wire } = this.#parts;
    outbox.finish(wire.control?.(CLOSE, payload), this.refusal);
  }

  #endWhenDone(): void {
    const { transport, wire } = this.#parts;
    if (!this.#flushed) return;
    const exchanged = this.ending.state === "closeExchanged";
    const ours = wire.protocol === "tcp" || this.deaf || this.peerEnd === "read";
    if (ours || (exchanged && wire.closesFirst)) transport.end();
  }

  /** Why the peer's FIN is not an end, if it is not. */
  #prematureEnd(): ConnectionError | undefined {
    const { progress, wire } = this.#parts;
    const { received, expected } = progress;
    if (received > 0) {
      const problem = `the stream ended after ${received} of ${expected ?? "an unknown number of"} bytes of a message`;
      return new ProtocolError({ problem, by: "peer", closeCode: ABNORMAL, clause: "unexpected-eof" });
    }
    if (wire.protocol === "tcp" || this.ending.state === "closeExchanged") return undefined;
    return lost();
  }
}

/** The peer went without a word. */
function lost(): ClosedError {
  return stackless(() => new ClosedError({ closeCode: ABNORMAL, by: "peer", wasClean: false }));
}

/** The longest beginning of `reason` that a Close frame holds: 123 bytes (RFC 6455 5.5). */
function fitting(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  // A character cut in two decodes to U+FFFD, which would be longer than what was cut.
  return bytes.length <= 123 ? reason : new TextDecoder().decode(bytes.subarray(0, 120)).replace(/\uFFFD+$/, "");
}

/** The engine room of one connection: what arrives goes to the application, what comes due is done. */

import type { Progress, TimeoutError, TransportError } from "../base/errors.js";
import { type ConnectionError, LimitError, ProtocolError } from "../base/errors.js";
import type { ConnectionEvent, Observer } from "../base/events.js";
import type { Instant } from "../base/time.js";
import { INTERNAL_ERROR, NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER, UNSUPPORTED_DATA } from "../engine/close.js";
import { PING, PONG } from "../engine/frame.js";
import type { Data, FrameFacts, Violation, Visitor } from "../engine/protocol.js";
import type { Transport, TransportEvents } from "../transport/transport.js";
import { type AlarmName, Alarms } from "./alarms.js";
import { Closing } from "./closing.js";
import { Delivery, type DeliveryOwner, type MessageHook } from "./delivery.js";
import { Inbox, type Item } from "./inbox.js";
import type { InflatingOwner } from "./inflating.js";
import { Intake } from "./intake.js";
import { LastWord } from "./last-word.js";
import type { CloseInfo, Overflow, SettledOptions } from "./options.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { Outgoing } from "./outgoing.js";
import { Pings } from "./pings.js";
import { Waits, type WaitsOwner } from "./waits.js";
import { Watch, type Watched } from "./watch.js";
import type { Wire } from "./wire.js";

const NOTHING = new Uint8Array();

/** What the core calls of the application, bound to its connection. */
export interface BoundHooks {
  readonly message: MessageHook | undefined;
  readonly ping: ((payload: Uint8Array) => void) | undefined;
  readonly pong: ((payload: Uint8Array) => void) | undefined;
  readonly highWater: (() => void) | undefined;
  readonly lowWater: (() => void) | undefined;
  readonly begin: (refusal: ConnectionError) => void;
  readonly closed: (info: CloseInfo) => void;
  readonly close: ((info: CloseInfo) => void) | undefined;
}

/** What a connection is made of. */
export interface CoreSetup {
  readonly id: number;
  readonly role: "server" | "client";
  readonly wire: Wire;
  readonly transport: Transport;
  readonly options: SettledOptions;
  readonly observe: Observer | undefined;
}

export class Core implements TransportEvents, Visitor, OutboxOwner, InflatingOwner, WaitsOwner, Watched, DeliveryOwner {
  readonly id: number;
  readonly wire: Wire;
  readonly transport: Transport;
  readonly options: SettledOptions;
  readonly outbox: Outbox;
  readonly delivery: Delivery;
  readonly waits: Waits;
  readonly pings: Pings = new Pings();
  readonly closing: Closing;
  /** Present only when somebody traces, so that otherwise no event is built. */
  readonly frame?: (facts: FrameFacts) => void;
  readonly #alarms: Alarms;
  readonly #lastWord: LastWord;
  readonly #watch: Watch;
  readonly #hooks: BoundHooks;
  readonly #observe: Observer | undefined;
  readonly #intake: Intake;
  /** The peer's FIN was read, and has yet to take effect. */
  #endWaits = false;

  constructor({ id, role, wire, transport, options, observe }: CoreSetup, hooks: BoundHooks) {
    this.id = id;
    this.wire = wire;
    this.transport = transport;
    this.options = options;
    this.#hooks = hooks;
    this.#observe = observe;
    if (observe !== undefined) this.frame = (facts) => observe({ type: "frame", id, direction: "in", ...facts });
    const alarms = new Alarms(options.clock, (name, now) => this.#rang(name, now));
    const inbox = new Inbox(options.maxInboxBytes, options.maxInboxMessages);
    this.#alarms = alarms;
    this.waits = new Waits(options.clock, this);
    this.outbox = new Outbox(transport, wire, options, alarms, this);
    this.delivery = new Delivery(inbox, hooks.message, this);
    this.#lastWord = new LastWord(inbox, () => this.#endReached());
    this.#watch = new Watch(options, alarms, this);
    const { outbox, pings, waits } = this;
    this.#intake = new Intake({
      deaf: () => this.closing.deaf || this.#lastWord.pending,
      over: () => this.closing.refusal !== undefined || this.#lastWord.pending,
      onPause: () => {
        this.emit({ type: "pause", id });
        if (this.closing.peerEndedAt !== undefined) this.#watch.endSeen(options.clock.now());
      },
      onResume: () => this.emit({ type: "resume", id }),
      // Last: behind a spread V8 gives every object a hidden class of its own, 350 bytes for each connection.
      ...{ wire, transport, outbox, inbox, watch: this.#watch, clock: options.clock, visitor: this },
    });
    this.closing = new Closing({
      onBegin: (refusal) => {
        hooks.begin(refusal);
        // The peer's Close can stand behind messages that nobody will take.
        this.wantsMore();
      },
      onClosed: (info) => {
        this.emit({ type: "close", id, ...info });
        hooks.closed(info);
        if (hooks.close !== undefined) this.delivery.whenDone(() => hooks.close?.(info));
      },
      ...{ role, wire, transport, options, alarms, outbox, inbox, waits, pings },
    });
  }

  // TransportEvents

  data(chunk: Uint8Array): void {
    const now = this.options.clock.now();
    this.#watch.heard(now);
    this.#intake.take(chunk, now);
  }

  written(): void {
    this.outbox.written();
  }

  ended(): void {
    this.endSeen();
    this.#endWaits = true;
    this.#endReached();
  }

  endSeen(): void {
    if (this.closing.peerEndedAt === undefined) this.emit({ type: "peerEnded", id: this.id });
    this.closing.peerEndedAt ??= this.options.clock.now();
    this.#watch.endSeen(this.options.clock.now());
  }

  closed(error: TransportError | undefined): void {
    this.#intake.stop();
    this.#lastWord.heed();
    this.closing.transportClosed(error);
  }

  // Visitor

  message(data: Data): boolean {
    this.#intake.completed();
    return this.#offer(data, typeof data === "string" ? "text" : "binary");
  }

  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean {
    return this.#offer({ type, bytes, last }, type);
  }

  packed(type: "text" | "binary", bytes: Uint8Array): boolean {
    // Nobody will take it, nor anything that could refer to it.
    if (this.closing.refusal !== undefined) return !this.closing.deaf;
    return this.wire.inflating?.take(type, bytes, this) ?? true;
  }

  ping(payload: Uint8Array): boolean {
    this.#control("write:pong", PONG, payload);
    this.#call(() => this.#hooks.ping?.(payload));
    return !this.closing.deaf;
  }

  pong(payload: Uint8Array): boolean {
    this.pings.answered(payload, this.options.clock.now());
    this.#call(() => this.#hooks.pong?.(payload));
    return !this.closing.deaf;
  }

  close(code: number, reason: string): void {
    this.#lastWord.say(() => this.closing.peerClosed(code, reason));
  }

  fail({ closeCode, clause, problem, limit }: Violation): void {
    const error =
      limit === undefined
        ? new ProtocolError({ problem, by: "peer", closeCode, clause })
        : new LimitError({ operation: "receive", problem, limit: limit.name, ...limit });
    this.#lastWord.say(() => {
      // The answers to what came before it, as far as the kernel takes them at once.
      this.outbox.flush();
      this.closing.fail(error, closeCode, problem);
    });
  }

  // InflatingOwner

  inflated(deliver: () => void): void {
    if (this.closing.ending.state === "closed") return;
    this.#intake.inflated(deliver);
    this.#endReached();
  }

  // OutboxOwner

  overflowed(policy: Exclude<Overflow, "wait">, error: LimitError): void {
    const { queuedBytes, queuedMessages } = this.outbox;
    this.emit({ type: "overflow", id: this.id, policy, queuedBytes, queuedMessages });
    if (policy === "close") this.closing.fail(error, TRY_AGAIN_LATER, "the outgoing queue is full");
  }

  highWater(): void {
    this.#call(() => this.#hooks.highWater?.());
  }

  lowWater(): void {
    this.#call(() => this.#hooks.lowWater?.());
  }

  roomMade(): void {
    this.#watch.read(this.options.clock.now());
  }

  finished(): void {
    this.closing.finished();
  }

  // WaitsOwner

  wakeWaitsAt(at: Instant): void {
    this.#alarms.set("waits", at);
  }

  get progress(): Progress {
    return this.wire.decoder.partial;
  }

  get keepsPartial(): boolean {
    return this.options.onMidFrameTimeout === "keep";
  }

  timedOutMidFrame(error: TimeoutError): void {
    this.closing.fail(error, POLICY_VIOLATION, error.message);
  }

  timedOutLate(error: TimeoutError): void {
    this.closing.abort(error);
  }

  // Watched

  askForLife(): void {
    const { message } = this.options.heartbeat;
    // The end has a bound of its own, and behind our FIN nothing can be sent.
    if (this.closing.refusal !== undefined) return;
    if (message === undefined) this.#control("write:ping", PING, NOTHING);
    else this.outbox.send(new Outgoing(message, this.wire.encoder.payload(message, "whole")), "reject");
  }

  limitReached(error: TimeoutError, closeCode: number | undefined): void {
    if (this.closing.refusal !== undefined) return;
    if (closeCode === undefined) this.closing.abort(error);
    else this.closing.fail(error, closeCode, error.message);
  }

  get busy(): boolean {
    return this.delivery.busy;
  }

  // DeliveryOwner

  wantsMore(): void {
    if (this.#intake.goOn()) this.#endReached();
  }

  asked(): void {
    this.#watch.asked();
    // With hooks there is no loop whose end tells that the application is done.
    const { closing, delivery } = this;
    if (closing.peerEndRead && delivery.hooked && !delivery.busy) closing.local(NORMAL, "");
  }

  /** The application's handler or hook failed: it is told, and so is the peer. */
  fault(error: unknown): void {
    this.options.onError(error);
    this.closing.local(INTERNAL_ERROR, "internal error", error);
  }

  emit(event: ConnectionEvent): void {
    this.#observe?.(event);
  }

  start(): void {
    this.emit({ type: "open", id: this.id, remoteAddress: this.transport.ends.remoteAddress });
    this.transport.open(this);
  }

  #offer(item: Item, type: "text" | "binary"): boolean {
    // As in browsers, what comes after the end has begun is not delivered.
    if (this.closing.refusal !== undefined) return !this.closing.deaf;
    const { messageType } = this.options;
    if (messageType !== "any" && messageType !== type) {
      this.fail({
        closeCode: UNSUPPORTED_DATA,
        clause: "RFC 6455 7.4.1",
        problem: `a ${type} message came, not ${messageType}`,
      });
      return false;
    }
    return this.delivery.offer(item) && !this.closing.deaf;
  }

  #control(operation: "write:ping" | "write:pong", opcode: number, payload: Uint8Array): boolean {
    const frame = this.wire.control?.(opcode, payload);
    return frame !== undefined && this.outbox.control({ operation, frame });
  }

  /** Calls a hook whose failure is the connection's end. */
  #call(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.fault(error);
    }
  }

  /** Lets the peer's FIN, if it has come, take effect behind all that came before it. */
  #endReached(): void {
    if (!this.#endWaits || this.#intake.pending || this.#lastWord.pending) return;
    this.#endWaits = false;
    this.closing.peerEnded(this.options.clock.now());
    this.asked();
  }

  #rang(name: AlarmName, now: Instant): void {
    if (name === "waits") this.#waitsRang(now);
    else if (name === "write") this.closing.abort(this.outbox.overdue(now));
    else if (name === "linger") this.closing.local(NORMAL, "");
    else if (name === "close") this.closing.timedOut(now);
    else this.#watch.rang(name, now);
  }

  #waitsRang(now: Instant): void {
    this.waits.expire(now);
    // A hook makes no call that could fail, so the deadline's passing ends the connection.
    const expired = this.delivery.hooked ? this.waits.readExpired : undefined;
    if (expired !== undefined) this.limitReached(expired, POLICY_VIOLATION);
  }
}

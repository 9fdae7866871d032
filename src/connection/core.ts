/** The engine room of one connection: what arrives goes to the application, what comes due is done. */

import type { TimeoutError, TransportError } from "../base/errors.js";
import { type ConnectionError, LimitError, ProtocolError } from "../base/errors.js";
import type { ConnectionEvent } from "../base/events.js";
import type { Instant } from "../base/time.js";
import { INTERNAL_ERROR, NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER, UNSUPPORTED_DATA } from "../engine/close.js";
import { PING, PONG } from "../engine/frame.js";
import type { Data, Violation } from "../engine/protocol.js";
import { stackless } from "../transport/stackless.js";
import type { TransportEvents } from "../transport/transport.js";
import type { AlarmName } from "./alarms.js";
import type { Connection } from "./connection.js";
import type { Item } from "./inbox.js";
import type { InflatingOwner } from "./inflating.js";
import type { CloseInfo, Overflow } from "./options.js";
import { Outgoing } from "./outgoing.js";
import { Parts, type PartsOwner } from "./parts.js";

const NOTHING = new Uint8Array();
const OVER = Promise.resolve();

export class Core extends Parts implements PartsOwner, TransportEvents, InflatingOwner {
  #keeper: ((connection: Connection) => void) | undefined;

  protected override owner(): PartsOwner {
    return this;
  }

  /** Calls `keeper` when the connection has ended, before everybody else hears of it. */
  keptBy(keeper: (connection: Connection) => void): void {
    this.#keeper = keeper;
  }

  // TransportEvents

  data(chunk: Uint8Array): void {
    const now = this.options.clock.now();
    this.heard(now);
    // Most of what an idle connection hears is this: where it means nothing else it takes no intake.
    const takes = !(this.unheeded && this.wire.emptyPong?.(chunk));
    if (takes) this.intake.take(chunk, now);
    // What a hook has answered is written by now.
    if (this.hooked || !takes) this.arrived = 0;
    this.shrink();
  }

  written(): void {
    this.out.written();
    this.shrink();
  }

  ended(): void {
    this.endSeen();
    this.closing.peerEnd = "waits";
    this.takeEnd();
  }

  acknowledged(): void {
    this.roomMade();
  }

  endSeen(): void {
    const closing = this.closing;
    if (closing.peerEndedAt === undefined) this.emit({ type: "peerEnded", id: this.connection.id });
    closing.peerEndedAt ??= this.options.clock.now();
    this.endLeftUnread(this.options.clock.now());
  }

  closed(error: TransportError | undefined): void {
    this.heed();
    this.closing.transportClosed(error);
  }

  // IntakeOwner

  paused(): void {
    this.emit({ type: "pause", id: this.connection.id });
    if (this.peerEndedAt !== undefined) this.endLeftUnread(this.options.clock.now());
  }

  resumed(): void {
    this.emit({ type: "resume", id: this.connection.id });
  }

  // Visitor

  message(data: Data): boolean {
    this.arrived += 1;
    return Core.#offer(this, data, typeof data === "string" ? "text" : "binary");
  }

  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean {
    this.roused();
    return Core.#offer(this, { type, bytes, last }, type);
  }

  packed(type: "text" | "binary", bytes: Uint8Array): boolean {
    // Nobody will take it, nor anything that could refer to it.
    if (this.refusal !== undefined) return !this.discarding;
    return this.wire.inflating?.take(type, bytes, this) ?? true;
  }

  ping(payload: Uint8Array): boolean {
    const { ping } = this.options.hooks;
    Core.#control(this, "write:pong", PONG, payload);
    if (ping !== undefined) Core.#call(this, () => ping(this.connection, payload));
    return !this.discarding;
  }

  pong(payload: Uint8Array): boolean {
    const { pong } = this.options.hooks;
    this.answered(payload);
    if (pong !== undefined) Core.#call(this, () => pong(this.connection, payload));
    return !this.discarding;
  }

  close(code: number, reason: string): void {
    this.lastWord.say(() => this.closing.peerClosed(code, reason));
  }

  fail({ closeCode, clause, problem, limit }: Violation): void {
    // A stack would also hold on to whatever has called: a zlib, with all that it has made of the message.
    const error = stackless(() =>
      limit === undefined
        ? new ProtocolError({ problem, by: "peer", closeCode, clause })
        : new LimitError({ operation: "receive", problem, limit: limit.name, ...limit }),
    );
    this.lastWord.say(() => {
      // The answers to what came before it, as far as the kernel takes them at once.
      this.outbox.flush();
      this.closing.fail(error, closeCode, problem);
    });
  }

  // InflatingOwner

  inflated(deliver: () => void): void {
    if (this.state === "closed") return;
    this.intake.inflated(deliver);
    this.takeEnd();
  }

  // OutboxOwner

  overflowed(policy: Exclude<Overflow, "wait">, error: () => LimitError): void {
    const { queuedBytes, queuedMessages } = this.outbox;
    this.emit({ type: "overflow", id: this.connection.id, policy, queuedBytes, queuedMessages });
    if (policy === "close") this.closing.fail(error(), TRY_AGAIN_LATER, "the outgoing queue is full");
  }

  highWater(): void {
    const { highWater } = this.options.hooks;
    if (highWater !== undefined) Core.#call(this, () => highWater(this.connection));
  }

  lowWater(): void {
    const { lowWater } = this.options.hooks;
    if (lowWater !== undefined) Core.#call(this, () => lowWater(this.connection));
  }

  roomMade(): void {
    this.readByPeer(this.options.clock.now());
  }

  finished(): void {
    this.closing.finished();
  }

  // WaitsOwner

  wakeWaitsAt(at: Instant): void {
    this.set("waits", at);
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

  // Watch

  override askForLife(): void {
    const { message } = this.options.heartbeat;
    // The end has a bound of its own, and behind our FIN nothing can be sent.
    if (this.refusal !== undefined) return;
    this.idled();
    if (message === undefined) Core.#ping(this);
    else this.out.send(new Outgoing(message, this.wire.encoder.payload(message, "whole")), "reject");
  }

  override follow(wanted: boolean): void {
    this.transport.follow?.(wanted);
  }

  override limitReached(error: TimeoutError, closeCode: number | undefined): void {
    if (this.refusal !== undefined) return;
    if (closeCode === undefined) this.closing.abort(error);
    else this.closing.fail(error, closeCode, error.message);
  }

  // DeliveryOwner

  wantsMore(): void {
    if (this.goOn()) this.takeEnd();
  }

  asked(): void {
    this.askedForMore();
    // With hooks there is no loop whose end tells that the application is done.
    if (this.peerEnd === "read" && this.hooked && !this.busy) this.closing.local(NORMAL, "");
  }

  /** The application's handler or hook failed: it is told, and so is the peer. */
  fault(error: unknown): void {
    this.options.onError(error);
    this.closing.local(INTERNAL_ERROR, "internal error", error);
  }

  // Ends

  endBegun(refusal: ConnectionError): void {
    this.stayApart();
    this.tellBegun(refusal);
    // The peer's Close can stand behind messages that nobody will take.
    this.wantsMore();
  }

  endReached(): void {
    const { hooks, observe } = this.options;
    const { close } = hooks;
    if (observe !== undefined) this.emit({ type: "close", id: this.connection.id, ...Core.#account(this) });
    const keeper = this.#keeper;
    // Not by queueMicrotask(), which makes an object of async_hooks for each.
    if (keeper !== undefined) void OVER.then(() => keeper(this.connection));
    this.tellEnded();
    if (close !== undefined)
      this.delivery.whenDone(() => Core.#tellClosed(this, () => close(this.connection, Core.#account(this))));
  }

  static #account(core: Core): CloseInfo {
    return core.closing.info as CloseInfo;
  }

  /** Nobody observes it: see `TracedCore`. */
  protected emit(_event: ConnectionEvent): void {}

  start(): void {
    this.emit({ type: "open", id: this.connection.id, remoteAddress: this.transport.ends.remoteAddress });
    this.transport.open(this);
  }

  static #offer(core: Core, item: Item, type: "text" | "binary"): boolean {
    // As in browsers, what comes after the end has begun is not delivered.
    if (core.refusal !== undefined) return !core.discarding;
    const { messageType } = core.options;
    if (messageType !== "any" && messageType !== type) {
      core.fail({
        closeCode: UNSUPPORTED_DATA,
        clause: "RFC 6455 7.4.1",
        problem: `a ${type} message came, not ${messageType}`,
      });
      return false;
    }
    return core.delivery.offer(item) && !core.discarding;
  }

  static #ping(core: Core): void {
    const operation = "write:ping";
    if (!core.quiet) {
      Core.#control(core, operation, PING, NOTHING);
      return;
    }
    // Most of what an idle connection does is this: where nothing stands in its way it takes no outbox.
    const bytes = core.wire.control?.(PING, NOTHING);
    if (bytes !== undefined && !core.transport.write(bytes)) core.out.adopt({ bytes, operation });
  }

  static #control(core: Core, operation: "write:ping" | "write:pong", opcode: number, payload: Uint8Array): boolean {
    const frame = core.wire.control?.(opcode, payload);
    return frame !== undefined && core.out.control({ operation, frame });
  }

  /** Calls a hook whose failure is the connection's end. */
  static #call(core: Core, hook: () => void): void {
    try {
      hook();
    } catch (error) {
      core.fault(error);
    }
  }

  /** The connection is over: what the hook does wrong ends nothing any more. */
  static #tellClosed(core: Core, hook: () => void): void {
    try {
      hook();
    } catch (error) {
      core.options.onError(error);
    }
  }

  /** Lets the peer's FIN, if it has come, take effect behind all that came before it. */
  takeEnd(): void {
    if (this.peerEnd !== "waits" || this.pending) return;
    this.closing.peerEnded(this.options.clock.now());
    this.asked();
  }

  // Alarms

  override rang(name: AlarmName, now: Instant): void {
    if (name === "waits") Core.#waitsRang(this, now);
    else if (name === "write") this.closing.abort(this.out.overdue(now));
    else if (name === "linger") this.closing.local(NORMAL, "");
    else if (name === "close") this.closing.timedOut(now);
    else super.rang(name, now);
  }

  static #waitsRang(core: Core, now: Instant): void {
    core.waits.expire(now);
    // A hook makes no call that could fail, so the deadline's passing ends the connection.
    const expired = core.hooked ? core.waits.readExpired : undefined;
    if (expired !== undefined) core.limitReached(expired, POLICY_VIOLATION);
  }
}

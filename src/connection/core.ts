/** The core of one connection: what its transport, its decoder and its parts call. */

import type { MessageBytes } from "../base/bytes.ts";
import type { ErrorPlace } from "../base/error-context.ts";
import {
  ClosedError,
  type ConnectionError,
  isConnectionError,
  LimitError,
  type Progress,
  ProtocolError,
  type TimeoutError,
  type TransportError,
} from "../base/errors.ts";
import type { Instant } from "../base/time.ts";
import type { Message, Violation } from "../engine/protocol.ts";
import {
  ABNORMAL,
  INTERNAL_ERROR,
  NORMAL,
  POLICY_VIOLATION,
  TRY_AGAIN_LATER,
} from "../engine/websocket/close-codes.ts";
import { PONG } from "../engine/websocket/frame.ts";
import { withoutStack } from "../transport/errors-without-stack.ts";
import type { TransportEvents } from "../transport/transport.ts";
import { answerFinIfShown, lingerExpired } from "./close/answer-fin.ts";
import { continueDraining } from "./close/drain.ts";
import { farewellBytes } from "./close/farewell.ts";
import type { InflaterOwner } from "./compression/inflate.ts";
import type { CloseInfo, Connection } from "./contract.ts";
import { countMessage, countReceived } from "./counting.ts";
import { callHook, callHookAtEnd } from "./hooks.ts";
import {
  addPendingWrite,
  callsOf,
  canAttachWithDeferred,
  closeIsDeferred,
  closingOf,
  deferredCloseOf,
  dispatcherOf,
  emptyPongIsIgnored,
  freeParts,
  inputDiscarded,
  inputEnded,
  inputPending,
  outboxAtEnd,
  outboxForCall,
  outboxOf,
  type PartsOwner,
  progressOf,
  queuedMessagesOf,
  rarePartsOf,
  readPumpOf,
  refusalOf,
} from "./lazy-parts.ts";
import { endForMemory, heldChanged, inboxIsShortened } from "./memory-account.ts";
import { type MemoryHolder, processBudget } from "./memory-budget.ts";
import type { Overflow } from "./options.ts";
import { dispatchMessage } from "./read/dispatch-message.ts";
import { type ConnectionBase, ConnectionRecord, leaveGroups } from "./record.ts";
import { reportEnd, reportEvent, reportOpened, reportOverflow, reportTimeout } from "./reports.ts";
import {
  applicationRequestedMore,
  bytesReceived,
  chunkDecoded,
  finLeftUnread,
  type LivenessOwner,
  livenessTimerExpired,
  peerReadBytes,
  readingResumed,
  readingStopped,
  startLiveness,
} from "./time/liveness.ts";
import { clearTimer, expireTimers, setTimer, stopTimers, type TimerName } from "./time/timers.ts";
import { sendControl, sendHeartbeatPing } from "./write/control-frames.ts";
import type { CorkedOwner } from "./write/corked-writes.ts";
import { type DeferredOwner, hasDeferred } from "./write/deferred-messages.ts";
import { InFlight, type InFlightOwner } from "./write/in-flight.ts";
import type { Outbox } from "./write/outbox.ts";
import { OutgoingMessage } from "./write/outgoing-message.ts";
import type { EncodedWrite } from "./write/write-buffer.ts";

/** Reason of the Close frame that the policy `close` sends. */
export const QUEUE_FULL = "the outgoing queue is full";

const RESOLVED = Promise.resolve();

export class Core
  extends ConnectionRecord
  implements
    PartsOwner,
    LivenessOwner,
    CorkedOwner,
    DeferredOwner,
    InFlightOwner,
    TransportEvents,
    InflaterOwner,
    MemoryHolder
{
  constructor(connection: Connection, base: ConnectionBase) {
    super(connection, base);
    startLiveness(this);
    if (base.options.maxInFlightBytes !== Infinity) rarePartsOf(this).inFlight = new InFlight(this);
  }

  start(): void {
    reportOpened(this);
    this.transport.open(this);
  }

  // TransportEvents

  data(chunk: Uint8Array): void {
    const now = this.options.clock.now();
    countReceived(this, chunk);
    bytesReceived(this, now);
    // Fast path: an idle connection mostly receives the Pongs of its heartbeat. If the Pong has no other effect, no decoder is
    // used.
    const decodes = !(emptyPongIsIgnored(this) && this.protocol.emptyPong?.(chunk));
    if (decodes) readPumpOf(this).receive(chunk, now);
    // A hook has already answered these messages, and its answers are written.
    if (this.hooked || !decodes) this.arrived = 0;
    this.heldChanged();
    freeParts(this);
  }

  written(): void {
    outboxOf(this).written();
    if (refusalOf(this) !== undefined) closingOf(this).progressed();
    freeParts(this);
  }

  fin(): void {
    this.finSeen();
    closingOf(this).finPending = true;
    this.applyFin();
  }

  acknowledged(): void {
    this.kernelHasRoom();
    if (refusalOf(this) !== undefined) closingOf(this).progressed();
  }

  finSeen(): void {
    const closing = closingOf(this);
    if (closing.peerEndedAt === undefined) reportEvent(this, "peerEnded");
    const now = this.options.clock.now();
    closing.peerEndedAt ??= now;
    if (this.rareParts?.draining === undefined) finLeftUnread(this, now);
  }

  closed(error: TransportError | undefined): void {
    // No more bytes arrive: a deferred Close frame or violation takes effect now.
    this.readPump?.discard();
    this.rareParts?.deferredClose?.apply();
    closingOf(this).transportClosed(error);
    this.heldChanged();
  }

  // ReadPumpOwner

  /** True if further bytes from the peer have no effect. */
  get discardsInput(): boolean {
    return inputDiscarded(this) || closeIsDeferred(this);
  }

  get isEnding(): boolean {
    return inputEnded(this) || closeIsDeferred(this);
  }

  get inboxFull(): boolean {
    return this.dispatcher?.inbox.full === true || inboxIsShortened(this) || this.rareParts?.readingHeld === true;
  }

  messagesArrived(): void {
    this.idle = false;
  }

  chunkDecoded(now: Instant, underWay: boolean, completed: boolean): void {
    chunkDecoded(this, now, underWay, completed);
  }

  readingStopped(now: Instant): void {
    readingStopped(this, now);
    this.inFlight?.suspend();
  }

  readingResumed(now: Instant): void {
    readingResumed(this, now);
    this.inFlight?.resume();
  }

  clearPauseTimer(): void {
    clearTimer(this, "pause");
  }

  cork(): void {
    this.corked = true;
    this.outbox?.cork();
  }

  uncork(): void {
    this.corked = false;
    this.shortPath?.flush();
    this.outbox?.uncork();
  }

  paused(): void {
    if (inboxIsShortened(this)) processBudget.paused += 1;
    reportEvent(this, "pause", this.inboxFull);
    const peerEnded = this.closing?.peerEndedAt !== undefined;
    if (peerEnded && this.rareParts?.draining === undefined) finLeftUnread(this, this.options.clock.now());
  }

  resumed(): void {
    reportEvent(this, "resume");
  }

  // Visitor of the decoder

  message(data: Message): boolean {
    this.arrived += 1;
    countMessage(this);
    return dispatchMessage(this, data, typeof data === "string" ? "text" : "binary");
  }

  piece(type: "text" | "binary", bytes: MessageBytes, last: boolean): boolean {
    if (last) countMessage(this);
    this.messagesArrived();
    return dispatchMessage(this, { type, bytes, last }, type);
  }

  compressed(type: "text" | "binary", bytes: Uint8Array): boolean {
    // This message is not delivered, and neither is a later one that could refer to it.
    if (inputEnded(this)) return !inputDiscarded(this);
    return this.protocol.inflater?.decompress(type, bytes, this) ?? true;
  }

  ping(payload: Uint8Array): boolean {
    const { ping } = this.options.hooks;
    if (this.options.autoPong) sendControl(this, "write:pong", PONG, payload);
    if (ping !== undefined) callHook(this, "ping", () => ping(this.connection, payload));
    return !inputDiscarded(this);
  }

  pong(payload: Uint8Array): boolean {
    const { pong } = this.options.hooks;
    this.rareParts?.pings?.answered(payload, this.options.clock.now());
    this.inFlight?.pong(payload);
    if (pong !== undefined) callHook(this, "pong", () => pong(this.connection, payload));
    return !inputDiscarded(this);
  }

  close(code: number, reason: string): void {
    deferredCloseOf(this).defer(() => closingOf(this).peerClosed(code, reason));
  }

  fail(violation: Violation): void {
    const { closeCode, problem } = violation;
    // A stack would keep its callers in memory: for example a zlib with all its output for the message.
    const error = withoutStack(() =>
      violation.limit === undefined
        ? new ProtocolError({ ...violation, by: "peer" }, "cause" in violation ? { cause: violation.cause } : {})
        : new LimitError({ operation: "receive", problem, ...violation.limit, limit: violation.limit.name }),
    );
    deferredCloseOf(this).defer(() => {
      // Writes the answers to earlier messages, as far as the kernel accepts them at once.
      outboxForCall(this).flush();
      closingOf(this).fail(error, closeCode, problem);
    });
  }

  // InflaterOwner

  inflated(deliver: () => void): void {
    if (this.closing?.state === "over") return;
    readPumpOf(this).inflated(deliver);
    this.applyFin();
    this.heldChanged();
  }

  // OutboxOwner, InFlightOwner

  inFlightAcknowledged(): void {
    outboxOf(this).inFlightAcknowledged();
  }

  overflowed(policy: Exclude<Overflow, "wait">, error: () => LimitError): void {
    reportOverflow(this, policy);
    if (policy === "close") closingOf(this).fail(error(), TRY_AGAIN_LATER, QUEUE_FULL);
  }

  writeFailed(error: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    try {
      closingOf(this).abort(isConnectionError(error) ? error : new ClosedError(facts, { cause: error }));
    } finally {
      this.options.onError(error, { place: "write", connection: this.connection });
    }
  }

  highWater(): void {
    const { highWater } = this.options.hooks;
    if (highWater !== undefined) callHook(this, "highWater", () => highWater(this.connection));
  }

  lowWater(): void {
    const { lowWater } = this.options.hooks;
    if (lowWater !== undefined) callHook(this, "lowWater", () => lowWater(this.connection));
  }

  heldChanged(): void {
    heldChanged(this);
  }

  kernelHasRoom(): void {
    peerReadBytes(this, this.options.clock.now());
  }

  finished(): void {
    closingOf(this).finished();
  }

  setWriteTimer(at: Instant): void {
    setTimer(this, "write", at);
  }

  clearWriteTimer(): void {
    clearTimer(this, "write");
  }

  // CorkedOwner, DeferredOwner

  leaveShortPath(): Outbox {
    return outboxOf(this);
  }

  writeIsPending(write: EncodedWrite, messages: readonly OutgoingMessage[]): void {
    addPendingWrite(this, write, messages);
  }

  get hasDeferred(): boolean {
    return hasDeferred(this.connection);
  }

  get canAttach(): boolean {
    return this.canAttachWithDeferred && !this.hasDeferred;
  }

  get canAttachWithDeferred(): boolean {
    return canAttachWithDeferred(this);
  }

  // PendingCallsOwner

  get progress(): Progress {
    return progressOf(this);
  }

  get keepsPartial(): boolean {
    return this.options.midFrameTimeout === "keep";
  }

  setCallTimer(at: Instant): void {
    setTimer(this, "calls", at);
  }

  callTimedOut(error: TimeoutError): void {
    this.options.counters.callTimedOut(error.limit);
    reportTimeout(this, error);
  }

  timedOutMidFrame(error: TimeoutError): void {
    closingOf(this).fail(error, POLICY_VIOLATION, error.message);
  }

  timedOutLate(error: TimeoutError): void {
    closingOf(this).abort(error);
  }

  // LivenessOwner

  get busy(): boolean {
    return this.dispatcher?.busy === true;
  }

  probePeer(): void {
    const { message } = this.options.heartbeat;
    // The end has its own time limit, and nothing can be sent after our FIN.
    if (refusalOf(this) !== undefined) return;
    // The peer has been silent for a long time, so the parts can be freed.
    this.idle = true;
    freeParts(this);
    if (message === undefined) sendHeartbeatPing(this);
    else outboxOf(this).send(new OutgoingMessage(message, this.protocol.encoder.payload(message, "whole")), "reject");
  }

  pollKernel(wanted: boolean): void {
    // After the end has begun, `followWrites` controls the same query, and keeps it on for longer.
    if (refusalOf(this) === undefined) this.transport.watchAcknowledgements?.(wanted);
  }

  limitReached(error: TimeoutError, closeCode: number | undefined): void {
    if (refusalOf(this) === undefined) closingOf(this).timeOut(error, closeCode);
  }

  override wake(now: Instant): void {
    expireTimers(this, now);
  }

  timerExpired(name: TimerName, now: Instant): void {
    if (name === "calls") callsExpired(this, now);
    else if (name === "write") closingOf(this).timeOut(outboxOf(this).timeoutError(now), undefined);
    else if (name === "linger") lingerExpired(this, now);
    else if (name === "close") closingOf(this).timerExpired(now);
    else livenessTimerExpired(this, name, now);
  }

  // DispatcherOwner

  /** True if messages go to a hook. */
  get hooked(): boolean {
    return this.options.hooks.message !== undefined;
  }

  inboxHasRoom(): void {
    this.heldChanged();
    if (!this.rareParts?.readingHeld && this.readPump?.continue()) this.applyFin();
  }

  messageRequested(): void {
    applicationRequestedMore(this);
    // With a hook, no call is rejected that would show the end to the application.
    if (this.hooked) answerFinIfShown(this);
    this.closeIfDrained();
  }

  /** A call for a message was rejected, because no further message arrives. */
  receiveRejected(): void {
    answerFinIfShown(this);
  }

  /**
   * The application reads `closed`. A handler that takes no message afterwards counts as a handler that only waits for the end.
   */
  closedRequested(): void {
    if (this.handler !== "runs") return;
    this.handler = "waits";
    this.closeIfDrained();
  }

  /** The application calls a method that takes a message. */
  receiveCalled(): void {
    if (this.handler === "waits") this.handler = "runs";
  }

  /** The handler has returned. */
  handlerEnds(): void {
    const outlived = this.handler === "outlives";
    this.handler = "none";
    if (outlived) this.onEnded?.(this.connection);
    const draining = this.rareParts?.draining;
    closingOf(this).local(draining?.code ?? NORMAL, draining?.reason ?? "");
  }

  /** Closes if the server closes and the application has handled all received messages. */
  closeIfDrained(): void {
    continueDraining(this);
  }

  /** Application code failed at `place`: calls `onError` and closes with 1011. */
  fault(error: unknown, place: ErrorPlace): void {
    this.options.onError(error, { place, connection: this.connection });
    closingOf(this).local(INTERNAL_ERROR, "internal error", error);
  }

  // MemoryHolder

  endForMemory(error: LimitError): boolean {
    return endForMemory(this, error);
  }

  // ClosingOwner

  get queuedMessages(): number {
    return queuedMessagesOf(this);
  }

  setCloseTimer(at: Instant): void {
    setTimer(this, "close", at);
  }

  setLingerTimer(at: Instant): void {
    setTimer(this, "linger", at);
  }

  clearLingerTimer(): void {
    clearTimer(this, "linger");
  }

  stopTimers(): void {
    stopTimers(this);
  }

  stopReading(): void {
    if (this.rareParts !== undefined) this.rareParts.readingHeld = undefined;
    readPumpOf(this).stop();
  }

  endInput(error: ConnectionError): void {
    const inbox = this.dispatcher?.inbox;
    const awaited = inbox?.awaited === true;
    inbox?.close(error);
    if (awaited) this.receiveRejected();
    // The peer's Close frame or FIN may be behind messages that are not delivered any more.
    if (this.closing?.beginReported) this.readPump?.resume();
  }

  dropQueue(error: ConnectionError): void {
    outboxAtEnd(this)?.rejectUnwritten(error);
  }

  endWrites(error: ConnectionError): void {
    outboxAtEnd(this)?.stop(error);
  }

  farewell(cause: ConnectionError): Uint8Array | undefined {
    return farewellBytes(this.options, this.protocol.encoder, cause, this.connection);
  }

  finishWrites(frame: Uint8Array | undefined, error: unknown): void {
    outboxAtEnd(this);
    outboxForCall(this).finish(frame, error);
  }

  endCalls(error: ConnectionError): void {
    this.rareParts?.calls?.rejectAll(error);
    this.rareParts?.pings?.rejectAll(error);
  }

  followWrites(wanted: boolean): void {
    this.transport.watchAcknowledgements?.(wanted);
  }

  timedOut(error: TimeoutError): void {
    reportTimeout(this, error);
  }

  endBegun(refusal: ConnectionError): void {
    const { closing } = this.options.hooks;
    outboxAtEnd(this, true);
    if (inputEnded(this)) this.readPump?.resume();
    this.applyFin();
    this.rareParts?.closedPromise?.endBegun(refusal);
    reportEvent(this, "closing");
    if (closing !== undefined) callHookAtEnd(this, "closing", () => closing(this.connection, refusal));
  }

  endComplete(): void {
    const { close } = this.options.hooks;
    reportEnd(this, infoOf(this));
    // Not by queueMicrotask(), which creates an async_hooks object for each call.
    if (this.onEnded !== undefined) void RESOLVED.then(() => reportEnded(this));
    if (this.groups !== undefined) void RESOLVED.then(() => leaveGroups(this));
    this.rareParts?.closedPromise?.endComplete(infoOf(this));
    if (close !== undefined)
      dispatcherOf(this).whenDone(() => callHookAtEnd(this, "close", () => close(this.connection, infoOf(this))));
  }

  /** Applies the peer's FIN, if it has arrived, after everything received before it. */
  applyFin(): void {
    if (inputPending(this)) return;
    // Application code that gets the last message may end the connection, and then this method has already been called again.
    if (this.closing?.finPending) this.readPump?.end(this.options.clock.now());
    if (this.closing?.finPending && !inputPending(this)) {
      this.closing.peerEnded();
      // A side that receives nothing asks for nothing, so no call shows it the end.
      if (this.hooked || this.options.messageType === "none") answerFinIfShown(this);
    }
    this.closeIfDrained();
  }
}

function infoOf(core: Core): CloseInfo {
  return core.closing?.info as CloseInfo;
}

function reportEnded(core: Core): void {
  if (core.handler !== "none") core.handler = "outlives";
  core.onEnded?.(core.connection);
}

function callsExpired(core: Core, now: Instant): void {
  const calls = callsOf(core);
  calls.expire(now);
  // With a hook there is no call that could fail, so an expired read deadline ends the connection.
  const expired = core.hooked ? calls.readExpired : undefined;
  if (expired !== undefined) core.limitReached(expired, POLICY_VIOLATION);
}

/** Creates the parts of a connection on first use, and frees them when it has long been idle. */

import type { ConnectionError, Progress } from "../base/errors.ts";
import { ClosedPromise } from "./close/closed-promise.ts";
import { Closing, type ClosingOwner } from "./close/closing.ts";
import { DeferredClose } from "./close/deferred-close.ts";
import type { PartPools } from "./pool.ts";
import { RareParts } from "./rare-parts.ts";
import { Dispatcher, type DispatcherOwner } from "./read/dispatcher.ts";
import { Inbox } from "./read/inbox.ts";
import { ReadPump, type ReadPumpOwner } from "./read/read-pump.ts";
import type { ConnectionRecord } from "./record.ts";
import { PendingCalls, type PendingCallsOwner } from "./time/pending-calls.ts";
import { Pings } from "./time/pings.ts";
import { UnhandledCalls } from "./time/unhandled-calls.ts";
import { deferredFor, dropDeferred, hasDeferred, nextDeferred } from "./write/deferred-messages.ts";
import { Outbox, type OutboxOwner } from "./write/outbox.ts";
import type { OutgoingMessage } from "./write/outgoing-message.ts";
import type { OutgoingPath } from "./write/short-path.ts";
import type { EncodedWrite } from "./write/write-buffer.ts";

/** A connection, as its parts use it. */
export interface PartsOwner
  extends ConnectionRecord,
    ClosingOwner,
    DispatcherOwner,
    OutboxOwner,
    PendingCallsOwner,
    ReadPumpOwner {
  // Both the record and the parts have these.
  readonly connection: ConnectionRecord["connection"];
  readonly options: ConnectionRecord["options"];
  readonly protocol: ConnectionRecord["protocol"];
  readonly transport: ConnectionRecord["transport"];
  arrived: number;
  /** Applies the peer's FIN, if it has arrived, after everything received before it. */
  applyFin(): void;
}

const AT_BOUNDARY: Progress = Object.freeze({ received: 0, expected: undefined });

// The parts

/**
 * The outbox. If messages of this connection are on a short path or deferred, moves them to the send queue first: this is the only
 * access to the outbox, so nothing can be sent before them.
 */
export function outboxOf(owner: PartsOwner): Outbox {
  const outbox = outboxWithShortPath(owner);
  queueDeferred(owner, outbox, false);
  return outbox;
}

/**
 * The outbox, if the connection has one or has messages for it. `begins`: the end begins now, and the messages that were sent
 * before are queued, although no more are accepted.
 */
export function outboxAtEnd(
  owner: PartsOwner,
  begins: boolean = owner.closing?.beginReported !== true,
): Outbox | undefined {
  const deferred = hasDeferred(owner.connection);
  if (owner.shortPath === undefined && !deferred) return owner.outbox;
  const outbox = outboxWithShortPath(owner);
  queueDeferred(owner, outbox, begins);
  return outbox;
}

/** A write of a short path is pending. `messages` are its messages, if they are not in the queue yet. */
export function addPendingWrite(owner: PartsOwner, write: EncodedWrite, messages: readonly OutgoingMessage[]): void {
  const outbox = outboxWithShortPath(owner);
  outbox.addPendingWrite(write, messages);
  queueDeferred(owner, outbox, false);
}

function outboxWithShortPath(owner: PartsOwner): Outbox {
  const messages = owner.shortPath?.leave();
  const outbox = owner.outbox ?? newOutbox(owner);
  if (messages !== undefined && messages.length > 0) outbox.queueMessages(messages);
  return outbox;
}

/** Queues the deferred messages, or ignores them if the end has begun before they were sent. `begins`: it begins now. */
function queueDeferred(owner: PartsOwner, outbox: Outbox, begins: boolean): void {
  const { connection, protocol, options } = owner;
  for (let next = nextDeferred(connection); next !== undefined; next = nextDeferred(connection)) {
    if (writeDeadlineExpired(owner) || (refusalOf(owner) !== undefined && !begins)) continue;
    const { message, options: messageOptions } = next;
    try {
      const outgoing = message.toOutgoing(protocol, message.encodedFor(protocol));
      outgoing.key = messageOptions.key;
      // No hook is called any more, and no policy can end the connection.
      if (begins) outbox.queueMessages([outgoing]);
      else if (outbox.send(outgoing, messageOptions.overflow ?? options.overflow) === "refused") {
        const { refusal } = messageOptions;
        if (refusal !== undefined) dropDeferred(connection, refusal);
        refusal?.refused(connection, messageOptions);
      }
    } catch (error) {
      // The framing cannot encode it.
      options.onError(error, { place: "send", connection });
    }
  }
}

/** The outbox, for a call of the application. */
export function outboxForCall(owner: PartsOwner): Outbox {
  owner.idle = false;
  return outboxOf(owner);
}

export function readPumpOf(owner: PartsOwner): ReadPump {
  return owner.readPump ?? newReadPump(owner);
}

export function dispatcherOf(owner: PartsOwner): Dispatcher {
  return owner.dispatcher ?? newDispatcher(owner);
}

export function closingOf(owner: PartsOwner): Closing {
  owner.closing ??= new Closing(owner);
  return owner.closing;
}

export function callsOf(owner: PartsOwner): PendingCalls {
  const rare = rarePartsOf(owner);
  rare.calls ??= new PendingCalls(owner.options.clock, owner);
  return rare.calls;
}

export function pingsOf(owner: PartsOwner): Pings {
  const rare = rarePartsOf(owner);
  rare.pings ??= new Pings();
  return rare.pings;
}

export function unhandledCallsOf(owner: PartsOwner): UnhandledCalls {
  const rare = rarePartsOf(owner);
  const { connection, options } = owner;
  rare.unhandledCalls ??= new UnhandledCalls((error) => options.onError(error, { place: "send", connection }));
  return rare.unhandledCalls;
}

export function deferredCloseOf(owner: PartsOwner): DeferredClose {
  const rare = rarePartsOf(owner);
  rare.deferredClose ??= new DeferredClose(dispatcherOf(owner).inbox, () => owner.applyFin());
  return rare.deferredClose;
}

export function closedPromiseOf(owner: PartsOwner): ClosedPromise {
  const rare = rarePartsOf(owner);
  rare.closedPromise ??= new ClosedPromise(refusalOf(owner), owner.closing?.info, rare.draining?.error);
  return rare.closedPromise;
}

export function rarePartsOf(owner: ConnectionRecord): RareParts {
  owner.rareParts ??= new RareParts();
  return owner.rareParts;
}

function newOutbox(owner: PartsOwner): Outbox {
  const pooled = poolsOf(owner)?.outboxes.get();
  pooled?.setOwner(owner);
  const outbox = pooled ?? new Outbox(owner.protocol, owner.options, owner);
  owner.outbox = outbox;
  if (owner.corked) outbox.cork();
  const error = owner.closing?.writeError;
  if (error !== undefined) outbox.stop(error);
  return outbox;
}

function newReadPump(owner: PartsOwner): ReadPump {
  const pooled = poolsOf(owner)?.readPumps.get();
  pooled?.setOwner(owner);
  owner.readPump = pooled ?? new ReadPump(owner);
  return owner.readPump;
}

function newDispatcher(owner: PartsOwner): Dispatcher {
  const { hooks, maxInboxBytes, maxInboxMessages } = owner.options;
  const pooled = poolsOf(owner)?.dispatchers.get();
  pooled?.setOwner(owner);
  owner.dispatcher = pooled ?? new Dispatcher(new Inbox(maxInboxBytes, maxInboxMessages), hooks.message, owner);
  const error = owner.closing?.inputError;
  if (error !== undefined) owner.dispatcher.inbox.close(error);
  return owner.dispatcher;
}

function poolsOf(owner: ConnectionRecord): PartPools<ReadPump, Outbox, Dispatcher> | undefined {
  return owner.protocol.pools as PartPools<ReadPump, Outbox, Dispatcher> | undefined;
}

/**
 * Frees the parts that are in their initial state. With pools: after each chunk, so that busy connections use them. While this
 * connection is idle: also without a pool, or if the pool is full.
 */
export function freeParts(owner: ConnectionRecord): void {
  const pools = poolsOf(owner);
  const { idle, readPump, outbox, dispatcher } = owner;
  if (pools === undefined && !idle) return;
  if (owner.closing !== undefined || owner.rareParts?.deferredClose !== undefined) return;
  if (readPump?.isInitial && (pools?.readPumps.put(readPump) || idle)) {
    readPump.setOwner();
    owner.readPump = undefined;
  }
  if (outbox?.isInitial && (pools?.outboxes.put(outbox) || idle)) {
    outbox.setOwner();
    owner.outbox = undefined;
  }
  if (dispatcher?.isInitial && (pools?.dispatchers.put(dispatcher) || idle)) {
    dispatcher.setOwner();
    owner.dispatcher = undefined;
  }
}

// Answers about parts that may not exist

/** Error for calls that are made too late. Undefined while the connection accepts messages. */
export function refusalOf(owner: ConnectionRecord): ConnectionError | undefined {
  return owner.closing?.refusal;
}

/** True if messages that arrive now are not delivered. */
export function inputEnded(owner: ConnectionRecord): boolean {
  return owner.closing?.inputError !== undefined;
}

/** Progress of the message that is being received. */
export function progressOf(owner: ConnectionRecord): Progress {
  return owner.readPump?.decoder.partial ?? AT_BOUNDARY;
}

/** True if the peer's Close frame or violation has not taken effect yet. */
export function closeIsDeferred(owner: ConnectionRecord): boolean {
  return owner.rareParts?.deferredClose?.pending === true;
}

/** True if received bytes have not taken effect yet. */
export function inputPending(owner: ConnectionRecord): boolean {
  return owner.readPump?.pending === true || closeIsDeferred(owner);
}

/** True if received bytes are discarded. */
export function inputDiscarded(owner: ConnectionRecord): boolean {
  return owner.closing?.discards === true;
}

export function inboxIsEmpty(owner: ConnectionRecord): boolean {
  return owner.dispatcher === undefined || owner.dispatcher.inbox.empty;
}

/** True if an empty Pong has no effect other than that of all received bytes. */
export function emptyPongIsIgnored(owner: ConnectionRecord): boolean {
  const { rareParts } = owner;
  // A Ping of the application may have an empty payload.
  const awaited = rareParts?.deferredClose !== undefined || rareParts?.pings?.pending === true;
  return (
    !awaited && owner.readPump === undefined && owner.closing === undefined && owner.options.hooks.pong === undefined
  );
}

export function writeDeadlineIsSet(owner: ConnectionRecord): boolean {
  return owner.rareParts?.calls?.writeBounded === true;
}

export function writeDeadlineExpired(owner: ConnectionRecord): boolean {
  return owner.rareParts?.calls?.writeExpired === true;
}

/** True if the connection accepts messages, and has nothing to send except deferred messages. */
export function canAttachWithDeferred(owner: ConnectionRecord & Pick<PartsOwner, "inFlight">): boolean {
  // Each message counts as bytes in flight, and may be held back.
  if (owner.inFlight !== undefined) return false;
  // A write deadline could expire without a report for messages of the fan-out.
  if (refusalOf(owner) !== undefined || writeDeadlineIsSet(owner) || (owner.shortPath?.length ?? 0) > 0) return false;
  return owner.outbox?.busy !== true;
}

/** The path of the outgoing messages. */
export function outgoingPathOf({ shortPath, outbox, connection }: ConnectionRecord): OutgoingPath {
  if (shortPath !== undefined && shortPath.length > 0) return shortPath.name;
  const path = outbox?.path ?? "idle";
  return path === "idle" && hasDeferred(connection) ? "deferred" : path;
}

/** Bytes and number of the messages that are not written yet. */
export function queuedBytesOf({ shortPath, outbox, connection }: ConnectionRecord): number {
  const bytes = shortPath !== undefined && shortPath.length > 0 ? shortPath.bytes : (outbox?.queuedBytes ?? 0);
  return hasDeferred(connection) ? bytes + deferredFor(connection).bytes : bytes;
}

/** The memory that the connection holds for messages, in bytes. Messages on a short path leave with this turn. */
export function heldBytesOf({ readPump, outbox, dispatcher }: ConnectionRecord): number {
  return (readPump?.heldBytes ?? 0) + (outbox?.heldBytes ?? 0) + (dispatcher?.inbox.heldBytes ?? 0);
}

export function queuedMessagesOf({ shortPath, outbox, connection }: ConnectionRecord): number {
  const length = shortPath !== undefined && shortPath.length > 0 ? shortPath.length : (outbox?.queuedMessages ?? 0);
  return hasDeferred(connection) ? length + deferredFor(connection).length : length;
}

/** Exact number of messages lost to a policy. */
export function droppedMessagesOf({ outbox }: ConnectionRecord): number {
  return outbox?.dropped ?? 0;
}

/** Exact number of messages for which there was no room. */
export function refusedMessagesOf({ outbox }: ConnectionRecord): number {
  return outbox?.refused ?? 0;
}

/** True if the kernel has not accepted the last write yet. */
export function writeIsPending({ outbox }: ConnectionRecord): boolean {
  return outbox?.blocked === true;
}

/** True if nothing is being sent or about to be sent. */
export function sendsNothing(owner: ConnectionRecord): boolean {
  return owner.outbox === undefined && !owner.corked && outgoingPathOf(owner) === "idle";
}

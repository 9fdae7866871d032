/** A connection on one transport: its public calls on top of its `Core`. */

import type { ErrorPlace } from "../base/error-context.ts";
import { ClosedError, isConnectionError } from "../base/errors.ts";
import { guarded } from "../base/events.ts";
import { between, type Deadline } from "../base/time.ts";
import type { ForwardedClient } from "../engine/handshake/forwarded.ts";
import type { Message } from "../engine/protocol.ts";
import { ABNORMAL, NORMAL, TRY_AGAIN_LATER } from "../engine/websocket/close-codes.ts";
import { CallContext } from "../transport/call-context.ts";
import type { Endpoints, Transport } from "../transport/transport.ts";
import { beginDraining } from "./close/drain.ts";
import type {
  CloseInfo,
  Connection,
  GroupMember,
  MessageIterator,
  MessageReader,
  MessageWriter,
  PingOptions,
  PreparedMessage,
  ReadyState,
  Sendable,
  SendOptions,
  SendResult,
  WaitOptions,
  WriterOptions,
} from "./contract.ts";
import { Core, QUEUE_FULL } from "./core.ts";
import {
  callsOf,
  closedPromiseOf,
  closingOf,
  dispatcherOf,
  droppedMessagesOf,
  outboxOf,
  queuedBytesOf,
  queuedMessagesOf,
  rarePartsOf,
  refusalOf,
  refusedMessagesOf,
  unhandledCallsOf,
} from "./lazy-parts.ts";
import type { SettledOptions } from "./options.ts";
import type { ProtocolFactory } from "./protocol.ts";
import { isThenable } from "./read/dispatcher.ts";
import { Receiver } from "./read/receive.ts";
import type { MemberList } from "./record.ts";
import { TracedTransport } from "./trace.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";
import { Streams } from "./web-streams.ts";
import { ping, pong } from "./write/control-frames.ts";
import type { DeferredOwner } from "./write/deferred-messages.ts";
import type { FanOut } from "./write/fan-out.ts";
import { encodedBy, type Prepared } from "./write/prepared-message.ts";
import { drain, send, trySend, writer } from "./write/send.ts";
import type { MemberMessageOptions } from "./write/send-options.ts";

/** Results of the opening handshake. */
interface OpeningResult {
  readonly url: string;
  readonly subprotocol: string;
  readonly extensions: string;
}

/** Arguments of the constructor. `connect`, `listen` and `attach` create connections. */
export interface ConnectionSetup<UserData> extends OpeningResult {
  readonly transport: Transport;
  readonly protocol: ProtocolFactory;
  readonly options: SettledOptions;
  readonly data: UserData;
  /** The client behind a trusted proxy. */
  readonly client?: ForwardedClient | undefined;
}

function traced(
  transport: Transport,
  protocol: ProtocolFactory,
  { observe, onError, streaming }: SettledOptions,
  connection: Connection,
): Transport {
  if (observe === undefined) return transport;
  const report = guarded(observe, (error) => onError(error, { place: "observe", connection }));
  return new TracedTransport(transport, protocol, { id: connection.id, streaming, report });
}

let lastId = 0;
// Most connections of one server have equal values here. They share one object.
let lastOpeningResult: OpeningResult = { url: "", subprotocol: "", extensions: "" };

/** A connection on one transport. `connect`, `listen` and `attach` create it. */
export class TransportConnection<UserData = unknown, In = Message, Out = Sendable>
  implements Connection<UserData, In, Out>
{
  readonly id: number;
  data: UserData;
  /** Slot of this connection in the list of its server. */
  slot: object | undefined;
  readonly #openingResult: OpeningResult;
  readonly #core: Core;
  /** Created on first use, because many connections never need it. */
  #receiver: Receiver | undefined;

  /** */
  constructor(setup: ConnectionSetup<UserData>) {
    const { transport, protocol, options, url, subprotocol, extensions, data, client } = setup;
    lastId += 1;
    this.id = lastId;
    const last = lastOpeningResult;
    const same = url === last.url && subprotocol === last.subprotocol && extensions === last.extensions;
    if (!same) lastOpeningResult = { url, subprotocol, extensions };
    this.#openingResult = lastOpeningResult;
    this.data = data;
    // The cast is safe: the hooks were declared for this type of connection. The options do not hold the type of `UserData`.
    const self = this as Connection;
    this.#core = new Core(self, {
      protocol: protocol(options),
      transport: options.trace ? traced(transport, protocol, options, self) : transport,
      options,
    });
    if (client !== undefined) rarePartsOf(this.#core).client = client;
  }

  /**
   * Calls the `open` hook and starts to deliver messages. Delivery waits until the promise of the hook settles. `request` is the
   * request that opened the connection, if there was one. It is not kept.
   */
  start(request?: UpgradeRequest): void {
    const { options, transport } = this.#core;
    if (!options.ref) transport.ref(false);
    this.#core.start();
    try {
      const opened = options.hooks.open?.(this as Connection, request);
      if (isThenable(opened)) dispatcherOf(this.#core).holdUntil(opened, "open");
    } catch (error) {
      this.#core.fault(error, "open");
    }
    const { highWater, lowWater, closing } = options.hooks;
    if (highWater ?? lowWater ?? closing) rarePartsOf(this.#core).context = new CallContext();
  }

  /** Application code failed at `place`: calls `onError` and closes the connection with 1011. */
  fault(error: unknown, place: ErrorPlace): void {
    this.#core.fault(error, place);
  }

  /** The handler of the application starts. The connection closes when the handler returns. */
  handlerBegins(): void {
    this.#core.handler = "runs";
  }

  /** The handler of the application returned. */
  handlerEnds(): void {
    this.#core.handlerEnds();
  }

  /** The server closes. The connection closes after the application has handled the messages already received. */
  closeWhenDone(code: number, reason: string): void {
    beginDraining(this.#core, code, reason);
  }

  /** True if the end was clean. False until the end is complete. */
  get endedClean(): boolean {
    return this.#core.closing?.info?.wasClean === true;
  }

  /** True while a handler has not returned. */
  get handled(): boolean {
    return this.#core.handler !== "none";
  }

  /**
   * Calls `onEnded` in a microtask after the connection has ended, before the reactions to `closed`. If a handler returns later,
   * calls `onEnded` again.
   */
  onEnd(onEnded: (connection: TransportConnection<UserData>) => void): void {
    // One function for all connections of a server: a closure for each connection would cost memory.
    this.#core.onEnded = onEnded as (connection: Connection) => void;
  }

  get url(): string {
    return this.#openingResult.url;
  }

  get protocol(): string {
    return this.#openingResult.subprotocol;
  }

  get extensions(): string {
    return this.#openingResult.extensions;
  }

  get kind(): "websocket" | "tcp" {
    return this.#core.protocol.name;
  }

  get state(): ReadyState {
    const { closing } = this.#core;
    // The state is CLOSING as soon as the end has begun, even if the peer does not know it yet: calls are refused from then on.
    // The peer's FIN alone does not change the state, because a TCP connection can still send after it.
    return closing?.state === "over" ? "CLOSED" : closing?.refusal === undefined ? "OPEN" : "CLOSING";
  }

  get endpoints(): Endpoints {
    return this.#core.endpoints;
  }

  get localAddress(): string {
    return this.#core.endpoints.localAddress;
  }

  get localPort(): number | undefined {
    return this.#core.endpoints.localPort;
  }

  get remoteAddress(): string {
    return this.#core.endpoints.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#core.endpoints.remotePort;
  }

  get secure(): boolean {
    return this.#core.endpoints.secure;
  }

  get peerEndedFor(): number | undefined {
    const peerEndedAt = this.#core.closing?.peerEndedAt;
    return peerEndedAt === undefined ? undefined : between(peerEndedAt, this.#core.options.clock.now());
  }

  get inFlightBytes(): number | undefined {
    return this.#core.inFlight?.bytes;
  }

  get queuedBytes(): number {
    return queuedBytesOf(this.#core);
  }

  get queuedMessages(): number {
    return queuedMessagesOf(this.#core);
  }

  get droppedMessages(): number {
    return droppedMessagesOf(this.#core);
  }

  get refusedMessages(): number {
    return refusedMessagesOf(this.#core);
  }

  get signal(): AbortSignal {
    return closedPromiseOf(this.#core).signal;
  }

  get draining(): AbortSignal {
    return closedPromiseOf(this.#core).draining;
  }

  get closed(): Promise<CloseInfo> {
    this.#core.closedRequested();
    return closedPromiseOf(this.#core).closed;
  }

  ref(): this {
    this.#core.transport.ref(true);
    return this;
  }

  unref(): this {
    this.#core.transport.ref(false);
    return this;
  }

  send(message: Out | PreparedMessage, options?: SendOptions): Promise<void> {
    try {
      return send(this.#core, encodedBy(this.#core.options.codec, message), options);
    } catch (error) {
      return unhandledCallsOf(this.#core).misuse(error);
    }
  }

  trySend(message: Out | PreparedMessage, options?: Pick<SendOptions, "overflow" | "key" | "compress">): SendResult {
    return trySend(this.#core, encodedBy(this.#core.options.codec, message), options);
  }

  receive(options?: WaitOptions): Promise<In> {
    return this.receiver().receive(options) as Promise<In>;
  }

  reader(options?: WaitOptions): Promise<MessageReader> {
    return this.receiver().reader(options);
  }

  writer(type: "text" | "binary" = "binary", options: WriterOptions = {}): MessageWriter {
    return writer(this.#core, type, options, (cause) => this.terminate(cause));
  }

  [Symbol.asyncIterator](): MessageIterator<In> {
    return this.receiver().iterator() as MessageIterator<In>;
  }

  get readable(): ReadableStream<In> {
    this.receiver().refuseIfHooked();
    return this.streams().readable as ReadableStream<In>;
  }

  get writable(): WritableStream<Out | PreparedMessage> {
    return this.streams().writable as WritableStream<unknown>;
  }

  ping(options?: PingOptions): Promise<number> {
    try {
      return ping(this.#core, options);
    } catch (error) {
      return unhandledCallsOf(this.#core).misuse(error);
    }
  }

  pong(payload: Message | ArrayBuffer | ArrayBufferView = ""): boolean {
    return pong(this.#core, payload);
  }

  drain(options?: WaitOptions): Promise<void> {
    try {
      return drain(this.#core, options);
    } catch (error) {
      return unhandledCallsOf(this.#core).misuse(error);
    }
  }

  close(code: number = NORMAL, reason: string = ""): Promise<CloseInfo> {
    try {
      closingOf(this.#core).localByCall(code, reason);
    } catch (error) {
      return unhandledCallsOf(this.#core).misuse(error);
    }
    return closedPromiseOf(this.#core).closed;
  }

  terminate(cause?: unknown): void {
    const facts = { closeCode: ABNORMAL, by: "local", wasClean: false } as const;
    const error = isConnectionError(cause) ? cause : new ClosedError(facts, cause === undefined ? {} : { cause });
    if (this.state !== "CLOSED") closingOf(this.#core).abort(error);
  }

  setReadDeadline(deadline: Deadline | undefined): void {
    this.throwIfClosed();
    callsOf(this.#core).setReadDeadline(deadline);
  }

  setWriteDeadline(deadline: Deadline | undefined): void {
    this.throwIfClosed();
    // A connection with a write deadline is not on the fan-out of a group.
    outboxOf(this.#core);
    callsOf(this.#core).setWriteDeadline(deadline);
  }

  setDeadline(deadline: Deadline | undefined): void {
    this.setReadDeadline(deadline);
    this.setWriteDeadline(deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The scope of the application has ended, so nothing takes further messages.
    closingOf(this.#core).local(NORMAL, "");
    await closedPromiseOf(this.#core).closed;
  }

  /** The core of `value`, if this copy of the library has made it. */
  static coreOf(value: object): Core | undefined {
    return #core in value ? value.#core : undefined;
  }

  private receiver(): Receiver {
    this.#receiver ??= new Receiver(this.#core);
    return this.#receiver;
  }

  private streams(): Streams {
    const receiver = this.receiver();
    receiver.streams ??= new Streams({
      next: () => receiver.next(),
      send: (data) => this.send(data as Out),
      close: () => this.close(),
      terminate: (cause) => this.terminate(cause),
    });
    return receiver.streams;
  }

  private throwIfClosed(): void {
    const { closing } = this.#core;
    if (closing?.state === "over") throw closing.refusal;
  }
}

// For groups

/**
 * Sends `message` to a member of a group. If possible, attaches the member to `fanOut`, which then writes later messages of the
 * group. Without a fan-out, the member gets the message individually.
 */
export function sendToMember(
  fanOut: FanOut | undefined,
  member: GroupMember,
  message: Prepared & PreparedMessage,
  options: MemberMessageOptions,
): SendResult {
  const core = TransportConnection.coreOf(member);
  if (core !== undefined) {
    if (core.hasDeferred) outboxOf(core);
    return fanOut?.attach(core, message, options) ? "sent" : trySend(core, message, options);
  }
  const { overflow, key } = options;
  const plain = key === undefined ? {} : { key };
  if (overflow !== "close") return member.trySend(message, { ...plain, overflow });
  // Not every sender has the policy `close`: a client that reconnects does not end because its queue is full.
  const result = member.trySend(message, { ...plain, overflow: "reject" });
  if (result === "refused") void member.close(TRY_AGAIN_LATER, QUEUE_FULL);
  return result;
}

/** Detaches `member` from the fan-out of its group, if it has one. Messages of the group are then queued individually. */
export function detachMember(member: GroupMember): void {
  const core = TransportConnection.coreOf(member);
  if (core !== undefined && (core.shortPath !== undefined || core.hasDeferred)) outboxOf(core);
}

/** The connection of `member`. Undefined if `member` is no connection of this copy of the library. */
export function connectionOf(member: GroupMember): DeferredOwner | undefined {
  return TransportConnection.coreOf(member);
}

/** True if `member` has begun to end. */
export function memberIsEnding(member: GroupMember): boolean {
  const core = TransportConnection.coreOf(member);
  // To read `signal` would create an AbortController for each connection.
  return core === undefined ? member.signal.aborted : refusalOf(core) !== undefined;
}

// The groups of members that are no connections of this copy of the library. Each has one reaction to its end, for all its groups: a
// reaction per join would keep the group in memory until the end, and a peer that decides about joining could make it grow.
const foreignGroups = new WeakMap<object, Set<MemberList>>();

/** Notes that `member` belongs to `group`: `group.leave` is called at its end. Returns false if it already belongs to it. */
export function joinGroup(member: GroupMember, group: MemberList): boolean {
  if (isInGroup(member, group)) return false;
  const core = TransportConnection.coreOf(member);
  if (core === undefined) foreignGroupsOf(member).add(group);
  else if (core.groups === undefined) core.groups = group;
  else if (core.groups instanceof Set) core.groups.add(group);
  else core.groups = new Set([core.groups, group]);
  return true;
}

/** Returns false if `member` does not belong to `group`. */
export function leaveGroup(member: GroupMember, group: MemberList): boolean {
  const core = TransportConnection.coreOf(member);
  if (core === undefined) return foreignGroups.get(member)?.delete(group) === true;
  if (core.groups instanceof Set) return core.groups.delete(group);
  if (core.groups !== group) return false;
  core.groups = undefined;
  return true;
}

export function isInGroup(member: GroupMember, group: MemberList): boolean {
  const core = TransportConnection.coreOf(member);
  if (core === undefined) return foreignGroups.get(member)?.has(group) === true;
  return core.groups instanceof Set ? core.groups.has(group) : core.groups === group;
}

function foreignGroupsOf(member: GroupMember): Set<MemberList> {
  const known = foreignGroups.get(member);
  if (known !== undefined) return known;
  const groups = new Set<MemberList>();
  foreignGroups.set(member, groups);
  const leave = (): void => {
    for (const group of groups) group.leave(member);
  };
  member.closed.then(leave, leave);
  return groups;
}

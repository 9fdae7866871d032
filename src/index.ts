/** The public names of the library, and nothing else. */

export {
  ClosedError,
  type ConnectionError,
  HandshakeError,
  InDoubtError,
  isConnectionError,
  LimitError,
  type Operation,
  type Phase,
  ProtocolError,
  type Side,
  TimeoutError,
  TransportError,
  WorkerError,
} from "./base/errors.js";
export type {
  CloseEvent,
  ConnectionEvent,
  FrameEvent,
  HandshakeEvent,
  Observer,
  OpenEvent,
  OverflowEvent,
  PauseEvent,
  PeerEndedEvent,
} from "./base/events.js";
export { after, between, type Clock, type Instant, type Wakeup } from "./base/time.js";
export type { CompressionOptions, CompressionTerms } from "./connection/compression.js";
export type { Connection, ReadyState } from "./connection/connection.js";
export {
  type CloseInfo,
  type ConnectionOptions,
  DEFAULTS,
  type HeartbeatOptions,
  type Hooks,
  type Overflow,
} from "./connection/options.js";
export type { SendResult } from "./connection/outbox-owner.js";
export { type PreparedMessage, type PrepareOptions, prepare } from "./connection/prepared.js";
export type { MessageReader } from "./connection/reader.js";
export type { SendOptions, WriterOptions } from "./connection/send-options.js";
export type { Sendable } from "./connection/sending.js";
export type { WaitOptions } from "./connection/waits.js";
export type { MessageWriter } from "./connection/writer.js";
export { attach } from "./endpoint/attach.js";
export { connect } from "./endpoint/connect.js";
export type { Exchange, Receive, Subscription } from "./endpoint/exchange.js";
export { Group, type GroupOptions, type GroupSendOptions, type GroupSendResult } from "./endpoint/group.js";
export { listen } from "./endpoint/listen.js";
export type {
  AttachOptions,
  CapacityOptions,
  ConnectOptions,
  Handler,
  KeepAliveOptions,
  ListenOptions,
  UpgradeOptions,
  UpgradeRequest,
} from "./endpoint/options.js";
export { reconnect, type Session } from "./endpoint/reconnect.js";
export type { ReconnectCause, ReconnectPhase } from "./endpoint/reconnect-cause.js";
export type { ReconnectOptions, ReconnectPolicy } from "./endpoint/reconnect-options.js";
export { type ReconnectVerdict, shouldReconnect } from "./endpoint/reconnect-policy.js";
export type {
  ConnectingState,
  EndedState,
  OpenState,
  ReconnectState,
  WaitingState,
} from "./endpoint/reconnect-state.js";
export type { Destination, ReconnectAttempt, ReconnectTarget } from "./endpoint/reconnect-target.js";
export { ReconnectingConnection } from "./endpoint/reconnecting.js";
export type { ReconnectingHooks, ReconnectingOptions } from "./endpoint/reconnecting-options.js";
export type { Delivery } from "./endpoint/reconnecting-outbox.js";
export type { QueueOverflow } from "./endpoint/reconnecting-queue.js";
export type { DrainOptions } from "./endpoint/roster.js";
export type { Server } from "./endpoint/server.js";
export { startWorkers } from "./endpoint/start-workers.js";
export type { CountingExchange } from "./endpoint/worker-exchange.js";
export type { Closable, Work, WorkerEvent, WorkerScope, WorkersOptions } from "./endpoint/worker-options.js";
export type { Workers } from "./endpoint/workers.js";
export { Backoff, type Pauses } from "./engine/backoff.js";
export { isWireCode } from "./engine/close.js";
export type { CustomFraming, Decoded } from "./engine/framing/custom.js";
export type {
  DelimitedFraming,
  FixedFraming,
  Framing,
  LengthPrefixedFraming,
} from "./engine/framing/framing.js";
export type { ExtraHeaders } from "./engine/handshake.js";
export type { OriginPolicy } from "./engine/origin.js";
export type { Data } from "./engine/protocol.js";
export type { KernelProcess } from "./observe/proc.js";
export {
  type KernelReport,
  type KernelSocket,
  KernelSockets,
  type KernelSocketsOptions,
  type KernelUnsupported,
} from "./observe/sockets.js";
export { systemClock } from "./transport/clock.js";
export type { SocketState, SocketTimer } from "./transport/socket-table.js";

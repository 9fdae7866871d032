/** The exports of the core: connections, servers and clients. What is built on the core imports from here. */

export type { MessageBytes } from "./base/bytes.ts";
export type { ConnectionIdentity, ErrorFacts, ErrorPlace, ReportError } from "./base/error-context.ts";
export {
  ClosedError,
  type ConnectionError,
  type ConnectionOperation,
  type ConnectionSide,
  type ConnectPhase,
  HandshakeError,
  InDoubtError,
  isConnectionError,
  LimitError,
  type Progress,
  ProtocolError,
  type ResponseBody,
  TimeoutError,
  TransportError,
  WorkerError,
} from "./base/errors.ts";
export type {
  AcceptedEvent,
  CloseEvent,
  ConnectionEvent,
  FrameEvent,
  Observer,
  OpenEvent,
  OverflowEvent,
  PauseEvent,
  PeerEndedEvent,
  PhaseEvent,
  ReconnectEvent,
  RefusedEvent,
  TimeoutEvent,
} from "./base/events.ts";
export type { Complete } from "./base/forms.ts";
export type { ProtocolErrorReason } from "./base/protocol-reasons.ts";
export type { Refusal } from "./base/refusals.ts";
export type { Clock, Deadline, Instant, Wakeup } from "./base/time.ts";
export {
  type FramedMessage,
  type FramedTyping,
  json,
  type MessageCodec,
  type MessageType,
  type MessageTyping,
  type ReceivedBy,
} from "./connection/codec.ts";
export type { CompressionOptions, CompressionTerms } from "./connection/compression/options.ts";
export type {
  CloseInfo,
  Connection,
  GroupMember,
  MessageIterator,
  MessageReader,
  MessageReceiver,
  MessageSender,
  MessageWriter,
  PingOptions,
  PreparedMessage,
  ReadyState,
  Sendable,
  SendOptions,
  SendResult,
  WaitOptions,
  WriterOptions,
} from "./connection/contract.ts";
export { type MemoryBudget, memoryBudget } from "./connection/memory-budget.ts";
export type {
  ConnectionOptions,
  ErrorContext,
  HeartbeatOptions,
  HookResult,
  Hooks,
  Overflow,
} from "./connection/options.ts";
export type { RequestTls, UpgradeRequest } from "./connection/upgrade-request.ts";
export {
  type PrepareOptions,
  type PrepareValueOptions,
  prepare,
  prepareFrame,
} from "./connection/write/prepared-message.ts";
export { connect } from "./endpoint/client/connect.ts";
export type { ServerConnections } from "./endpoint/connection-list.ts";
export type {
  AcceptOptions,
  AttachOptions,
  Authorization,
  CapacityOptions,
  ConnectOptions,
  FetchInfo,
  Handler,
  HttpOptions,
  KeepAliveOptions,
  ListenOptions,
  PerAddressOptions,
  RouteOptions,
  Routes,
  RouteTarget,
  UpgradeOptions,
} from "./endpoint/options.ts";
export { accept, acceptSync } from "./endpoint/server/accept.ts";
export { type Admission, type AdmitOptions, admit } from "./endpoint/server/admission.ts";
export { attach } from "./endpoint/server/attach.ts";
export { listen, type WebSocketUrl } from "./endpoint/server/listen.ts";
export type { ListeningServer } from "./endpoint/server/listening-server.ts";
export type { DrainOptions, DrainResult } from "./endpoint/server/roster.ts";
export type { Route } from "./endpoint/server/routes.ts";
export type { Server } from "./endpoint/server/server.ts";
export type { CustomFraming, DecodedMessage } from "./engine/framing/custom.ts";
export type {
  DelimitedFraming,
  FixedFraming,
  Framing,
  LengthPrefixedFraming,
  LinesFraming,
} from "./engine/framing/framing.ts";
export type { EndOfLine } from "./engine/framing/lines.ts";
export type { ExtraHeaders, HeaderFields } from "./engine/handshake/fields-to-send.ts";
export type { TrustProxy, TrustProxyOptions } from "./engine/handshake/forwarded.ts";
export type { OriginPolicy } from "./engine/handshake/origin.ts";
export type { ParamsOf, PathParams } from "./engine/handshake/path-pattern.ts";
export type { Message } from "./engine/protocol.ts";
export { isText } from "./engine/text-bytes.ts";
export type { DialAttempt, DialDestination, Dialer, DialPlace } from "./transport/dial/dialer.ts";
export { type HttpProxyOptions, httpProxy } from "./transport/dial/http-proxy.ts";
export type { DialOptions } from "./transport/dial/options.ts";
export { proxyFromEnvironment } from "./transport/dial/proxy-environment.ts";
export { socksProxy } from "./transport/dial/socks-proxy.ts";
export { errorReporter } from "./transport/error-report.ts";
export type { ListenAddress } from "./transport/listen/listen-address.ts";
export type { Network, NetworkListener } from "./transport/network.ts";

// For what is built on the core. Not exported from the package.

export { type AnyCodec, judgeCodec } from "./connection/codec.ts";
export { COMPRESSION_DEFAULTS, type CompressionDefaults } from "./connection/compression/options.ts";
export { groupCounters } from "./connection/group-counters.ts";
export { Inspection, type LimitState } from "./connection/inspection.ts";
export { CONNECTION_DEFAULTS, type ConnectionDefaults } from "./connection/options.ts";
export { UnhandledCalls } from "./connection/time/unhandled-calls.ts";
export {
  connectionOf,
  detachMember,
  isInGroup,
  joinGroup,
  leaveGroup,
  memberIsEnding,
  sendToMember,
} from "./connection/transport-connection.ts";
export type { ConnectionWatcher, EndedFacts, RareEvent } from "./connection/watcher.ts";
export { Streams } from "./connection/web-streams.ts";
export { Deferral, type DeferringGroup, otherDeferralsThan } from "./connection/write/deferred-messages.ts";
export { FanOut } from "./connection/write/fan-out.ts";
export { encodedBy, ownedMessage, type Prepared, prepared } from "./connection/write/prepared-message.ts";
export type { MemberMessageOptions, RefusalOwner } from "./connection/write/send-options.ts";
export { processMetrics, type WatchedServer, type WatchedSource } from "./endpoint/metric-sources.ts";
export { CLIENT_DEFAULTS, type ClientDefaults, SERVER_DEFAULTS, type ServerDefaults } from "./endpoint/options.ts";
export { serverMetricsOf } from "./endpoint/server/server.ts";

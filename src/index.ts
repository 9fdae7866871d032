/** Exports the public names of the library, and nothing else. */

export type { AttemptOutcome } from "./base/attempt-outcomes.ts";
export type { EndCause } from "./base/end-causes.ts";
export type { Logger } from "./base/log.ts";
export type { ChannelName, MetricName } from "./base/vocabulary.ts";
export type {
  Broker,
  BrokerEntry,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  HistoryLimits,
  Published,
  ReadRequest,
  Slice,
} from "./broker/broker.ts";
export { type BrokerExchange, type BrokerExchangeOptions, EXCHANGE_DEFAULTS, exchangeOf } from "./broker/exchange.ts";
export { type MemoryBrokerOptions, memoryBroker } from "./broker/memory.ts";
export {
  type AcceptedEvent,
  type AcceptOptions,
  type Admission,
  type AdmitOptions,
  type AttachOptions,
  type Authorization,
  accept,
  acceptSync,
  admit,
  attach,
  type CapacityOptions,
  type ClientDefaults,
  type Clock,
  ClosedError,
  type CloseEvent,
  type CloseInfo,
  type Complete,
  type CompressionDefaults,
  type CompressionOptions,
  type CompressionTerms,
  type Connection,
  type ConnectionDefaults,
  type ConnectionError,
  type ConnectionEvent,
  type ConnectionIdentity,
  type ConnectionOperation,
  type ConnectionOptions,
  type ConnectionSide,
  type ConnectOptions,
  type ConnectPhase,
  type CustomFraming,
  connect,
  type Deadline,
  type DecodedMessage,
  type DelimitedFraming,
  type DialAttempt,
  type DialDestination,
  type Dialer,
  type DialOptions,
  type DialPlace,
  type DrainOptions,
  type DrainResult,
  type EndOfLine,
  type ErrorContext,
  type ErrorFacts,
  type ErrorPlace,
  type ExtraHeaders,
  errorReporter,
  type FetchInfo,
  type FixedFraming,
  type FramedMessage,
  type FramedTyping,
  type FrameEvent,
  type Framing,
  type GroupMember,
  type Handler,
  HandshakeError,
  type HeaderFields,
  type HeartbeatOptions,
  type HookResult,
  type Hooks,
  type HttpOptions,
  type HttpProxyOptions,
  httpProxy,
  InDoubtError,
  type Instant,
  isConnectionError,
  isText,
  json,
  type KeepAliveOptions,
  type LengthPrefixedFraming,
  LimitError,
  type LinesFraming,
  type ListenAddress,
  type ListeningServer,
  type ListenOptions,
  listen,
  type MemoryBudget,
  type Message,
  type MessageBytes,
  type MessageCodec,
  type MessageIterator,
  type MessageReader,
  type MessageReceiver,
  type MessageSender,
  type MessageType,
  type MessageTyping,
  type MessageWriter,
  memoryBudget,
  type Network,
  type NetworkListener,
  type Observer,
  type OpenEvent,
  type OriginPolicy,
  type Overflow,
  type OverflowEvent,
  type ParamsOf,
  type PathParams,
  type PauseEvent,
  type PeerEndedEvent,
  type PerAddressOptions,
  type PhaseEvent,
  type PingOptions,
  type PreparedMessage,
  type PrepareOptions,
  type PrepareValueOptions,
  type Progress,
  ProtocolError,
  type ProtocolErrorReason,
  prepare,
  prepareFrame,
  proxyFromEnvironment,
  type ReadyState,
  type ReceivedBy,
  type ReconnectEvent,
  type Refusal,
  type RefusedEvent,
  type ReportError,
  type RequestTls,
  type ResponseBody,
  type Route,
  type RouteOptions,
  type Routes,
  type RouteTarget,
  type Sendable,
  type SendOptions,
  type SendResult,
  type Server,
  type ServerConnections,
  type ServerDefaults,
  socksProxy,
  TimeoutError,
  type TimeoutEvent,
  TransportError,
  type TrustProxy,
  type TrustProxyOptions,
  type UpgradeOptions,
  type UpgradeRequest,
  type WaitOptions,
  type Wakeup,
  type WebSocketUrl,
  WorkerError,
  type WriterOptions,
} from "./core.ts";
export { DEFAULTS, type Defaults } from "./defaults.ts";
export type { Histogram, HistogramData } from "./engine/histogram.ts";
export type { MetricLabels, MetricSeries } from "./engine/metrics/collector.ts";
export type { Exchange, ExchangeReceiver, ExchangeSubscription } from "./group/exchange.ts";
export {
  Group,
  type GroupOptions,
  type GroupSendOptions,
  type GroupSendResult,
  type LocalGroupOptions,
} from "./group/group.ts";
export type { GroupOverflow } from "./group/wire-form.ts";
export type { SkipReason, TopicEncoder } from "./hub/encoder.ts";
export type { TopicEntry } from "./hub/entry.ts";
export { type Envelope, envelope } from "./hub/envelope.ts";
export { type EnvelopeEvent, EnvelopeReader } from "./hub/envelope-reader.ts";
export type {
  HubEvent,
  HubForkEvent,
  HubGapEvent,
  HubHealedEvent,
  HubInDoubtEvent,
  HubPublishFailedEvent,
  HubReadFailedEvent,
  HubStats,
  HubSuspectEvent,
  HubUnreadableEvent,
} from "./hub/events.ts";
export { Hub } from "./hub/hub.ts";
export type { LoadState, StateMessages, TopicMember } from "./hub/member-cursor.ts";
export type { HubDefaults, HubOptions, SlowMember, TopicDefaults, TopicOptions } from "./hub/options.ts";
export type { Gap, GapReason, Position } from "./hub/position.ts";
export type { PresenceChange, PresentMember } from "./hub/presence-table.ts";
export type { PresenceEvent, PresenceList } from "./hub/presence-watch.ts";
export type {
  FollowOptions,
  HistoryOptions,
  HistoryResult,
  JoinOptions,
  JoinResult,
  MemberPresence,
  PresenceResult,
  PublishOptions,
  PublishResult,
  PublishWaitOptions,
  Topic,
  WaitLimits,
} from "./hub/topic.ts";
export { type Metrics, metrics, type ProcessObject } from "./metrics/metrics.ts";
export type { MetricsSnapshot } from "./metrics/snapshot.ts";
export type { ReconnectCause, ReconnectKind, ReconnectPhase } from "./reconnect/cause.ts";
export { ReconnectingConnection, type ReconnectingConnectionConstructor } from "./reconnect/connection.ts";
export type { ReconnectingHooks, ReconnectingOptions } from "./reconnect/connection-options.ts";
export type { ReconnectingClient } from "./reconnect/contract.ts";
export { type ReconnectSession, reconnect } from "./reconnect/loop.ts";
export type { ReconnectDefaults, ReconnectOptions, ReconnectPolicy } from "./reconnect/options.ts";
export type { ReconnectDelivery } from "./reconnect/outbox.ts";
export { type ReconnectVerdict, shouldReconnect } from "./reconnect/policy.ts";
export type { QueueOverflow } from "./reconnect/queue.ts";
export type { ConnectingState, EndedState, OpenState, ReconnectState, WaitingState } from "./reconnect/state.ts";
export type { ReconnectAttempt, ReconnectDestination, ReconnectTarget } from "./reconnect/target.ts";

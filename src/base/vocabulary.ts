/** Names every fact that leaves the process: metrics, their labels, and the values that a label may have. */

// Prometheus' text, OpenTelemetry, dashboards, alerts and documents are made from this file, or a test compares them with it. No
// label has a value from a peer, so no peer can add a series.

import { ATTEMPT_OUTCOMES } from "./attempt-outcomes.ts";
import { END_CAUSES } from "./end-causes.ts";
import { ERROR_PLACES } from "./error-context.ts";
import type { ConnectionEvent } from "./events.ts";
import { REFUSALS } from "./refusals.ts";

/** Whether this process accepted the connections, or opened them. */
export type MetricRole = "server" | "client";
export type MetricProtocol = "websocket" | "tcp";

export const ROLES: readonly MetricRole[] = ["server", "client"];
export const PROTOCOLS: readonly MetricProtocol[] = ["websocket", "tcp"];
export const DIRECTIONS: readonly string[] = ["in", "out"];
/** `opening`: a server decides about the request, or a client is connecting. */
export const LIFE_STATES: readonly string[] = ["opening", "open", "closing"];
/** What happens to a message without room, apart from `wait`, which loses nothing. */
export const LOSS_POLICIES: readonly string[] = ["reject", "drop-newest", "drop-oldest", "coalesce", "close"];
/** The limits of one call. */
export const CALL_LIMITS: readonly string[] = ["timeout", "deadline", "readDeadline", "writeDeadline"];
/** The status codes that may be sent (RFC 6455 7.4), the registered ranges as one value each, and `none` for an empty Close frame. */
export const SENT_CODES: readonly string[] = [
  ...["1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012", "1013", "1014"],
  ...["3xxx", "4xxx", "none"],
];
/** Why a member of a topic has a gap. */
export const GAP_REASONS: readonly string[] = ["trimmed", "epoch", "fork", "lost"];
/** Why a process of a worker ended, with one sentence for the documents. */
export const WORKER_ENDS: Readonly<Record<"stopped" | "failed" | "killed" | "exit" | "signal", string>> = Object.freeze(
  {
    stopped: "The first process stopped or replaced it, and it ended by itself.",
    failed: "It did not start to serve.",
    killed: "It took longer than startTimeout or stopTimeout, or a second signal was received.",
    exit: "It ended by itself: with process.exit, or by an uncaught exception.",
    signal: "A signal ended it, such as SIGKILL of the system for lack of memory.",
  },
);
/** Which code moves the bytes of plain TCP: see the transports in docs/architecture.md. */
export const TRANSPORTS: readonly string[] = ["fast", "socket"];

/** The states of a TCP socket, as Linux names them. */
export const SOCKET_STATES: readonly string[] = [
  ...["established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait"],
  ...["close", "close_wait", "last_ack", "listen", "closing"],
];

const ROLE = { role: ROLES };
const ROLE_PROTOCOL = { role: ROLES, protocol: PROTOCOLS };
const BOTH_WAYS = { ...ROLE_PROTOCOL, direction: DIRECTIONS };
const WAYS = { direction: DIRECTIONS };
const NONE = {};

/** A metric, apart from its name. */
export interface MetricFacts {
  readonly type: "counter" | "gauge" | "histogram";
  /** The values that each label may have. An empty list: the value is fixed when the package is made, such as the version. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** One sentence. */
  readonly help: string;
  /** How the values of several processes become one. @default their sum */
  readonly joined?: "largest" | "oldest";
  /** Of a histogram, the bounds of its buckets: 2^first, 2^(first + step) ... 2^last. */
  readonly bounds?: { readonly first: number; readonly last: number; readonly step: number };
}

/** The name of a metric. The unit is part of it, and `_total` ends the name of a counter. */
export type MetricName =
  | "holdfast_connections"
  | "holdfast_connections_limit"
  | "holdfast_connections_opened_total"
  | "holdfast_connections_closed_total"
  | "holdfast_close_codes_sent_total"
  | "holdfast_connection_duration_seconds"
  | "holdfast_handshake_duration_seconds"
  | "holdfast_handshakes_refused_total"
  | "holdfast_messages_total"
  | "holdfast_bytes_total"
  | "holdfast_writes_total"
  | "holdfast_write_wait_seconds"
  | "holdfast_queued_bytes"
  | "holdfast_queued_messages"
  | "holdfast_queue_largest_bytes"
  | "holdfast_connections_slow"
  | "holdfast_overflow_total"
  | "holdfast_inbox_bytes"
  | "holdfast_connections_paused"
  | "holdfast_pauses_total"
  | "holdfast_paused_seconds_total"
  | "holdfast_call_timeouts_total"
  | "holdfast_ping_rtt_seconds"
  | "holdfast_peer_ended_connections"
  | "holdfast_peer_ended_oldest_timestamp_seconds"
  | "holdfast_tcp_sockets"
  | "holdfast_errors_total"
  | "holdfast_compression_seconds_total"
  | "holdfast_compression_in_bytes_total"
  | "holdfast_compression_out_bytes_total"
  | "holdfast_reconnect_attempts_total"
  | "holdfast_in_doubt_total"
  | "holdfast_memory_held_bytes"
  | "holdfast_memory_limit_bytes"
  | "holdfast_groups"
  | "holdfast_group_members"
  | "holdfast_group_sends_total"
  | "holdfast_group_deliveries_total"
  | "holdfast_group_delivery_seconds"
  | "holdfast_topics"
  | "holdfast_topic_members"
  | "holdfast_topic_members_behind"
  | "holdfast_topic_history_bytes"
  | "holdfast_topic_publishing"
  | "holdfast_topic_publishes_total"
  | "holdfast_topic_publishes_in_doubt_total"
  | "holdfast_topic_entries_total"
  | "holdfast_topic_reads_total"
  | "holdfast_topic_holes_total"
  | "holdfast_topic_healed_holes_total"
  | "holdfast_topic_told_holes_total"
  | "holdfast_topic_ended_holes_total"
  | "holdfast_topic_healed_entries_total"
  | "holdfast_topic_gaps_total"
  | "holdfast_topic_forks_total"
  | "holdfast_topic_unreadable_total"
  | "holdfast_workers"
  | "holdfast_workers_unanswered"
  | "holdfast_worker_ends_total"
  | "holdfast_exchange_missed_total"
  | "holdfast_exchange_refused_total"
  | "holdfast_loop_blocked_seconds"
  | "holdfast_scrape_seconds"
  | "holdfast_started_timestamp_seconds"
  | "holdfast_build_info";

/** Every metric. The order is that of the exposition and of the documents. */
export const METRICS: Readonly<Record<MetricName, MetricFacts>> = Object.freeze({
  holdfast_connections: {
    type: "gauge",
    labels: { ...ROLE_PROTOCOL, state: LIFE_STATES },
    help: "Connections now.",
  },
  holdfast_connections_limit: {
    type: "gauge",
    labels: NONE,
    help: "Sum of maxConnections of the servers. +Inf if one of them has no limit.",
  },
  holdfast_connections_opened_total: {
    type: "counter",
    labels: ROLE_PROTOCOL,
    help: "Connections that were opened.",
  },
  holdfast_connections_closed_total: {
    type: "counter",
    labels: { ...ROLE, by: ["local", "peer"], cause: Object.keys(END_CAUSES) },
    help: "Connections that ended, by cause. Each cause has one value of by.",
  },
  holdfast_close_codes_sent_total: {
    type: "counter",
    labels: { code: SENT_CODES },
    help: "Close frames that were sent, also as answers to Close frames.",
  },
  holdfast_connection_duration_seconds: {
    type: "histogram",
    labels: ROLE,
    help: "Age of connections at their end.",
    bounds: { first: -2, last: 18, step: 2 },
  },
  holdfast_handshake_duration_seconds: {
    type: "histogram",
    labels: ROLE,
    help: "Client: from the call of connect to the open connection. Server: from the request to its answer, most of it authorize.",
    bounds: { first: -10, last: 4, step: 2 },
  },
  holdfast_handshakes_refused_total: {
    type: "counter",
    labels: { reason: Object.keys(REFUSALS) },
    help: "Openings that led to no connection, on servers, and answers of servers that opened none.",
  },
  holdfast_messages_total: {
    type: "counter",
    labels: BOTH_WAYS,
    help: "Messages that were received, and messages that the kernel has taken.",
  },
  holdfast_bytes_total: {
    type: "counter",
    labels: BOTH_WAYS,
    help: "Bytes of connections, with framing and compressed, before TLS. Without the opening handshake.",
  },
  holdfast_writes_total: {
    type: "counter",
    labels: ROLE,
    help: "Writes to the kernel. Messages per write show how many are joined.",
  },
  holdfast_write_wait_seconds: {
    type: "histogram",
    labels: NONE,
    help: "How long the kernel had no room for a write. 0 for a write that it took at once.",
    bounds: { first: -10, last: 5, step: 1 },
  },
  holdfast_queued_bytes: {
    type: "gauge",
    labels: ROLE,
    help: "Bytes in send queues, as maxQueuedBytes counts them: each message with 512 bytes more.",
  },
  holdfast_queued_messages: {
    type: "gauge",
    labels: ROLE,
    help: "Messages in send queues.",
  },
  holdfast_queue_largest_bytes: {
    type: "gauge",
    labels: ROLE,
    joined: "largest",
    help: "Bytes in the largest send queue.",
  },
  holdfast_connections_slow: {
    type: "gauge",
    labels: ROLE,
    help: "Open connections whose send queue is above highWaterMark.",
  },
  holdfast_overflow_total: {
    type: "counter",
    labels: { policy: LOSS_POLICIES },
    help: "Messages for which a send queue had no room, by what happened to them.",
  },
  holdfast_inbox_bytes: {
    type: "gauge",
    labels: ROLE,
    help: "Bytes of received messages that the application has not taken.",
  },
  holdfast_connections_paused: {
    type: "gauge",
    labels: ROLE,
    help: "Open connections that do not read, because the application does not take the messages.",
  },
  holdfast_pauses_total: {
    type: "counter",
    labels: ROLE,
    help: "Times that a connection stopped reading because its inbox was full.",
  },
  holdfast_paused_seconds_total: {
    type: "counter",
    labels: ROLE,
    help: "Time in which connections did not read, added up over all connections: also while another thread worked on a message.",
  },
  holdfast_call_timeouts_total: {
    type: "counter",
    labels: { limit: CALL_LIMITS },
    help: "Calls that reached a limit of their own. Limits that end connections are causes of holdfast_connections_closed_total.",
  },
  holdfast_ping_rtt_seconds: {
    type: "histogram",
    labels: NONE,
    help: "From a Ping of the heartbeat to the next byte of the peer.",
    bounds: { first: -13, last: 4, step: 1 },
  },
  holdfast_peer_ended_connections: {
    type: "gauge",
    labels: ROLE,
    help: "Connections whose peer has sent its FIN, and that are not closed: CLOSE_WAIT or later.",
  },
  holdfast_peer_ended_oldest_timestamp_seconds: {
    type: "gauge",
    labels: ROLE,
    joined: "oldest",
    help: "Unix time of the oldest of these FINs; 0 if there is none.",
  },
  holdfast_tcp_sockets: {
    type: "gauge",
    labels: { state: SOCKET_STATES },
    help: "TCP sockets of this process in the kernel, on Linux; elsewhere there is no series. They are read at most every 5 s.",
  },
  holdfast_errors_total: {
    type: "counter",
    labels: { place: Object.keys(ERROR_PLACES) },
    help: "Calls of onError by connections and servers, by place. Errors of accept, such as EMFILE, have the place accept.",
  },
  holdfast_compression_seconds_total: {
    type: "counter",
    labels: WAYS,
    help: "Time in which messages were compressed (out) and decompressed (in), on all threads.",
  },
  holdfast_compression_in_bytes_total: {
    type: "counter",
    labels: WAYS,
    help: "Bytes before compression (out), and before decompression (in).",
  },
  holdfast_compression_out_bytes_total: {
    type: "counter",
    labels: WAYS,
    help: "Bytes after compression (out), also of results that were not used, and after decompression (in).",
  },
  holdfast_reconnect_attempts_total: {
    type: "counter",
    labels: { outcome: Object.keys(ATTEMPT_OUTCOMES) },
    help: "Attempts of clients that reconnect, the first ones included, by outcome.",
  },
  holdfast_in_doubt_total: {
    type: "counter",
    labels: NONE,
    help: "Messages of clients that reconnect of which it is unknown whether they arrived, and that were not sent again.",
  },
  holdfast_memory_held_bytes: {
    type: "gauge",
    labels: NONE,
    help: "Memory that all connections of the process hold for messages, as memoryBudget counts it.",
  },
  holdfast_memory_limit_bytes: {
    type: "gauge",
    labels: NONE,
    help: "memoryBudget.limit.",
  },
  holdfast_groups: {
    type: "gauge",
    labels: NONE,
    help: "Groups that have members in this process. Topics are not counted.",
  },
  holdfast_group_members: {
    type: "gauge",
    labels: NONE,
    help: "Members of all groups. A connection counts once in each of its groups.",
  },
  holdfast_group_sends_total: {
    type: "counter",
    labels: NONE,
    help: "Calls of send of groups in this process.",
  },
  holdfast_group_deliveries_total: {
    type: "counter",
    labels: NONE,
    help: "Members of this process that accepted a message of a group, for each message, those from other processes included.",
  },
  holdfast_group_delivery_seconds: {
    type: "histogram",
    labels: NONE,
    help: "Groups and topics: from the first message of a burst to the last member's write. Without members that have a send queue.",
    bounds: { first: -17, last: 3, step: 2 },
  },
  holdfast_topics: {
    type: "gauge",
    labels: NONE,
    help: "Topics that have members or followers in this process.",
  },
  holdfast_topic_members: {
    type: "gauge",
    labels: NONE,
    help: "Members of all topics. A connection counts once in each of its topics.",
  },
  holdfast_topic_members_behind: {
    type: "gauge",
    labels: NONE,
    help: "Members that are behind the newest message of their topic.",
  },
  holdfast_topic_history_bytes: {
    type: "gauge",
    labels: NONE,
    help: "What the messages of all topics take in the memory of the hubs, in bytes.",
  },
  holdfast_topic_publishing: {
    type: "gauge",
    labels: NONE,
    help: "Messages that are on their way to the broker.",
  },
  holdfast_topic_publishes_total: {
    type: "counter",
    labels: NONE,
    help: "Messages that were published, also those that the broker did not accept.",
  },
  holdfast_topic_publishes_in_doubt_total: {
    type: "counter",
    labels: NONE,
    help: "Published messages of which it is unknown whether the broker has them.",
  },
  holdfast_topic_entries_total: {
    type: "counter",
    labels: NONE,
    help: "Messages of topics that came from the broker, those that were read from the log included.",
  },
  holdfast_topic_reads_total: {
    type: "counter",
    labels: NONE,
    help: "Reads of the log of a topic.",
  },
  holdfast_topic_holes_total: {
    type: "counter",
    labels: NONE,
    help: "How often the broker has passed over messages of a topic. Each of these holes is healed, told or ended.",
  },
  holdfast_topic_healed_holes_total: {
    type: "counter",
    labels: NONE,
    help: "Holes that were read from the log of the topic, so that no member has missed anything.",
  },
  holdfast_topic_told_holes_total: {
    type: "counter",
    labels: NONE,
    help: "Holes of which the members have a gap, because the log does not have the messages.",
  },
  holdfast_topic_ended_holes_total: {
    type: "counter",
    labels: NONE,
    help: "Holes that were neither healed nor told yet when the topic lost its last member in this process.",
  },
  holdfast_topic_healed_entries_total: {
    type: "counter",
    labels: NONE,
    help: "Messages that were read from the log because they had not arrived, those on their way included.",
  },
  holdfast_topic_gaps_total: {
    type: "counter",
    labels: { reason: GAP_REASONS },
    help: "Gaps of members and followers of topics, by reason.",
  },
  holdfast_topic_forks_total: {
    type: "counter",
    labels: NONE,
    help: "How often the log of a topic had another history than before.",
  },
  holdfast_topic_unreadable_total: {
    type: "counter",
    labels: NONE,
    help: "Entries of a log that could not be read, and were skipped.",
  },
  holdfast_workers: {
    type: "gauge",
    labels: NONE,
    help: "Processes of workers that serve, those that stop included. Known to the first process.",
  },
  holdfast_workers_unanswered: {
    type: "gauge",
    labels: NONE,
    help: "Workers that did not answer in time: their counters here are those of their last answer, and their gauges are left out.",
  },
  holdfast_worker_ends_total: {
    type: "counter",
    labels: { reason: Object.keys(WORKER_ENDS) },
    help: "Ends of processes of workers, by reason. Known to the first process.",
  },
  holdfast_exchange_missed_total: {
    type: "counter",
    labels: NONE,
    help: "Messages of groups and topics that workers missed, because too many were waiting for them. Known to the first process.",
  },
  holdfast_exchange_refused_total: {
    type: "counter",
    labels: NONE,
    help: "Messages of groups that a worker could not publish, because too many were on their way.",
  },
  holdfast_loop_blocked_seconds: {
    type: "histogram",
    labels: NONE,
    help: "Delay of the event loop: of a timer each 20 ms, and of those that a block has left out.",
    bounds: { first: -10, last: 4, step: 1 },
  },
  holdfast_scrape_seconds: {
    type: "gauge",
    labels: NONE,
    joined: "largest",
    help: "How long it took to collect these values. Of several processes: the longest.",
  },
  holdfast_started_timestamp_seconds: {
    type: "gauge",
    labels: NONE,
    joined: "oldest",
    help: "Unix time at which the process started. Of several processes: the first one.",
  },
  holdfast_build_info: {
    type: "gauge",
    labels: { version: [], transport: TRANSPORTS },
    joined: "largest",
    help: "1 for the version of the library, and for the transport of new connections on plain TCP.",
  },
});

/** The names of the diagnostics channels. They do not change. */
export type ChannelName =
  | "holdfast.handshake"
  | "holdfast.connection.open"
  | "holdfast.connection.close"
  | "holdfast.peer_ended"
  | "holdfast.overflow"
  | "holdfast.pause"
  | "holdfast.timeout"
  | "holdfast.reconnect";

/** The diagnostics channels: the types of the events that each publishes, and one sentence. */
export const CHANNELS: Readonly<
  Record<ChannelName, { readonly events: readonly ConnectionEvent["type"][]; readonly help: string }>
> = Object.freeze({
  "holdfast.handshake": {
    events: ["accepted", "refused"],
    help: "An opening has led to a connection, or to none.",
  },
  "holdfast.connection.open": { events: ["open"], help: "A connection is open." },
  "holdfast.connection.close": { events: ["close"], help: "A connection has ended." },
  "holdfast.peer_ended": { events: ["peerEnded"], help: "The peer has sent its FIN." },
  "holdfast.overflow": { events: ["overflow"], help: "A send queue had no room for a message." },
  "holdfast.pause": { events: ["pause", "resume"], help: "A connection stops reading, or continues." },
  "holdfast.timeout": {
    events: ["timeout"],
    help: "A time limit was reached: one of a connection, which ends it, or one of a single call.",
  },
  "holdfast.reconnect": {
    events: ["reconnect"],
    help: "An attempt of a client that reconnects has ended, with or without a connection.",
  },
});

/** The messages of the dashboard's feed: JSON texts over a WebSocket. The page and `holdfast top` read them. */

import type { EndCause } from "../base/end-causes.ts";

// Under the path of the dashboard (PATH, such as /dashboard) are: the page at PATH/, the feed at PATH/feed, and the tables for programs at
// PATH/connections.json, PATH/connections.csv, PATH/ended.json, PATH/ended.csv, PATH/servers.json, PATH/servers.csv, PATH/history.json
// and PATH/history.csv. The page is the file dist/dashboard/page.html, with one inline script and one inline style, whose hashes the
// server computes for the Content-Security-Policy. A page refers to the others by relative URLs. A browser that came with ?token= has a
// cookie instead of it; a program sends `Authorization: Bearer TOKEN`.
//
// A viewer asks with `next`, and gets one `update` for it. So the feed goes at the pace of the viewer, and nothing is queued for it.
// The server keeps no state of a viewer: what a viewer has already is in its `next`. All times are milliseconds and all sizes are
// bytes, unless the name says otherwise. A text of a peer (path, reason, subprotocol) has at most MAX_TEXT characters.

/** The form of the messages. It rises with a change that an older viewer would misunderstand. */
export const FEED_VERSION = 1;

/** The longest text of a peer in a message, in characters. A longer one ends in `…`. */
export const MAX_TEXT = 256;

/** The most rows of connections in an update. */
export const MAX_ROWS = 50;

/** The seconds of history that the server keeps: 10 minutes. */
export const HISTORY_SECONDS = 600;

/** The ended connections that the server keeps, and the most in one update. */
export const ENDED_KEPT = 500;

/** The events that the server keeps of one connection. */
export const EVENTS_KEPT = 32;

/** The frames that the server keeps of a traced connection. */
export const FRAMES_KEPT = 200;

/** What a number of the history means. */
export interface NumberFacts {
  /** `count`: how many there are now. `rate`: how many or how much in this second. */
  readonly kind: "count" | "rate";
  readonly unit:
    | "connections"
    | "messages"
    | "bytes"
    | "ms"
    | "sockets"
    | "topics"
    | "members"
    | "openings"
    | "times"
    | "percent";
  /** One phrase for people. */
  readonly help: string;
}

const count = (unit: NumberFacts["unit"], help: string): NumberFacts => ({ kind: "count", unit, help });
const rate = (unit: NumberFacts["unit"], help: string): NumberFacts => ({ kind: "rate", unit, help });

/** The name of a number of the history. */
export type NumberName =
  | "serverOpening"
  | "serverOpen"
  | "serverClosing"
  | "clientOpening"
  | "clientOpen"
  | "clientClosing"
  | "opened"
  | "closedLocal"
  | "closedPeer"
  | "refused"
  | "messagesIn"
  | "messagesOut"
  | "bytesIn"
  | "bytesOut"
  | "writes"
  | "queuedBytes"
  | "queuedMessages"
  | "largestQueue"
  | "slow"
  | "overflow"
  | "inboxBytes"
  | "paused"
  | "pauses"
  | "peerEnded"
  | "peerEndedAge"
  | "errors"
  | "rttP50"
  | "rttP99"
  | "loopP50"
  | "loopP99"
  | "loopMax"
  | "cpu"
  | "memoryHeld"
  | "rss"
  | "heapUsed"
  | "kernelSockets"
  | "kernelCloseWait"
  | "kernelEnding"
  | "topics"
  | "topicMembers"
  | "topicMembersBehind"
  | "topicGaps";

/**
 * The numbers of each second, in the order of the values in a `Sample`. `null` in a sample: not known, such as the round trip of a
 * second in which no Ping was answered, or the kernel's sockets while there is no viewer.
 */
export const NUMBERS: Readonly<Record<NumberName, NumberFacts>> = Object.freeze({
  serverOpening: count("connections", "server: openings in progress"),
  serverOpen: count("connections", "server: open"),
  serverClosing: count("connections", "server: closing"),
  clientOpening: count("connections", "client: openings in progress"),
  clientOpen: count("connections", "client: open"),
  clientClosing: count("connections", "client: closing"),
  opened: rate("connections", "opened"),
  closedLocal: rate("connections", "ended by this side"),
  closedPeer: rate("connections", "ended by the peer"),
  refused: rate("openings", "openings that led to no connection"),
  messagesIn: rate("messages", "messages received"),
  messagesOut: rate("messages", "messages that the kernel has taken"),
  bytesIn: rate("bytes", "bytes received"),
  bytesOut: rate("bytes", "bytes sent"),
  writes: rate("times", "writes to the kernel"),
  queuedBytes: count("bytes", "bytes in send queues"),
  queuedMessages: count("messages", "messages in send queues"),
  largestQueue: count("bytes", "bytes in the largest send queue"),
  slow: count("connections", "connections whose send queue is above highWaterMark"),
  overflow: rate("messages", "messages for which a send queue had no room"),
  inboxBytes: count("bytes", "bytes received and not taken by the application"),
  paused: count("connections", "connections that do not read, because their inbox is full"),
  pauses: rate("times", "times that a connection stopped reading"),
  peerEnded: count("connections", "connections whose peer has sent its FIN, and that are not closed"),
  peerEndedAge: count("ms", "age of the oldest of these FINs"),
  errors: rate("times", "calls of onError"),
  rttP50: count("ms", "round trip of the Pings answered in this second, half of them"),
  rttP99: count("ms", "round trip of the Pings answered in this second, 99 of 100"),
  loopP50: count("ms", "delay of the event loop in this second, half of the time"),
  loopP99: count("ms", "delay of the event loop in this second, 99 % of the time"),
  loopMax: count("ms", "longest delay of the event loop in this second"),
  cpu: rate("percent", "time of processors that this process used; 100 is one processor"),
  memoryHeld: count("bytes", "memory held for messages, as memoryBudget counts it"),
  rss: count("bytes", "memory of the process (resident set)"),
  heapUsed: count("bytes", "used heap of V8"),
  kernelSockets: count("sockets", "TCP sockets of this process in the kernel's table"),
  kernelCloseWait: count("sockets", "of them in CLOSE_WAIT: the peer has ended, and this process has not"),
  kernelEnding: count("sockets", "of them in FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING: ends that wait for the peer"),
  topics: count("topics", "topics with members or followers"),
  topicMembers: count("members", "members of all topics"),
  topicMembersBehind: count("members", "members behind the newest message of their topic"),
  topicGaps: rate("times", "gaps of members and followers of topics"),
});

/** The names of the numbers, in the order of the values in a `Sample`. */
export const NUMBER_NAMES: readonly NumberName[] = Object.freeze(Object.keys(NUMBERS) as NumberName[]);

/** One second: its number, which rises by 1 each second from the start of the dashboard on, then one value for each of NUMBER_NAMES. */
export type Sample = readonly (number | null)[];

/** How many connections ended with a cause in one second: number of the second, cause, count. Seconds without ends are left out. */
export type EndCount = readonly [second: number, cause: EndCause, count: number];

/** The columns by which connections can be sorted. Texts ascend from A, without regard to upper case. */
export type SortColumn =
  | "id"
  | "role"
  | "kind"
  | "remote"
  | "path"
  | "state"
  | "age"
  | "messagesIn"
  | "messagesOut"
  | "bytesIn"
  | "bytesOut"
  | "messagesInRate"
  | "messagesOutRate"
  | "bytesInRate"
  | "bytesOutRate"
  | "queuedBytes"
  | "queuedMessages"
  | "largestQueue"
  | "inboxBytes"
  | "inboxMessages"
  | "rtt"
  | "paused"
  | "peerEnded";

export const SORT_COLUMNS: readonly SortColumn[] = Object.freeze<SortColumn[]>([
  "id",
  "role",
  "kind",
  "remote",
  "path",
  "state",
  "age",
  "messagesIn",
  "messagesOut",
  "bytesIn",
  "bytesOut",
  "messagesInRate",
  "messagesOutRate",
  "bytesInRate",
  "bytesOutRate",
  "queuedBytes",
  "queuedMessages",
  "largestQueue",
  "inboxBytes",
  "inboxMessages",
  "rtt",
  "paused",
  "peerEnded",
]);

// To the server

/** Asks for one update. A `next` before the answer replaces the earlier one: there is one answer for both. */
export interface NextMessage {
  readonly type: "next";
  /** The last second that the viewer has: the update has the later ones. Without it all that are kept. */
  readonly second?: number;
  /** The `number` of the newest ended connection that the viewer has: the update has the later ones. Without it all that are kept. */
  readonly ended?: number;
  /** @default "queuedBytes" */
  readonly sort?: SortColumn;
  /** @default true */
  readonly descending?: boolean;
  /** Only connections whose remote address, path, subprotocol, id or state contains this text, without regard to upper case. */
  readonly filter?: string;
  /** The id of the connection whose details the update has, as `connection`. Without it none. */
  readonly connection?: number;
  /** The `number` of the newest frame that the viewer has of this connection, if it is traced. Without it all that are kept. */
  readonly frame?: number;
}

/**
 * Does something to a connection. `ping` measures the round trip; a TCP connection has none. `pause` stops reading, until `resume` or
 * until the viewer that paused it leaves. `trace` records frames, `untrace` ends that. Only of WebSocket and TCP connections that are open.
 */
export interface ActionMessage {
  readonly type: "action";
  readonly action: "ping" | "pause" | "resume" | "close" | "terminate" | "trace" | "untrace";
  /** A number that the result has, too. */
  readonly request: number;
  /** The id of the connection. */
  readonly connection: number;
  /** Of `close`. @default 1000 */
  readonly code?: number;
  /** Of `close`: at most 123 bytes. @default "" */
  readonly reason?: string;
}

/** Every message of a viewer. */
export type ViewerMessage = NextMessage | ActionMessage;

// To the viewer

/** The first message. `instance` differs: the process has begun again, and so have all numbers, so a viewer forgets what it has. */
export interface HelloMessage {
  readonly type: "hello";
  /** FEED_VERSION of the server. */
  readonly feed: number;
  /** Random, new for each start of the dashboard. */
  readonly instance: string;
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly host: string;
  /** Unix time in milliseconds of the start of the process. */
  readonly processStartedAt: number;
  /** Unix time in milliseconds from which the dashboard counts: numbers of each connection begin here. Second 0 of the samples. */
  readonly startedAt: number;
  /** True: actions are refused. */
  readonly readOnly: boolean;
  /** True: this process is one of several that serve the address, and the feed has only its connections. */
  readonly workers: boolean;
  /** `process`: all connections of the process. `server`: those of one server; the memory and the event loop are of the process. */
  readonly scope: "process" | "server";
  readonly transport: "fast" | "socket";
}

/** A server of this process. */
export interface ServerRow {
  /** Empty while the HTTP server of an attachment does not listen. */
  readonly url: string;
  readonly connections: number;
  /** Openings in progress. */
  readonly opening: number;
  /** `maxConnections`. Null: no limit. */
  readonly limit: number | null;
}

/** A connection, in the table. */
export interface ConnectionRow {
  readonly id: number;
  readonly role: "server" | "client";
  readonly kind: "websocket" | "tcp";
  /** The address and port of the peer. Empty on a unix socket. */
  readonly remote: string;
  /** Of the URL, without the query. Empty on TCP. */
  readonly path: string;
  readonly subprotocol: string;
  readonly secure: boolean;
  readonly state: "OPEN" | "CLOSING" | "CLOSED";
  readonly age: number;
  /** Numbers since the start of the connection, or of the dashboard if that is later. */
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** With framing, before TLS. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Each second, between the last two samples. */
  readonly messagesInRate: number;
  readonly messagesOutRate: number;
  readonly bytesInRate: number;
  readonly bytesOutRate: number;
  readonly queuedBytes: number;
  readonly queuedMessages: number;
  readonly largestQueue: number;
  readonly inboxBytes: number;
  readonly inboxMessages: number;
  /** The last round trip. Null: no Ping was answered. */
  readonly rtt: number | null;
  /** For how long it does not read, because its inbox is full. Null: it reads. */
  readonly paused: number | null;
  /** For how long the peer's FIN is known. Null: the peer has not ended. */
  readonly peerEnded: number | null;
  /** True: a connection of the dashboard itself. It does not count in the load of the application. */
  readonly viewer: boolean;
}

/** A connection that has ended. */
export interface EndedRow {
  /** Rises by 1 with each end. */
  readonly number: number;
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly id: number;
  readonly role: "server" | "client";
  readonly kind: "websocket" | "tcp";
  readonly remote: string;
  readonly path: string;
  readonly age: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly largestQueue: number;
  readonly rtt: number | null;
  readonly by: "local" | "peer";
  /** A word of docs/failures.md. */
  readonly cause: EndCause;
  readonly code: number;
  readonly reason: string;
}

/** An event in the life of a connection. Equal ones in a row are one, with their `count`. */
export interface TimelineEvent {
  /** Unix time in milliseconds, of the first of them. */
  readonly at: number;
  /** Unix time in milliseconds, of the last of them. */
  readonly last: number;
  readonly count: number;
  readonly type: "open" | "pause" | "resume" | "overflow" | "peerEnded" | "action" | "closing" | "close";
  /** For people: the policy of an overflow, the action, the code and reason of the end. Can be empty. */
  readonly text: string;
}

/** A limit of a connection, and how near it is. */
export interface LimitRow {
  /** The name of the option, such as `idleTimeout`. */
  readonly name: string;
  readonly unit: "ms" | "bytes" | "messages";
  /** The bound. Null: no limit. */
  readonly limit: number | null;
  /** How much of it is used now. Null: it does not count now, such as `writeTimeout` while nothing waits for the kernel. */
  readonly used: number | null;
}

/** The socket of a connection in the kernel's table. */
export interface KernelRow {
  /** Such as ESTABLISHED or CLOSE_WAIT. */
  readonly state: string;
  /** Bytes that the peer has not acknowledged. */
  readonly sendQueue: number;
  /** Bytes that this process has not read. */
  readonly receiveQueue: number;
  /** The kernel's timer that runs, such as `retransmit`. */
  readonly timer: string;
  readonly retransmits: number;
  readonly probes: number;
}

/** A frame of a traced connection, without its payload. */
export interface FrameRow {
  /** Rises by 1 with each frame of the connection. */
  readonly number: number;
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly direction: "in" | "out";
  /** RFC 6455 section 5.2: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode: number;
  readonly fin: boolean;
  /** RSV1 is 4 (compressed), RSV2 is 2, RSV3 is 1. */
  readonly rsv: number;
  readonly masked: boolean;
  /** The length of the payload. */
  readonly length: number;
}

/** All facts about one connection. */
export interface ConnectionDetail {
  /** With the state CLOSED if the connection has ended. */
  readonly row: ConnectionRow;
  readonly url: string;
  readonly local: string;
  readonly extensions: string;
  /** Unix time in milliseconds. */
  readonly openedAt: number;
  /** Milliseconds since the last byte of the peer. */
  readonly silent: number;
  readonly heldBytes: number;
  readonly droppedMessages: number;
  readonly refusedMessages: number;
  /** The viewers or the application have paused it by an action of the dashboard. */
  readonly pausedByViewer: boolean;
  readonly groups: number;
  /** The oldest first: at most EVENTS_KEPT, and the opening. */
  readonly events: readonly TimelineEvent[];
  readonly limits: readonly LimitRow[];
  /** Null: not on Linux, not TCP, or not found. */
  readonly kernel: KernelRow | null;
  readonly traced: boolean;
  /** The frames behind `frame` of the question, the oldest first. */
  readonly frames: readonly FrameRow[];
  /** Set if it has ended. */
  readonly ended: EndedRow | null;
}

/** A group that the application has named. */
export interface GroupRow {
  readonly name: string;
  readonly members: number;
}

/** A topic of a hub that the application has named. */
export interface TopicRow {
  readonly hub: string;
  readonly name: string;
  readonly members: number;
  /** Members behind its newest message. */
  readonly behind: number;
  /** The newest position. Null: not known. */
  readonly position: string | null;
}

/** The answer to `next`: at the next second, or sooner if the question differs from the last one. */
export interface UpdateMessage {
  readonly type: "update";
  /** Unix time in milliseconds. */
  readonly at: number;
  /** The oldest first. The newest is always there if the viewer does not have it. */
  readonly samples: readonly Sample[];
  /** Of the seconds in `samples`. */
  readonly endCounts: readonly EndCount[];
  /** By cause, since the start of the process or of the server. Causes without ends are left out. */
  readonly ends: Readonly<Partial<Record<EndCause, number>>>;
  /** Openings that led to no connection, by reason (docs/failures.md), since the start. Reasons without any are left out. */
  readonly refusals: Readonly<Record<string, number>>;
  /** `memoryBudget.limit`. Null: no limit. */
  readonly memoryLimit: number | null;
  /** V8's limit of the heap. */
  readonly heapLimit: number;
  /** The sockets of this process in the kernel's table, by state. Null: not known yet, or not on Linux. */
  readonly kernel: Readonly<Record<string, number>> | null;
  readonly servers: readonly ServerRow[];
  /** The first MAX_ROWS by the asked order. */
  readonly connections: readonly ConnectionRow[];
  /** How many connections there are, those of viewers included. */
  readonly total: number;
  /** How many of them fit the filter. */
  readonly matching: number;
  /** The oldest first, at most ENDED_KEPT. */
  readonly ended: readonly EndedRow[];
  /** The asked connection. Null: none was asked for, or it is not known (any more). */
  readonly connection: ConnectionDetail | null;
  /** Null: the application has named none. */
  readonly groups: readonly GroupRow[] | null;
  readonly topics: readonly TopicRow[] | null;
  /** Viewers of this feed now. */
  readonly viewers: number;
  /** How long it took to make this update. */
  readonly took: number;
}

/** The answer to an action. */
export interface ResultMessage {
  readonly type: "result";
  readonly request: number;
  readonly ok: boolean;
  /** For people: the round trip, or why not, such as `read-only`. */
  readonly text: string;
  /** Of `ping`. */
  readonly rtt?: number;
}

/** Every message of the feed. A viewer ignores a type that it does not know. */
export type FeedMessage = HelloMessage | UpdateMessage | ResultMessage;

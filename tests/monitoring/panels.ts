/** What the dashboard for Grafana shows: its rows, and the panels of each with their queries. */

import type { MetricName } from "../../src/base/vocabulary.ts";
import { type Matchers, namedIn, select } from "./queries.ts";

/** Units, by their names in Grafana. */
export type PanelUnit = "short" | "bytes" | "Bps" | "s" | "cps" | "ops" | "percentunit";

export interface PanelQuery {
  readonly expr: string;
  /** The name of a line, with labels in double braces. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly description: string;
  readonly unit: PanelUnit;
  readonly queries: readonly PanelQuery[];
  /** A number in place of lines over time. */
  readonly now?: true;
}

export interface PanelRow {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const CHOSEN = ['job=~"$job"', 'instance=~"$instance"'];
// With hundreds of causes and codes that never happen, the lines that matter would not be found.
const MOST_LINES = 10;

const series = (name: Parameters<typeof select>[0], matchers?: Matchers): string => select(name, matchers, CHOSEN);
const rate = (name: Parameters<typeof select>[0], matchers?: Matchers): string =>
  `rate(${series(name, matchers)}[$__rate_interval])`;
const legendOf = (labels: readonly string[]): string => labels.map((label) => `{{${label}}}`).join(" ");

/** The value now, added up for each value of `labels`. */
function gauge(name: MetricName, labels: readonly string[], legend: string = legendOf(labels)): PanelQuery {
  return {
    expr: labels.length === 0 ? `sum(${series(name)})` : `sum by (${labels.join(", ")}) (${series(name)})`,
    legend,
  };
}

/** How often something happens in a second, for each value of `labels`. */
function perSecond(name: MetricName, labels: readonly string[], legend: string = legendOf(labels)): PanelQuery {
  return { expr: labels.length === 0 ? `sum(${rate(name)})` : `sum by (${labels.join(", ")}) (${rate(name)})`, legend };
}

/** The same, of the values that happen most often. */
function mostOften(name: MetricName, label: string): PanelQuery {
  return { expr: `topk(${MOST_LINES}, ${perSecond(name, [label]).expr})`, legend: legendOf([label]) };
}

/** The chosen quantile of a histogram, and its mean. */
function quantiles(name: MetricName, labels: readonly string[] = []): readonly PanelQuery[] {
  const of = labels.length === 0 ? "" : `${legendOf(labels)} `;
  const by = labels.length === 0 ? "" : ` by (${labels.join(", ")})`;
  const buckets = `sum by (${[...labels, "le"].join(", ")}) (${rate(`${name}_bucket`)})`;
  return [
    { expr: `histogram_quantile($quantile, ${buckets})`, legend: `${of}quantile $quantile` },
    { expr: `sum${by} (${rate(`${name}_sum`)}) / sum${by} (${rate(`${name}_count`)})`, legend: `${of}mean` },
  ];
}

const OVERVIEW: PanelRow = {
  title: "Overview",
  panels: [
    {
      title: "Connections",
      description: "Connections now, by role and state, and the sum of maxConnections of the servers.",
      unit: "short",
      queries: [gauge("holdfast_connections", ["role", "state"]), gauge("holdfast_connections_limit", [], "limit")],
    },
    {
      title: "Opened and closed",
      description:
        "How many connections open and end in a second. Both high at once: clients come back again and again.",
      unit: "cps",
      queries: [
        perSecond("holdfast_connections_opened_total", ["role"], "{{role}} opened"),
        perSecond("holdfast_connections_closed_total", ["role"], "{{role}} closed"),
      ],
    },
    {
      title: "Refused openings",
      description:
        "Openings that led to no connection, by reason: the ten most frequent. See docs/failures.md, Refusals.",
      unit: "cps",
      queries: [mostOften("holdfast_handshakes_refused_total", "reason")],
    },
    {
      title: "Messages",
      description: "Messages received, and messages that the kernel has taken.",
      unit: "cps",
      queries: [perSecond("holdfast_messages_total", ["role", "direction"])],
    },
    {
      title: "Bytes",
      description: "Bytes with framing, before TLS.",
      unit: "Bps",
      queries: [perSecond("holdfast_bytes_total", ["role", "direction"])],
    },
    {
      title: "Messages for each write",
      description: "How many messages leave in one write to the kernel. 1: nothing is joined.",
      unit: "short",
      queries: [
        {
          expr: `sum by (role) (${rate("holdfast_messages_total", { direction: "out" })}) / sum by (role) (${rate("holdfast_writes_total")})`,
          legend: "{{role}}",
        },
      ],
    },
  ],
};

const ENDS: PanelRow = {
  title: "Ends by cause",
  panels: [
    {
      title: "Causes",
      description: "Connections that ended, by cause: the ten most frequent. See docs/failures.md, Causes of an end.",
      unit: "cps",
      queries: [mostOften("holdfast_connections_closed_total", "cause")],
    },
    {
      title: "Ends by side",
      description: "Whether this side or the peer ended the connections: it is us, or them.",
      unit: "cps",
      queries: [perSecond("holdfast_connections_closed_total", ["by"])],
    },
    {
      title: "Close codes sent",
      description: "Close frames that were sent, by code: the ten most frequent.",
      unit: "cps",
      queries: [mostOften("holdfast_close_codes_sent_total", "code")],
    },
    {
      title: "Age at the end",
      description: "Age of connections at their end. A peak at one age is a time limit: here, or of a proxy.",
      unit: "s",
      queries: quantiles("holdfast_connection_duration_seconds", ["role"]),
    },
    {
      title: "Errors of the application",
      description: "Calls of onError, by place: the ten most frequent. See docs/failures.md, Errors of your own code.",
      unit: "cps",
      queries: [mostOften("holdfast_errors_total", "place")],
    },
    {
      title: "Calls that reached their limit",
      description: "Calls that reached a timeout or a deadline of their own. The connection usually stays open.",
      unit: "cps",
      queries: [perSecond("holdfast_call_timeouts_total", ["limit"])],
    },
  ],
};

const SLOW: PanelRow = {
  title: "Slow peers and buffers",
  panels: [
    {
      title: "Slow connections",
      description: "Open connections whose send queue is above highWaterMark.",
      unit: "short",
      queries: [gauge("holdfast_connections_slow", ["role"])],
    },
    {
      title: "Send queues",
      description: "Bytes that wait to be written, and the largest queue of one connection.",
      unit: "bytes",
      queries: [
        gauge("holdfast_queued_bytes", ["role"]),
        { expr: `max by (role) (${series("holdfast_queue_largest_bytes")})`, legend: "{{role}} largest" },
      ],
    },
    {
      title: "Queued messages",
      description: "Messages that wait to be written.",
      unit: "short",
      queries: [gauge("holdfast_queued_messages", ["role"])],
    },
    {
      title: "Messages without room",
      description: "Messages for which a send queue had no room, by what happened to them.",
      unit: "cps",
      queries: [perSecond("holdfast_overflow_total", ["policy"])],
    },
    {
      title: "Received and not taken",
      description: "Bytes of received messages that the application has not taken.",
      unit: "bytes",
      queries: [gauge("holdfast_inbox_bytes", ["role"])],
    },
    {
      title: "Paused connections",
      description: "Open connections that do not read, because the application does not take the messages.",
      unit: "short",
      queries: [gauge("holdfast_connections_paused", ["role"])],
    },
    {
      title: "Time paused",
      description: "Seconds of pauses in each second, added up: as many connections are paused on average.",
      unit: "short",
      queries: [perSecond("holdfast_paused_seconds_total", ["role"])],
    },
    {
      title: "Pauses",
      description: "How often connections stop reading because their inbox is full.",
      unit: "cps",
      queries: [perSecond("holdfast_pauses_total", ["role"])],
    },
    {
      title: "Memory for messages",
      description: "What all connections of a process hold, and the limit of memoryBudget.",
      unit: "bytes",
      queries: [gauge("holdfast_memory_held_bytes", [], "held"), gauge("holdfast_memory_limit_bytes", [], "limit")],
    },
    {
      title: "Writes",
      description: "Writes to the kernel.",
      unit: "ops",
      queries: [perSecond("holdfast_writes_total", ["role"])],
    },
  ],
};

const LATENCY: PanelRow = {
  title: "Latency",
  panels: [
    {
      title: "Round trip",
      description: "From a Ping of the heartbeat to the next byte of the peer.",
      unit: "s",
      queries: quantiles("holdfast_ping_rtt_seconds"),
    },
    {
      title: "Wait for the kernel",
      description: "How long the kernel had no room for a write: the peer or its network is slower than this side.",
      unit: "s",
      queries: quantiles("holdfast_write_wait_seconds"),
    },
    {
      title: "Opening",
      description:
        "Client: from connect to the open connection. Server: from the request to its answer, most of it authorize.",
      unit: "s",
      queries: quantiles("holdfast_handshake_duration_seconds", ["role"]),
    },
  ],
};

const TOPICS: PanelRow = {
  title: "Topics and groups",
  panels: [
    {
      title: "Groups",
      description: "Groups with members, and the members of all groups.",
      unit: "short",
      queries: [gauge("holdfast_groups", [], "groups"), gauge("holdfast_group_members", [], "members")],
    },
    {
      title: "Messages of groups",
      description: "Messages that were sent to groups, and members that accepted one.",
      unit: "cps",
      queries: [
        perSecond("holdfast_group_sends_total", [], "sent"),
        perSecond("holdfast_group_deliveries_total", [], "accepted by members"),
      ],
    },
    {
      title: "Delivery to the last member",
      description: "Groups and topics: from the first message of a burst to the write of the last member.",
      unit: "s",
      queries: quantiles("holdfast_group_delivery_seconds"),
    },
    {
      title: "Topics",
      description: "Topics with members or followers.",
      unit: "short",
      queries: [gauge("holdfast_topics", [], "topics")],
    },
    {
      title: "Members of topics",
      description: "Members, and those that are behind the newest message of their topic.",
      unit: "short",
      queries: [gauge("holdfast_topic_members", [], "members"), gauge("holdfast_topic_members_behind", [], "behind")],
    },
    {
      title: "Published messages",
      description: "Messages that were published, those in doubt, and messages that came from the broker.",
      unit: "cps",
      queries: [
        perSecond("holdfast_topic_publishes_total", [], "published"),
        perSecond("holdfast_topic_publishes_in_doubt_total", [], "in doubt"),
        perSecond("holdfast_topic_entries_total", [], "from the broker"),
      ],
    },
    {
      title: "On the way to the broker",
      description: "Messages that were published and are not confirmed yet. If they grow, the broker does not answer.",
      unit: "short",
      queries: [gauge("holdfast_topic_publishing", [], "publishing")],
    },
    {
      title: "Histories in memory",
      description:
        "What the messages of all topics take in the memory of the hubs. `maxHistoryBytes` of each hub is the limit.",
      unit: "bytes",
      queries: [gauge("holdfast_topic_history_bytes", [], "histories")],
    },
    {
      title: "Gaps of members",
      description: "Messages that members or followers of topics did not get, by reason. See docs/topics-failures.md.",
      unit: "cps",
      queries: [perSecond("holdfast_topic_gaps_total", ["reason"])],
    },
    {
      title: "Logs of topics",
      description: "Reads of logs, holes with what became of them, other histories, and entries that cannot be read.",
      unit: "cps",
      queries: [
        perSecond("holdfast_topic_reads_total", [], "reads"),
        perSecond("holdfast_topic_holes_total", [], "holes"),
        perSecond("holdfast_topic_healed_holes_total", [], "healed holes"),
        perSecond("holdfast_topic_told_holes_total", [], "told holes"),
        perSecond("holdfast_topic_ended_holes_total", [], "ended holes"),
        perSecond("holdfast_topic_healed_entries_total", [], "healed messages"),
        perSecond("holdfast_topic_forks_total", [], "other histories"),
        perSecond("holdfast_topic_unreadable_total", [], "unreadable"),
      ],
    },
  ],
};

const COMPRESSION_AND_CLIENTS: PanelRow = {
  title: "Compression and clients that reconnect",
  panels: [
    {
      title: "Time for compression",
      description:
        "Time in which messages were compressed and decompressed, as a share of one processor, on all threads.",
      unit: "percentunit",
      queries: [perSecond("holdfast_compression_seconds_total", ["direction"])],
    },
    {
      title: "Bytes before and after compression",
      description: "Out: compressed messages before and after. In: received messages before and after decompression.",
      unit: "Bps",
      queries: [
        perSecond("holdfast_compression_in_bytes_total", ["direction"], "{{direction}} before"),
        perSecond("holdfast_compression_out_bytes_total", ["direction"], "{{direction}} after"),
      ],
    },
    {
      title: "Attempts to connect",
      description: "Attempts of clients that reconnect, by outcome. See docs/reconnect.md.",
      unit: "cps",
      queries: [mostOften("holdfast_reconnect_attempts_total", "outcome")],
    },
    {
      title: "Messages in doubt",
      description: "Messages of clients that reconnect of which it is unknown whether they arrived.",
      unit: "cps",
      queries: [perSecond("holdfast_in_doubt_total", [], "in doubt")],
    },
  ],
};

const ended = series("holdfast_peer_ended_oldest_timestamp_seconds");

const KERNEL: PanelRow = {
  title: "Kernel",
  panels: [
    {
      title: "TCP sockets",
      description:
        "Sockets of the processes by their state in the kernel (Linux). close_wait that stays: sockets are not closed.",
      unit: "short",
      queries: [gauge("holdfast_tcp_sockets", ["state"])],
    },
    {
      title: "Ended by the peer",
      description: "Connections whose peer has sent its FIN, and that are not closed.",
      unit: "short",
      queries: [gauge("holdfast_peer_ended_connections", ["role"])],
    },
    {
      title: "Oldest of these",
      description: "For how long the oldest connection that its peer has ended is not closed. 0: there is none.",
      unit: "s",
      queries: [{ expr: `max by (role) ((time() - ${ended}) * (${ended} > bool 0))`, legend: "{{role}}" }],
    },
  ],
};

const PROCESS: PanelRow = {
  title: "Process",
  panels: [
    {
      title: "Delay of the event loop",
      description: "How late a timer is called. All connections of the process wait for so long.",
      unit: "s",
      queries: quantiles("holdfast_loop_blocked_seconds", ["instance"]),
    },
    {
      title: "Time since the start",
      description: "Since when each process runs. A fall is a restart.",
      unit: "s",
      queries: [{ expr: `time() - ${series("holdfast_started_timestamp_seconds")}`, legend: "{{instance}}" }],
    },
    {
      title: "Workers",
      description: "Processes of workers that serve, and those that did not answer the last scrape in time.",
      unit: "short",
      queries: [gauge("holdfast_workers", [], "serve"), gauge("holdfast_workers_unanswered", [], "did not answer")],
    },
    {
      title: "Ends of workers",
      description: "Processes of workers that ended, by reason: stopped is a restart that was asked for.",
      unit: "cps",
      queries: [perSecond("holdfast_worker_ends_total", ["reason"])],
    },
    {
      title: "Messages between workers",
      description:
        "Messages of groups and topics that workers missed, or could not publish, because too many were waiting.",
      unit: "cps",
      queries: [
        perSecond("holdfast_exchange_missed_total", [], "missed"),
        perSecond("holdfast_exchange_refused_total", [], "refused"),
      ],
    },
    {
      title: "Time of a scrape",
      description: "How long it takes to collect these values.",
      unit: "s",
      queries: [{ expr: `max by (instance) (${series("holdfast_scrape_seconds")})`, legend: "{{instance}}" }],
    },
    {
      title: "Versions",
      description: "Number of processes with each version of the library, by the transport of plain TCP.",
      unit: "short",
      queries: [gauge("holdfast_build_info", ["version", "transport"])],
      now: true,
    },
  ],
};

/** The whole dashboard. Each metric of the vocabulary is in one panel at least. */
export const PANEL_ROWS: readonly PanelRow[] = [
  OVERVIEW,
  ENDS,
  SLOW,
  LATENCY,
  TOPICS,
  COMPRESSION_AND_CLIENTS,
  KERNEL,
  PROCESS,
];

/** The metrics that a panel shows. */
export function metricsOf({ queries }: Panel): string[] {
  return queries.flatMap(({ expr }) =>
    namedIn(expr).map(({ series: name }) =>
      name.includes("_seconds_") ? name.replace(/_(bucket|sum|count)$/, "") : name,
    ),
  );
}

/** The alert rules for Prometheus, as objects and as the file that the package has. */

import { select } from "./queries.ts";

/** The windows of the rules, as durations of Prometheus. The tests of real incidents use short ones. */
export interface AlertWindows {
  /** Over which the rate of new connections is taken. */
  readonly storm: string;
  /** The usual rate: the median over `usual` that ended `usualBefore` ago, in steps of `usualStep`. */
  readonly usual: string;
  readonly usualBefore: string;
  readonly usualStep: string;
  /** For so many seconds after the start of a process its clients may return. */
  readonly returning: number;
  readonly stormFor: string;
  /** In which messages or connections were lost. */
  readonly lost: string;
  readonly slowFor: string;
  /** During which there were too many sockets at each moment. */
  readonly notClosed: string;
  readonly notClosedFor: string;
  /** Over which the ends are compared. */
  readonly ends: string;
  readonly vanishFor: string;
}

/** The windows of the file that the package has. */
export const SHIPPED_WINDOWS: AlertWindows = Object.freeze({
  ...{ storm: "1m", usual: "1h", usualBefore: "5m", usualStep: "1m", returning: 600, stormFor: "1m" },
  ...{ lost: "5m", slowFor: "2m" },
  ...{ notClosed: "5m", notClosedFor: "5m" },
  ...{ ends: "10m", vanishFor: "5m" },
});

export interface AlertRule {
  readonly alert: "ReconnectStorm" | "SlowConsumers" | "ConnectionsNotClosed" | "PeersVanish";
  readonly expr: string;
  readonly for: string;
  /** `page`: now. `ticket`: in working hours. */
  readonly labels: { readonly severity: "page" | "ticket" };
  readonly annotations: {
    readonly summary: string;
    /** What to look at. */
    readonly description: string;
    /** A heading of a document, and the row in its table. */
    readonly runbook: string;
  };
}

const WHERE = "{{ $labels.instance }} of {{ $labels.job }}";
const SERVER = { role: "server" };

/** For each process. */
const sum = (query: string): string => `sum by (job, instance) (${query})`;

function reconnectStorm({ storm, usual, usualBefore, usualStep, returning, stormFor }: AlertWindows): AlertRule {
  const rate = sum(`rate(${select("holdfast_connections_opened_total", SERVER)}[${storm}])`);
  return {
    alert: "ReconnectStorm",
    // Of the moments that exist, so that the usual rate of a young process does not seem small. With a mean, a storm itself would soon be
    // usual, and the alert would end.
    expr: `(${rate} > 10)
  > on (job, instance)
(5 * quantile_over_time(0.5, ${rate}[${usual}:${usualStep}] offset ${usualBefore}))
  unless on (job, instance)
(time() - ${select("holdfast_started_timestamp_seconds")} < ${returning})`,
    for: stormFor,
    labels: { severity: "page" },
    annotations: {
      summary: `${WHERE}: {{ $value | humanize }} new connections per second, more than 5 times as many as usual`,
      description:
        "Clients come back again and again, or all at once. Look at the ends by cause: `shutdown`, `handler` or a limit is this side, `reset` or `no-close-frame` a proxy or the network between. Then at refused openings and at the delay of the event loop. Let the server close with `retryAfter`, or refuse with 503 by `maxConnections`, until the clients are spread out.",
      runbook: "docs/failures.md#by-symptom: all clients return at once after a restart",
    },
  };
}

function slowConsumers({ lost, slowFor }: AlertWindows): AlertRule {
  const slow = sum(select("holdfast_connections_slow", SERVER));
  const open = sum(select("holdfast_connections", { ...SERVER, state: "open" }));
  const cut = { ...SERVER, cause: ["overflow", "writeTimeout", "memoryBudget"] };
  return {
    alert: "SlowConsumers",
    // Many slow connections alone are a leading sign, and normal where the sender waits. Together with losses they are an incident.
    expr: `(${slow} / ${open} > 0.05)
  and on (job, instance)
(
  ${sum(`rate(${select("holdfast_overflow_total")}[${lost}])`)}
    +
  ${sum(`rate(${select("holdfast_connections_closed_total", cut)}[${lost}])`)}
    > 0
)`,
    for: slowFor,
    labels: { severity: "page" },
    annotations: {
      summary: `${WHERE}: {{ $value | humanizePercentage }} of the connections are slow, and messages are lost`,
      description:
        "Send queues are above `highWaterMark`, and messages do not fit or connections end because of it. Look at queued bytes, the largest queue, the time that the kernel has no room, and the memory that is held. If all are slow at once, the network of this machine is full, or too much is sent; if some are, use another `overflow`, send them less, or compress.",
      runbook: "docs/failures.md#by-symptom: one slow reader delays a group",
    },
  };
}

function connectionsNotClosed({ notClosed, notClosedFor }: AlertWindows): AlertRule {
  return {
    alert: "ConnectionsNotClosed",
    expr: `min_over_time(${select("holdfast_tcp_sockets", { state: "close_wait" })}[${notClosed}]) > 10`,
    for: notClosedFor,
    labels: { severity: "ticket" },
    annotations: {
      summary: `${WHERE}: at least {{ $value | humanize }} sockets stay in CLOSE_WAIT`,
      description:
        "The peers have closed, and this process does not. Compare with `holdfast_peer_ended_connections`: if it is as large, a handler of this library does not end; if it is 0, the sockets are those of another library. `holdfast doctor --pid PID` lists them. They are never closed by themselves, until no descriptor is free.",
      runbook: "docs/failures.md#by-symptom: `close-wait`: sockets stay in CLOSE_WAIT",
    },
  };
}

function peersVanish({ ends, vanishFor }: AlertWindows): AlertRule {
  const vanished = select("holdfast_connections_closed_total", {
    ...SERVER,
    cause: ["heartbeat.timeout", "unreachable"],
  });
  const all = select("holdfast_connections_closed_total", SERVER);
  const delay = `sum by (job, instance, le) (rate(${select("holdfast_loop_blocked_seconds_bucket")}[${ends}]))`;
  return {
    alert: "PeersVanish",
    // Not if this process has stalled: then it is the reason that answers are late. And a few ends prove nothing.
    expr: `(${sum(`rate(${vanished}[${ends}])`)} / ${sum(`rate(${all}[${ends}])`)} > 0.3)
  and on (job, instance)
(${sum(`increase(${vanished}[${ends}])`)} > 10)
  unless on (job, instance)
(histogram_quantile(0.99, ${delay}) > 1)`,
    for: vanishFor,
    labels: { severity: "ticket" },
    annotations: {
      summary: `${WHERE}: {{ $value | humanizePercentage }} of the ended connections had a peer that no longer answered`,
      description:
        "Peers end without a FIN or a reset. Look at the remote addresses in the log of ended connections: one network or provider, or all? A NAT, a firewall or a load balancer that drops idle connections is the usual reason: a shorter `heartbeat.interval` keeps its entry. On mobile networks a part of the ends is always of this kind.",
      runbook: "docs/failures.md#by-symptom: connections die when they are idle for a while",
    },
  };
}

/** All rules. */
export function alertRules(windows: AlertWindows = SHIPPED_WINDOWS): readonly AlertRule[] {
  return [reconnectStorm(windows), slowConsumers(windows), connectionsNotClosed(windows), peersVanish(windows)];
}

/** The file with `rules`, in YAML. */
export function rulesFile(rules: readonly AlertRule[] = alertRules()): string {
  const each = rules.map(({ alert, expr, for: time, labels, annotations }) => {
    const notes = Object.entries(annotations).map(([name, text]) => `          ${name}: ${JSON.stringify(text)}`);
    return `      - alert: ${alert}
        expr: |
${expr.replaceAll(/^/gm, "          ")}
        for: ${time}
        labels:
          severity: ${labels.severity}
        annotations:
${notes.join("\n")}
`;
  });
  return `# Alert rules for Prometheus. Written by \`npm run docs\`; docs/monitoring.md says what each of them means.
groups:
  - name: holdfast
    rules:
${each.join("")}`;
}

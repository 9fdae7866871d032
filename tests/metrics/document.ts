/** Writes docs/metrics.md: how metrics are read, and every metric, cause and channel from the vocabulary. */

import { ATTEMPT_OUTCOMES } from "../../src/base/attempt-outcomes.ts";
import { END_CAUSES } from "../../src/base/end-causes.ts";
import { CHANNELS, METRICS, type MetricFacts, type MetricName, WORKER_ENDS } from "../../src/base/vocabulary.ts";
import { boundsOf } from "../../src/engine/metrics/exposition.ts";
import { instrumentName } from "../../src/otel/instruments.ts";

// A label with more values than this refers to a list elsewhere, if there is one.
const MOST_VALUES = 6;

const ELSEWHERE: Readonly<Record<string, string>> = {
  cause: "the [causes](#causes-of-an-end)",
  reason: "the [refusals](failures.md#refusals)",
  place: "the [places](failures.md#errors-of-your-own-code) of `onError`",
  outcome: "the [outcomes](#outcomes-of-an-attempt)",
  code: "1000 to 1014 as registered, `3xxx`, `4xxx`, `none`",
};

const code = (text: string): string => `\`${text}\``;

/** The values of a label: in a list elsewhere if there is one and they are many. */
function valuesOf(label: string, values: readonly string[]): string {
  return (values.length > MOST_VALUES ? ELSEWHERE[label] : undefined) ?? values.map(code).join(", ");
}

function labelsOf({ labels }: MetricFacts): string {
  const each = Object.entries(labels).map(([label, values]) => {
    if (values.length === 0) return code(label);
    return `${code(label)}: ${valuesOf(label, values)}`;
  });
  return each.join("; ");
}

function meaningOf(facts: MetricFacts): string {
  if (facts.bounds === undefined) return facts.help;
  const bounds = boundsOf(facts);
  return `${facts.help} Buckets from ${bounds[0]} to ${bounds.at(-1)}, each ${2 ** facts.bounds.step} times the one before.`;
}

/** The whole page. */
export function metricsDocument(): string {
  const rows = Object.entries(METRICS).map(([name, facts]) => {
    return `| ${code(name)} | ${facts.type} | ${labelsOf(facts)} | ${meaningOf(facts)} | ${code(instrumentName(name as MetricName))} |`;
  });
  const causes = Object.entries(END_CAUSES).map(([cause, { by, help }]) => `| ${code(cause)} | ${by} | ${help} |`);
  const ends = Object.entries(WORKER_ENDS).map(([reason, help]) => `| ${code(reason)} | ${help} |`);
  const outcomes = Object.entries(ATTEMPT_OUTCOMES).map(([outcome, help]) => `| ${code(outcome)} | ${help} |`);
  const channels = Object.entries(CHANNELS).map(
    ([name, { events, help }]) => `| ${code(name)} | ${events.map(code).join(", ")} | ${help} |`,
  );
  return `# Metrics, log and channels

Counting is always on. It costs an addition for each message or write, and an idle connection keeps nothing for it. This page is
written by \`npm run docs\` from \`src/base/vocabulary.ts\` and \`src/base/end-causes.ts\`.

- [Prometheus](#prometheus)
- [A program of your own](#a-program-of-your-own)
- [OpenTelemetry](#opentelemetry)
- [A line for each connection](#a-line-for-each-connection)
- [Diagnostics channels](#diagnostics-channels)
- [All metrics](#all-metrics)
- [Causes of an end](#causes-of-an-end)
- [Ends of workers](#ends-of-workers)
- [Outcomes of an attempt](#outcomes-of-an-attempt)

## Prometheus

\`holdfast serve\` answers \`GET /metrics\`; with \`--token\` it needs the token. A server of your own does it with \`fetch\`:

\`\`\`js
import { listen, metrics } from "holdfast";

const measured = metrics(process);
await listen("ws://127.0.0.1:9000", {
  message: (connection, message) => void connection.trySend(message),
  fetch: ({ url }) =>
    new URL(url).pathname === "/metrics"
      ? new Response(measured.text(), { headers: { "Content-Type": measured.contentType } })
      : new Response("not found", { status: 404 }),
});
\`\`\`

\`metrics(server)\` has the connections of one server. \`metrics(process)\` has all servers, those that have closed as well, the connections
of \`connect\` and \`accept\`. Both have the delay of the event loop, and the TCP sockets of the process. The text is Prometheus' format 0.0.4. Beside the metrics of prom-client
or another library, it follows their text; no name can be the same, because all names here begin with \`holdfast_\`:

\`\`\`js
response.end(\`\${await register.metrics()}\\n\${metrics(process).text()}\`);
\`\`\`

\`metrics(process).snapshot()\` has the same text. With several [workers](workers.md#metrics) each process has metrics of its own, and a
request for them reaches any of the workers. There \`metrics\` of the worker's scope has those of all processes. \`holdfast serve --workers\`
answers with these.

Groups, topics, compression and clients that reconnect are counted for the process, not for each server.

\`holdfast_tcp_sockets\` has all TCP sockets of the process, also those of other libraries, and sockets in TIME_WAIT and the like whose local port
is one on which the process listens. A scrape starts to read them in the background, at most every 5 s, and the next scrape has the result.
The first scrape has no such series. On other systems than Linux there is none at all.

No label has a value from a peer, and a process has at most 400 series. Values that are known in advance are 0 from the start. The bounds
of histograms are powers of two, because they are those of the histogram inside, and so the counts are exact.

## A program of your own

\`\`\`js
const snapshot = metrics(server).snapshot();
snapshot.value("holdfast_connections", { state: "open" });
snapshot.value("holdfast_messages_total", { direction: "in" });
snapshot.histogram("holdfast_ping_rtt_seconds").percentile(99);
\`\`\`

\`value\` adds up the series that have the labels. Percentiles of a snapshot are wrong by at most 9 %; those that Prometheus
computes from the buckets by more. \`snapshot.series\` and \`JSON.stringify(snapshot)\` have all values.

The delay of the event loop is measured by a timer of 20 ms from the first call of \`metrics\` on. A block is counted as often as timers
were due during it: a block of 500 ms in 2 s is a quarter of the samples, and the 99th percentile is about 500 ms. For \`monitorEventLoopDelay\`
of Node it is one sample of a hundred.

## OpenTelemetry

\`holdfast/otel\` creates observable instruments with a meter of yours:

\`\`\`js
import { metrics } from "@opentelemetry/api";
import { observeMetrics } from "holdfast/otel";

const stop = observeMetrics(metrics.getMeter("holdfast"), process);
\`\`\`

The names are in the last column of [all metrics](#all-metrics). The label \`protocol\` is the attribute \`network.protocol.name\`, another label such
as \`role\` is \`holdfast.role\`. OpenTelemetry has no observable histogram, so a histogram is three counters: \`.count\`, \`.sum\`, and
\`.bucket\` with the attribute \`le\`. With several workers each process has its own meter, and a collector adds up what they export.

## A line for each connection

\`log\` of a server or client is any object with a method \`info\` for a text: pino, winston, \`console\`. It gets one line for each connection that has
ended:

\`\`\`
connection=17 remote=192.0.2.7:52011 protocol=websocket path=/rooms/a age=12.345 messages_in=3 messages_out=4 bytes_in=120 bytes_out=310 queue_max=0 rtt=0.001234 by=peer cause=peer code=4001 reason="done here"
\`\`\`

\`age\` and \`rtt\` are seconds, \`rtt\` of the last heartbeat; \`queue_max\` is the largest size of the send queue in bytes, as \`maxQueuedBytes\` counts it. What is
unknown is \`-\`. \`path\` is without the query, which often has a token. \`path\` and \`reason\` are texts of the peer: they are in quotation marks where they
need them, as in JSON, so that no peer can forge a field or a line, or send a control sequence to a terminal. \`cause\` and \`by\` are those of
\`holdfast_connections_closed_total\`.

## Diagnostics channels

Tools can subscribe without a change of the application: \`subscribe("holdfast.connection.close", (event) => …)\` of
\`node:diagnostics_channel\`. The events are those of \`observe\`. The names of the channels and the fields of the events do not change within a major
version. Header fields in events of \`holdfast.handshake\` contain cookies and tokens.

| channel | types of events | published when |
|---|---|---|
${channels.join("\n")}

## All metrics

| metric | type | labels | meaning | OpenTelemetry |
|---|---|---|---|---|
${rows.join("\n")}

## Causes of an end

\`by\` is the side that ended the connection. A limit is applied by this side, although the peer is often the reason.
[What can go wrong](failures.md#causes-of-an-end) says what to do.

| \`cause\` | \`by\` | meaning |
|---|---|---|
${causes.join("\n")}

## Ends of workers

| \`reason\` | meaning |
|---|---|
${ends.join("\n")}

## Outcomes of an attempt

Of clients that [reconnect](reconnect.md). The outcome of an attempt does not decide about the next one: that is the kind of its cause.

| \`outcome\` | meaning |
|---|---|
${outcomes.join("\n")}
`;
}

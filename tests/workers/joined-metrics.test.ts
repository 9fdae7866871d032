/** How the metrics of several processes become one: with workers of this test, and with processes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MetricName } from "../../src/base/vocabulary.ts";
import { Histogram } from "../../src/engine/histogram.ts";
import type { Collector, MetricLabels, MetricSeries } from "../../src/engine/metrics/collector.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { JoinedMetrics, type MeasuredWorker } from "../../src/workers/joined-metrics.ts";
import { WorkersProcess } from "./workers-process.ts";

const LIMIT = { timeout: 240_000 };
const POSIX = process.platform === "win32" && "signals are a matter of POSIX";
const NONE: MetricLabels = {};

function histogramOf(...values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

/** The values of one worker: `opened` connections of which all are open, and others that follow from it. */
function seriesOf(opened: number): MetricSeries[] {
  const labels = { role: "server", protocol: "websocket" };
  return [
    { name: "holdfast_connections_opened_total", labels, value: opened },
    { name: "holdfast_connections", labels: { ...labels, state: "open" }, value: opened },
    { name: "holdfast_queue_largest_bytes", labels: { role: "server" }, value: 100 * opened },
    { name: "holdfast_peer_ended_oldest_timestamp_seconds", labels: { role: "server" }, value: 1_000 - opened },
    { name: "holdfast_ping_rtt_seconds", labels: NONE, value: histogramOf(opened).data() },
  ];
}

function numberOf(joined: Collector, name: MetricName): number | undefined {
  return joined.numbers(name)[0]?.value;
}

/** The first process, and workers that answer as the test says. */
class Processes {
  readonly clock: ManualClock = new ManualClock();
  readonly joined: JoinedMetrics = new JoinedMetrics(this.clock);
  questions = 0;

  /** `series` is the answer; without it the worker does not answer. */
  add(answer: () => readonly MetricSeries[] | undefined): MeasuredWorker {
    const worker: MeasuredWorker = this.joined.add((message) => {
      this.questions += 1;
      const { number } = message as { number: number };
      const series = answer();
      if (series !== undefined) setImmediate(() => worker.handle({ holdfast: "measured", number, series }));
    });
    return worker;
  }

  /** The values, after the time for the answers if one is missing. */
  async collect(): Promise<Collector> {
    const collecting = this.joined.collect();
    await settled();
    await this.clock.advance(1_000);
    return collecting;
  }
}

describe("the metrics of several processes", () => {
  it("add up, with the largest and the oldest of what has one, and merged histograms", async () => {
    const processes = new Processes();
    for (const opened of [2, 5, 3]) processes.add(() => seriesOf(opened));
    const joined = await processes.collect();
    assert.equal(numberOf(joined, "holdfast_connections_opened_total"), 10);
    assert.equal(numberOf(joined, "holdfast_connections"), 10);
    assert.equal(numberOf(joined, "holdfast_queue_largest_bytes"), 500);
    assert.equal(numberOf(joined, "holdfast_peer_ended_oldest_timestamp_seconds"), 995);
    assert.equal(numberOf(joined, "holdfast_build_info"), 1);
    assert.equal(numberOf(joined, "holdfast_workers_unanswered"), 0);
    const [rtt] = joined.histograms("holdfast_ping_rtt_seconds");
    assert.deepEqual([rtt?.histogram.count, rtt?.histogram.sum], [3, 10]);
  });

  it("do not wait for a worker that does not answer, whose counters stay those of its last answer", async () => {
    const processes = new Processes();
    let silent = false;
    processes.add(() => (silent ? undefined : seriesOf(5)));
    processes.add(() => seriesOf(2));
    assert.equal(numberOf(await processes.collect(), "holdfast_connections_opened_total"), 7);
    silent = true;
    const joined = await processes.collect();
    assert.equal(numberOf(joined, "holdfast_connections_opened_total"), 7);
    assert.equal(numberOf(joined, "holdfast_connections"), 2);
    assert.equal(numberOf(joined, "holdfast_workers_unanswered"), 1);
    silent = false;
    assert.equal(numberOf(await processes.collect(), "holdfast_workers_unanswered"), 0);
  });

  it("do not take a late answer for that to the next question", async () => {
    const processes = new Processes();
    const slow = processes.add(() => undefined);
    await processes.collect();
    const collecting = processes.joined.collect();
    slow.handle({ holdfast: "measured", number: 1, series: seriesOf(1) });
    await settled();
    slow.handle({ holdfast: "measured", number: 2, series: seriesOf(2) });
    // It is about to end, and has answered before.
    slow.handle({ holdfast: "measured", number: 0, series: seriesOf(3) });
    const joined = await collecting;
    assert.equal(numberOf(joined, "holdfast_connections_opened_total"), 3);
    assert.equal(numberOf(joined, "holdfast_workers_unanswered"), 0);
  });

  it("keep what a process has counted that ends, also one that ends while it is asked", async () => {
    const processes = new Processes();
    const ending = processes.add(() => seriesOf(5));
    processes.add(() => seriesOf(2));
    await processes.collect();
    ending.handle({ holdfast: "measured", number: 0, series: seriesOf(6) });
    ending.remove();
    const dying = processes.add(() => {
      setImmediate(() => dying.remove());
      return undefined;
    });
    const joined = await processes.joined.collect();
    assert.equal(numberOf(joined, "holdfast_connections_opened_total"), 8);
    assert.equal(numberOf(joined, "holdfast_connections"), 2);
    assert.equal(numberOf(joined, "holdfast_workers_unanswered"), 0);
    processes.add(() => seriesOf(1));
    assert.equal(numberOf(await processes.collect(), "holdfast_connections_opened_total"), 9);
  });

  it("are collected once for all who ask at the same time", async () => {
    const processes = new Processes();
    processes.add(() => seriesOf(1));
    const both = [processes.joined.collect(), processes.joined.collect()];
    const [one, other] = await Promise.all(both);
    assert.equal(one, other);
    assert.equal(processes.questions, 1);
    assert.notEqual(await processes.joined.collect(), one);
  });

  it("leave out what another version of the library has, and this one does not know", async () => {
    const processes = new Processes();
    processes.add(() => [
      ...seriesOf(1),
      { name: "holdfast_of_tomorrow_total" as MetricName, labels: NONE, value: 1 },
      { name: "holdfast_errors_total", labels: { place: "nowhere" }, value: 1 },
      { name: "holdfast_groups", labels: NONE, value: histogramOf(1).data() },
    ]);
    const joined = await processes.collect();
    assert.equal(numberOf(joined, "holdfast_connections_opened_total"), 1);
    assert.deepEqual(joined.numbers("holdfast_of_tomorrow_total" as MetricName), []);
  });
});

/** The value of a series without labels, or with the ones given as text. */
function seriesIn(text: string, series: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length));
}

const OPENED = 'holdfast_connections_opened_total{role="server",protocol="websocket"}';

describe("the metrics of workers", { ...LIMIT, skip: POSIX }, () => {
  it("are the same in each worker and in the first process, and no counter goes down when all are replaced", async () => {
    await using program = await WorkersProcess.start();
    const clients = await program.clients(2);
    const texts: string[] = [];
    for (const { connection } of clients) {
      await connection.send("metrics");
      texts.push(String(await connection.receive()));
    }
    program.signal("SIGUSR2");
    await program.until(() => program.of("metrics").length === 1);
    texts.push(String(program.of("metrics")[0]?.["text"]));
    const opened = seriesIn(texts[0] ?? "", OPENED);
    assert.ok(opened >= 2);
    for (const text of texts) {
      assert.equal(seriesIn(text, OPENED), opened);
      assert.equal(seriesIn(text, "holdfast_workers"), 2);
      assert.equal(text.split("\nholdfast_build_info{").length, 2, "one transport");
      assert.equal(seriesIn(text, 'holdfast_connections{role="server",protocol="websocket",state="open"}'), 2);
    }
    // Counted after the last answer: the workers report it at their end.
    const late = await program.client();
    program.signal("SIGHUP");
    await program.until(() => program.of("ended").length === 2);
    await late.connection.closed;
    program.signal("SIGUSR2");
    await program.until(() => program.of("metrics").length === 2);
    const after = String(program.of("metrics")[1]?.["text"]);
    assert.equal(seriesIn(after, OPENED), opened + 1);
    assert.equal(seriesIn(after, 'holdfast_worker_ends_total{reason="stopped"}'), 2);
    assert.equal(seriesIn(after, 'holdfast_connections{role="server",protocol="websocket",state="open"}'), 0);
  });

  it("leave out a process that is stopped, and say so", async () => {
    await using program = await WorkersProcess.start();
    const [first, second] = await program.clients(2);
    program.signal("SIGUSR2");
    await program.until(() => program.of("metrics").length === 1);
    const opened = seriesIn(String(program.of("metrics")[0]?.["text"]), OPENED);
    process.kill(first?.pid ?? 0, "SIGSTOP");
    await second?.connection.send("metrics");
    const text = String(await second?.connection.receive());
    assert.equal(seriesIn(text, "holdfast_workers_unanswered"), 1);
    assert.equal(seriesIn(text, OPENED), opened);
    assert.equal(seriesIn(text, 'holdfast_connections{role="server",protocol="websocket",state="open"}'), 1);
    process.kill(first?.pid ?? 0, "SIGKILL");
    await program.until(() => program.of("ended").length === 1);
    program.signal("SIGUSR2");
    await program.until(() => program.of("metrics").length === 2);
    const after = String(program.of("metrics")[1]?.["text"]);
    assert.equal(seriesIn(after, 'holdfast_worker_ends_total{reason="signal"}'), 1);
    assert.equal(seriesIn(after, OPENED), opened);
  });

  it("are refused with a TimeoutError by a worker whose first process is stopped", async () => {
    await using program = await WorkersProcess.start({ workers: 1 });
    const { connection } = await program.client();
    program.signal("SIGSTOP");
    await connection.send("metrics");
    assert.match(String(await connection.receive()), /^Cannot read the metrics: timeout of 3000 ms reached/);
    program.signal("SIGCONT");
  });
});

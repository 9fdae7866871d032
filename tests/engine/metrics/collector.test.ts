/** How sources are joined, and that nothing outside the vocabulary is accepted. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Histogram } from "../../../src/engine/histogram.ts";
import { Collector } from "../../../src/engine/metrics/collector.ts";

const SERVER = { role: "server" };
const CLIENT = { role: "client" };

describe("a collector", () => {
  it("adds the values of several sources to one series", () => {
    const collector = new Collector();
    for (const value of [1, 2, 4]) collector.add("holdfast_queued_bytes", value, SERVER);
    collector.add("holdfast_queued_bytes", 8, CLIENT);
    assert.deepEqual(collector.numbers("holdfast_queued_bytes"), [
      { labels: SERVER, value: 7 },
      { labels: CLIENT, value: 8 },
    ]);
  });

  it("keeps the largest and the oldest of several sources", () => {
    const collector = new Collector();
    for (const value of [3, 5, 4]) collector.raise("holdfast_queue_largest_bytes", value, SERVER);
    for (const value of [0, 30, 20, 0, 40])
      collector.lower("holdfast_peer_ended_oldest_timestamp_seconds", value, SERVER);
    assert.deepEqual(collector.numbers("holdfast_queue_largest_bytes"), [{ labels: SERVER, value: 5 }]);
    assert.deepEqual(collector.numbers("holdfast_peer_ended_oldest_timestamp_seconds"), [
      { labels: SERVER, value: 20 },
    ]);
  });

  it("joins histograms, and has a series for one without values", () => {
    const collector = new Collector();
    const histogram = new Histogram();
    histogram.record(1);
    collector.addHistogram("holdfast_ping_rtt_seconds", undefined);
    assert.equal(collector.histograms("holdfast_ping_rtt_seconds")[0]?.histogram.count, 0);
    collector.addHistogram("holdfast_ping_rtt_seconds", histogram);
    collector.addHistogram("holdfast_ping_rtt_seconds", histogram);
    assert.equal(collector.histograms("holdfast_ping_rtt_seconds")[0]?.histogram.count, 2);
    assert.equal(histogram.count, 1);
  });

  it("adds all that another one has", () => {
    const [one, other] = [new Collector(), new Collector()];
    const histogram = new Histogram();
    histogram.record(1);
    for (const collector of [one, other]) {
      collector.add("holdfast_writes_total", 2, SERVER);
      collector.addHistogram("holdfast_ping_rtt_seconds", histogram);
    }
    one.addAll(other);
    assert.deepEqual(one.numbers("holdfast_writes_total"), [{ labels: SERVER, value: 4 }]);
    assert.equal(one.histograms("holdfast_ping_rtt_seconds")[0]?.histogram.count, 2);
    assert.deepEqual(other.numbers("holdfast_writes_total"), [{ labels: SERVER, value: 2 }]);
  });

  it("has no series for a metric without a source", () => {
    assert.deepEqual(new Collector().numbers("holdfast_writes_total"), []);
    assert.deepEqual(new Collector().histograms("holdfast_ping_rtt_seconds"), []);
  });

  it("refuses labels and values that the vocabulary does not have", () => {
    const collector = new Collector();
    const wrong: Record<string, string>[] = [{}, { role: "peer" }, { rolle: "server" }, { ...SERVER, protocol: "tcp" }];
    for (const labels of wrong) assert.throws(() => collector.add("holdfast_writes_total", 1, labels), RangeError);
    assert.throws(() => collector.add("holdfast_connections_opened_total", 1, { protocol: "tcp", role: "server" }), {
      message: /it has no series/,
    });
    collector.add("holdfast_build_info", 1, { version: "any", transport: "fast" });
  });
});

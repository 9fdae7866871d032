/** The text for Prometheus: format 0.0.4, line by line. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { METRICS } from "../../../src/base/vocabulary.ts";
import { Histogram } from "../../../src/engine/histogram.ts";
import { Collector } from "../../../src/engine/metrics/collector.ts";
import { boundsOf, EXPOSITION_TYPE, expositionOf } from "../../../src/engine/metrics/exposition.ts";

describe("the exposition", () => {
  it("has the media type of the format", () => {
    assert.equal(EXPOSITION_TYPE, "text/plain; version=0.0.4; charset=utf-8");
  });

  it("has help, type and value of each number", () => {
    const collector = new Collector();
    collector.add("holdfast_writes_total", 1.5, { role: "client" });
    collector.add("holdfast_connections_limit", Infinity);
    collector.add("holdfast_build_info", 1, { version: 'a"b\\c\nd', transport: "fast" });
    assert.equal(
      expositionOf(collector),
      [
        "# HELP holdfast_connections_limit Sum of maxConnections of the servers. +Inf if one of them has no limit.",
        "# TYPE holdfast_connections_limit gauge",
        "holdfast_connections_limit +Inf",
        "# HELP holdfast_writes_total Writes to the kernel. Messages per write show how many are joined.",
        "# TYPE holdfast_writes_total counter",
        'holdfast_writes_total{role="client"} 1.5',
        "# HELP holdfast_build_info 1 for the version of the library, and for the transport of new connections on plain TCP.",
        "# TYPE holdfast_build_info gauge",
        'holdfast_build_info{version="a\\"b\\\\c\\nd",transport="fast"} 1',
        "",
      ].join("\n"),
    );
  });

  it("has cumulative buckets, sum and count of each histogram", () => {
    const histogram = new Histogram();
    for (const value of [0, 0.001, 0.5, 100]) histogram.record(value);
    const collector = new Collector();
    collector.addHistogram("holdfast_handshake_duration_seconds", histogram, { role: "server" });
    const name = "holdfast_handshake_duration_seconds";
    const lines = expositionOf(collector).split("\n").slice(2, -1);
    assert.deepEqual(lines, [
      `${name}_bucket{role="server",le="0.0009765625"} 1`,
      `${name}_bucket{role="server",le="0.00390625"} 2`,
      `${name}_bucket{role="server",le="0.015625"} 2`,
      `${name}_bucket{role="server",le="0.0625"} 2`,
      `${name}_bucket{role="server",le="0.25"} 2`,
      `${name}_bucket{role="server",le="1"} 3`,
      `${name}_bucket{role="server",le="4"} 3`,
      `${name}_bucket{role="server",le="16"} 3`,
      `${name}_bucket{role="server",le="+Inf"} 4`,
      `${name}_sum{role="server"} 100.501`,
      `${name}_count{role="server"} 4`,
    ]);
  });

  it("is empty without a source", () => {
    assert.equal(expositionOf(new Collector()), "");
  });

  it("has bounds in steps of powers of two", () => {
    assert.deepEqual(boundsOf(METRICS.holdfast_handshake_duration_seconds).at(-1), 16);
    assert.deepEqual(boundsOf(METRICS.holdfast_writes_total), [1]);
  });
});

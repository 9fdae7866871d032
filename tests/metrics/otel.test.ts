/** The adapter for OpenTelemetry, with the SDK of OpenTelemetry. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { METRICS } from "../../src/base/vocabulary.ts";
import { connect, listen } from "../../src/index.ts";
import { observeMetrics } from "../../src/otel/index.ts";

interface Point {
  readonly attributes: Record<string, unknown>;
  readonly value: unknown;
}

async function collected(act: (provider: MeterProvider) => Promise<void>): Promise<Map<string, readonly Point[]>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  await act(provider);
  await reader.forceFlush();
  const found = new Map<string, readonly Point[]>();
  for (const { scopeMetrics } of exporter.getMetrics())
    for (const { metrics } of scopeMetrics)
      for (const { descriptor, dataPoints } of metrics) found.set(descriptor.name, dataPoints as readonly Point[]);
  await provider.shutdown();
  return found;
}

describe("the adapter for OpenTelemetry", () => {
  it("gives the SDK each metric, with the attributes of its labels", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      message: (connection, data) => void connection.trySend(data),
    });
    const client = await connect(server.url);
    await client.send("hello");
    await client.receive();
    await client.close();
    while (server.connections.size > 0) await new Promise(setImmediate);
    const found = await collected(async (provider) => {
      observeMetrics(provider.getMeter("holdfast"), server);
    });
    const messages = found.get("holdfast.messages") ?? [];
    assert.deepEqual(
      messages.map(({ attributes, value }) => [attributes, value]),
      ["in", "out"].map((direction) => [
        { "holdfast.role": "server", "network.protocol.name": "websocket", "holdfast.direction": direction },
        1,
      ]),
    );
    const [durations] = found.get("holdfast.connection_duration.count") ?? [];
    assert.equal(durations?.value, 1);
    const buckets = found.get("holdfast.connection_duration.bucket") ?? [];
    assert.deepEqual(buckets.at(-1)?.attributes, { "holdfast.role": "server", le: "+Inf" });
    assert.equal(buckets.at(-1)?.value, 1);
    assert.ok((found.get("holdfast.connections_closed") ?? []).some(({ value }) => value === 1));
  });

  it("has an instrument name for each metric, and none twice", async () => {
    const names: string[] = [];
    const create = (name: string): object => {
      names.push(name);
      return {};
    };
    const stop = observeMetrics(
      {
        createObservableCounter: create,
        createObservableGauge: create,
        createObservableUpDownCounter: create,
        addBatchObservableCallback: () => undefined,
        removeBatchObservableCallback: () => undefined,
      },
      process,
    );
    stop();
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.length >= Object.keys(METRICS).length);
    for (const name of names) assert.match(name, /^holdfast\.[a-z_]+(\.(count|sum|bucket))?$/);
  });

  it("observes nothing after it was stopped", async () => {
    const found = await collected(async (provider) => {
      observeMetrics(provider.getMeter("holdfast"), process)();
    });
    for (const points of found.values()) assert.deepEqual(points, []);
  });

  it("refuses what is no server", () => {
    assert.throws(() => observeMetrics({} as never, {} as never), TypeError);
  });
});

/** The metrics of a server or of the whole process: as an object, and as text for Prometheus. */

import { isObject, kindOf } from "../base/forms.ts";
import { between } from "../base/time.ts";
import { VERSION } from "../base/version.ts";
import { memoryBudget, processMetrics, type Server, serverMetricsOf } from "../core.ts";
import { Collector, type MetricSource } from "../engine/metrics/collector.ts";
import { EXPOSITION_TYPE } from "../engine/metrics/exposition.ts";
import { systemClock } from "../transport/clock.ts";
import { usesFastTransport } from "../transport/fast/select.ts";
import { LoopMonitor } from "./loop-monitor.ts";
import { MetricsSnapshot } from "./snapshot.ts";
import { TcpSockets } from "./tcp-sockets.ts";

// One of each for the process, from the first call of `metrics` on.
const loopMonitor = new LoopMonitor(systemClock);
const tcpSockets = new TcpSockets(systemClock);

// Once: later changes of the wall clock do not move it.
const STARTED = systemClock.wallTime() / 1_000 - process.uptime();

/** `process` of Node. Described by its form, so that the declarations need no types of Node. */
export interface ProcessObject {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** What can be read of a server, or of the process. */
export class Metrics {
  /** The media type of `text`, for the Content-Type of a response. */
  readonly contentType: string = EXPOSITION_TYPE;
  readonly #source: MetricSource;

  /** @internal */
  constructor(source: MetricSource) {
    this.#source = source;
  }

  /** The values of this moment. Reads each connection once: about a millisecond for 10,000. */
  snapshot(): MetricsSnapshot {
    return new MetricsSnapshot(this.#collect());
  }

  /** @internal The same without the kernel's sockets, whose reading takes tens of milliseconds with 10,000 of them. */
  quickSnapshot(): MetricsSnapshot {
    return new MetricsSnapshot(collectWithProcess(this.#source, false));
  }

  /**
   * The values of this moment in Prometheus' text format 0.0.4. All names begin with `holdfast_`, so the text can follow that of
   * another library: ``response.end(`${await register.metrics()}\n${metrics(process).text()}`)``.
   */
  text(): string {
    return this.snapshot().text();
  }

  #collect(): Collector {
    return collectWithProcess(this.#source);
  }
}

/** All values of this process, for another one. From the first call on, the delay of the event loop is measured. */
export function collectProcess(): Collector {
  loopMonitor.start();
  return collectWithProcess(processMetrics);
}

/** The values of `source`, and those that every snapshot has. */
function collectWithProcess(source: MetricSource, sockets: boolean = true): Collector {
  const began = systemClock.now();
  const collector = new Collector();
  source.collect(collector);
  loopMonitor.collect(collector);
  if (sockets) tcpSockets.collect(collector);
  collector.add("holdfast_memory_held_bytes", memoryBudget.heldBytes);
  collector.add("holdfast_memory_limit_bytes", memoryBudget.limit);
  collector.add("holdfast_started_timestamp_seconds", STARTED);
  const transport = usesFastTransport() ? "fast" : "socket";
  collector.add("holdfast_build_info", 1, { version: VERSION, transport });
  collector.add("holdfast_scrape_seconds", between(began, systemClock.now()) / 1_000);
  return collector;
}

/**
 * The metrics of a server, or with `process` those of all servers, clients and groups of this process. Both have the values of the
 * process: the delay of the event loop, the memory for messages, and the version. docs/metrics.md lists all metrics.
 *
 * ```ts
 * listen("ws://:9000", { message, fetch: ({ url }) => new URL(url).pathname === "/metrics"
 *   ? new Response(metrics(process).text(), { headers: { "Content-Type": metrics(process).contentType } })
 *   : new Response("not found", { status: 404 }) });
 * ```
 *
 * Counting does not begin with this call: it is always on. From the first call on, a timer of 20 ms measures the delay of the event
 * loop. It does not keep the process alive.
 *
 * Throws TypeError for anything else than a server of this library and `process`.
 */
export function metrics(of: Pick<Server, "url" | "close" | "unref"> | ProcessObject): Metrics {
  const source = sourceOf(of);
  if (source === undefined)
    throw new TypeError(`Cannot read metrics of ${kindOf(of)}: expected a server of this library, or process`);
  loopMonitor.start();
  tcpSockets.refresh();
  return new Metrics(source);
}

function sourceOf(of: unknown): MetricSource | undefined {
  if (of === process) return processMetrics;
  return isObject(of) ? serverMetricsOf(of) : undefined;
}

/** What the compression of messages has cost and saved in this process, for its metrics. */

import type { Collector, MetricSource } from "../../engine/metrics/collector.ts";

/** The messages of one direction. */
class CompressionCounter {
  #seconds = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  /** `bytesIn` became `bytesOut` in `length` milliseconds. */
  count(bytesIn: number, bytesOut: number, length: number): void {
    this.#seconds += length / 1_000;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  collect(into: Collector, direction: "in" | "out"): void {
    into.add("holdfast_compression_seconds_total", this.#seconds, { direction });
    into.add("holdfast_compression_in_bytes_total", this.#bytesIn, { direction });
    into.add("holdfast_compression_out_bytes_total", this.#bytesOut, { direction });
  }
}

/** One object for all connections: a message that many of them share is compressed once, for none of them in particular. */
class CompressionCounters implements MetricSource {
  /** Received messages, which are decompressed. */
  readonly in: CompressionCounter = new CompressionCounter();
  /** Sent messages, which are compressed. */
  readonly out: CompressionCounter = new CompressionCounter();

  collect(into: Collector): void {
    this.in.collect(into, "in");
    this.out.collect(into, "out");
  }
}

export const compressionCounters: CompressionCounters = new CompressionCounters();

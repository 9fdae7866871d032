/** A result that no run has made. */

import { Measurement } from "../../../src/cli/bench/measurement.ts";
import type { Counts, Plan } from "../../../src/cli/bench/plan.ts";
import { type BenchResult, resultOf } from "../../../src/cli/bench/result.ts";

export const SAMPLE_PLAN: Plan = {
  ...{ url: "ws://127.0.0.1:9000/echo", work: "echo", connections: 10, slow: 0, rate: 1_000, inFlight: 1, size: 64 },
  ...{
    text: false,
    warmup: 1_000,
    duration: 10_000,
    drain: 5_000,
    pace: "timer",
    processes: 2,
    tag: 1,
    progress: false,
  },
  client: {
    ...{ headers: [], subprotocols: [], origin: undefined, compression: false, framing: "lines", insecure: false },
    ca: undefined,
  },
};

/**
 * 10,000 messages of two processes: each 1 ms, but for a hundredth, whose latencies are spread from 10 ms to 100 ms. `scale`
 * multiplies all latencies.
 */
export function sampleResult(faults: Partial<Counts> = {}, plan: Plan = SAMPLE_PLAN, scale = 1): BenchResult {
  const processes = [new Measurement(plan), new Measurement(plan)];
  for (let number = 0; number < 10_000; number++) {
    const scheduled = plan.warmup + number;
    const measurement = processes[number % 2];
    const latency = number % 100 === 0 ? 10 + (90 * number) / 10_000 : 1;
    measurement?.sent(scheduled, scheduled);
    measurement?.received(scheduled, scheduled + latency * scale);
  }
  Object.assign(processes[0]?.counts ?? {}, faults);
  const results = processes.map((one) => one.result());
  const { duration } = plan;
  return resultOf(plan, { results, last: undefined, duration, startedAt: new Date(0) }, null);
}

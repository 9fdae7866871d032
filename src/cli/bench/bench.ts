/** `holdfast bench`: measures a server under load, and checks what it answers. */

import { writeFileSync } from "node:fs";
import { type Command, command } from "../command.ts";
import { StatusLine } from "../status-line.ts";
import { styleFor } from "../terminal.ts";
import { compare, comparisonText, readResult } from "./comparison.ts";
import { judge } from "./expectation.ts";
import { rateText, timeText } from "./figures.ts";
import { BENCH_LINE, type BenchSettings } from "./flags.ts";
import { hgrmOf } from "./hgrm.ts";
import { htmlReport } from "./html-report.ts";
import { forkLoad } from "./load-channel.ts";
import type { Plan } from "./plan.ts";
import { type BenchResult, histogramOf, type Measured, resultOf, type ServerMemory } from "./result.ts";
import { type RunOptions, type RunProgress, run } from "./run.ts";
import { residentMemory, serverProcesses } from "./server-memory.ts";
import { textReport } from "./text-report.ts";

export const benchCommand: Command = command(BENCH_LINE, bench);

const INTERRUPTED = 130;

async function bench(settings: BenchSettings): Promise<number> {
  const before = settings.compare === undefined ? undefined : readResult(settings.compare);
  const result = await measured(settings);
  const figures = before === undefined ? undefined : compare(before, result);
  const verdicts = judge(settings.expectations, result);
  const style = styleFor(process.stdout);
  if (settings.hgrm !== undefined) writeFileSync(settings.hgrm, hgrmOf(histogramOf(result.histogram)));
  if (settings.html !== undefined) writeFileSync(settings.html, htmlReport(result, verdicts, figures));
  if (settings.json) process.stdout.write(`${JSON.stringify({ ...result, verdicts, compared: figures })}\n`);
  else {
    process.stdout.write(textReport(result, verdicts, style));
    if (figures !== undefined) process.stdout.write(comparisonText(figures, style));
  }
  if (settings.json)
    for (const verdict of verdicts.filter(({ met }) => !met))
      process.stderr.write(`holdfast: not met: ${verdict.text}\n`);
  return verdicts.every(({ met }) => met) ? 0 : 1;
}

/** Runs the plan with a status line. The first SIGINT or SIGTERM ends the measurement, the second one the program. */
async function measured({ plan, pids }: BenchSettings): Promise<BenchResult> {
  const status = new StatusLine(process.stderr);
  const stopping = new AbortController();
  const interrupt = (): void => {
    if (stopping.signal.aborted) process.exit(INTERRUPTED);
    stopping.abort();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const options: RunOptions = {
    signal: stopping.signal,
    start: forkLoad,
    progress: (progress) => status.show(progressText(progress, plan)),
  };
  try {
    if (plan.work !== "idle") return resultOf(plan, await run(plan, options), null);
    return await idle(plan, pids, options);
  } finally {
    status.clear();
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

/** The first part of idle connections is this fraction of all, and is open for this long before the memory is read. */
const FIRST_SHARE = 10;
const FIRST_DURATION = 500;

/**
 * Opens a part of the connections, reads the memory, opens the others beside them, and reads it again: the code that runs for
 * connections, and the caches, are then in both figures.
 */
async function idle(plan: Plan, given: readonly number[], options: RunOptions): Promise<BenchResult> {
  const pids = given.length > 0 ? given : await serverProcesses(plan.url);
  const few = Math.ceil(plan.connections / FIRST_SHARE);
  const others = plan.connections - few;
  let whole: Measured | undefined;
  let before: number | undefined;
  let after: number | undefined;
  const first = { ...plan, connections: few, processes: Math.min(few, plan.processes), duration: FIRST_DURATION };
  const part = await run(first, {
    ...options,
    async beforeEnd() {
      before = await residentMemory(pids);
      if (others === 0 || options.signal.aborted) return;
      const rest = { ...plan, connections: others, processes: Math.min(others, plan.processes) };
      whole = await run(rest, {
        ...options,
        async beforeEnd() {
          after = await residentMemory(pids);
        },
      });
    },
  });
  const results = [...part.results, ...(whole?.results ?? [])];
  return resultOf(plan, { ...(whole ?? part), results }, memoryOf(pids, before, after, others));
}

function memoryOf(
  pids: readonly number[],
  before: number | undefined,
  after: number | undefined,
  connections: number,
): ServerMemory | null {
  if (before === undefined || after === undefined) return null;
  return { pids, before, after, perConnection: (after - before) / connections };
}

function progressText(progress: RunProgress, { warmup, duration, url }: Plan): string {
  if (progress.phase === "opening") return `opens the connections to ${url}`;
  const { elapsed, recent, rate } = progress;
  if (elapsed < warmup) return "warms up";
  const seconds = (time: number): string => (Math.min(time, duration) / 1_000).toFixed(0);
  const latency =
    recent.count === 0 ? "" : `, p50 ${timeText(recent.percentile(50))}, p99 ${timeText(recent.percentile(99))}`;
  return `${seconds(elapsed - warmup)} of ${seconds(duration)} s: ${rateText(rate)}${latency}; Ctrl+C ends the measurement`;
}

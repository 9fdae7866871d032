/** The result as text for a person. */

import type { Histogram } from "../../engine/histogram.ts";
import { wrapped } from "../help.ts";
import type { Style } from "../terminal.ts";
import { printableLine } from "../terminal.ts";
import type { Verdict } from "./expectation.ts";
import { bytesText, countText, plural, rateText, timeText } from "./figures.ts";
import { type BenchResult, histogramOf, PERCENTILES, type Summary } from "./result.ts";

/** Columns of the text, behind a margin of two; and of its labels. */
const WIDTH = 76;
const LABEL = 11;

/** Rows of the histogram, at most. */
const MOST_ROWS = 16;
/** Growth of the memory, in bytes, that the collector of the server does not cause by itself. */
const CLEAR_GROWTH = 2 ** 24;
const WIDEST_BAR = 40;

const NOUNS = { echo: "message", broadcast: "delivery", connect: "handshake", idle: "connection" } as const;

export function textReport(result: BenchResult, verdicts: readonly Verdict[], style: Style): string {
  const lines = [
    `${style("bold", `${result.work}`)}  ${printableLine(result.url)}`,
    ...wrapped(loadText(result), WIDTH).map((line) => `  ${line}`),
    "",
    ...(result.work === "idle" ? memoryLines(result) : measuredLines(result, style)),
    ...checkedLines(result, style),
    ...verdictLines(verdicts, style),
  ];
  return `${lines.join("\n")}\n`;
}

function loadText({ work, connections, slow, processes, size, loop, rate, inFlight, duration }: BenchResult): string {
  const what = work === "broadcast" ? "subscriber" : "connection";
  const atOnce = work === "connect" ? " at a time" : "";
  const kind = loop === "open" ? `open loop of ${rateText(rate.scheduled ?? 0)}` : "closed loop";
  return [
    `${plural(connections, what)}${atOnce}${slow > 0 ? `, of which ${countText(slow)} do not read` : ""}`,
    plural(processes, "process").replace(/ss(s?)$/, (_, several) => (several ? "sses" : "ss")),
    ...(work === "echo" || work === "broadcast" ? [`${countText(size)}-byte messages`] : []),
    ...(work === "idle" ? [] : [loop === "closed" && inFlight > 1 ? `${kind}, ${inFlight} in flight` : kind]),
    timeText(duration),
  ].join(", ");
}

/** A label and its text, in lines that fit a terminal. `shown` is how the label appears. */
function labelled(label: string, text: string, shown: (label: string) => string = (same) => same): string[] {
  return wrapped(text, WIDTH - LABEL).map((line, at) => {
    const before = at === 0 ? shown(label) + " ".repeat(LABEL - label.length) : " ".repeat(LABEL);
    return `  ${before}${line}`;
  });
}

function measuredLines(result: BenchResult, style: Style): string[] {
  const { rate, work, loop, counts, latency, last, histogram } = result;
  const scheduled = rate.scheduled === null ? "" : `${rateText(rate.scheduled)} scheduled, `;
  const from = loop === "open" ? "from the time at which it was due" : "from when it was sent";
  const late =
    counts.late > 0 && counts.sent > 0 && loop === "open"
      ? [
          ...labelled(
            "late",
            `${countText(counts.late)} of ${countText(counts.sent)} were sent more than a millisecond after they were due; ` +
              "the delay is part of their latency",
            (label) => style("yellow", label),
          ),
        ]
      : [];
  return [
    ...labelled(
      "rate",
      `${scheduled}${rateText(rate.sent)} sent, ${rateText(rate.received)} ${work === "broadcast" ? "delivered" : "received"}`,
    ),
    ...late,
    ...labelled("latency", `of a ${NOUNS[work]}, ${from}`),
    ...summaryLines(latency),
    ...(last === null ? [] : [...labelled("last", "of the last subscriber of each message"), ...summaryLines(last)]),
    ...(loop === "closed"
      ? labelled(
          "closed",
          "while the server stalls, this loop does not send the messages that would show it: the high percentiles are too low. " +
            "Use --rate to see them",
          (label) => style("yellow", label),
        )
      : []),
    "",
    ...histogramLines(histogramOf(histogram), style),
  ];
}

function summaryLines(summary: Summary): string[] {
  const names = ["min", "mean", ...Object.keys(PERCENTILES), "max"] as const;
  const absent = Object.keys(PERCENTILES).filter((name) => summary[name as keyof Summary] === undefined);
  const lines = names.flatMap((name) => {
    const value = summary[name as keyof Summary];
    return value === undefined ? [] : [`    ${name.padEnd(8)} ${timeText(value).padStart(9)}`];
  });
  if (absent.length > 0) lines.push(`    ${absent.join(", ")}: ${countText(summary.count)} values are too few`);
  return lines;
}

/** Rows of equal width on a logarithmic scale: a factor of 2, or of a root of 2 where there is room. */
function histogramLines(histogram: Histogram, style: Style): string[] {
  const { min, max, count } = histogram;
  if (count === 0 || !(min > 0)) return [];
  const doublings = Math.log2(max / min);
  const steps = Math.max(1, Math.min(8, 2 ** Math.floor(Math.log2(MOST_ROWS / (doublings + 1)))));
  const step = doublings + 2 > MOST_ROWS ? Math.ceil((doublings + 2) / MOST_ROWS) : 1 / steps;
  const rows: { upper: number; count: number }[] = [];
  let below = 0;
  for (let power = Math.floor(Math.log2(min) / step) + 1; below < count; power++) {
    const upper = 2 ** (power * step);
    const upTo = upper >= max ? count : histogram.countUpTo(upper);
    rows.push({ upper, count: upTo - below });
    below = upTo;
  }
  const most = Math.max(...rows.map((row) => row.count));
  const lines = rows.map(({ upper, count: here }) => {
    const bar = "#".repeat(here === 0 ? 0 : Math.max(1, Math.round((here / most) * WIDEST_BAR)));
    const share = `${((here * 100) / count).toFixed(2)} %`.padStart(8);
    return `  up to ${timeText(upper).padStart(8)} ${share} ${style("cyan", bar)}`.trimEnd();
  });
  return [...lines, ""];
}

function memoryLines({ memory }: BenchResult): string[] {
  if (memory === null)
    return [...labelled("memory", "unknown: needs --pid of a server on this machine, and Linux"), ""];
  const { pids, before, after, perConnection } = memory;
  const where = pids.length === 1 ? `process ${pids[0]}` : `processes ${pids.join(", ")}`;
  return [
    ...labelled("memory", `${bytesText(perConnection)} for each connection`),
    ...labelled(
      "",
      `resident in ${where}: ${bytesText(before)} with a tenth of the connections, ${bytesText(after)} with all`,
    ),
    ...(after - before < CLEAR_GROWTH
      ? labelled("", "resident memory moves by megabytes by itself: more connections give a more exact figure")
      : []),
    "",
  ];
}

function checkedLines({ counts, reasons, work }: BenchResult, style: Style): string[] {
  const shown = (count: number, what: string): string => {
    const text = `${countText(count)} ${what}`;
    return count > 0 ? style("red", text) : text;
  };
  const messages = [
    shown(counts.lost, "lost"),
    shown(counts.reordered, "out of order"),
    shown(counts.duplicated, "duplicated"),
    shown(counts.changed, "changed"),
  ];
  const unsent = counts.unsent > 0 ? [shown(counts.unsent, "not sent, as the server did not read")] : [];
  const slow = counts.endedSlow > 0 ? [`the server ended ${countText(counts.endedSlow)} that did not read`] : [];
  const ended = shown(counts.ended, counts.ended === 1 ? "connection ended" : "connections ended");
  const exchange = [
    [...messages, ...unsent],
    [ended, ...slow],
  ];
  const parts: Record<typeof work, readonly (readonly string[])[]> = {
    echo: exchange,
    broadcast: exchange,
    connect: [[shown(counts.failed, "failed"), shown(counts.lost, "without an end"), ...unsent]],
    idle: [[ended]],
  };
  return [
    ...parts[work].flatMap((part, at) => labelled(at === 0 ? "checked" : "", part.join(", "))),
    ...Object.entries(reasons).flatMap(([reason, count]) =>
      labelled("", `${countText(count)}: ${printableLine(reason)}`),
    ),
  ];
}

function verdictLines(verdicts: readonly Verdict[], style: Style): string[] {
  return verdicts.flatMap(({ text, met, value, time }, at) => {
    const shown = value === undefined ? "too few values, or not measured" : time ? timeText(value) : countText(value);
    const mark = met ? style("green", "met") : style("red", "not met");
    return labelled(at === 0 ? "expected" : "", `${text}: ${mark} (${shown})`);
  });
}

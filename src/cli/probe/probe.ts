/** `holdfast doctor URL`: prints what a probe finds, one line for each check, or one line of JSON for all. */

import { printableJson, printableLine, type Style, styleFor } from "../terminal.ts";
import type { ProbeFinding } from "./finding.ts";
import type { ProbeSettings } from "./flags.ts";
import { type ProbeReport, ProbeRun } from "./probe-run.ts";

const TONES = { ok: "green", note: "yellow", fault: "red" } as const;

/** Probes the server, and prints each finding when it is known. Resolves with the exit status. */
export async function probe(settings: ProbeSettings): Promise<number> {
  const style = styleFor(process.stdout);
  const print = (finding: ProbeFinding): void => void process.stdout.write(`${lineOf(finding, style)}\n`);
  const report = await new ProbeRun(settings, settings.json ? () => undefined : print).all();
  process.stdout.write(settings.json ? `${asJson(report)}\n` : `${summary(report)}\n`);
  return report.status;
}

function lineOf({ check, level, text, change }: ProbeFinding, style: Style): string {
  const advice = change === undefined ? "" : `; ${style("bold", "change:")} ${printableLine(change)}`;
  return `${style(TONES[level], level.padEnd(6))}${check.padEnd(14)}${printableLine(text)}${advice}`;
}

function asJson({ status: _, ...report }: ProbeReport): string {
  return printableJson(JSON.stringify(report));
}

function summary({ findings, connections }: ProbeReport): string {
  const faults = findings.filter(({ level }) => level === "fault").length;
  const verdict = faults === 0 ? "no faults" : faults === 1 ? "1 fault" : `${faults} faults`;
  const opened = connections === 1 ? "1 connection" : `${connections} connections`;
  const checks = findings.length === 1 ? "1 check" : `${findings.length} checks`;
  return `${verdict} in ${checks}, ${opened}`;
}

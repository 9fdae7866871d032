/** The doctor's report: as text for people, and as JSON for programs. */

import { joinHostPort } from "../../base/host-port.ts";
import type { AgedReport, AgedSocket } from "./aged-sockets.ts";
import type { Inside } from "./attach/attach.ts";
import { factsInWords } from "./attach/explanation.ts";
import type { Diagnosis, Finding } from "./diagnosis.ts";
import type { DoctorFlags } from "./flags.ts";
import type { TcpInfo } from "./tcp-info.ts";

// Sockets printed for each finding.
const EXAMPLES = 5;

export function asJson(
  { processes, unreadable, noAges }: AgedReport,
  { states, findings }: Diagnosis,
  inside: Inside | undefined,
): string {
  const ages = { known: noAges === undefined, ...(noAges !== undefined && { reason: noAges }) };
  const ok = findings.length === 0;
  return JSON.stringify({ ok, states, findings, processes, unreadable, ages, ...(inside && { inside }) });
}

export function asText(
  flags: DoctorFlags,
  report: AgedReport,
  { states, findings }: Diagnosis,
  inside: Inside | undefined,
): string {
  const lines = [`${title(flags)}: ${report.sockets.length} TCP sockets`];
  for (const [state, count] of Object.entries(states)) lines.push(`  ${state.padEnd(12)}${count}`);
  for (const { pid, command, descriptors, descriptorLimit = "unknown" } of flags.pid || flags.port
    ? report.processes
    : []) {
    lines.push(`process ${pid} (${command.slice(0, 60)}): ${descriptors} descriptors, limit ${descriptorLimit}`);
  }
  for (const finding of findings) lines.push(...findingLines(finding));
  for (const fact of report.unreadable) lines.push(`not readable: ${fact}`);
  if (report.noAges !== undefined)
    lines.push(`no ages: ${report.noAges}, so the sockets were watched for ${flags.bound / 1_000} s`);
  if (findings.length === 0) lines.push(`no faults: no socket was without progress for ${flags.bound / 1_000} s`);
  if (inside !== undefined) lines.push(...insideLines(inside));
  return `${lines.join("\n")}\n`;
}

function insideLines({ explanations, opened }: Inside): string[] {
  const lines = explanations.flatMap(({ text, sockets }) => [
    `inside: ${text}`,
    ...sockets
      .slice(0, EXAMPLES)
      .map(({ fd, facts }) => `    descriptor ${fd}: ${facts === undefined ? "no object" : factsInWords(facts)}`),
  ]);
  if (explanations.length === 0) lines.push("inside: no socket to explain");
  for (const { side, stack, count } of opened ?? []) {
    lines.push(
      `opened: ${count} ${side === "client" ? "by this process" : "by peers"}${stack.length > 0 ? ", at" : ""}`,
    );
    lines.push(...stack.map((frame) => `    ${frame}`));
  }
  if (opened?.length === 0) lines.push("opened: no sockets");
  return lines;
}

function title({ pid, port }: DoctorFlags): string {
  if (pid !== undefined) return `process ${pid}`;
  return port === undefined ? "this network namespace" : `port ${port}`;
}

function findingLines({ kind, text, sockets }: Finding): string[] {
  const lines = sockets.slice(0, EXAMPLES).map((socket) => `    ${socketLine(socket)}`);
  const more = sockets.length - EXAMPLES;
  return [`fault (${kind}): ${text}`, ...lines, ...(more > 0 ? [`    and ${more} more`] : [])];
}

function socketLine({ state, sendQueue, receiveQueue, pids, tcp, ...ends }: AgedSocket): string {
  const local = joinHostPort(ends.localAddress, ends.localPort);
  const remote = joinHostPort(ends.remoteAddress, ends.remotePort);
  const facts = [
    `${sendQueue} not acknowledged`,
    `${receiveQueue} not read`,
    ...(tcp === undefined ? [] : tcpFacts(tcp)),
    ...(pids.length === 0 ? [] : [`process ${pids.join(" and ")}`]),
  ];
  return `${local} - ${remote} ${state}, ${facts.join(", ")}`;
}

function tcpFacts({ lastReceive, lastSend, lastAck, rtt, resentSegments, sentSegments }: TcpInfo): string[] {
  const ages = Object.entries({ received: lastReceive, sent: lastSend, acknowledged: lastAck });
  return [
    ages.map(([what, age]) => `${what} ${seconds(age)} ago`).join(", "),
    ...(rtt === undefined ? [] : [`round trip ${Number(rtt.toPrecision(3))} ms`]),
    ...(resentSegments === 0 ? [] : [`${resentSegments} of ${sentSegments} segments sent again`]),
  ];
}

/** A length of time in seconds, with a digit after the point if it is short. */
function seconds(length: number): string {
  return length < 10_000 ? `${(length / 1_000).toFixed(1)} s` : `${Math.round(length / 1_000)} s`;
}

/** `holdfast doctor`: samples the kernel's socket tables for a while, and reports faults of the sockets. */

import { joinHostPort } from "../../base/host-port.ts";
import { TransportError } from "../../index.ts";
import { type KernelReport, type KernelSocket, KernelSockets } from "../../kernel/index.ts";
import { type Command, command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { type Diagnosis, diagnose, type Finding } from "./diagnosis.ts";
import { DOCTOR_LINE, type DoctorFlags } from "./flags.ts";

// Reads per report. A moving queue may by chance have the same size in two reads, but hardly in all of these.
const SAMPLES = 5;

// Sockets printed for each finding.
const EXAMPLES = 5;

export const doctorCommand: Command = command(DOCTOR_LINE, (flags) => new DoctorCommand().run(flags));

class DoctorCommand {
  #stopped = false;
  #endSleep: () => void = () => undefined;

  /** Prints the reports. Resolves with the exit status: 1 if the last report has a finding, else 0. */
  async run(flags: DoctorFlags): Promise<number> {
    if (flags.watch) for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop());
    const { pid = "any", port } = flags;
    const sockets = new KernelSockets(port === undefined ? { pid } : { pid, port });
    await this.#read(sockets, flags);
    let status = 0;
    do {
      const report = await this.#sample(sockets, flags);
      if (report === undefined) break;
      const diagnosis = diagnose(report, flags.bound);
      process.stdout.write(flags.json ? `${asJson(report, diagnosis)}\n` : asText(flags, report, diagnosis));
      status = diagnosis.findings.length > 0 ? 1 : 0;
    } while (flags.watch && !this.#stopped);
    return status;
  }

  /** Reads `SAMPLES` times in the length of the bound. Resolves with the last report, or undefined if a signal came before. */
  async #sample(sockets: KernelSockets, flags: DoctorFlags): Promise<KernelReport | undefined> {
    let report: KernelReport | undefined;
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      // Rounded up and 1 ms more: Node's timers may fire a fraction of a millisecond early, and the samples must cover the bound.
      await this.#sleep(Math.ceil(flags.bound / SAMPLES) + 1);
      if (this.#stopped) return undefined;
      report = await this.#read(sockets, flags);
    }
    return report;
  }

  async #read(sockets: KernelSockets, flags: DoctorFlags): Promise<KernelReport> {
    const report = await sockets.read().catch((error: unknown) => {
      if (error instanceof TransportError && error.errno === "ESRCH")
        throw new UsageError("the process does not exist");
      throw error;
    });
    if (!report.supported) throw new UsageError(report.reason);
    // Without these permissions the report would have no sockets, which would look like "no fault".
    if (flags.pid !== undefined && report.unreadable.length > 0)
      throw new UsageError(`cannot read ${report.unreadable.join()}`);
    return report;
  }

  #sleep(length: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, length);
      this.#endSleep = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #stop(): void {
    this.#stopped = true;
    this.#endSleep();
  }
}

function asJson({ processes, unreadable }: KernelReport, { states, findings }: Diagnosis): string {
  return JSON.stringify({ ok: findings.length === 0, states, findings, processes, unreadable });
}

function asText(flags: DoctorFlags, report: KernelReport, { states, findings }: Diagnosis): string {
  const lines = [`${title(flags)}: ${report.sockets.length} TCP sockets`];
  for (const [state, count] of Object.entries(states)) lines.push(`  ${state.padEnd(12)}${count}`);
  for (const { pid, command, descriptors, descriptorLimit = "unknown" } of flags.pid || flags.port
    ? report.processes
    : []) {
    lines.push(`process ${pid} (${command.slice(0, 60)}): ${descriptors} descriptors, limit ${descriptorLimit}`);
  }
  for (const finding of findings) lines.push(...findingLines(finding));
  for (const fact of report.unreadable) lines.push(`not readable: ${fact}`);
  if (findings.length === 0) lines.push(`no faults: no socket was without progress for ${flags.bound / 1_000} s`);
  return `${lines.join("\n")}\n`;
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

function socketLine({ state, sendQueue, receiveQueue, pids, ...ends }: KernelSocket): string {
  const local = joinHostPort(ends.localAddress, ends.localPort);
  const remote = joinHostPort(ends.remoteAddress, ends.remotePort);
  const holder = pids.length === 0 ? "" : `, process ${pids.join(" and ")}`;
  return `${local} - ${remote} ${state}, ${sendQueue} not acknowledged, ${receiveQueue} not read${holder}`;
}

/** `holdfast doctor`: looks at a process's sockets for a while, and says what is wrong with them. */

import { type KernelReport, type KernelSocket, KernelSockets, TransportError } from "../index.js";
import { type Diagnosis, diagnose, type Finding } from "./diagnosis.js";
import { DOCTOR_USAGE, type DoctorFlags, parseDoctorFlags } from "./doctor-flags.js";
import { UsageError } from "./usage.js";

// A queue that moves may be found the same twice by chance, but hardly this often.
const SAMPLES = 5;

// More of the same is not more instructive.
const EXAMPLES = 5;

export class DoctorCommand {
  #over = false;
  #wake: () => void = () => undefined;

  /** Looks, and answers with the status: 1 if something is wrong. */
  async run(args: readonly string[]): Promise<number> {
    const flags = parseDoctorFlags(args);
    if (flags === undefined) {
      process.stdout.write(DOCTOR_USAGE);
      return 0;
    }
    if (flags.watch) for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop());
    const { pid = "any", port } = flags;
    const sockets = new KernelSockets(port === undefined ? { pid } : { pid, port });
    await this.#read(sockets, flags);
    let status = 0;
    do {
      const report = await this.#look(sockets, flags);
      if (report === undefined) break;
      const diagnosis = diagnose(report, flags.bound);
      process.stdout.write(flags.json ? `${asJson(report, diagnosis)}\n` : asText(flags, report, diagnosis));
      status = diagnosis.findings.length > 0 ? 1 : 0;
    } while (flags.watch && !this.#over);
    return status;
  }

  /** Reads again and again for as long as the bound; the last report, or undefined when told to stop before. */
  async #look(sockets: KernelSockets, flags: DoctorFlags): Promise<KernelReport | undefined> {
    let report: KernelReport | undefined;
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      // No earlier: timers may, by a fraction of a millisecond.
      await this.#sleep(Math.ceil(flags.bound / SAMPLES) + 1);
      if (this.#over) return undefined;
      report = await this.#read(sockets, flags);
    }
    return report;
  }

  async #read(sockets: KernelSockets, flags: DoctorFlags): Promise<KernelReport> {
    const report = await sockets.read().catch((error: unknown) => {
      if (error instanceof TransportError && error.errno === "ESRCH") throw new UsageError("there is no such process");
      throw error;
    });
    if (!report.supported) throw new UsageError(report.reason);
    // Nothing is known, and that is no good health.
    if (flags.pid !== undefined && report.hidden.length > 0) throw new UsageError(`cannot see ${report.hidden.join()}`);
    return report;
  }

  #sleep(length: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, length);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #stop(): void {
    this.#over = true;
    this.#wake();
  }
}

function asJson({ processes, hidden }: KernelReport, { states, findings }: Diagnosis): string {
  return JSON.stringify({ ok: findings.length === 0, states, findings, processes, hidden });
}

function asText(flags: DoctorFlags, report: KernelReport, { states, findings }: Diagnosis): string {
  const lines = [`${whose(flags)}: ${report.sockets.length} TCP sockets`];
  for (const [state, count] of Object.entries(states)) lines.push(`  ${state.padEnd(12)}${count}`);
  for (const { pid, command, descriptors, descriptorLimit = "unknown" } of flags.pid || flags.port
    ? report.processes
    : []) {
    lines.push(`process ${pid} (${command.slice(0, 60)}): ${descriptors} descriptors, limit ${descriptorLimit}`);
  }
  for (const finding of findings) lines.push(...wrong(finding));
  for (const what of report.hidden) lines.push(`not seen: ${what}`);
  if (findings.length === 0) lines.push(`nothing has stood still for ${flags.bound / 1_000} s`);
  return `${lines.join("\n")}\n`;
}

function whose({ pid, port }: DoctorFlags): string {
  if (pid !== undefined) return `process ${pid}`;
  return port === undefined ? "this network namespace" : `port ${port}`;
}

function wrong({ illness, text, sockets }: Finding): string[] {
  const lines = sockets.slice(0, EXAMPLES).map((socket) => `    ${described(socket)}`);
  const more = sockets.length - EXAMPLES;
  return [`wrong (${illness}): ${text}`, ...lines, ...(more > 0 ? [`    and ${more} more`] : [])];
}

function described({ state, localAddress, remoteAddress, sendQueue, receiveQueue, pids }: KernelSocket): string {
  const holder = pids.length === 0 ? "" : `, process ${pids.join(" and ")}`;
  return `${localAddress} - ${remoteAddress} ${state}, ${sendQueue} not acknowledged, ${receiveQueue} not read${holder}`;
}

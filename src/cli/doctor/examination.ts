/** Reads the sockets that the doctor judges: once if their ages are known, else several times in the length of the bound. */

import { TransportError } from "../../index.ts";
import { type KernelReport, KernelSockets } from "../../kernel/index.ts";
import { UsageError } from "../flags.ts";
import { type AgedReport, withAges } from "./aged-sockets.ts";
import { readSs } from "./ss.ts";

// Reads per report without ages. A moving queue may by chance have the same size in two reads, but hardly in all of these.
const SAMPLES = 5;

// Milliseconds between the two reads with ages: a queue that moves is then seen to move.
const GLANCE = 100;

export interface ExaminationSubject {
  /** Undefined for all processes of this network namespace. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  /** Milliseconds for which a socket may make no progress. */
  readonly bound: number;
}

export class Examination {
  readonly #subject: ExaminationSubject;
  readonly #sockets: KernelSockets;
  #stopped = false;
  #endSleep: () => void = () => undefined;

  constructor(subject: ExaminationSubject) {
    this.#subject = subject;
    this.#sockets = new KernelSockets({ pid: subject.pid ?? "any", port: subject.port });
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Resolves with a report in which each socket without progress for the length of the bound can be recognised, or with undefined
   * after `stop()`. Rejects with UsageError if the process does not exist, or its sockets cannot be read.
   */
  async report(): Promise<AgedReport | undefined> {
    await this.#read();
    const rows = await readSs(this.#subject);
    const pauses = typeof rows === "string" ? SAMPLES : 1;
    const length = typeof rows === "string" ? this.#subject.bound / SAMPLES : GLANCE;
    let report: KernelReport | undefined;
    for (let read = 0; read < pauses; read += 1) {
      // Rounded up and 1 ms more: Node's timers may fire a fraction of a millisecond early, and the reads must cover the bound.
      await this.pause(Math.ceil(length) + 1);
      if (this.#stopped) return undefined;
      report = await this.#read();
    }
    return report && withAges(report, rows);
  }

  /** Resolves after this many milliseconds, or at `stop()`. */
  pause(length: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve();
      const timer = setTimeout(resolve, length);
      this.#endSleep = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#endSleep();
  }

  async #read(): Promise<KernelReport> {
    const report = await this.#sockets.read().catch((error: unknown) => {
      if (error instanceof TransportError && error.errno === "ESRCH")
        throw new UsageError("the process does not exist");
      throw error;
    });
    if (!report.supported) throw new UsageError(report.reason);
    // Without these permissions the report would have no sockets, which would look like "no fault".
    if (this.#subject.pid !== undefined && report.unreadable.length > 0)
      throw new UsageError(`cannot read ${report.unreadable.join()}`);
    return report;
  }
}

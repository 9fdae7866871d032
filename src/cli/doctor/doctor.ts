/** `holdfast doctor`: examines the kernel's socket tables, and reports faults of the sockets. */

import { ignoreOutputErrors } from "../broken-pipe.ts";
import { type Command, command } from "../command.ts";
import { probe } from "../probe/probe.ts";
import { explainFromInside, type Inside } from "./attach/attach.ts";
import { InspectorError } from "./attach/dev-tools.ts";
import { type Diagnosis, diagnose } from "./diagnosis.ts";
import { Examination } from "./examination.ts";
import { DOCTOR_LINE, type DoctorFlags } from "./flags.ts";
import { asJson, asText } from "./report.ts";
import { snapshotOf, writeSnapshot } from "./snapshot.ts";

export const doctorCommand: Command = command(DOCTOR_LINE, (settings) =>
  "url" in settings ? probe(settings) : examine(settings),
);

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Prints the reports. Resolves with the exit status: 1 if the last report has a finding, else 0. */
async function examine(flags: DoctorFlags): Promise<number> {
  const examination = new Examination(flags);
  ignoreOutputErrors();
  if (flags.watch) {
    for (const signal of SIGNALS) process.on(signal, () => examination.stop());
    process.stdout.on("error", () => examination.stop());
  }
  let status = 0;
  do {
    const report = await examination.report();
    if (report === undefined) break;
    const diagnosis = diagnose(report, flags.bound);
    const inside = await insideOf(flags, diagnosis);
    if (flags.snapshot !== undefined)
      await writeSnapshot(flags.snapshot, await snapshotOf(flags, report, diagnosis, inside));
    if (flags.snapshot !== "-")
      process.stdout.write(
        flags.json ? `${asJson(report, diagnosis, inside)}\n` : asText(flags, report, diagnosis, inside),
      );
    status = diagnosis.findings.length > 0 ? 1 : 0;
    // Without ages, the next report takes as long by itself.
    if (flags.watch && report.noAges === undefined) await examination.pause(flags.bound);
  } while (flags.watch && !examination.stopped);
  return status;
}

/** Explains the findings from inside, if the flags say so. A signal meanwhile closes the inspector first, and rejects. */
async function insideOf(
  { attach, recordFor, heap }: DoctorFlags,
  { findings }: Diagnosis,
): Promise<Inside | undefined> {
  if (attach === undefined) return undefined;
  const stopped = new AbortController();
  const stop = (signal: NodeJS.Signals): void =>
    stopped.abort(new Error(`stopped by ${signal}; the inspector of process ${attach} is as it was before`));
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    const inside = await explainFromInside({ pid: attach, recordFor, heap }, findings, stopped.signal).catch(
      (error) => {
        // After an abort its reason is the error, whatever failed first; except if the inspector could not be closed.
        if (!(error instanceof InspectorError)) stopped.signal.throwIfAborted();
        throw error;
      },
    );
    stopped.signal.throwIfAborted();
    return inside;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

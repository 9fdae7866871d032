/** `holdfast doctor --snapshot`: everything that helps to judge from afar, as one JSON object without secrets. */

import { execFile } from "node:child_process";
import { readFile, readlink, writeFile } from "node:fs/promises";
import { release } from "node:os";
import { basename } from "node:path";
import { promisify } from "node:util";
import type { KernelProcess } from "../../kernel/index.ts";
import { packageVersion } from "../version.ts";
import type { AgedReport, AgedSocket } from "./aged-sockets.ts";
import type { Inside } from "./attach/attach.ts";
import type { Explanation } from "./attach/explanation.ts";
import type { Diagnosis } from "./diagnosis.ts";
import type { ExaminationSubject } from "./examination.ts";

/** Raised when a field changes its meaning or is removed. New fields do not raise it. */
const FORM_VERSION = 1;

/** Settings of the kernel by which connections wait, end or are refused. One that this kernel does not have is left out. */
const SYSCTLS = [
  ...["fs.file-max", "fs.file-nr", "fs.nr_open"],
  ...["net.core.somaxconn", "net.core.netdev_max_backlog", "net.core.rmem_max", "net.core.wmem_max"],
  ...["net.ipv4.ip_local_port_range", "net.ipv4.tcp_abort_on_overflow", "net.ipv4.tcp_congestion_control"],
  ...["net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"],
  ...["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_syn_backlog"],
  ...["net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_mem", "net.ipv4.tcp_mtu_probing", "net.ipv4.tcp_retries2"],
  ...["net.ipv4.tcp_rmem", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_syncookies"],
  ...[
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
  ],
] as const;

/** A process without its command line, which may hold secrets. */
interface SnapshotProcess extends Pick<KernelProcess, "pid" | "descriptors"> {
  /** Name of the file of its program. */
  readonly program: string;
  /** Text of `/proc/PID/limits`, by the name of the limit. */
  readonly limits: Readonly<Record<string, { readonly soft: string; readonly hard: string }>>;
}

/** The form of the file. `docs/cli.md` describes it. */
export interface Snapshot {
  readonly format: "holdfast-doctor-snapshot";
  readonly version: typeof FORM_VERSION;
  /** In the form of RFC 3339. */
  readonly taken: string;
  readonly versions: Readonly<Record<"holdfast" | "node" | "kernel" | "platform" | "arch" | "ss", string>>;
  readonly subject: { readonly pid: number | null; readonly port: number | null; readonly bound: number };
  readonly ok: boolean;
  readonly states: Readonly<Record<string, number>>;
  /** `sockets` are positions in the list of all sockets. */
  readonly findings: readonly { readonly kind: string; readonly text: string; readonly sockets: readonly number[] }[];
  readonly sockets: readonly AgedSocket[];
  readonly processes: readonly SnapshotProcess[];
  readonly unreadable: readonly string[];
  readonly ages: { readonly known: boolean; readonly reason?: string };
  readonly sysctls: Readonly<Record<string, string>>;
  readonly inside?: {
    readonly explanations: readonly Pick<Explanation, "kind" | "text" | "sockets">[];
    readonly opened: Inside["opened"];
  };
}

/** Writes the snapshot to a file that only this user may read, or with `-` to stdout. */
export async function writeSnapshot(file: string, snapshot: Snapshot): Promise<void> {
  const text = `${JSON.stringify(snapshot, null, 2)}\n`;
  if (file === "-") process.stdout.write(text);
  else await writeFile(file, text, { mode: 0o600 });
}

export async function snapshotOf(
  { pid, port, bound }: ExaminationSubject,
  report: AgedReport,
  { states, findings }: Diagnosis,
  inside: Inside | undefined,
): Promise<Snapshot> {
  const positions = new Map(report.sockets.map((socket, at) => [socket, at]));
  const { noAges } = report;
  return {
    ...{ format: "holdfast-doctor-snapshot", version: FORM_VERSION, taken: new Date().toISOString() },
    versions: await versions(),
    subject: { pid: pid ?? null, port: port ?? null, bound },
    ...{ ok: findings.length === 0, states },
    findings: findings.map(({ kind, text, sockets }) => ({
      ...{ kind, text },
      sockets: sockets.flatMap((socket) => positions.get(socket) ?? []),
    })),
    sockets: report.sockets,
    processes: await Promise.all(report.processes.map(processOf)),
    unreadable: report.unreadable,
    ages: { known: noAges === undefined, ...(noAges !== undefined && { reason: noAges }) },
    sysctls: await sysctls(),
    ...(inside !== undefined && { inside: { explanations: inside.explanations, opened: inside.opened } }),
  };
}

async function versions(): Promise<Snapshot["versions"]> {
  const { stdout } = await promisify(execFile)("ss", ["-V"], { timeout: 2_000 }).catch(() => ({ stdout: "" }));
  const { version: node, platform, arch } = process;
  return { holdfast: packageVersion(), node, kernel: release(), platform, arch, ss: stdout.trim().slice(0, 100) };
}

async function processOf({ pid, descriptors }: KernelProcess): Promise<SnapshotProcess> {
  const [exe, limits] = await Promise.all([
    readlink(`/proc/${pid}/exe`).catch(() => ""),
    readFile(`/proc/${pid}/limits`, "utf8").catch(() => ""),
  ]);
  const rows = Array.from(limits.matchAll(/^Max (.+?)\s{2,}(\S+)\s+(\S+)/gm), ([, name = "", soft = "", hard = ""]) => [
    name,
    { soft, hard },
  ]);
  return { pid, program: basename(exe), descriptors, limits: Object.fromEntries(rows) };
}

async function sysctls(): Promise<Record<string, string>> {
  const read = SYSCTLS.map(async (name) => {
    const text = await readFile(`/proc/sys/${name.replaceAll(".", "/")}`, "utf8").catch(() => undefined);
    return text === undefined ? [] : [[name, text.trim().replace(/\s+/g, " ")] as const];
  });
  return Object.fromEntries((await Promise.all(read)).flat());
}

/** The resident memory of the server's processes, on the machine of the bench. */

import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { KernelSockets } from "../../kernel/index.ts";

const KILOBYTE = 1_024;

/** Processes of this machine that have a socket on the port of `url`. Empty if the server is elsewhere or cannot be seen. */
export async function serverProcesses(url: string): Promise<readonly number[]> {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const local = host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
  if (!local) return [];
  const ofScheme = protocol === "wss:" ? 443 : 80;
  const report = await new KernelSockets({ pid: "any", port: port === "" ? ofScheme : Number(port) }).read();
  return report.supported ? report.processes.map(({ pid }) => pid) : [];
}

/** Resident bytes of all these processes. Undefined where the system does not tell: it is read from Linux's /proc. */
export async function residentMemory(pids: readonly number[]): Promise<number | undefined> {
  let sum = 0;
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(status) ?? [];
    if (kilobytes === undefined) return undefined;
    sum += Number(kilobytes) * KILOBYTE;
  }
  return pids.length === 0 ? undefined : sum;
}

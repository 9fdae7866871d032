/** The sockets of a process in the kernel's table, as rows of `holdfast top`. */

import { joinHostPort } from "../../base/host-port.ts";
import { TransportError } from "../../index.ts";
import { type KernelReport, type KernelSocket, KernelSockets } from "../../kernel/index.ts";
import { UsageError } from "../flags.ts";
import { printableLine } from "../terminal.ts";
import type { TopSnapshot, TopSource } from "./source.ts";
import type { TopColumn, TopRow } from "./table.ts";

const COLUMNS: readonly TopColumn[] = [
  { name: "remote", title: "REMOTE", unit: "text", width: 27, text: "address and port of the peer" },
  { name: "local", title: "LOCAL", unit: "number", width: 6, text: "local port" },
  { name: "state", title: "STATE", unit: "text", width: 12, text: "state of TCP" },
  { name: "send", title: "SEND-Q", unit: "bytes", width: 7, text: "bytes that the peer has not acknowledged" },
  { name: "receive", title: "RECV-Q", unit: "bytes", width: 7, text: "bytes that the process has not read" },
  { name: "stalled", title: "STALLED", unit: "milliseconds", width: 8, text: "how long a queue has not changed" },
  { name: "age", title: "IN-STATE", unit: "milliseconds", width: 9, text: "how long it is known to be in this state" },
  { name: "retries", title: "RETRIES", unit: "count", width: 8, text: "retransmissions and probes without an answer" },
  { name: "pid", title: "PID", unit: "number", width: 8, text: "a process that holds it" },
];

export class KernelSource implements TopSource {
  readonly columns: readonly TopColumn[] = COLUMNS;
  readonly sort = "send";
  readonly arranged = false;
  readonly #pid: number | undefined;
  readonly #sockets: KernelSockets;
  #seen = false;

  /** Undefined for all sockets of this network namespace. */
  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.#sockets = new KernelSockets({ pid: pid ?? "any" });
  }

  changed(): void {}

  /** Rejects with UsageError where there is nothing to read. */
  async read(): Promise<TopSnapshot> {
    const report = await this.#sockets.read().catch((error: unknown) => {
      if (error instanceof TransportError && error.errno === "ESRCH")
        throw this.#seen ? new Error("the process has ended") : new UsageError("the process does not exist");
      throw error;
    });
    if (!report.supported) throw new UsageError(report.reason);
    // Without these permissions the table would be empty, which would look like a process without sockets.
    if (this.#pid !== undefined && report.unreadable.length > 0)
      throw new UsageError(`cannot read ${report.unreadable.join()}`);
    this.#seen = true;
    return { summary: summaryOf(report, this.#pid), rows: report.sockets.map(rowOf), total: report.sockets.length };
  }

  async close(): Promise<void> {}
}

// In characters.
const LONGEST_COMMAND = 60;

function summaryOf({ sockets, processes }: KernelReport, pid: number | undefined): readonly string[] {
  const [one] = processes;
  const held =
    pid === undefined || one === undefined
      ? `${processes.length} processes`
      : `process ${pid} (${printableLine(one.command.slice(0, LONGEST_COMMAND))}), ${one.descriptors} of ${one.descriptorLimit ?? "?"} descriptors`;
  const counts = new Map<string, number>();
  for (const { state } of sockets) counts.set(state, (counts.get(state) ?? 0) + 1);
  const states = Array.from(counts, ([state, count]) => `${count} ${state}`);
  return [`${held}, ${sockets.length} TCP sockets`, states.join(", ")];
}

function rowOf(socket: KernelSocket): TopRow {
  const { state, sendQueue: send, receiveQueue: receive, localPort: local, remotePort, stateFor: age } = socket;
  const stalled = Math.max(socket.sendStalledFor, socket.receiveStalledFor);
  const remote = state === "LISTEN" ? "" : joinHostPort(socket.remoteAddress, remotePort);
  const retries = socket.retransmits + socket.probes;
  return { remote, local, state, send, receive, stalled, age, retries, pid: socket.pids[0] };
}

/** The sockets of a process in the kernel's table, as rows of `holdfast top`. */

import { joinHostPort } from "../../base/host-port.ts";
import { TransportError } from "../../index.ts";
import { KernelSockets } from "../../kernel/index.ts";
import { type AgedReport, type AgedSocket, withAges } from "../doctor/aged-sockets.ts";
import { readSs } from "../doctor/ss.ts";
import { addressKey } from "../doctor/tcp-info.ts";
import { UsageError } from "../flags.ts";
import { printableLine } from "../terminal.ts";
import type { TopSnapshot, TopSource } from "./source.ts";
import type { TopColumn, TopRow } from "./table.ts";

export const KERNEL_COLUMNS: readonly TopColumn[] = [
  { name: "remote", title: "REMOTE", unit: "text", width: 21, text: "address and port of the peer" },
  { name: "local", title: "LOCAL", unit: "number", width: 6, text: "local port" },
  { name: "state", title: "STATE", unit: "text", width: 11, text: "state of TCP" },
  { name: "send", title: "SEND-Q", unit: "bytes", width: 7, text: "bytes that the peer has not acknowledged" },
  { name: "receive", title: "RECV-Q", unit: "bytes", width: 7, text: "bytes that the process has not read" },
  { name: "in", title: "IN/S", unit: "bytes per second", width: 6, text: "bytes received each second" },
  { name: "out", title: "OUT/S", unit: "bytes per second", width: 6, text: "bytes sent each second" },
  { name: "rtt", title: "RTT", unit: "milliseconds", width: 6, text: "smoothed round trip of TCP" },
  { name: "stalled", title: "STALLED", unit: "milliseconds", width: 8, text: "how long a queue has not changed" },
  { name: "silent", title: "SILENT", unit: "milliseconds", width: 7, text: "time since the peer last sent data" },
  { name: "age", title: "IN-STATE", unit: "milliseconds", width: 9, text: "how long it is known to be in this state" },
  { name: "retries", title: "RETRIES", unit: "count", width: 8, text: "retransmissions and probes without an answer" },
  { name: "pid", title: "PID", unit: "number", width: 8, text: "a process that holds it" },
];

export class KernelSource implements TopSource {
  readonly columns: readonly TopColumn[] = KERNEL_COLUMNS;
  readonly sort = "send";
  readonly arranged = false;
  readonly lasting = false;
  readonly #pid: number | undefined;
  readonly #sockets: KernelSockets;
  /** The bytes of each connection at the last reading, from which the rates follow. */
  #counted: ReadonlyMap<string, Counted> = new Map();
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
    const aged = withAges(report, await readSs({ pid: this.#pid, port: undefined }));
    const counted = new Map(aged.sockets.flatMap(countedOf));
    const rows = aged.sockets.map((socket) =>
      rowOf(socket, this.#counted.get(keyOf(socket)), counted.get(keyOf(socket))),
    );
    // Only the connections of this reading, so that the memory is never larger than the table.
    this.#counted = counted;
    return { summary: summaryOf(aged, this.#pid), rows, total: rows.length };
  }

  async close(): Promise<void> {}
}

// In characters.
const LONGEST_COMMAND = 60;

function summaryOf({ sockets, processes, noAges }: AgedReport, pid: number | undefined): readonly string[] {
  const [one] = processes;
  const held =
    pid === undefined || one === undefined
      ? `${processes.length} processes`
      : `process ${pid} (${printableLine(one.command.slice(0, LONGEST_COMMAND))}), ${one.descriptors} of ${one.descriptorLimit ?? "?"} descriptors`;
  const counts = new Map<string, number>();
  for (const { state } of sockets) counts.set(state, (counts.get(state) ?? 0) + 1);
  const states = Array.from(counts, ([state, count]) => `${count} ${state}`);
  const unknown = noAges === undefined ? [] : [`no rates, round trips and ages: ${printableLine(noAges)}`];
  return [`${held}, ${sockets.length} TCP sockets`, states.join(", "), ...unknown];
}

/** How much a connection has received and sent until an instant. */
interface Counted {
  readonly inode: number;
  readonly at: number;
  readonly received: number;
  readonly sent: number;
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: AgedSocket): string {
  return addressKey(localAddress, localPort, remoteAddress, remotePort);
}

function countedOf(socket: AgedSocket): readonly (readonly [string, Counted])[] {
  const { tcp, inode } = socket;
  if (tcp === undefined) return [];
  return [[keyOf(socket), { inode, at: performance.now(), received: tcp.receivedBytes, sent: tcp.sentBytes }]];
}

/** Bytes received and sent per second since the last reading. Empty if the addresses belong to another connection now: its inode differs. */
function ratesOf(
  before: Counted | undefined,
  now: Counted | undefined,
): { readonly in?: number; readonly out?: number } {
  if (before === undefined || now === undefined || before.inode !== now.inode) return {};
  const seconds = Math.max(now.at - before.at, 1) / 1_000;
  return { in: (now.received - before.received) / seconds, out: (now.sent - before.sent) / seconds };
}

function rowOf(socket: AgedSocket, before: Counted | undefined, now: Counted | undefined): TopRow {
  const { state, sendQueue: send, receiveQueue: receive, localPort: local, remotePort, stateFor: age, tcp } = socket;
  const stalled = Math.max(socket.sendStalledFor, socket.receiveStalledFor);
  const remote = state === "LISTEN" ? "" : joinHostPort(socket.remoteAddress, remotePort);
  const retries = socket.retransmits + socket.probes;
  const facts = { rtt: tcp?.rtt, silent: tcp?.lastReceive, pid: socket.pids[0] };
  return { remote, local, state, send, receive, stalled, age, retries, ...facts, ...ratesOf(before, now) };
}

/** Reads the TCP socket tables of the Linux kernel, `/proc/net/tcp` and `/proc/net/tcp6`, and parses them into rows. */

import { readFile } from "node:fs/promises";
import { LITTLE_ENDIAN } from "../../base/bytes.ts";

/** The state of a TCP socket, with the names of RFC 9293 and Linux. */
export type SocketState =
  | "ESTABLISHED"
  | "SYN_SENT"
  | "SYN_RECV"
  | "FIN_WAIT1"
  | "FIN_WAIT2"
  | "TIME_WAIT"
  | "CLOSE"
  | "CLOSE_WAIT"
  | "LAST_ACK"
  | "LISTEN"
  | "CLOSING";

// Linux: include/net/tcp_states.h, from 1. The last state is NEW_SYN_RECV, which the kernel displays as SYN_RECV.
const TCP_STATES =
  "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING SYN_RECV".split(
    " ",
  ) as readonly SocketState[];

// Linux: net/ipv4/tcp_ipv4.c, get_tcp4_sock().
const TIMERS: readonly SocketTimer[] = ["none", "retransmission", "keepalive", "time-wait", "zero-window"];

/** The kernel timer that is active on a socket. `time-wait` is the time until a socket in TIME_WAIT is removed. */
export type SocketTimer = "none" | "retransmission" | "keepalive" | "time-wait" | "zero-window";

/** One row of the table. */
export interface SocketRow {
  readonly state: SocketState;
  /** In Node's notation: `127.0.0.1`, `::1`, `::ffff:10.0.0.1`. */
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
  /** Bytes that the peer has not acknowledged. A sent FIN counts as one byte. */
  readonly sendQueue: number;
  /**
   * Bytes that were received and not read. The peer's FIN counts as one byte. In state LISTEN: connections that wait to be
   * accepted.
   */
  readonly receiveQueue: number;
  readonly timer: SocketTimer;
  /** Milliseconds until the timer expires. 0 without a timer. */
  readonly expiresIn: number;
  /** How many times the unacknowledged bytes were retransmitted. */
  readonly retransmits: number;
  /** The number of keepalive or zero-window probes without an answer. */
  readonly probes: number;
  /** The inode number of the socket, by which its file descriptors are found. 0 if no process holds the socket any more. */
  readonly inode: number;
}

/** Returns true for the ports of sockets that the caller looks for. */
export type WantedPorts = (localPort: number, remotePort: number) => boolean;

// Milliseconds per tick. The table counts in USER_HZ, which is 100 per second on all platforms.
const TICK = 10;

const FAMILIES: ReadonlySet<4 | 6> = new Set([4, 6] as const);

/**
 * Reads the rows of address families in the network namespace of a process. An IPv4 address in IPv6 notation belongs to family 6.
 * Rejects with the error of the system, ENOENT if the process does not exist.
 */
export async function readSocketTables(
  pid: number | "self",
  wanted: WantedPorts,
  families: ReadonlySet<4 | 6> = FAMILIES,
): Promise<SocketRow[]> {
  const texts = await readSocketTexts(pid, families);
  return texts.flatMap((text) => socketRows(text, LITTLE_ENDIAN, wanted));
}

/** The texts of the tables, for callers that do not need all rows at once. Rejects as `readSocketTables` does. */
export async function readSocketTexts(
  pid: number | "self",
  families: ReadonlySet<4 | 6> = FAMILIES,
): Promise<[tcp: string, tcp6: string]> {
  return await Promise.all([
    families.has(4) ? readFile(`/proc/${pid}/net/tcp`, "latin1") : "",
    // A kernel without IPv6 does not have this file.
    families.has(6) ? readFile(`/proc/${pid}/net/tcp6`, "latin1").catch(() => "") : "",
  ]);
}

/** What is needed to count sockets. */
export type SocketKind = Pick<SocketRow, "state" | "localPort" | "inode">;

/** Parses the same text row by row: a caller can pause between two rows. Costs a small part of `socketRows`. */
export function* socketKinds(text: string): Generator<SocketKind, void> {
  // The end of the heading.
  let start = text.indexOf("\n") + 1;
  while (start > 0 && start < text.length) {
    const end = text.indexOf("\n", start);
    const line = text.slice(start, end === -1 ? text.length : end);
    start = end + 1;
    const localEnd = line.indexOf(" ", line.indexOf(": ") + 2);
    const remoteEnd = line.indexOf(" ", localEnd + 1);
    const state = TCP_STATES[Number.parseInt(line.slice(remoteEnd + 1, remoteEnd + 3), 16) - 1];
    if (state === undefined) continue;
    const localPort = Number.parseInt(line.slice(localEnd - 4, localEnd), 16);
    // After it: st tx:rx tr:when retransmits uid probes inode.
    let at = remoteEnd + 1;
    for (let field = 0; field < 6; field += 1) at = fieldAfter(line, at);
    yield { state, localPort, inode: Number.parseInt(line.slice(at, at + 20), 10) || 0 };
  }
}

/** Where the field after the one at `at` begins. Fields are padded with spaces. */
function fieldAfter(line: string, at: number): number {
  let next = line.indexOf(" ", at);
  if (next === -1) return line.length;
  while (line[next] === " ") next += 1;
  return next;
}

/**
 * Parses the text of a table. With `wanted`, only rows with accepted ports are returned: skipping a row costs a tenth of parsing
 * it. Addresses are written as machine words, so `littleEndian` gives the byte order of the machine.
 */
export function socketRows(text: string, littleEndian: boolean, wanted?: WantedPorts): SocketRow[] {
  const rows: SocketRow[] = [];
  for (const line of text.split("\n")) {
    const local = line.indexOf(": ") + 2;
    const localEnd = line.indexOf(" ", local);
    const remoteEnd = line.indexOf(" ", localEnd + 1);
    // The heading, or the empty text after the last line.
    if (local < 2 || remoteEnd === -1) continue;
    const localPort = Number.parseInt(line.slice(localEnd - 4, localEnd), 16);
    const remotePort = Number.parseInt(line.slice(remoteEnd - 4, remoteEnd), 16);
    if (wanted !== undefined && !wanted(localPort, remotePort)) continue;
    const row = rowOf(line.slice(remoteEnd + 1));
    if (row === undefined) continue;
    const localHost = hostOf(line.slice(local, localEnd - 5), littleEndian);
    const remoteHost = hostOf(line.slice(localEnd + 1, remoteEnd - 5), littleEndian);
    rows.push({ localHost, localPort, remoteHost, remotePort, ...row });
  }
  return rows;
}

type Rest = Omit<SocketRow, "localHost" | "localPort" | "remoteHost" | "remotePort">;

/** Parses the fields after the addresses: `st tx:rx tr:when retransmits uid probes inode`. */
function rowOf(text: string): Rest | undefined {
  // Not by a regular expression: V8 keeps the last text that one has matched, and with a part of a table the whole table.
  const fields = text.split(" ").filter((field) => field !== "");
  const [number = "", queues = "", clock = "", retransmits = "", , probes = "", inode = ""] = fields;
  const state = TCP_STATES[Number.parseInt(number, 16) - 1];
  const [sendQueue = Number.NaN, receiveQueue = Number.NaN] = hexPair(queues);
  const [timer = 0, ticks = 0] = hexPair(clock);
  if (state === undefined || Number.isNaN(sendQueue) || Number.isNaN(receiveQueue)) return undefined;
  return {
    ...{ state, sendQueue, receiveQueue },
    timer: TIMERS[timer] ?? "none",
    expiresIn: timer === 0 ? 0 : ticks * TICK,
    retransmits: Number.parseInt(retransmits, 16) || 0,
    probes: Number(probes) || 0,
    inode: Number(inode) || 0,
  };
}

const hexPair = (text: string): number[] => text.split(":").map((hex) => Number.parseInt(hex, 16));

/** Converts an address from the table's notation, words of four bytes in hexadecimal, to Node's notation. */
function hostOf(hex: string, littleEndian: boolean): string {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (let byte = 0; byte < 4; byte += 1) {
      const index = word + (littleEndian ? 6 - byte * 2 : byte * 2);
      bytes.push(Number.parseInt(hex.slice(index, index + 2), 16));
    }
  }
  return bytes.length === 4 ? bytes.join(".") : ipv6Of(bytes);
}

/** RFC 5952. IPv4-mapped addresses end in dotted decimal, as inet_ntop() writes them. */
function ipv6Of(bytes: readonly number[]): string {
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) {
    return `::ffff:${bytes.slice(12).join(".")}`;
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  // RFC 5952 section 4.2: shorten the longest run of zeros, the first of runs with equal length, and no run of a single zero.
  const [longest = ""] = Array.from(groups.join(":").matchAll(/\b0(?::0)+\b/g), ([run]) => run).sort(
    (one, other) => other.length - one.length,
  );
  const text = groups.join(":");
  if (longest === "") return text;
  const at = text.search(new RegExp(`\\b${longest}\\b`));
  return `${text.slice(0, at).replace(/:$/, "")}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}

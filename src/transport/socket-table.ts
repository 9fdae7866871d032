/** The kernel's table of TCP sockets as Linux writes it, `/proc/net/tcp` and `tcp6`: from its text to rows. */

/** The states of TCP, as RFC 9293 and Linux call them. */
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

// include/net/tcp_states.h, from 1 on. The last is the kernel's NEW_SYN_RECV, which it shows as the other.
const STATES =
  "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING SYN_RECV".split(
    " ",
  ) as readonly SocketState[];

// net/ipv4/tcp_ipv4.c, get_tcp4_sock().
const TIMERS = ["none", "retransmission", "keepalive", "time-wait", "zero-window"] as const;

/** What the kernel waits for on a socket; on TIME_WAIT, how long it stays. */
export type SocketTimer = (typeof TIMERS)[number];

/** One line of the table. */
export interface SocketRow {
  readonly state: SocketState;
  /** As Node writes it: `127.0.0.1`, `::1`, `::ffff:10.0.0.1`. */
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
  /** Bytes that the peer has not acknowledged; our FIN counts as one. */
  readonly sendQueue: number;
  /** Bytes that have arrived and were not read, the peer's FIN counting as one; of a LISTEN, connections that wait to be accepted. */
  readonly receiveQueue: number;
  readonly timer: SocketTimer;
  /** Milliseconds until the timer expires; 0 without one. */
  readonly expiresIn: number;
  /** How often what is unacknowledged has been sent again. */
  readonly retransmits: number;
  /** Keepalive or zero window probes that were not answered. */
  readonly probes: number;
  /** The socket's number, by which its descriptors are found; 0 once no process holds it. */
  readonly inode: number;
}

/** Whether a socket with these ports is looked for. */
export type WantedPorts = (localPort: number, remotePort: number) => boolean;

// The table counts in USER_HZ, which is 100 everywhere.
const TICK = 10;

/**
 * The rows of a table's text. With `wanted`, only those whose ports it accepts: the rest is skipped for a tenth of the cost.
 * Addresses are written as words of the machine, so `littleEndian` tells in which order their bytes are.
 */
export function socketRows(text: string, littleEndian: boolean, wanted?: WantedPorts): SocketRow[] {
  const rows: SocketRow[] = [];
  for (const line of text.split("\n")) {
    const local = line.indexOf(": ") + 2;
    const localEnd = line.indexOf(" ", local);
    const remoteEnd = line.indexOf(" ", localEnd + 1);
    // The heading, and what is behind the last line.
    if (local < 2 || remoteEnd === -1) continue;
    const localPort = Number.parseInt(line.slice(localEnd - 4, localEnd), 16);
    const remotePort = Number.parseInt(line.slice(remoteEnd - 4, remoteEnd), 16);
    if (wanted !== undefined && !wanted(localPort, remotePort)) continue;
    const row = rowOf(
      line
        .slice(remoteEnd + 1)
        .trim()
        .split(/\s+/),
    );
    if (row === undefined) continue;
    const localHost = hostOf(line.slice(local, localEnd - 5), littleEndian);
    const remoteHost = hostOf(line.slice(localEnd + 1, remoteEnd - 5), littleEndian);
    rows.push({ localHost, localPort, remoteHost, remotePort, ...row });
  }
  return rows;
}

type Rest = Omit<SocketRow, "localHost" | "localPort" | "remoteHost" | "remotePort">;

/** What stands behind the addresses: `st tx:rx tr:when retransmits uid probes inode`. */
function rowOf(fields: readonly string[]): Rest | undefined {
  const [number = "", queues = "", clock = "", retransmits = "", , probes = "", inode = ""] = fields;
  const state = STATES[Number.parseInt(number, 16) - 1];
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

/** An address as the table writes it, in words of four bytes, as Node writes it. */
function hostOf(hex: string, littleEndian: boolean): string {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (let byte = 0; byte < 4; byte += 1) {
      const at = word + (littleEndian ? 6 - byte * 2 : byte * 2);
      bytes.push(Number.parseInt(hex.slice(at, at + 2), 16));
    }
  }
  return bytes.length === 4 ? bytes.join(".") : ipv6Of(bytes);
}

/** RFC 5952, and like inet_ntop() with IPv4-mapped addresses in dots. */
function ipv6Of(bytes: readonly number[]): string {
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) {
    return `::ffff:${bytes.slice(12).join(".")}`;
  }
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0)).toString(16),
  );
  // 5952 4.2: the longest run of zeros, the first of equals, and no run of one.
  const [longest = ""] = Array.from(groups.join(":").matchAll(/\b0(?::0)+\b/g), ([run]) => run).sort(
    (one, other) => other.length - one.length,
  );
  const text = groups.join(":");
  if (longest === "") return text;
  const at = text.search(new RegExp(`\\b${longest}\\b`));
  return `${text.slice(0, at).replace(/:$/, "")}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}

/** Finds faults of sockets in a report of the kernel's tables, and describes them for people. A pure function. */

import type { KernelProcess } from "../../kernel/index.ts";
import type { AgedReport, AgedSocket } from "./aged-sockets.ts";
import type { TcpInfo } from "./tcp-info.ts";

/** The kinds of faults. `docs/failures.md` explains each. */
export type FindingKind =
  | "close-wait"
  | "half-open"
  | "zero-window"
  | "send-queue"
  | "receive-queue"
  | "accept-queue"
  | "unanswered"
  | "lossy"
  | "far"
  | "descriptors";

export interface Finding {
  readonly kind: FindingKind;
  /** Description and likely cause, for people. */
  readonly text: string;
  readonly sockets: readonly AgedSocket[];
}

export interface Diagnosis {
  /** Number of sockets by TCP state. */
  readonly states: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

// The kernel doubles the interval from one retransmission to the next: after the third, more than a second has passed without
// an answer.
const MIN_RETRANSMITS = 3;

// A single probe may still be unanswered because its answer is in flight.
const MIN_PROBES = 2;

// Share of the segments with data that were sent again. From 5 % on, TCP spends most of its time waiting; a good link loses less than
// 0.1 %.
const LOSSY_SHARE = 0.05;

// Segments sent again. With fewer, one short interruption would be a share of this size.
const MIN_RESENT = 10;

// Milliseconds. Half around the earth and back through cables takes 300 ms, so more than this is a satellite, or a queue.
const FAR_RTT = 500;

// Share of the descriptor limit. From here on one burst of connections can use up the rest.
const DESCRIPTOR_SHARE = 0.9;

interface Rule {
  readonly kind: FindingKind;
  readonly applies: (socket: AgedSocket, bound: number) => boolean;
  readonly text: (some: string, seconds: string) => string;
}

/** In the order of the report. A socket is reported only by the first rule that matches: its fault explains the later ones. */
const RULES: readonly Rule[] = [
  {
    kind: "unanswered",
    applies: ({ state, stateFor }, bound) => state === "SYN_SENT" && stateFor >= bound,
    text: (count, seconds) =>
      `${count} without an answer to its connect for ${seconds} or more: the address is wrong, or a firewall drops the packets. Limit the time to connect.`,
  },
  {
    kind: "half-open",
    applies: ({ timer, retransmits, probes, state, sendStalledFor, tcp }, bound) =>
      state !== "SYN_SENT" &&
      ((timer === "retransmission" &&
        ((retransmits >= MIN_RETRANSMITS && !lossyAndHeard(tcp, bound)) ||
          (retransmits > 0 && sendStalledFor >= bound))) ||
        ((timer === "keepalive" || timer === "zero-window") && probes >= MIN_PROBES)),
    text: (count) =>
      `${count}: the peer answers neither data nor probes. It has probably vanished (crash, lost link, NAT), and the kernel keeps the connection for many minutes. Use a heartbeat.`,
  },
  {
    kind: "zero-window",
    applies: ({ timer, sendStalledFor }, bound) => timer === "zero-window" && sendStalledFor >= bound,
    text: (count, seconds) =>
      `${count} whose peer has had a full receive buffer (zero window) for ${seconds} or more: the peer's application does not read. Limit the time of writes.`,
  },
  {
    kind: "close-wait",
    applies: ({ state, stateFor }, bound) => state === "CLOSE_WAIT" && stateFor >= bound,
    text: (count, seconds) =>
      `${count} in CLOSE_WAIT for ${seconds} or more: the peer has closed, and the application does not. TCP never leaves this state by itself, so each is a leaked descriptor.`,
  },
  {
    kind: "send-queue",
    applies: ({ sendStalledFor, state }, bound) => state !== "SYN_SENT" && sendStalledFor >= bound,
    text: (count, seconds) =>
      `${count} with an unchanged send queue for ${seconds} or more: the peer does not read, or has vanished. Limit the time of writes.`,
  },
  {
    kind: "receive-queue",
    applies: ({ receiveStalledFor, state }, bound) => state === "ESTABLISHED" && receiveStalledFor >= bound,
    text: (count, seconds) =>
      `${count} with an unchanged receive queue for ${seconds} or more: the application does not read. It is blocked, or applies backpressure.`,
  },
  {
    kind: "accept-queue",
    applies: ({ receiveStalledFor, state }, bound) => state === "LISTEN" && receiveStalledFor >= bound,
    text: (count, seconds) =>
      `${count} listening, with connections that were not accepted for ${seconds} or more: the application is blocked, or out of descriptors.`,
  },
  {
    kind: "lossy",
    applies: ({ tcp }) => tcp !== undefined && isLossy(tcp),
    text: (count) =>
      `${count} that had to send ${LOSSY_SHARE * 100} % or more of the data again: the link loses packets. Messages are late, and the heartbeat must allow for it.`,
  },
  {
    kind: "far",
    applies: ({ tcp, state }) => state === "ESTABLISHED" && (tcp?.rtt ?? 0) >= FAR_RTT,
    text: (count) =>
      `${count} with a round trip of ${FAR_RTT} ms or more: the peer is far away, or packets wait in queues on the way. Send less at a time (maxInFlightBytes), and do not wait for each answer.`,
  },
];

function isLossy({ resentSegments, sentSegments }: TcpInfo): boolean {
  return resentSegments >= MIN_RESENT && resentSegments >= sentSegments * LOSSY_SHARE;
}

/** On a link that loses packets, several retransmissions in a row are normal. There a peer that was heard within `bound` is alive. */
function lossyAndHeard(tcp: TcpInfo | undefined, bound: number): boolean {
  return tcp !== undefined && isLossy(tcp) && Math.min(tcp.lastReceive, tcp.lastAck) < bound;
}

/** Applies the rules to a report. `bound`: milliseconds for which a socket may make no progress. */
export function diagnose({ sockets, processes }: Pick<AgedReport, "sockets" | "processes">, bound: number): Diagnosis {
  const states: Record<string, number> = {};
  for (const { state } of sockets) states[state] = (states[state] ?? 0) + 1;
  const seconds = `${bound / 1_000} s`;
  const findings: Finding[] = [];
  let rest = sockets;
  for (const { kind, applies, text } of RULES) {
    const found = rest.filter((socket) => applies(socket, bound));
    if (found.length === 0) continue;
    rest = rest.filter((socket) => !found.includes(socket));
    findings.push({ kind, text: text(countOf(found.length), seconds), sockets: found });
  }
  return { states, findings: [...findings, ...processes.flatMap(descriptorFinding)] };
}

const countOf = (count: number): string => (count === 1 ? "1 socket" : `${count} sockets`);

function descriptorFinding({ pid, descriptors, descriptorLimit = Infinity }: KernelProcess): Finding[] {
  if (descriptors < descriptorLimit * DESCRIPTOR_SHARE) return [];
  const text = `process ${pid} holds ${descriptors} of the ${descriptorLimit} descriptors that it may use. Without a free descriptor it can neither accept nor connect. Raise the limit (ulimit -n), or find the leak.`;
  return [{ kind: "descriptors", text, sockets: [] }];
}

/** What is wrong with sockets, judged from what the kernel says of them: pure, and in plain words. */

import type { KernelProcess, KernelReport, KernelSocket } from "../index.js";

/** What can be wrong. */
export type Illness =
  | "close-wait"
  | "half-open"
  | "send-queue"
  | "receive-queue"
  | "accept-queue"
  | "unanswered"
  | "descriptors";

export interface Finding {
  readonly illness: Illness;
  /** What it is, and what it means. */
  readonly text: string;
  readonly sockets: readonly KernelSocket[];
}

export interface Diagnosis {
  /** How many sockets are in which state. */
  readonly states: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

// One that was sent three times again has had no answer for more than a second, and the kernel doubles its patience.
const RETRANSMITS = 3;

// One may be on its way.
const PROBES = 2;

// From here on a burst of connections is enough to be refused descriptors.
const DESCRIPTORS = 0.9;

interface Rule {
  readonly illness: Illness;
  readonly sick: (socket: KernelSocket, bound: number) => boolean;
  readonly text: (some: string, seconds: string) => string;
}

/** In the order of telling. A socket is told of once, under what explains the rest. */
const RULES: readonly Rule[] = [
  {
    illness: "unanswered",
    sick: ({ state, stateFor }, bound) => state === "SYN_SENT" && stateFor >= bound,
    text: (some, seconds) =>
      `${some} without an answer to its connect for ${seconds} or more: the address is wrong, or a firewall drops. Bound connecting by time.`,
  },
  {
    illness: "half-open",
    sick: ({ timer, retransmits, probes, state, sendStalledFor }, bound) =>
      state !== "SYN_SENT" &&
      ((timer === "retransmission" && (retransmits >= RETRANSMITS || (retransmits > 0 && sendStalledFor >= bound))) ||
        (timer === "keepalive" && probes >= PROBES)),
    text: (some) =>
      `${some}: the peer answers neither data nor probes. It is likely gone without a word (crash, lost link, NAT), and the kernel will not give it up for many minutes. Use a heartbeat.`,
  },
  {
    illness: "close-wait",
    sick: ({ state, stateFor }, bound) => state === "CLOSE_WAIT" && stateFor >= bound,
    text: (some, seconds) =>
      `${some} in CLOSE_WAIT for ${seconds} or more: the peer has closed, and the application does not. TCP never leaves this state by itself, so each is a leaked descriptor.`,
  },
  {
    illness: "send-queue",
    sick: ({ sendStalledFor, state }, bound) => state !== "SYN_SENT" && sendStalledFor >= bound,
    text: (some, seconds) =>
      `${some} with a send queue that has not moved for ${seconds} or more: the peer does not read what is sent, or is gone. Bound writes by time.`,
  },
  {
    illness: "receive-queue",
    sick: ({ receiveStalledFor, state }, bound) => state === "ESTABLISHED" && receiveStalledFor >= bound,
    text: (some, seconds) =>
      `${some} with a receive queue that has not moved for ${seconds} or more: the application does not read what has come. It is stuck, or holds its peers back.`,
  },
  {
    illness: "accept-queue",
    sick: ({ receiveStalledFor, state }, bound) => state === "LISTEN" && receiveStalledFor >= bound,
    text: (some, seconds) =>
      `${some} that listens with connections waiting for ${seconds} or more: the application does not accept them. It is stuck, or out of descriptors.`,
  },
];

/** Judges a report. `bound` is how long a socket may stand still, in milliseconds. */
export function diagnose({ sockets, processes }: KernelReport, bound: number): Diagnosis {
  const states: Record<string, number> = {};
  for (const { state } of sockets) states[state] = (states[state] ?? 0) + 1;
  const seconds = `${bound / 1_000} s`;
  const findings: Finding[] = [];
  let well = sockets;
  for (const { illness, sick, text } of RULES) {
    const found = well.filter((socket) => sick(socket, bound));
    if (found.length === 0) continue;
    well = well.filter((socket) => !found.includes(socket));
    findings.push({ illness, text: text(counted(found.length), seconds), sockets: found });
  }
  return { states, findings: [...findings, ...processes.flatMap(shortOfDescriptors)] };
}

const counted = (count: number): string => (count === 1 ? "1 socket" : `${count} sockets`);

function shortOfDescriptors({ pid, descriptors, descriptorLimit = Infinity }: KernelProcess): Finding[] {
  if (descriptors < descriptorLimit * DESCRIPTORS) return [];
  const text = `process ${pid} holds ${descriptors} of the ${descriptorLimit} descriptors that it may: beyond them it can neither accept nor connect. Raise the limit (ulimit -n), or find what leaks.`;
  return [{ illness: "descriptors", text, sockets: [] }];
}

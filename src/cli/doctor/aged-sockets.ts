/** Joins the kernel's table of sockets with the facts of `ss`, from which follows how long a state has lasted already. */

import type { KernelReport, KernelSocket } from "../../kernel/index.ts";
import { addressKey, type SsRow, type TcpInfo } from "./tcp-info.ts";

/** A socket whose durations are at least as long as those that the reads of the table have shown. */
export interface AgedSocket extends KernelSocket {
  /** Undefined without `ss`, and in states in which the kernel keeps none. */
  readonly tcp: TcpInfo | undefined;
}

export interface AgedReport extends KernelReport {
  readonly sockets: readonly AgedSocket[];
  /** Why durations count from the first read only; undefined if `ss` has reported what happened before. */
  readonly noAges: string | undefined;
}

// Milliseconds from one retransmission of a SYN to the next, at least.
const SYN_INTERVAL = 1_000;

/** `rows` is what `readSs` resolves with. */
export function withAges(report: KernelReport, rows: readonly SsRow[] | string): AgedReport {
  const known = typeof rows === "string" ? [] : rows;
  const infos = new Map(known.map(({ key, info }) => [key, info]));
  const waiting = longestWaits(known);
  const sockets = report.sockets.map((socket): AgedSocket => {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    const tcp = infos.get(addressKey(localAddress, localPort, remoteAddress, remotePort));
    return aged({ ...socket, tcp }, waiting.get(localPort) ?? 0);
  });
  return { ...report, sockets, noAges: typeof rows === "string" ? rows : undefined };
}

/** By local port: how long the connection that waits longest has not been accepted. */
function longestWaits(rows: readonly SsRow[]): ReadonlyMap<number, number> {
  const waits = new Map<number, number>();
  for (const { state, inode, localPort, info } of rows) {
    if (inode !== 0 || info === undefined || (state !== "ESTAB" && state !== "CLOSE-WAIT")) continue;
    // The peer's last acknowledgement completed the connection, or came later.
    waits.set(localPort, Math.max(waits.get(localPort) ?? 0, info.lastAck));
  }
  return waits;
}

/** Each duration is a lower bound: what the reads have seen, or what the facts prove. */
function aged(socket: AgedSocket, waiting: number): AgedSocket {
  const { stateFor, sendStalledFor, receiveStalledFor, state, tcp } = socket;
  // A queue that has changed from one read to the next moves, whatever the ages are.
  const stalled = (observed: number, proved: number): number => (observed > 0 ? Math.max(observed, proved) : observed);
  return {
    ...socket,
    stateFor: Math.max(stateFor, stateAge(socket)),
    sendStalledFor: stalled(sendStalledFor, tcp === undefined ? 0 : sendAge(socket, tcp)),
    receiveStalledFor: stalled(receiveStalledFor, state === "LISTEN" ? waiting : (tcp?.lastReceive ?? 0)),
  };
}

function stateAge({ state, retransmits, tcp }: AgedSocket): number {
  if (state === "SYN_SENT") return retransmits * SYN_INTERVAL;
  // The peer's FIN acknowledges too, and nothing but acknowledgements can follow it.
  return state === "CLOSE_WAIT" && tcp !== undefined ? tcp.lastAck : 0;
}

function sendAge({ timer }: AgedSocket, { lastSend, lastAck, rto = 0, backoff }: TcpInfo): number {
  // The peer answers the probes of a closed window, so its last acknowledgement is new.
  if (timer === "zero-window") return lastSend;
  // A retransmission counts as sending. The waits before it were half as long, a quarter, and so on.
  if (timer === "retransmission") return Math.min(lastAck, rto - rto / 2 ** backoff);
  // After an idle time, data that was sent just now is not acknowledged yet.
  return Math.min(lastSend, lastAck);
}

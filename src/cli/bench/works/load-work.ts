/** The interface of a work: what one process does for it. `Load` calls it, and owns the time. */

import type { ConnectionError } from "../../../index.ts";
import type { Measurement } from "../measurement.ts";
import type { LastDelivery, Milliseconds, Plan } from "../plan.ts";
import type { Schedule } from "../schedule.ts";

export interface WorkSetup {
  readonly plan: Plan;
  /** The number of this process. */
  readonly index: number;
  readonly measurement: Measurement;
  /** Milliseconds since the start of the run. */
  readonly now: () => Milliseconds;
  /** The schedule of this process in the open loop. Undefined in the closed loop, and in a process that sends nothing. */
  readonly schedule: Schedule | undefined;
  /** Reports a message that all subscribers of this process have. */
  readonly delivered: (delivery: LastDelivery) => void;
}

export interface LoadWork {
  /** Opens the connections and resolves with their number. Rejects if one cannot be opened. */
  open(): Promise<number>;
  /** The run begins. In the closed loop the first messages are sent. */
  begin(): void;
  /** In the open loop: the message `number` of this process is due. */
  due(number: number, now: Milliseconds): void;
  /** No further messages are sent, those that are due excepted. */
  end(): void;
  /** Messages that were broadcast by this process. */
  readonly published: number;
  /** What is still under way, when all processes together have broadcast `published` messages. */
  awaited(published: number): number;
  /** Adds what the connections have counted to the measurement. Ends further counting. */
  settle(published: number): void;
  /** Ends the connections. */
  close(): void;
}

/** Why a connection has ended, in words that are the same for all connections with the same cause. */
export function endReason(error: ConnectionError | unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "closeCode" in error && "by" in error && error.by === "peer"
    ? `the server closed the connection with ${String(error.closeCode)}`
    : error.message;
}

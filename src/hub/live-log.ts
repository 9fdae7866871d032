/** The entries of one topic as they arrive, in the memory of a hub: what `KeptLog` and `LooseLog` have in common. */

import type { Clock, Instant } from "../base/time.ts";
import type { Broker } from "../broker/broker.ts";
import type { KeptEntry } from "./entry.ts";
import type { HistoryBudget } from "./history-budget.ts";
import type { HoleCounts } from "./holes.ts";
import type { Gap, Position } from "./position.ts";
import type { Ring } from "./ring.ts";

/** The topic, as its log uses it. */
export interface LogOwner {
  /** An entry continues the entries before it. */
  appended(entry: KeptEntry): void;
  /** The members continue at `gap.to`. */
  gapFound(gap: Gap): void;
  /** The entries are the same ones as before, and now belong to another epoch. */
  renewed(): void;
  /** The log was suspect, and is verified. `entries`: how many of them were missing. */
  healed(entries: number): void;
  /** The log is suspect from now on. */
  suspected(cause: unknown): void;
  /** An entry cannot be read, and was skipped. */
  unreadable(error: unknown, offset: number | undefined): void;
  /** A read of the log begins. */
  reading(): void;
  /** A read has failed, and will be repeated. */
  readFailed(error: unknown): void;
  /** The log had another history than before, and has a new epoch. */
  forked(): void;
}

/** What all logs of a hub have in common. */
export interface LogSetup {
  readonly broker: Broker;
  readonly clock: Clock;
  /** For each read, in milliseconds. */
  readonly readTimeout: number;
  /** How long nothing has happened in a log before it is verified, in milliseconds. */
  readonly probeInterval: number;
  readonly random: () => number;
  readonly counts: HoleCounts;
  /** What the histories of all topics hold together. */
  readonly budget: HistoryBudget;
}

/** The entries of one topic, up to now. */
export interface LiveLog {
  readonly epoch: string;
  readonly offset: number;
  readonly position: Position;
  /** The latest entries. */
  readonly ring: Ring;
  /** The entry at `offset`. Undefined if this hub has never had it. */
  readonly last: KeptEntry | undefined;
  /** The last entry that was removed from the ring. */
  readonly removed: KeptEntry | undefined;
  /** True if the ring has everything that the log has, as far as the limits allow. */
  readonly filled: boolean;
  /** True if the entries up to `offset` are verified, and live entries are passed on. */
  readonly live: boolean;
  readonly closed: boolean;
  /** Resolves when the log is live or closed. */
  verified(): Promise<void>;
  /** Resolves when `filled` is true, or the log is closed. */
  fill(): Promise<void>;
  /**
   * Resolves when the log was verified after `since`, or is closed. A position can be ahead of this hub: another one has received more.
   */
  verifiedAfter(since: Instant): Promise<void>;
  /** Removes entries from the ring that are too old: otherwise they stay until the next one arrives. */
  trim(): void;
  /** Verifies a log in which nothing happens. */
  probe(): void;
  close(): void;
}

/** The offset of the last entry that could be read: nobody has seen an unreadable one. */
export function readableOffset({ offset, last }: Pick<LiveLog, "offset" | "last">): number {
  return last?.problem === undefined ? offset : last.previous;
}

/** The position behind the last entry that could be read. */
export function positionOf(log: Pick<LiveLog, "epoch" | "offset" | "last" | "ring" | "removed">): Position {
  return positionAt(log, readableOffset(log));
}

/** The position with this offset. Its check is 0, which means that it is not known, if the entry is not there any more. */
export function positionAt(log: Pick<LiveLog, "epoch" | "last" | "ring" | "removed">, offset: number): Position {
  const { epoch, last, ring, removed } = log;
  const entry = last?.offset === offset ? last : removed?.offset === offset ? removed : ring.at(offset);
  return { epoch, offset, check: entry?.check ?? 0 };
}

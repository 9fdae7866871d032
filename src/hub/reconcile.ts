/** Compares what a hub knows of a topic with what the log of the broker has. */

import type { BrokerEntry, Slice } from "../broker/broker.ts";
import { type KeptEntry, sameBytes } from "./entry.ts";
import type { GapReason } from "./position.ts";
import type { Ring } from "./ring.ts";

/** What a hub knows of the history of a topic. */
export interface Known {
  readonly epoch: string;
  readonly offset: number;
  /** The entry at `offset`. Undefined if the hub has never had it. */
  readonly last: KeptEntry | undefined;
  readonly ring: Ring;
}

/**
 * The result of a comparison. `same`: the log continues what is known. `trimmed`: it also does, but without the entries up to `to`.
 * `renewed`: as `same`, under another epoch. `unlike`: the log is another one: its whole history must be compared, and if the epoch
 * is the same, it must be renewed before.
 */
export type LogVerdict =
  | { readonly kind: "same" | "renewed" | "unlike" }
  | { readonly kind: "trimmed"; readonly to: number; readonly count: number | undefined };

/**
 * Judges a slice of the entries from `known.offset` on. `trimmed`: entries that have followed the known one may have been removed.
 */
export function compareLog(known: Known, slice: Slice, contiguous: boolean, trimmed: boolean): LogVerdict {
  const { offset, last } = known;
  const [first] = slice.entries;
  const own = first?.offset === offset ? first : undefined;
  const same = own !== undefined && last !== undefined && sameBytes(own.message, last.bytes);
  if (slice.epoch !== known.epoch) return { kind: offset > 0 && same ? "renewed" : "unlike" };
  if (slice.top < offset) return { kind: "unlike" };
  if (own !== undefined) return { kind: same || last === undefined ? "same" : "unlike" };
  // The log does not have the entry at `offset` any more. If nothing has followed it, nothing is missing.
  if (slice.top === offset) return { kind: "same" };
  const to = Math.max(slice.first, offset + 1) - 1;
  const adjacent = contiguous ? to === offset : offset === 0 && !trimmed;
  // Without the own entry, it cannot be verified that the entries behind it belong to the same history.
  if (adjacent && last === undefined) return { kind: "same" };
  return { kind: "trimmed", to, count: contiguous ? to - offset : undefined };
}

/** Where members continue in a log that is another one than before, and why they have a gap. */
export function restartIn(known: Known, whole: Slice): { readonly after: number; readonly reason: GapReason } {
  const reason = whole.epoch === known.epoch ? "fork" : "epoch";
  const common = lastCommon(known, whole.entries);
  if (common !== undefined) return { after: common, reason: "fork" };
  // There was no entry before, so all of these are new.
  if (known.offset === 0) return { after: whole.first - 1, reason };
  const first = known.ring.first?.offset;
  // The entries before its first one may be old ones, which a log that was rolled back has again: members could get them twice.
  if (first === undefined) return { after: whole.top, reason };
  return { after: Math.min(Math.max(whole.first, first) - 1, whole.top), reason };
}

/** The highest offset at which both have the same entry. */
function lastCommon({ ring, last }: Known, entries: readonly BrokerEntry[]): number | undefined {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const { offset, message } = entries[index] as BrokerEntry;
    const own = last?.offset === offset ? last : ring.at(offset);
    if (own !== undefined && sameBytes(own.bytes, message)) return offset;
  }
  return undefined;
}

/** Reads the history of a topic for the application. */

import { instant } from "../base/time.ts";
import type { Broker, ReadRequest, Slice } from "../broker/broker.ts";
import { type KeptEntry, keptEntry, topicEntry } from "./entry.ts";
import { readableOffset } from "./live-log.ts";
import type { LiveTopic } from "./live-topic.ts";
import type { SettledTopic } from "./options.ts";
import type { Gap, GapReason, Position } from "./position.ts";
import type { HistoryOptions, HistoryResult } from "./topic.ts";

const DEFAULT_LIMIT = 100;

export async function readHistory(
  broker: Broker,
  topic: string,
  { history }: SettledTopic,
  live: LiveTopic | undefined,
  { after, limit = DEFAULT_LIMIT, reverse = false, timeout, signal }: HistoryOptions & { readonly timeout: number },
): Promise<HistoryResult> {
  const wanted = Number.isFinite(limit) ? limit : Number.MAX_SAFE_INTEGER - 1;
  if (history === undefined || !broker.honours.log) return ofMemory(topic, live, after, wanted, reverse);
  const common = { history, timeout, signal, bytes: history.bytes };
  const read = (request: Pick<ReadRequest, "after" | "before" | "messages">): Promise<Slice> =>
    broker.read(topic, { ...common, ...request, reverse });
  if (after === undefined) return resultOf(topic, await read({ messages: wanted }), after, undefined, wanted);
  // With the entry at the position, to compare it.
  const bounds = reverse ? { before: after.offset + 1 } : { after: Math.max(after.offset - 1, 0) };
  const slice = await read({ ...bounds, messages: wanted + 1 });
  const reason = problemOf(slice, after, reverse);
  if (reason === undefined) return resultOf(topic, without(slice, after.offset), after, undefined, wanted);
  if (reason === "trimmed") return resultOf(topic, slice, after, reason, wanted);
  return resultOf(topic, await read({ messages: wanted }), after, reason, wanted);
}

function problemOf(
  { epoch, top, first, entries }: Slice,
  after: Position,
  reverse: boolean,
): Exclude<GapReason, "lost"> | undefined {
  if (epoch !== after.epoch) return "epoch";
  if (after.offset > top) return "fork";
  const own = entries.find(({ offset }) => offset === after.offset);
  if (own === undefined) {
    const missing =
      !reverse &&
      after.offset < top &&
      (after.offset > 0 || first > 1) &&
      !(after.check === 0 && first === after.offset + 1);
    return missing ? "trimmed" : undefined;
  }
  const kept = keptEntry({ offset: own.offset, previous: 0, bytes: own.message, at: instant(0) });
  return after.check === 0 || kept.check === after.check ? undefined : "fork";
}

function without(slice: Slice, offset: number): Slice {
  return { ...slice, entries: slice.entries.filter((entry) => entry.offset !== offset) };
}

function resultOf(
  topic: string,
  { epoch, top, entries: found }: Slice,
  after: Position | undefined,
  reason: GapReason | undefined,
  limit: number,
): HistoryResult {
  const kept = found
    .slice(0, limit)
    .map(({ offset, previous, message }) =>
      keptEntry({ offset, previous: previous ?? offset - 1, bytes: message, at: instant(0) }),
    );
  return assembled(topic, epoch, top, kept, after, reason);
}

function assembled(
  topic: string,
  epoch: string,
  top: number,
  kept: readonly KeptEntry[],
  after: Position | undefined,
  reason: GapReason | undefined,
): HistoryResult {
  const entries = kept.filter(({ problem }) => problem === undefined).map((entry) => topicEntry(topic, epoch, entry));
  const [first] = kept;
  const begin: Position = { epoch, offset: first?.previous ?? top, check: 0 };
  const gap: Gap | undefined =
    reason === undefined || after === undefined
      ? undefined
      : {
          type: "gap",
          topic,
          reason,
          from: after,
          to: begin,
          count: reason === "trimmed" ? begin.offset - after.offset : undefined,
        };
  const position = entries.at(-1)?.position ??
    (gap === undefined ? after : undefined) ?? { epoch, offset: top, check: 0 };
  return { entries, position, gap };
}

/** The history that this hub remembers, of a topic that no broker keeps. */
function ofMemory(
  topic: string,
  live: LiveTopic | undefined,
  after: Position | undefined,
  limit: number,
  reverse: boolean,
): HistoryResult {
  if (live === undefined) return { entries: [], position: { epoch: "", offset: 0, check: 0 }, gap: undefined };
  const { log } = live;
  log.trim();
  const known = after === undefined || after.epoch === log.epoch ? after : undefined;
  const all = [...log.ring];
  if (reverse) all.reverse();
  const kept = all.filter(
    ({ offset }) => known === undefined || (reverse ? offset < known.offset : offset > known.offset),
  );
  const trimmed = !reverse && known !== undefined && known.offset < (log.ring.first?.previous ?? log.offset);
  const reason = after !== undefined && known === undefined ? "epoch" : trimmed ? "trimmed" : undefined;
  return assembled(topic, log.epoch, readableOffset(log), kept.slice(0, limit), after, reason);
}

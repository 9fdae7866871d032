/** Decides where a member or a follower of a topic begins. */

import { type LiveLog, positionAt } from "./live-log.ts";
import type { Gap, GapReason, Position } from "./position.ts";

/** Where to begin. */
export interface Start {
  /** The first message is the one behind this offset. */
  readonly position: Position;
  /** True if nothing is missing behind the position that was asked for. */
  readonly resumed: boolean;
  readonly gap: Gap | undefined;
}

/** What was asked for. */
export interface Wish {
  readonly after: Position | undefined;
  readonly last: number | undefined;
  /** True if the state at the position is loaded after a gap: then nothing before it is needed. */
  readonly state: boolean;
}

/** Returns undefined if the older entries of the log must be read first. `log` must be live. */
export function startOf(topic: string, log: LiveLog, wish: Wish, contiguous: boolean): Start | undefined {
  const { after, last } = wish;
  log.trim();
  if (after === undefined) {
    const offset = offsetBefore(log, last ?? 0);
    return offset === undefined ? undefined : { position: positionAt(log, offset), resumed: false, gap: undefined };
  }
  const found = find(log, after);
  if (found === "fill") return undefined;
  if (found === "there") return { position: after, resumed: true, gap: undefined };
  let offset: number | undefined;
  if (wish.state) offset = log.position.offset;
  else if (found === "trimmed") offset = log.ring.first?.previous ?? log.position.offset;
  else offset = offsetBefore(log, last ?? 0);
  if (offset === undefined) return undefined;
  const position = positionAt(log, offset);
  const count = found === "trimmed" && contiguous ? offset - after.offset : undefined;
  return { position, resumed: false, gap: { type: "gap", topic, reason: found, from: after, to: position, count } };
}

/** The offset before the last `count` entries. */
function offsetBefore(log: LiveLog, count: number): number | undefined {
  if (count === 0) return log.position.offset;
  if (log.ring.size < count && !log.filled) return undefined;
  return log.ring.fromEnd(count)?.previous ?? log.position.offset;
}

function find(log: LiveLog, { epoch, offset, check }: Position): "there" | "fill" | Exclude<GapReason, "lost"> {
  if (epoch !== log.epoch) return "epoch";
  if (offset > log.offset) return "fork";
  const { first } = log.ring;
  const entry =
    log.last?.offset === offset
      ? log.last
      : (log.ring.at(offset) ?? (log.removed?.offset === offset ? log.removed : undefined));
  // A check of 0 is that of a position behind a gap: there is no message that could be compared.
  if (entry !== undefined) return check === 0 || entry.check === check ? "there" : "fork";
  // The entry was removed because of its age before this hub came, and nothing has followed it.
  if (offset === log.offset) return "there";
  if (first !== undefined && first.previous === offset && (offset === 0 || check === 0)) return "there";
  if (!log.filled) return "fill";
  return first !== undefined && offset >= first.offset ? "fork" : "trimmed";
}

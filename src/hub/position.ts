/** Positions in a topic, and gaps between them. */

import { isObject, kindOf } from "../base/forms.ts";
import { judgeNumber, judgeOptions, judgeString, type NumberRange } from "../base/judge.ts";

/**
 * A place in the history of a topic: behind the message with this offset. Plain data, so it can be stored, or sent to a client and
 * back.
 */
export interface Position {
  /** Names one history of the topic. It changes if the history was lost, or is another one than before. */
  readonly epoch: string;
  /** The offset of the last message; 0 before the first one. */
  readonly offset: number;
  /**
   * The check of the last message: FNV-1a of 32 bits over its bytes, a text as UTF-8. 0 if the offset is 0. It shows that the
   * message at this offset is still the same one.
   */
  readonly check: number;
}

/**
 * Why messages are missing. `trimmed`: the history does not reach back to the position. `epoch`: the history was lost, as after
 * a restart of the broker without its data, or the position is of another history. `fork`: the broker has another history than
 * before, as after a failover to a replica that was behind. `lost`: the broker has no log, and messages were lost on their way.
 */
export type GapReason = "trimmed" | "epoch" | "fork" | "lost";

/** Messages that a member, a follower or a reader of the history does not get. */
export interface Gap {
  readonly type: "gap";
  readonly topic: string;
  readonly reason: GapReason;
  /** The position before the gap: of the last message that was received. */
  readonly from: Position;
  /** The position after the gap: the next message is the one after it. */
  readonly to: Position;
  /** The number of messages that are missing, if it is known exactly. 0: perhaps none, but that cannot be verified. */
  readonly count: number | undefined;
}

const OFFSET: NumberRange = { least: 0, most: Number.MAX_SAFE_INTEGER, whole: true };
const CHECK: NumberRange = { least: 0, most: 2 ** 32 - 1, whole: true };

/** Throws TypeError or RangeError if `value` is no position. */
export function judgePosition(name: string, value: unknown): asserts value is Position {
  if (!isObject(value)) throw new TypeError(`Cannot use ${name}: expected a position, got ${kindOf(value)}`);
  judgeOptions(value, name);
  judgeString(`${name}.epoch`, value["epoch"]);
  judgeNumber(`${name}.offset`, value["offset"], OFFSET);
  judgeNumber(`${name}.check`, value["check"], CHECK);
}

/** What a reader has missed that is at `offset` when all readers have `gap`. `untold`: a gap that it has not been told yet. */
export function gapBehind(gap: Gap, untold: Gap | undefined, offset: number, contiguous: boolean): Gap {
  if (untold === undefined && offset === gap.from.offset) return gap;
  const from = untold?.from ?? { epoch: gap.from.epoch, offset, check: 0 };
  // A loss of the history explains more than a trimmed one.
  const reason = untold === undefined || untold.reason === "trimmed" ? gap.reason : untold.reason;
  const count = reason === "trimmed" && contiguous ? gap.to.offset - from.offset : undefined;
  return { ...gap, reason, from, count };
}

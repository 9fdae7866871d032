/** Which numbers of the newest minute need the attention of an operator, in sentences. */

import type { UpdateMessage } from "../feed.ts";
import { written } from "./format.ts";
import type { FeedHistory } from "./history.ts";

/** A sentence, and the view that explains it. */
export interface Attention {
  readonly text: string;
  readonly bad: boolean;
  readonly view: string;
}

const MINUTE = 60;
/** A CLOSE_WAIT that is younger may be an end that is in progress. */
const OLD_END = 5_000;
const LATE_LOOP = 100;
const NEAR = 0.8;
const FULL = 0.95;

/** The most urgent first. */
export function attentions(history: FeedHistory, update: UpdateMessage): Attention[] {
  const found: Attention[] = [];
  const say = (text: string, view: string, bad = false): void => void found.push({ text, bad, view });
  const lately = (name: Parameters<FeedHistory["column"]>[0]): number =>
    history
      .column(name)
      .slice(-MINUTE)
      .reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const peerEnded = history.now("peerEnded") ?? 0;
  const oldest = history.now("peerEndedAge") ?? 0;
  if (peerEnded > 0 && oldest > OLD_END)
    say(
      `${many(peerEnded, "connection")} whose peer has ended, not closed by this side: the oldest for ${written(oldest, "ms")}`,
      "#/connections?sort=peerEnded",
      true,
    );
  const held = history.now("memoryHeld") ?? 0;
  if (update.memoryLimit !== null && held > NEAR * update.memoryLimit)
    say(
      `Memory for messages: ${written(held, "bytes")} of ${written(update.memoryLimit, "bytes")}`,
      "#/connections?sort=queuedBytes",
      true,
    );
  for (const { url, connections, limit } of update.servers) {
    if (limit !== null && connections >= NEAR * limit)
      say(
        `${url || "A server"}: ${written(connections, "count")} of at most ${many(limit, "connection")}`,
        "#/system",
        connections >= FULL * limit,
      );
  }
  const late = Math.max(
    0,
    ...history
      .column("loopMax")
      .slice(-MINUTE)
      .map((value) => value ?? 0),
  );
  if (late > LATE_LOOP)
    say(`The event loop was blocked for ${written(late, "ms")} in the last minute`, "#/overview", late > 1_000);
  const overflow = lately("overflow");
  if (overflow > 0)
    say(
      `${many(overflow, "message")} without room in a send queue in the last minute`,
      "#/connections?sort=queuedBytes",
      true,
    );
  const slow = history.now("slow") ?? 0;
  if (slow > 0)
    say(`${many(slow, "slow connection")}: more queued than highWaterMark`, "#/connections?sort=queuedBytes");
  const paused = history.now("paused") ?? 0;
  if (paused > 0)
    say(
      `${many(paused, "connection")} not read: the application does not take the messages`,
      "#/connections?sort=paused",
    );
  const refused = lately("refused");
  if (refused > 0) say(`${many(refused, "opening")} refused in the last minute`, "#/ended");
  const errors = lately("errors");
  if (errors > 0) say(`${many(errors, "error")} reported to onError in the last minute`, "#/ended", true);
  return found;
}

function many(count: number, noun: string): string {
  // Counts of a second are rates, so their sum is nearly a whole number.
  const whole = Math.max(1, Math.round(count));
  return `${written(whole, "count")} ${noun}${whole === 1 ? "" : "s"}`;
}

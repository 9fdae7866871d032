/** What a hub promises to code that follows a topic, judged at the end, when all faults are over. */

import assert from "node:assert/strict";
import type { Gap, TopicEntry } from "../../src/index.ts";

export interface Ended {
  /** The entries of the log, each as its offset and its message. */
  readonly log: readonly string[];
  /** The message that was published last. */
  readonly newest: string;
  /** The messages that were confirmed, if nothing can be missing. Undefined if the server has forgotten or trimmed some. */
  readonly confirmed: ReadonlySet<string> | undefined;
}

/** Judges all that one follower got. */
export function judgeFollowed(all: readonly (TopicEntry | Gap)[], { log, newest, confirmed }: Ended): void {
  const told = JSON.stringify(all.slice(-5));
  let last: TopicEntry | undefined;
  let sinceGap: string[] = [];
  let gaps = 0;
  for (const one of all) {
    if (one.type === "gap") {
      last = undefined;
      sinceGap = [];
      gaps += 1;
      continue;
    }
    // The epoch may be a new one: another hub has seen a fork behind what this one has.
    if (last !== undefined) assert.equal(one.previous, last.offset, told);
    last = one;
    sinceGap.push(`${one.offset} ${one.message}`);
  }
  const most = Math.min(sinceGap.length, log.length);
  assert.deepEqual(
    sinceGap.slice(sinceGap.length - most),
    log.slice(log.length - most),
    "behind its last gap, a hub has the end of the log",
  );
  assert.ok(
    sinceGap.some((text) => text.endsWith(` ${newest}`)),
    `${newest} is missing: ${told}`,
  );
  if (confirmed === undefined) return;
  assert.equal(gaps, 0, "nothing was forgotten, and there is a gap");
  const texts = all.map((one) => (one.type === "entry" ? String(one.message) : ""));
  assert.equal(new Set(texts).size, texts.length, "a message with an id is delivered once");
  assert.deepEqual(
    [...confirmed].filter((text) => !texts.includes(text)),
    [],
    "a confirmed message is delivered",
  );
}

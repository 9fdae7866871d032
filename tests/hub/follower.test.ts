/** Tests of what a loop over a topic gets when something happens while it does not ask. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Follower } from "../../src/hub/follower.ts";
import type { LiveLog } from "../../src/hub/live-log.ts";
import type { Gap } from "../../src/index.ts";

const position = (epoch: string, offset: number) => ({ epoch, offset, check: 0 });

describe("a follower of a topic that does not ask for the next entry", () => {
  const log = { epoch: "second" } as LiveLog;
  const behind = (): Follower => {
    const start = { position: position("first", 3), resumed: true, gap: undefined };
    return new Follower("room", log, start, true, () => undefined);
  };
  const gap: Gap = {
    ...{ type: "gap", topic: "room", reason: "trimmed", count: 2 },
    ...{ from: position("first", 5), to: position("first", 7) },
  };

  it("gets one gap, whose count has also what it had not read", () => {
    const follower = behind();
    follower.gapFound(gap);
    assert.deepEqual(follower.next(), { ...gap, from: position("first", 3), count: 4 });
  });

  it("gets a gap that ends in the new epoch, if the log was renewed meanwhile", () => {
    const follower = behind();
    follower.gapFound(gap);
    follower.renewed();
    assert.deepEqual((follower.next() as Gap).to, position("second", 7));
  });
});

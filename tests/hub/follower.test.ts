/** Tests of what a loop over a topic gets when something happens while it does not ask. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Follower } from "../../src/hub/follower.ts";
import type { LiveLog } from "../../src/hub/live-log.ts";
import { type FollowOptions, type Gap, Hub, type Topic, type TopicEntry } from "../../src/index.ts";
import { settled } from "../../src/testing/index.ts";

const position = (epoch: string, offset: number) => ({ epoch, offset, check: 0 });

describe("a follower of a topic that does not ask for the next entry", () => {
  const log = { epoch: "second" } as LiveLog;
  const behind = (): Follower => {
    const start = { position: position("first", 3), resumed: true, gap: undefined };
    return new Follower("room", log, start, true, () => undefined, undefined);
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

/** What `next` yields, as text. */
async function textOf(loop: AsyncGenerator<TopicEntry | Gap, void, undefined>): Promise<string> {
  const { value } = await loop.next();
  if (value === undefined) return "the end";
  return value.type === "gap" ? `gap ${value.reason} ${value.count}` : String(value.message);
}

describe("a loop over a topic without history", () => {
  /** A loop that waits for its first message. */
  async function begun(
    hub: Hub,
    options: FollowOptions = {},
  ): Promise<{ topic: Topic; loop: AsyncGenerator<TopicEntry | Gap, void, undefined>; first: Promise<string> }> {
    const topic = hub.topic("room", { history: false });
    const loop = topic.follow(options);
    const first = textOf(loop);
    await settled();
    return { topic, loop, first };
  }

  it("gets the messages that arrive while it runs, also those that came while it did not ask", async () => {
    await using hub = new Hub();
    const { topic, loop, first } = await begun(hub);
    for (const text of ["a", "b", "c"]) await topic.publish(text);
    assert.deepEqual([await first, await textOf(loop), await textOf(loop)], ["a", "b", "c"]);
    const next = textOf(loop);
    await topic.publish("d");
    assert.equal(await next, "d");
  });

  it("gets a message that is published in the turn in which it begins", async () => {
    await using hub = new Hub();
    const topic = hub.topic("room", { history: false });
    const loop = topic.follow();
    const first = textOf(loop);
    for (let count = 0; count < 20; count += 1) {
      void topic.publish(`${count}`);
      await Promise.resolve();
    }
    const texts = [await first];
    while (texts.at(-1) !== "19") texts.push(await textOf(loop));
    const began = Number(texts[0]);
    assert.deepEqual(
      texts,
      Array.from({ length: 20 - began }, (_, index) => `${began + index}`),
    );
  });

  it("has a gap with the exact count if more than 1,000 messages wait for it, and then those", async () => {
    await using hub = new Hub();
    const { topic, loop, first } = await begun(hub);
    await topic.publish("a");
    assert.equal(await first, "a");
    for (let count = 1; count <= 1_005; count += 1) await topic.publish(`${count}`);
    const texts: string[] = [];
    for (let count = 0; count <= 1_000; count += 1) texts.push(await textOf(loop));
    assert.deepEqual([texts[0], texts[1], texts.at(-1)], ["gap trimmed 5", "6", "1005"]);
    assert.equal(hub.stats.gaps.trimmed, 1);
  });

  it("has a gap if more than 1 MiB waits for it, and gets a single message that is larger", async () => {
    await using hub = new Hub();
    const { topic, loop, first } = await begun(hub);
    const large = "x".repeat(2 ** 21);
    await topic.publish(large);
    assert.equal((await first).length, large.length);
    const half = "y".repeat(2 ** 19);
    for (const text of ["a", half, half, "b"]) await topic.publish(text);
    assert.deepEqual([await textOf(loop), await textOf(loop), await textOf(loop)], ["gap trimmed 2", half, "b"]);
  });

  it("has one gap for a position that cannot be continued, and then the messages", async () => {
    await using hub = new Hub();
    const { topic, loop, first } = await begun(hub, { after: position("another", 7) });
    await topic.publish("a");
    assert.deepEqual([await first, await textOf(loop)], ["gap epoch undefined", "a"]);
    // Of the same hub, with messages that are gone.
    const [one, two] = [topic.follow(), topic.follow()];
    const entries = [one.next(), two.next()];
    await settled();
    await topic.publish("b");
    const [entry] = (await Promise.all(entries)).map(({ value }) => value as TopicEntry);
    await topic.publish("c");
    const late = topic.follow({ after: (entry as TopicEntry).position });
    const resumed = topic.follow({ after: ((await one.next()).value as TopicEntry).position });
    const [told, next] = [textOf(late), textOf(resumed)];
    await settled();
    await topic.publish("d");
    assert.deepEqual([await told, await textOf(late), await next], ["gap trimmed 1", "d", "d"]);
  });

  it("has nothing of the others' memory, and gives back its own as it reads and when it ends", async () => {
    await using hub = new Hub();
    const { topic, loop, first } = await begun(hub);
    const other = topic.follow();
    const heard = textOf(other);
    await settled();
    for (const text of ["a", "b", "c"]) await topic.publish(text);
    assert.deepEqual([await first, await heard], ["a", "a"]);
    const { historyBytes } = hub.stats;
    assert.deepEqual([await textOf(loop), await textOf(loop)], ["b", "c"]);
    assert.equal(hub.stats.historyBytes, historyBytes / 2);
    assert.deepEqual((await topic.history()).entries, []);
    await other.return();
    assert.equal(hub.stats.historyBytes, 0);
  });

  it("has a gap if the limit of the hub for all histories leaves no room for what waits", async () => {
    await using hub = new Hub({ maxHistoryBytes: 2 * (256 + 15) });
    const { topic, loop, first } = await begun(hub);
    for (const text of ["a", "b", "c", "d"]) await topic.publish(text);
    assert.deepEqual([await first, await textOf(loop), await textOf(loop)], ["a", "gap trimmed 1", "c"]);
  });
});

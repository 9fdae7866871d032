/** Tests of the limit for what all topics of a hub have in memory: what leaves first, and who reads it again. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MEMORY_HONOURS } from "../../src/broker/memory.ts";
import {
  type Gap,
  Hub,
  memoryBroker,
  metrics,
  type Topic,
  type TopicEntry,
  type TopicMember,
} from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";

/** What a message of one character takes: the header of the hub has 14 bytes. */
const EACH = 256 + 15;
/** A hub with room for `messages`, and a broker whose reads are counted. */
function hubFor(messages: number, honours: object = {}): { readonly hub: Hub; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const broker = Object.assign(memoryBroker({ clock }), { honours: { ...MEMORY_HONOURS, ...honours } });
  const encoder = { message: ({ message }: TopicEntry) => message, gap: ({ reason }: Gap) => `(${reason})` };
  return { hub: new Hub({ broker, clock, encoder, maxHistoryBytes: messages * EACH }), clock };
}

/** A member whose client reads when the test says so. */
class Heard implements TopicMember {
  readonly signal: AbortSignal = new AbortController().signal;
  readonly closed: Promise<never> = new Promise(() => undefined);
  readonly #room: number;
  #queued = 0;
  #drained: () => void = () => undefined;
  texts = "";

  constructor(room: number) {
    this.#room = room;
  }

  trySend(message: unknown): "sent" | "refused" {
    if (this.#queued === this.#room) return "refused";
    this.#queued += 1;
    this.texts += typeof message === "string" ? message : (message as { message: string }).message;
    return "sent";
  }

  drain(): Promise<void> {
    if (this.#queued === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  read(): void {
    this.#queued = 0;
    this.#drained();
  }

  async close(): Promise<never> {
    return undefined as never;
  }
}

async function publish(topic: Topic, texts: string): Promise<void> {
  for (const text of texts) await topic.publish(text);
}

describe("the memory for the messages of all topics", () => {
  it("is bounded: those of the topic that had none for the longest time leave first", async () => {
    const { hub, clock } = hubFor(6);
    const topics = ["one", "two"].map((name) => hub.topic(name));
    const [one, two] = topics as [Topic, Topic];
    const members = [new Heard(100), new Heard(100)];
    for (const [index, topic] of topics.entries()) await topic.join(members[index] as Heard);
    await publish(one, "abcd");
    await publish(two, "efgh");
    await clock.advance(0);
    assert.equal(hub.stats.historyBytes, 6 * EACH);
    const before = hub.stats.reads;
    const late = [new Heard(100), new Heard(100)] as const;
    await two.join(late[0], { last: 4 });
    assert.equal(hub.stats.reads, before, "the topic that was used last is in memory");
    await one.join(late[1], { last: 4 });
    assert.equal(hub.stats.reads, before + 1, "the other one is read from the broker");
    assert.deepEqual([late[0].texts, late[1].texts], ["efgh", "abcd"]);
    assert.ok(hub.stats.historyBytes <= 6 * EACH);
    assert.equal(metrics(process).snapshot().value("holdfast_topic_history_bytes", {}), hub.stats.historyBytes);
    await hub.close();
    assert.equal(hub.stats.historyBytes, 0);
  });

  it("is no loss for a member that is behind: it gets the messages from the broker", async () => {
    const { hub, clock } = hubFor(3);
    const room = hub.topic("room");
    const slow = new Heard(2);
    await room.join(slow);
    await publish(room, "abcdefghij");
    for (let turn = 0; turn < 20; turn += 1) {
      slow.read();
      await clock.advance(10);
    }
    assert.equal(slow.texts, "abcdefghij");
    assert.deepEqual(hub.stats.gaps, { trimmed: 0, epoch: 0, fork: 0, lost: 0 });
    assert.ok(hub.stats.historyBytes <= 3 * EACH);
    await hub.close();
  });

  it("is a gap for a member that is behind, if there is no log to read from", async () => {
    const { hub, clock } = hubFor(3, { log: false });
    const room = hub.topic("room");
    const slow = new Heard(2);
    await room.join(slow);
    await publish(room, "abcdefghij");
    for (let turn = 0; turn < 20; turn += 1) {
      slow.read();
      await clock.advance(10);
    }
    assert.equal(slow.texts, "ab(trimmed)hij");
    await hub.close();
  });

  it("has a limit that is judged", () => {
    for (const maxHistoryBytes of [0, -1, 1.5, Number.NaN])
      assert.throws(() => new Hub({ maxHistoryBytes }), RangeError);
    assert.throws(() => new Hub({ maxHistoryBytes: "1" as never }), TypeError);
  });
});

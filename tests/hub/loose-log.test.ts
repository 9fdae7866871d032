/** Tests of topics without a log: what is lost on the way is noticed and told, and nothing that was not lost is told. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type Broker,
  type BrokerListener,
  type Gap,
  Hub,
  type HubEvent,
  memoryBroker,
  type TopicEntry,
  type TopicMember,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { runs } from "../kit/random.ts";

/** A broker without a log, that loses what the test says. */
class Radio implements Broker {
  readonly honours: Broker["honours"] = {
    log: false,
    contiguous: false,
    survives: "nothing",
    once: false,
    fence: false,
  };
  readonly listeners: Set<BrokerListener> = new Set();
  lose = false;

  async publish(_: string, message: Uint8Array): Promise<{ epoch: string; offset: number; duplicate: boolean }> {
    if (!this.lose)
      for (const listener of this.listeners) listener.entry({ epoch: "", offset: 0, previous: undefined, message });
    return { epoch: "", offset: 0, duplicate: false };
  }

  subscribe(_: string, listener: BrokerListener): ReturnType<Broker["subscribe"]> {
    this.listeners.add(listener);
    return { ready: Promise.resolve(), close: () => void this.listeners.delete(listener) };
  }

  read(): Promise<never> {
    return Promise.reject(new Error("there is no log"));
  }

  renew(): Promise<never> {
    return Promise.reject(new Error("there is no log"));
  }

  async close(): Promise<void> {
    this.listeners.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A member that keeps what it gets. */
function member(): { readonly member: TopicMember; readonly heard: string[] } {
  const heard: string[] = [];
  const trySend = (message: unknown): "sent" => {
    heard.push(typeof message === "string" ? message : (message as { message: string }).message);
    return "sent";
  };
  const close = async (): Promise<never> => undefined as never;
  const signal = new AbortController().signal;
  return {
    member: { trySend, close, signal, closed: new Promise(() => undefined), drain: async () => undefined },
    heard,
  };
}

const encoder = {
  message: ({ message }: TopicEntry) => message,
  gap: ({ reason, count }: Gap) => `${reason} ${count}`,
};

describe("a topic without a log", () => {
  it("tells how many messages of a publisher were lost, before the next one", async () => {
    const radio = new Radio();
    const [hub, other] = [new Hub({ broker: radio, encoder }), new Hub({ broker: radio, encoder })];
    const { member: ann, heard } = member();
    const room = hub.topic("room");
    await room.join(ann);
    for (const text of ["a", "b", "c", "d"]) {
      radio.lose = text === "b" || text === "c";
      await other.topic("room").publish(text);
    }
    await room.publish("own");
    assert.deepEqual(heard, ["a", "lost 2", "d", "own"]);
    assert.deepEqual(hub.stats.gaps, { trimmed: 0, epoch: 0, fork: 0, lost: 1 });
  });

  it("tells a gap of unknown length after an interruption", async () => {
    const radio = new Radio();
    const hub = new Hub({ broker: radio, encoder });
    const { member: ann, heard } = member();
    const room = hub.topic("room");
    const { position } = await room.join(ann);
    await room.publish("a");
    for (const listener of radio.listeners) listener.interrupted(new Error("cut"));
    radio.lose = true;
    await room.publish("b");
    radio.lose = false;
    for (const listener of radio.listeners) listener.restored();
    await room.publish("c");
    assert.deepEqual(heard, ["a", "lost undefined", "c"]);
    const { member: ben, heard: late } = member();
    const resumed = await room.join(ben, { after: position });
    assert.deepEqual([resumed.gap?.reason, late], ["trimmed", ["trimmed 2", "c"]]);
    const elsewhere = await new Hub({ broker: radio, encoder })
      .topic("room")
      .join(member().member, { after: position });
    assert.equal(elsewhere.gap?.reason, "epoch");
  });

  it("gets a run of each publisher's messages, or a gap that says how many are missing", async () => {
    const act = fc.record({ from: fc.nat(2), lose: fc.constantFrom(false, false, true) });
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
        const radio = new Radio();
        const hub = new Hub({ broker: radio, encoder });
        const publishers = [1, 2, 3].map(() => new Hub({ broker: radio }).topic("room"));
        const { member: ann, heard } = member();
        await hub.topic("room").join(ann);
        const told: string[] = [];
        const [seen, missed] = [new Set<number>(), [0, 0, 0]];
        for (const [index, { from, lose }] of acts.entries()) {
          radio.lose = lose;
          await publishers[from]?.publish(`${index}`);
          // The first message that is heard of a publisher shows nothing about earlier ones.
          if (lose && seen.has(from)) missed[from] = (missed[from] as number) + 1;
          if (lose) continue;
          if ((missed[from] as number) > 0) told.push(`lost ${missed[from]}`);
          missed[from] = 0;
          seen.add(from);
          told.push(`${index}`);
        }
        assert.deepEqual(heard, told);
      }),
      runs(60),
    );
  });
});

describe("an entry that is none", () => {
  it("is skipped with an error that names topic and offset, and the others arrive", async () => {
    const broker = memoryBroker();
    const [errors, events]: [Error[], HubEvent[]] = [[], []];
    const clock = new ManualClock();
    await using hub = new Hub({
      broker,
      clock,
      encoder,
      onError: (error) => void errors.push(error as Error),
      observe: (event) => void events.push(event),
    });
    const room = hub.topic("room");
    const { member: ann, heard } = member();
    await room.join(ann);
    const history = { messages: 1_000, bytes: 1_000_000, age: 100_000 };
    const put = (bytes: Uint8Array): Promise<unknown> =>
      broker.publish("room", bytes, { history, id: undefined, fence: undefined, timeout: 1_000, signal: undefined });
    await room.publish("a");
    await put(new Uint8Array());
    await put(Buffer.from("not of a hub"));
    await put(Uint8Array.of(9, ...new Uint8Array(20)));
    const [{ position } = { position: undefined }] = (await room.history()).entries;
    // A key that is longer than the rest.
    await put(Uint8Array.of(1, 3, ...new Uint8Array(12), 200, 1));
    await room.publish("b");
    await settled();
    assert.deepEqual(heard, ["a", "b"]);
    assert.deepEqual(
      errors.map(({ message }) => message),
      [
        'Cannot read entry 2 of topic "room": it is not a message of a hub',
        'Cannot read entry 3 of topic "room": it has version 110, and this hub reads up to 1',
        'Cannot read entry 4 of topic "room": it has version 9, and this hub reads up to 1',
        'Cannot read entry 5 of topic "room": it is truncated',
      ],
    );
    assert.deepEqual([hub.stats.unreadable, events.length], [4, 4]);
    // A position before them is continued behind them, also by a hub that reads them from the log.
    const { member: ben, heard: late } = member();
    const resumed = await room.join(ben, { after: position as NonNullable<typeof position> });
    assert.deepEqual([resumed.resumed, late], [true, ["b"]]);
    assert.deepEqual(
      (await room.history()).entries.map(({ message }) => message),
      ["a", "b"],
    );
  });
});

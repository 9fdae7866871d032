/** Tests of the envelope: what it costs, what a client knows from it, and bytes that are none. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkOf, checkOfText } from "../../src/engine/check.ts";
import { aliasOf, MAX_ALIASES } from "../../src/hub/envelope-form.ts";
import {
  type EnvelopeEvent,
  EnvelopeReader,
  envelope,
  Hub,
  type Message,
  memoryBroker,
  type TopicEntry,
} from "../../src/index.ts";
import { pair, settled } from "../../src/testing/index.ts";
import { runs } from "../kit/random.ts";

const ORIGIN = { epoch: "e", offset: 0, check: 0 };

function entry(topic: string, message: Message, offset: number): TopicEntry {
  return { type: "entry", topic, message, key: undefined, offset, previous: offset - 1, position: ORIGIN };
}

/** A client of a hub with the envelope, and what it has read. */
function reading(): {
  readonly reader: EnvelopeReader;
  readonly events: EnvelopeEvent[];
  readonly server: ReturnType<typeof pair>["server"];
} {
  const reader = new EnvelopeReader();
  const events: EnvelopeEvent[] = [];
  const { server } = pair({ client: { message: (_, data) => void events.push(reader.receive(data as Message)) } });
  return { reader, events, server };
}

describe("the envelope", () => {
  it("takes two bytes a message, so 68 bytes of a WebSocket for 64 bytes", () => {
    const message = envelope().message(entry("t", "x".repeat(64), 1), 0);
    // A frame of a server has a header of two bytes up to a payload of 125 bytes.
    assert.equal(Buffer.byteLength(message as string) + 2, 68);
    assert.equal((envelope().message(entry("t", new Uint8Array(64), 1), 0) as Uint8Array).length, 66);
  });

  it("names topics by one character each, which is no control record and no direct message", () => {
    const aliases = Array.from({ length: 5_000 }, (_, index) => aliasOf(index));
    assert.equal(new Set(aliases).size, 5_000);
    assert.ok(aliases.every((alias) => [...alias].length === 1 && alias !== "0" && alias !== "{"));
    assert.deepEqual(
      [0, 73, 74, 1_993, 1_994].map((index) => Buffer.byteLength(aliasOf(index))),
      [1, 1, 2, 2, 3],
    );
    assert.equal(aliasOf(MAX_ALIASES - 1), "\u{10FFFF}");
  });

  it("is read by a client: messages, positions, and what it has missed", async () => {
    await using hub = new Hub({ broker: memoryBroker(), encoder: envelope() });
    const room = hub.topic("room", { history: { messages: 3 } });
    const ann = reading();
    await room.join(ann.server);
    await room.publish("ä");
    await room.publish(new Uint8Array([7]));
    await settled();
    const types = ann.events.map((event) => event.type);
    assert.deepEqual(types, ["joined", "message", "message"]);
    const position = ann.reader.position("room");
    assert.deepEqual(position, await room.position());
    room.leave(ann.server);
    await settled();
    for (const text of ["c", "d", "e", "f", "g"]) await room.publish(text);
    const back = reading();
    const kept = ann.reader;
    kept.connected();
    const { server } = pair({ client: { message: (_, data) => void back.events.push(kept.receive(data as Message)) } });
    const joined = await room.join(server, { after: kept.position("room") });
    await settled();
    assert.deepEqual(back.events[0], { type: "joined", topic: "room", position: joined.position, gap: joined.gap });
    assert.equal(joined.gap?.count, 2);
    assert.deepEqual(
      back.events.slice(1).map((event) => (event.type === "message" ? event.message : event)),
      ["e", "f", "g"],
    );
    assert.deepEqual(kept.positions, { room: await room.position() });
  });

  it("tells an author that its own message was not for it", async () => {
    await using hub = new Hub({ encoder: envelope() });
    const room = hub.topic("room");
    const [ann, ben] = [reading(), reading()];
    await room.join(ann.server);
    await room.join(ben.server);
    await room.publish("a", { except: ann.server });
    await room.publish("b");
    room.leave(ann.server);
    await settled();
    assert.deepEqual(
      ann.events.map(({ type }) => type),
      ["joined", "skipped", "message", "left"],
    );
    assert.deepEqual(
      ben.events.map(({ type }) => type),
      ["joined", "message", "message"],
    );
    assert.deepEqual(ann.reader.positions, ben.reader.positions);
  });

  it("carries direct messages beside those of topics", () => {
    const made = envelope();
    const reader = new EnvelopeReader();
    assert.deepEqual(reader.receive(made.direct('{"join":1}') as string), { type: "direct", message: '{"join":1}' });
    assert.deepEqual(reader.receive(made.direct(new Uint8Array([1])) as Message), {
      type: "direct",
      message: new Uint8Array([1]),
    });
  });

  it("carries any step between offsets, in texts and in bytes, with any number of topics", () => {
    const step = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 ** 40 }));
    const sent = fc.record({
      step,
      topic: fc.nat(90),
      data: fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array()),
    });
    fc.assert(
      fc.property(fc.array(sent, { maxLength: 30 }), (messages) => {
        const made = envelope();
        const reader = new EnvelopeReader();
        const tops = new Map<string, number>();
        for (let index = 0; index <= 90; index += 1)
          reader.receive(made.joined?.(`${index}`, ORIGIN, undefined) as string);
        for (const { step: by, topic, data } of messages) {
          const before = tops.get(`${topic}`) ?? 0;
          const offset = before + by;
          tops.set(`${topic}`, offset);
          const event = reader.receive(made.message(entry(`${topic}`, data, offset), before) as Message);
          assert.deepEqual(event, { type: "message", topic: `${topic}`, message: data, offset });
          const check = typeof data === "string" ? checkOfText(data) : checkOf(data);
          assert.deepEqual(reader.position(`${topic}`), { epoch: "e", offset, check });
        }
      }),
      runs(15),
    );
  });

  it("refuses what does not follow, and any other bytes", () => {
    const made = envelope();
    const reader = new EnvelopeReader();
    reader.receive(made.joined?.("t", ORIGIN, undefined) as string);
    assert.throws(() => reader.receive(made.message(entry("t", "x", 3), 2) as string), /does not follow offset 0/);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array()), (bytes) => {
        try {
          new EnvelopeReader().receive(bytes);
        } catch (error) {
          assert.ok(error instanceof RangeError, `${error}`);
        }
      }),
    );
  });

  it("has the check of the bytes of a text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => checkOfText(text) === checkOf(Buffer.from(text))));
    assert.equal(checkOfText("a"), 0xe40c292c);
  });
});

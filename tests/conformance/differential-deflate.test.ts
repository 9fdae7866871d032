/** The same compressed streams for our receiver and that of `ws`: the same messages, or the same code, except for the differences listed here. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { type Puffed, puff } from "../fuzz/puff.ts";
import { cutAt, KEY } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";
import { binary, encode, type Frame, fragments, frame, pieces, ping, pong, text } from "./frame.ts";
import { begins, MOST, type Ours, type Outcome, ours, type Role, theirs } from "./receivers.ts";

const RSV1 = 4;

interface Difference {
  readonly clause: string;
  readonly why: string;
  readonly allows: (ours: Ours, theirs: Outcome) => boolean;
  readonly example: readonly Frame[];
}

const hello = deflateRawSync("hello hello");
const flushed = (data: string | Uint8Array, level = 6): Buffer =>
  deflateRawSync(data, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const packedText = (payload: Uint8Array): Frame => text(payload, { rsv: RSV1 });

const onlyControls = (events: readonly string[]): boolean => events.every((event) => !/^(text|binary)/.test(event));

const DIFFERENCES: readonly Difference[] = [
  {
    clause: "RFC 7692 7.2.2",
    why: "compressed data that ends inside a block is refused; ws takes what there is, and stumbles later",
    allows: (ours, theirs) => {
      const last = ours.packed.at(-1);
      return (
        ours.violation?.clause === "RFC 7692 7.2.2" &&
        last !== undefined &&
        read(last.bytes).why === "invalid" &&
        begins(theirs.events, ours.events)
      );
    },
    example: [text("first"), packedText(flushed("hello there").subarray(0, 5)), text("next")],
  },
  {
    clause: "RFC 7692 7.2.3.6",
    why: "a compressed message without any octet is an empty one; ws takes it for one, and stumbles over the next",
    allows: (ours, theirs) => {
      const empty = ours.packed.find(({ bytes }) => bytes.length === 0);
      return empty !== undefined && begins(theirs.events, ours.events.slice(0, empty.before + 1));
    },
    example: [packedText(new Uint8Array()), packedText(flushed("next"))],
  },
  {
    clause: "RFC 7692 7.2.3.4",
    why: "a block that is marked as the last may be followed by others, and by messages that refer to it; to ws it is the end",
    allows: (ours, theirs) => {
      const first = ours.packed.find(({ bytes }) => read(bytes).lastBlocks > 0);
      return first !== undefined && begins(theirs.events, ours.events.slice(0, first.before));
    },
    example: [packedText(Buffer.concat([hello, flushed(" again")])), text("next")],
  },
  {
    clause: "RFC 7692 6",
    why: "a message is decompressed when it is whole; ws does it fragment by fragment, and finds a fault before what comes between",
    allows: (ours, theirs) =>
      (theirs.code === 1007 || theirs.code === 1009) &&
      begins(ours.events, theirs.events) &&
      onlyControls(ours.events.slice(theirs.events.length)) &&
      (ours.code !== undefined || ours.partial > 0 || /^close/.test(ours.events.at(-1) ?? "")),
    example: [text(Buffer.of(7, 7, 7), { rsv: RSV1, fin: false }), ping("between"), frame(0, "")],
  },
  {
    clause: "RFC 7692 7.2.1",
    why: "a compressed message may be a little larger than what it stands for; ws holds it to the same limit",
    allows: (ours, theirs) => {
      const large = ours.packed.find(({ bytes }) => bytes.length > MOST);
      return theirs.code === 1009 && large?.before === theirs.events.length && begins(ours.events, theirs.events);
    },
    example: [binary(flushed(Buffer.alloc(MOST, "ab"), 0), { rsv: RSV1 })],
  },
];

/** The result of a third decoder for a compressed message. It accepts references to any place in the window. */
const read = (packed: Uint8Array): Puffed => puff(packed, new Uint8Array(32_768), 70_000);

/** The difference between the two outcomes; undefined if there is none. */
function difference(ours: Ours, theirs: Outcome): Difference | undefined {
  const { events, code } = ours;
  if (code === theirs.code && events.length === theirs.events.length && begins(theirs.events, events)) return undefined;
  const known = DIFFERENCES.find(({ allows }) => allows(ours, theirs));
  if (known === undefined) assert.deepEqual({ events, code }, { ...theirs });
  return known;
}

/** The messages of one side, and how they are compressed. */
interface Said {
  readonly data: Buffer;
  readonly packed: "alone" | "together" | "not";
  readonly level: number;
  /** Bytes of each fragment. */
  readonly size: number;
  readonly between: readonly Frame[];
  /** The data may be cut, changed, or ended early by a final block. */
  readonly flaw: "none" | "cut" | "wrong" | "last" | "bit";
}

/** The frames of these messages. Messages that are compressed together refer to one another. */
function framesOf(said: readonly Said[]): Frame[] {
  let before: Buffer = Buffer.alloc(0);
  return said.flatMap(({ data, packed, level, size, between, flaw }) => {
    const isText = data.every((byte) => byte < 0x80);
    const make = isText ? text : binary;
    let payload = data;
    if (packed !== "not") {
      const dictionary = packed === "together" && before.length > 0 ? { dictionary: before } : {};
      const finishFlush = flaw === "last" ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
      const whole = deflateRawSync(data, { level, finishFlush, ...dictionary });
      payload = flaw === "last" ? Buffer.concat([whole, Buffer.of(0)]) : whole.subarray(0, -4);
      if (flaw === "cut") payload = payload.subarray(0, payload.length >> 1);
      if (flaw === "wrong" && payload.length > 0) payload[payload.length >> 1]! ^= 0x55;
      before = Buffer.concat([before, data]).subarray(-32_768);
    }
    const [first, ...rest] = fragments((part, changes) => make(part, changes), ...pieces(payload, size));
    const rsv = packed === "not" ? 0 : RSV1;
    const later = flaw === "bit" ? rest.map((one) => ({ ...one, rsv: RSV1 })) : rest;
    return [{ ...(first as Frame), rsv }, ...(later.length > 0 ? between : []), ...later];
  });
}

const rarely = <T>(often: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(often) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const said: fc.Arbitrary<Said> = fc.record({
  data: fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .array(fc.constantFrom("one", "two ", "three", "4"), { maxLength: 30 })
        .map((words) => Buffer.from(words.join(""))),
    },
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.integer({ min: 290, max: 310 }).map((size) => Buffer.alloc(size, "abc")) },
  ),
  packed: fc.constantFrom("alone", "together", "together", "not"),
  level: fc.constantFrom(0, 1, 6, 9),
  size: fc.integer({ min: 1, max: 150 }),
  between: fc.array(fc.constantFrom(ping("a"), pong("b"), ping()), { maxLength: 2 }),
  flaw: rarely("none", "cut", "wrong", "last", "bit"),
});

/** Bytes as a peer of `role` receives them. */
const onWire = (role: Role, frames: readonly Frame[]): Buffer =>
  Buffer.concat(frames.map((given) => encode(given, role === "server" ? KEY : undefined)));

const RUNS = 700;

for (const role of ["server", "client"] as const) {
  describe(`with compression a ${role} and the receiver of ws`, { timeout: 60_000 }, () => {
    it("tell the same of the same bytes, wherever they are cut", async () => {
      let same = 0;
      const places = fc.array(fc.nat(), { maxLength: 6 });
      const property = fc.asyncProperty(
        fc.array(said, { minLength: 1, maxLength: 6 }),
        places,
        async (said, places) => {
          const chunks = cutAt(onWire(role, framesOf(said)), places);
          if (difference(ours(role, chunks, true), await theirs(role, chunks, true)) === undefined) same += 1;
        },
      );
      const budget = runs(RUNS);
      await fc.assert(property, budget);
      // A listed difference must not be the one under test.
      assert.ok(same > budget.numRuns / 2, `only ${same} of ${budget.numRuns} were compared to their end`);
    });

    for (const listed of DIFFERENCES) {
      const { clause, why, example } = listed;
      it(`differ by ${clause}: ${why}`, async () => {
        const chunks = [onWire(role, example)];
        assert.equal(difference(ours(role, chunks, true), await theirs(role, chunks, true)), listed);
      });
    }
  });
}

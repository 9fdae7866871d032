/** The same bytes to the decoder and to the receiver of `ws`: the same messages, or the same code, but for what is listed here. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../random.js";
import { binary, close, continuation, encode, type Frame, fragments, frame, pieces, ping, text } from "./frame.js";
import { begins, type Ours, type Outcome, ours, type Role, theirs } from "./receivers.js";

const RUNS = 4_000;
const KEY = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

/** Where the two may differ, why, and the least that shows it. */
interface Difference {
  readonly clause: string;
  readonly why: string;
  readonly allows: (ours: Ours, theirs: Outcome) => boolean;
  readonly example: readonly Frame[];
  /** How many bytes of the example are sent; all if left out. */
  readonly sent?: number;
}

const DIFFERENCES: readonly Difference[] = [
  {
    clause: "RFC 6455 5.2",
    why: "a length that is not written in the fewest bytes is refused; ws takes it",
    allows: (ours, theirs) =>
      ours.code === 1002 && /fewest bytes/.test(ours.violation?.problem ?? "") && begins(theirs.events, ours.events),
    example: [text("first"), text("second", { form: 2 }), text("third")],
  },
  {
    clause: "RFC 6455 5.2",
    why: "a length with its highest bit set breaks the protocol (1002); to ws it is a message that is too big (1009)",
    allows: (ours, theirs) =>
      ours.code === 1002 &&
      theirs.code === 1009 &&
      /most significant bit/.test(ours.violation?.problem ?? "") &&
      begins(theirs.events, ours.events),
    example: [text("first"), binary("", { announced: 2n ** 63n, form: 8 })],
  },
  {
    clause: "RFC 6455 8.1",
    why: "a text that is not UTF-8 is refused at its first wrong octet; ws looks at it when it has ended",
    allows: (ours, theirs) =>
      ours.code === 1007 &&
      ours.violation?.clause === "RFC 6455 8.1" &&
      begins(theirs.events, ours.events) &&
      !theirs.events.slice(ours.events.length).some((event) => /^(text|binary)/.test(event)),
    example: [text("first"), text(Buffer.of(0xff), { fin: false }), ping(), continuation("")],
  },
  {
    clause: "RFC 6455 5.2",
    why: "a header is judged when its length has come, a Close when it is whole; ws judges two bytes by themselves",
    allows: (ours, theirs) =>
      ours.code === undefined &&
      ours.partial > 0 &&
      theirs.code === 1002 &&
      theirs.events.length === ours.events.length &&
      begins(theirs.events, ours.events),
    example: [frame(3, "*".repeat(126))],
    sent: 3,
  },
];

/** The difference between the two outcomes; undefined if there is none. */
function difference(ours: Ours, theirs: Outcome): Difference | undefined {
  const { events, code } = ours;
  if (code === theirs.code && events.length === theirs.events.length && begins(theirs.events, events)) return undefined;
  const known = DIFFERENCES.find(({ allows }) => allows(ours, theirs));
  if (known === undefined) assert.deepEqual({ events, code }, { ...theirs });
  return known;
}

/** Bytes as a peer of `role` receives them. */
const onWire = (role: Role, frames: readonly Frame[]): Buffer =>
  Buffer.concat(
    frames.map((given) => encode(given, (role === "server") !== (given.maskedWrongly ?? false) ? KEY : undefined)),
  );

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
}

const WRONG_UTF8 = ["80", "c0af", "eda080", "f4908080", "fe", "c3", "e282", "f09080"].map((octets) =>
  Buffer.from(octets, "hex"),
);
const payload = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: "binary", maxLength: 20 }).map((value) => Buffer.from(value)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value)) },
  { weight: 2, arbitrary: fc.integer({ min: 120, max: 310 }).map((size) => Buffer.alloc(size, "a")) },
  { weight: 1, arbitrary: fc.constantFrom(...WRONG_UTF8) },
);
const rarely = <T>(often: T, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 60, arbitrary: fc.constant(often) }, { weight: 1, arbitrary });

const control = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constantFrom(9, 10), payload).map(([opcode, body]) => frame(opcode, body.subarray(0, 126))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(1000, 1005, 1014, 3000)), payload)
      .map(([code, body]) => close(code, body.subarray(0, 123))),
  },
  { weight: 1, arbitrary: payload.map((body) => frame(8, body.subarray(0, 3))) },
);
const message = fc
  .tuple(fc.constantFrom(text, binary), payload, fc.integer({ min: 1, max: 200 }), fc.array(control, { maxLength: 2 }))
  .map(([make, body, size, between]) => {
    const [start, ...rest] = fragments((part, changes) => make(part, changes), ...pieces(body, size));
    return [start as Frame, ...(rest.length > 0 ? between : []), ...rest];
  });
const anything = fc
  .record({
    opcode: fc.integer({ min: 0, max: 15 }),
    payload,
    fin: fc.boolean(),
    rsv: fc.constantFrom(0, 0, 0, 1, 2, 4),
    maskedWrongly: fc.constantFrom(false, false, false, true),
  })
  .map((one): Frame[] => [one]);
const LENGTHS = [0n, 1n, 125n, 126n, 300n, 301n, 65_535n, 65_536n, 2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 63n];
/** Frames that are nearly right. */
const stream = fc.array(
  fc
    .tuple(
      fc.oneof(
        { weight: 12, arbitrary: message },
        { weight: 4, arbitrary: control.map((one) => [one]) },
        { weight: 1, arbitrary: anything },
      ),
      rarely<2 | 8 | undefined>(undefined, fc.constantFrom(2 as const, 8 as const)),
      rarely<bigint | undefined>(undefined, fc.constantFrom(...LENGTHS)),
    )
    .map(([frames, form, announced]) => frames.map((one, index) => (index > 0 ? one : spoilt(one, form, announced)))),
  { minLength: 1, maxLength: 8 },
);

function spoilt(one: Frame, form: 2 | 8 | undefined, announced: bigint | undefined): Frame {
  const length = announced ?? BigInt(one.payload.length);
  return {
    ...one,
    ...(announced !== undefined && { announced }),
    // What does not fit into two bytes takes its own form.
    ...(form !== undefined && (form === 8 || length < 65_536n) && { form }),
  };
}

const flips = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
  },
);
const places = fc.array(fc.nat(), { maxLength: 12 });

for (const role of ["server", "client"] as const) {
  describe(`the decoder of a ${role} and the receiver of ws`, { timeout: 240_000 }, () => {
    it("tell the same of the same bytes, wherever they are cut", async () => {
      let same = 0;
      const property = fc.asyncProperty(stream, flips, places, fc.nat(), async (frames, flipped, cuts, end) => {
        const bytes = onWire(role, frames.flat());
        for (const [place, bits] of flipped) bytes[place % bytes.length]! ^= bits;
        // One in four ends before its time.
        const chunks = cut(end % 4 === 0 ? bytes.subarray(0, end % (bytes.length + 1)) : bytes, cuts);
        if (difference(ours(role, chunks), await theirs(role, chunks)) === undefined) same += 1;
      });
      const budget = runs(RUNS);
      await fc.assert(property, budget);
      // What is listed as a difference must not be what is tested.
      assert.ok(same > budget.numRuns / 2, `only ${same} of ${budget.numRuns} were compared to their end`);
    });

    for (const listed of DIFFERENCES) {
      const { clause, why, example, sent } = listed;
      it(`differ by ${clause}: ${why}`, async () => {
        const chunks = [onWire(role, example).subarray(0, sent)];
        assert.equal(difference(ours(role, chunks), await theirs(role, chunks)), listed);
      });
    }
  });
}

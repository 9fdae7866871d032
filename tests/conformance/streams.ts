/** Byte streams that are almost valid, for comparisons of our decoder with others, and the allowed differences. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { cutAt, KEY } from "../kit/frames.ts";
import { binary, close, encode, type Frame, fragments, frame, pieces, text } from "./frame.ts";
import { begins, type Ours, type Outcome, type Role } from "./receivers.ts";

/** Bytes as a peer of `role` receives them. */
export const onWire = (role: Role, frames: readonly Frame[]): Buffer =>
  Buffer.concat(
    frames.map((given) => encode(given, (role === "server") !== (given.maskedWrongly ?? false) ? KEY : undefined)),
  );

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
/** Frames that are almost valid. */
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
    // A length that does not fit into two bytes takes its own form.
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

/** The bytes that `role` receives, in chunks. */
export const arriving = (role: Role): fc.Arbitrary<readonly Buffer[]> =>
  fc.tuple(stream, flips, places, fc.nat()).map(([frames, flipped, cuts, end]) => {
    const bytes = onWire(role, frames.flat());
    for (const [place, bits] of flipped) bytes[place % bytes.length]! ^= bits;
    // One in four is truncated.
    return cutAt(end % 4 === 0 ? bytes.subarray(0, end % (bytes.length + 1)) : bytes, cuts);
  });

/** An allowed difference to another decoder, its reason, and the shortest example. */
export interface Difference {
  readonly clause: string;
  readonly why: string;
  readonly allows: (ours: Ours, theirs: Outcome) => boolean;
  readonly example: readonly Frame[];
  /** How many bytes of the example are sent, or, if negative, are left out at its end. By default all are sent. */
  readonly sent?: number;
}

/** The difference in `known` that explains the two outcomes; undefined if they are the same. */
export function difference(known: readonly Difference[], ours: Ours, theirs: Outcome): Difference | undefined {
  const { events, code } = ours;
  if (code === theirs.code && events.length === theirs.events.length && begins(theirs.events, events)) return undefined;
  const found = known.find(({ allows }) => allows(ours, theirs));
  if (found === undefined) assert.deepEqual({ events, code }, { events: theirs.events, code: theirs.code });
  return found;
}

/** Section 1: messages of every length form. */

import { binary, text } from "../frame.ts";
import { type Cut, echo, type Row } from "../row.ts";

const SIZES: readonly (readonly [size: number, cut?: Cut])[] = [
  [0],
  [125],
  [126],
  [127],
  [128],
  [65_535],
  [65_536],
  [65_536, 997],
];

const rows = (group: string, kind: string, message: (size: number) => Parameters<typeof echo>[2]): Row[] =>
  SIZES.map(([size, cut], index) => {
    const what = `${kind} of ${size} bytes${cut === undefined ? "" : `, in writes of ${cut}`}`;
    return echo(`${group}.${index + 1}`, what, message(size), cut);
  });

export const FRAMING: readonly Row[] = [
  ...rows("1.1", "a text", (size) => text("*".repeat(size))),
  ...rows("1.2", "a binary message", (size) => binary(Buffer.alloc(size, 0xfe))),
];

/** Sections 9 and 10: large messages, small fragments, small writes, many round trips. */

import { binary, continuation, type Frame, text } from "../frame.ts";
import { hear, type Step, say, sayIn, split } from "../row.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** The limit that these cases need. All other options are the defaults. */
export const LARGEST: number = 16 * MIB;

/** The cases that run by default: the first and the last of each group. */
const SOME: readonly string[] = [
  ...["9.1.1", "9.1.6", "9.2.1", "9.2.6"],
  ...["9.3.1", "9.3.5", "9.3.9", "9.4.1", "9.4.5", "9.4.9"],
  ...["9.5.1", "9.5.6", "9.5.11", "9.6.1", "9.6.6", "9.6.11"],
  ...["9.7.1", "9.7.6", "9.8.1", "9.8.6", "10.1.1"],
];

type Kind = readonly [name: string, message: (size: number) => Frame];
const TEXT: Kind = ["a text", (size) => text("BAsd7&jh23".repeat(Math.ceil(size / 10)).slice(0, size))];
const BINARY: Kind = ["a binary message", (size) => binary(Buffer.alloc(size, "00fffe7f80010203", "hex"))];

const SIZES = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTS = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
const WRITES = [64, 128, 256, 512, KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB];
const TRIPS = [0, 16, 64, 256, KIB, 4 * KIB];

/** A row whose frames are made when it is played, because all of them together do not fit into memory. */
export interface LargeRow {
  readonly id: string;
  readonly what: string;
  readonly steps: () => readonly Step[];
}

const rows = (
  group: string,
  sizes: readonly number[],
  what: (size: number) => string,
  steps: (size: number) => readonly Step[],
): LargeRow[] =>
  sizes.map((size, index) => ({ id: `${group}.${index + 1}`, what: what(size), steps: () => steps(size) }));

const whole = (group: string, [name, message]: Kind): LargeRow[] =>
  rows(
    group,
    SIZES,
    (size) => `${name} of ${size} bytes`,
    (size) => [say(message(size)), hear(message(size))],
  );

const inFragments = (message: Frame, size: number): readonly Step[] => {
  const frames = split(message, size);
  const last = frames.at(-1) as Frame;
  // As in the testsuite, the last fragment is empty if the size divides the message.
  if (last.payload.length === size) frames.splice(-1, 1, { ...last, fin: false }, continuation(""));
  return [{ do: "say", frames, cut: "whole" }, hear(message)];
};

const fragmented = (group: string, [name, message]: Kind): LargeRow[] =>
  rows(
    group,
    FRAGMENTS,
    (size) => `${name} of 4 MiB in fragments of ${size} bytes`,
    (size) => inFragments(message(4 * MIB), size),
  );

const chopped = (group: string, [name, message]: Kind): LargeRow[] =>
  rows(
    group,
    WRITES,
    (size) => `${name} of 1 MiB in writes of ${size} bytes`,
    (size) => [sayIn(size, message(MIB)), hear(message(MIB))],
  );

const trips = (group: string, [name, message]: Kind): LargeRow[] =>
  rows(
    group,
    TRIPS,
    (size) => `${name} of ${size} bytes, back and forth 1,000 times`,
    (size) =>
      Array<Step[]>(1_000)
        .fill([say(message(size)), hear(message(size))])
        .flat(),
  );

const ALL: readonly LargeRow[] = [
  ...whole("9.1", TEXT),
  ...whole("9.2", BINARY),
  ...fragmented("9.3", TEXT),
  ...fragmented("9.4", BINARY),
  ...chopped("9.5", TEXT),
  ...chopped("9.6", BINARY),
  ...trips("9.7", TEXT),
  ...trips("9.8", BINARY),
  ...rows(
    "10.1",
    [1_300],
    (size) => `a text of 64 KiB in fragments of ${size} bytes`,
    (size) => inFragments(TEXT[1](64 * KIB), size),
  ),
];

/** The cases, or some of them. */
export function sizes(everything: boolean): readonly LargeRow[] {
  return everything ? ALL : ALL.filter(({ id }) => SOME.includes(id));
}

/** Section 6: valid and invalid UTF-8, and the byte at which it becomes invalid. */

import { type Frame, fragments, pieces, text } from "../frame.ts";
import { echo, failed, hear, hearNothing, type Row, row, say, sayOctets, sayPart } from "../row.ts";

const hex = (octets: string): Buffer => Buffer.from(octets.replaceAll(" ", ""), "hex");
const MIXED = "Hello-µ@ßöäüàá-UTF-8!!";
const KOSME = "κόσμε";
const SURROGATE = Buffer.concat([Buffer.from(KOSME), hex("ed a0 80"), Buffer.from("edited")]);
const TOO_HIGH = hex("f4 90 80 80");
const EDITED = Buffer.concat([Buffer.from(KOSME), TOO_HIGH, Buffer.from("edited")]);
const OCTETS = { bytes: Buffer.byteLength(KOSME), bad: Buffer.byteLength(KOSME) + 1 };

const inOctets = (payload: string | Buffer): Frame[] => fragments(text, ...pieces(payload, 1));
const at = (...ends: number[]): Frame[] =>
  fragments(text, ...ends.map((end, index) => EDITED.subarray(ends[index - 1] ?? 0, end)));
const [WHOLE_1, WHOLE_2, WHOLE_3] = at(OCTETS.bytes, OCTETS.bytes + 4, EDITED.length) as [Frame, Frame, Frame];
const [OCTET_1, OCTET_2, OCTET_3] = at(OCTETS.bad, OCTETS.bad + 1, EDITED.length) as [Frame, Frame, Frame];
const ONE = text(EDITED);

const MESSAGES: readonly Row[] = [
  echo("6.1.1", "a text of 0 bytes", text()),
  row("6.1.2", "a text of three empty fragments", [say(...fragments(text, "", "", "")), hear(text())]),
  row("6.1.3", "a text between two empty fragments", [say(...fragments(text, "", "middle", "")), hear(text("middle"))]),
  echo("6.2.1", "a text with characters of two bytes", text(MIXED)),
  row("6.2.2", "a text cut between two characters", [
    say(...fragments(text, MIXED.slice(0, 12), MIXED.slice(12))),
    hear(text(MIXED)),
  ]),
  row("6.2.3", "a text in fragments of one octet", [say(...inOctets(MIXED)), hear(text(MIXED))]),
  row("6.2.4", "a Greek text in fragments of one octet", [say(...inOctets(KOSME)), hear(text(KOSME))]),
  row("6.3.1", "a surrogate among characters", [say(text(SURROGATE))], failed(1007)),
  row("6.3.2", "a surrogate in fragments of one octet", [say(...inOctets(SURROGATE))], failed(1007)),
  // The third fragment is never sent: the error is detected before.
  row("6.4.1", "a fragment that is wrong", [say(WHOLE_1), hearNothing, say(WHOLE_2)], failed(1007)),
  row("6.4.2", "a fragment whose first octet is wrong", [say(OCTET_1), hearNothing, say(OCTET_2)], failed(1007)),
  // The rest of the frame is not sent, either.
  row(
    "6.4.3",
    "octets that are wrong in a frame that is still arriving",
    still(OCTETS.bytes, OCTETS.bytes + 4),
    failed(1007),
  ),
  row(
    "6.4.4",
    "an octet that is wrong in a frame that is still arriving",
    still(OCTETS.bad, OCTETS.bad + 1),
    failed(1007),
  ),
  row("6.4.5", "6.4.1 with what would have followed", [say(WHOLE_1, WHOLE_2, WHOLE_3)], failed(1007)),
  row("6.4.6", "6.4.2 with what would have followed", [say(OCTET_1, OCTET_2, OCTET_3)], failed(1007)),
];

function still(good: number, bad: number): Row["steps"] {
  return [sayPart(ONE, 0, good), hearNothing, sayPart(ONE, good, bad)];
}

/** A text, and the index of the first byte after which no valid text can follow: its length if only its end is invalid. */
type Sequence = readonly [octets: string, wrongAt?: number];

const CONTINUATIONS = Array.from({ length: 64 }, (_, index) => (0x80 + index).toString(16)).join(" ");
const lonely = (from: number, to: number): Sequence => {
  const octets = Array.from({ length: to - from + 1 }, (_, index) => `${(from + index).toString(16)} 20`).join(" ");
  // A byte that may begin a character becomes invalid by the next one.
  return [octets, from >= 0xc2 && from <= 0xf4 ? 1 : 0];
};
const MISSING = "c0 e0 80 f0 80 80 f8 80 80 80 fc 80 80 80 80 df ef bf f7 bf bf fb bf bf bf fd bf bf bf bf";

// Markus Kuhn's stress test, its parts about bytes, in the order of the testsuite.
const SEQUENCES: Readonly<Record<string, readonly Sequence[]>> = {
  "6.5 some characters": [
    ["68 65 6c 6c 6f 24 77 6f 72 6c 64"],
    ["68 65 6c 6c 6f c2 a2 77 6f 72 6c 64"],
    ["68 65 6c 6c 6f e2 82 ac 77 6f 72 6c 64"],
    ["68 65 6c 6c 6f f0 a4 ad a2 77 6f 72 6c 64"],
    ["ce ba e1 bd b9 cf 83 ce bc ce b5"],
  ],
  "6.6 every beginning of a text": [
    ["ce", 1],
    ["ce ba"],
    ["ce ba e1", 3],
    ["ce ba e1 bd", 4],
    ["ce ba e1 bd b9"],
    ["ce ba e1 bd b9 cf", 6],
    ["ce ba e1 bd b9 cf 83"],
    ["ce ba e1 bd b9 cf 83 ce", 8],
    ["ce ba e1 bd b9 cf 83 ce bc"],
    ["ce ba e1 bd b9 cf 83 ce bc ce", 10],
    ["ce ba e1 bd b9 cf 83 ce bc ce b5"],
  ],
  "6.7 the first character of a length": [["00"], ["c2 80"], ["e0 a0 80"], ["f0 90 80 80"]],
  "6.8 the first of five and six octets": [
    ["f8 88 80 80 80", 0],
    ["fc 84 80 80 80 80", 0],
  ],
  "6.9 the last character of a length": [["7f"], ["df bf"], ["ef bf bf"], ["f4 8f bf bf"]],
  "6.10 the last of four, five and six octets": [
    ["f7 bf bf bf", 0],
    ["fb bf bf bf bf", 0],
    ["fd bf bf bf bf bf", 0],
  ],
  "6.11 other boundaries": [["ed 9f bf"], ["ee 80 80"], ["ef bf bd"], ["f4 8f bf bf"], ["f4 90 80 80", 1]],
  "6.12 continuations of nothing": [
    ["80", 0],
    ["bf", 0],
    ["80 bf", 0],
    ["80 bf 80", 0],
    ["80 bf 80 bf", 0],
    ["80 bf 80 bf 80", 0],
    ["80 bf 80 bf 80 bf", 0],
    [CONTINUATIONS, 0],
  ],
  "6.13 beginnings alone": [
    lonely(0xc0, 0xdf),
    lonely(0xe0, 0xef),
    lonely(0xf0, 0xf7),
    lonely(0xf8, 0xfb),
    lonely(0xfc, 0xfd),
  ],
  "6.14 characters that lack their last octet": [
    ["c0", 0],
    ["e0 80", 1],
    ["f0 80 80", 1],
    ["f8 80 80 80", 0],
    ["fc 80 80 80 80", 0],
    ["df", 1],
    ["ef bf", 2],
    ["f7 bf bf", 0],
    ["fb bf bf bf", 0],
    ["fd bf bf bf bf", 0],
  ],
  "6.15 all of them": [[MISSING, 0]],
  "6.16 impossible octets": [
    ["fe", 0],
    ["ff", 0],
    ["fe fe ff ff", 0],
  ],
  "6.17 a slash written too long": [
    ["c0 af", 0],
    ["e0 80 af", 1],
    ["f0 80 80 af", 1],
    ["f8 80 80 80 af", 0],
    ["fc 80 80 80 80 af", 0],
  ],
  "6.18 the highest that is too long": [
    ["c1 bf", 0],
    ["e0 9f bf", 1],
    ["f0 8f bf bf", 1],
    ["f8 87 bf bf bf", 0],
    ["fc 83 bf bf bf bf", 0],
  ],
  "6.19 NUL written too long": [
    ["c0 80", 0],
    ["e0 80 80", 1],
    ["f0 80 80 80", 1],
    ["f8 80 80 80 80", 0],
    ["fc 80 80 80 80 80", 0],
  ],
  "6.20 single surrogates": [
    ["ed a0 80", 1],
    ["ed ad bf", 1],
    ["ed ae 80", 1],
    ["ed af bf", 1],
    ["ed b0 80", 1],
    ["ed be 80", 1],
    ["ed bf bf", 1],
  ],
  "6.21 pairs of surrogates": [
    ["ed a0 80 ed b0 80", 1],
    ["ed a0 80 ed bf bf", 1],
    ["ed ad bf ed b0 80", 1],
    ["ed ad bf ed bf bf", 1],
    ["ed ae 80 ed b0 80", 1],
    ["ed ae 80 ed bf bf", 1],
    ["ed af bf ed b0 80", 1],
    ["ed af bf ed bf bf", 1],
  ],
  // U+FFFE and U+FFFF of each of the 17 planes: noncharacters, and valid UTF-8.
  "6.22 code points that are no characters": Array.from({ length: 17 }, (_, plane) =>
    [0xfffe, 0xffff].map((low) => plane * 0x10000 + low),
  )
    .flat()
    .map((point) => [Buffer.from(String.fromCodePoint(point)).toString("hex")]),
  "6.23 specials": Array.from({ length: 7 }, (_, index) => [
    Buffer.from(String.fromCodePoint(0xfff9 + index)).toString("hex"),
  ]),
  // Beyond the testsuite: a byte order mark is a character like any other.
  "6.24 a byte order mark": [["ef bb bf"], ["ef bb bf 41 ef bb bf"]],
};

const rowsOf = ([group, sequences]: [string, readonly Sequence[]]): Row[] => {
  const [number = "", ...words] = group.split(" ");
  return sequences.flatMap(([octets, wrongAt], index) => {
    const payload = hex(octets);
    const id = `${number}.${index + 1}`;
    const what = `${words.join(" ")}: ${octets.length > 50 ? `${octets.slice(0, 50)}...` : octets}`;
    if (wrongAt === undefined) {
      return [
        echo(id, what, text(payload)),
        row(id, `${what}, octet by octet`, [sayOctets(...inOctets(payload)), hear(text(payload))]),
      ];
    }
    const whole = row(id, what, [say(text(payload))], failed(1007));
    if (wrongAt === payload.length) {
      const fragment = row(id, `${what}, octet by octet`, [sayOctets(...inOctets(payload))], failed(1007));
      return [whole, fragment];
    }
    const arriving = text(payload, { announced: BigInt(payload.length + 1) });
    const steps = [sayPart(arriving, 0, wrongAt), hearNothing, sayPart(arriving, wrongAt, wrongAt + 1)];
    return [whole, row(id, `${what}, while the frame is still arriving`, steps, failed(1007))];
  });
};

export const UTF8: readonly Row[] = [...MESSAGES, ...Object.entries(SEQUENCES).flatMap(rowsOf)];

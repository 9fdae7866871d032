/** Runs every input of the corpus, and similar ones, through its target, and checks what the corpus reaches. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Decoder } from "../../src/engine/protocol.ts";
import { arrayBytes } from "../kit/memory.ts";
import { runs } from "../kit/random.ts";
import { folders, seedsOf } from "./corpus.ts";
import { TARGETS } from "./targets.ts";

const STREAM = ["streaming", "whole"];
const FRAMED = [...STREAM, "carried", "message", "unfinished", "1007 text framing"];

/** The results of the seeds of each target. A seed that no longer means what its name says would be missing here. */
const REACHED: Readonly<Record<string, readonly string[]>> = {
  frames: [
    ...["5.1", "5.2", "5.4", "5.5", "5.5.1", "7.4"].map((section) => `1002 RFC 6455 ${section}`),
    ...["1007 RFC 6455 8.1", "1009 RFC 6455 10.4", "text", "binary", "ping", "pong", "close", "close without a code"],
    ...["server", "client", ...STREAM, "packed text", "packed binary", "1002 RFC 7692 6.1"],
  ],
  negotiation: ["agreed", "declined", "judged right", "judged wrong", "malformed"],
  inflate: [
    ...["each alone", "together", "message", "piece", "1007 RFC 6455 8.1", "1007 RFC 7692 7.2.2", "1009 RFC 6455 10.4"],
    ...["invalid", "many", "long", "whole"],
  ],
  deflate: ["packed", "parts", "plain"],
  request: [
    ...["accepted", "absolute", "protocols", "extensions", "expects 100"],
    ...["400 RFC 6455 4.1", "400 RFC 6455 4.2.1", "400 RFC 6455 4.3", "400 RFC 6455 9.1", "400 RFC 9110 5.5"],
    ...["400 RFC 9110 7.6.1", "400 RFC 9110 7.8", "400 RFC 9112 3.2", "405 RFC 6455 4.2.1"],
    ...["426 RFC 6455 4.2.1", "426 RFC 6455 4.2.2", "426 RFC 9110 7.8"],
  ],
  "request-head": ["accepted", "left to others", "refused"],
  response: [
    ...["agreed", "protocol", "extensions", "refused: the server answered n"],
    ...["4.1", "9.1", "11.3.2", "11.3.4"].map((section) => `RFC 6455 ${section}`),
    ...["RFC 7692 5", "RFC 9110 5.5"],
  ],
  fields: [
    ...["tokens: list", "tokens: none", "upgrade: list", "upgrade: none", "quoted: text", "quoted: none"],
    ...["extensions: list", "extensions: none", "extensions: repeated", "lines: lines", "lines: none"],
    ...["words: token", "words: value", "words: neither", "authority: host", "authority: none"],
  ],
  lines: [...FRAMED, "1009 delimited framing", "refused"],
  "loose-lines": [
    ...FRAMED.filter((name) => name !== "unfinished"),
    ...["1009 delimited framing", "refused", "completed by the end"],
  ],
  delimiter: [...FRAMED, "1009 delimited framing", "refused"],
  "length-prefix": [...FRAMED, "1009 length-prefix framing", "refused"],
  varint: [...FRAMED, "1002 length-prefix framing", "1009 length-prefix framing"],
  fixed: [...FRAMED, "1009 fixed framing", "refused"],
  raw: [...STREAM, "one", "split"],
  custom: [...STREAM, "binary", "text", "1002", "1009"],
};

/** The bytes with a few of them changed, put in or left out. */
function changed(bytes: Uint8Array, changes: readonly (readonly [number, number, number])[]): Uint8Array {
  const list = [...bytes];
  for (const [at, byte, how] of changes) {
    const index = at % (list.length + 1);
    if (how === 0) list.splice(index, 0, byte);
    else if (how === 1) list.splice(index, 1);
    else if (how === 2) list[index] = byte;
    else list[index] = (list[index] ?? 0) ^ (1 << (byte % 8));
  }
  return Uint8Array.from(list);
}

const changes = fc.array(fc.tuple(fc.nat(0xffff), fc.nat(255), fc.nat(3)), { minLength: 1, maxLength: 6 });

it("each target has seeds, and there are none for a target that is not there", () => {
  assert.deepEqual(folders().sort(), Object.keys(TARGETS).sort());
  assert.deepEqual(Object.keys(REACHED).sort(), Object.keys(TARGETS).sort());
});

for (const [name, target] of Object.entries(TARGETS)) {
  const seeds = seedsOf(name);

  describe(`the target ${name}`, () => {
    for (const seed of seeds) {
      it(`keeps its promises for ${seed.name}`, () => {
        assert.ok(seed.bytes.length <= target.longest, "a seed is no longer than what the fuzzer tries");
        target.run(seed.bytes);
      });
    }

    it("keeps them for inputs near these", () => {
      fc.assert(
        fc.property(fc.constantFrom(...seeds), changes, fc.nat(3), ({ bytes }, changes, times) => {
          // Twice the same shows what one message leaves for the next.
          target.run(changed(Uint8Array.from(new Array(1 + (times >> 1)).fill([...bytes]).flat()), changes));
        }),
        runs(150),
      );
    });

    it("reaches every result of its target", () => {
      const reached = new Set(seeds.flatMap(({ bytes }) => target.run(bytes)));
      // Of a sentence that explains, the clause is enough.
      assert.deepEqual(
        [...new Set(Array.from(reached, (one) => one.replace(/(RFC \d+ [\d.]*\d): .*/, "$1")))].sort(),
        [...(REACHED[name] ?? [])].sort(),
      );
    });

    const { left } = target;
    if (left === undefined) return;
    it("leaves nothing in memory but the message that is under way", async () => {
      const decoders: Decoder[] = [];
      const before = await arrayBytes();
      for (const { bytes } of seeds) for (let count = 0; count < 50; count += 1) decoders.push(left(bytes));
      const kept = (await arrayBytes()) - before;
      // A store doubles as it grows, from 64 bytes on; and a control frame has 125.
      const most = decoders.reduce(
        (sum, { partial: { received } }) => sum + (received > 0 ? 2 * received + 192 : 0),
        4_096,
      );
      assert.ok(kept <= most, `${kept} bytes are kept by ${decoders.length} decoders, where ${most} may be`);
    });
  });
}

/** Framed TCP under attack: wrong lengths, endless lines, invalid text. Each framing keeps to its limits. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Framing } from "../../src/index.ts";
import { AttackedServer, MIB, SCALE } from "./attacked-server.ts";
import type { End, Service } from "./attacked-server-program.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const TCP = "tcp://127.0.0.1:0";
const MAX = 65_536;

const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part))));
const tooLarge: End = { code: 1009, by: "local", error: "LimitError", limit: "maxMessageSize" };
const notText: End = { code: 1007, by: "local", error: "ProtocolError", limit: "" };
const malformed: End = { code: 1002, by: "local", error: "ProtocolError", limit: "" };
const cutShort: End = { code: 1006, by: "peer", error: "ProtocolError", limit: "" };

/** The bytes and their framing, and how the connection ends. The sender then closes, which ends connections without a violation. */
interface Offence {
  readonly framing: Framing;
  readonly sent: Buffer;
  readonly end: End;
  /** Complete messages before the violation. */
  readonly whole?: number;
}

const big8 = (length: bigint): number[] => [...Buffer.from(length.toString(16).padStart(16, "0"), "hex")];
const little8 = (length: bigint): number[] => big8(length).reverse();

function* offences(): Generator<[string, Offence]> {
  yield ["a line that is too long", { framing: "lines", sent: bytes("x".repeat(MAX + 1)), end: tooLarge }];
  yield [
    "a line that is too long and ends",
    { framing: "lines", sent: bytes("x".repeat(MAX + 1), "\n"), end: tooLarge },
  ];
  yield ["a line that is not UTF-8", { framing: "lines", sent: bytes("good\n", [0xff], "\n"), end: notText, whole: 1 }];
  yield ["a line that ends in a character", { framing: "lines", sent: bytes([0xe2, 0x82], "\n"), end: notText }];
  yield ["a line without its end", { framing: "lines", sent: bytes("good\nhalf"), end: cutShort, whole: 1 }];
  yield ["a carriage return without its newline", { framing: "lines", sent: bytes("\r"), end: cutShort }];
  const delimiter = { delimiter: "\r\n\r\n" } as const;
  yield ["a delimiter that does not come", { framing: delimiter, sent: bytes("\r\n\r".repeat(MAX)), end: tooLarge }];
  yield ["half a delimiter", { framing: delimiter, sent: bytes("good\r\n\r\n\r\n\r"), end: cutShort, whole: 1 }];
  yield [
    "delimited bytes that are no text",
    { framing: { delimiter: "|", text: true }, sent: bytes([0xc0, 0xaf], "|"), end: notText },
  ];
  for (const endian of ["big", "little"] as const) {
    const eight = endian === "big" ? big8 : little8;
    const framing = { lengthPrefix: 8, endian } as const;
    for (const length of [
      65_537n,
      2n ** 31n,
      2n ** 32n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 53n + 1n,
      2n ** 63n,
      2n ** 64n - 1n,
    ]) {
      yield [`a length of ${length}, ${endian} end first`, { framing, sent: bytes(eight(length), "x"), end: tooLarge }];
    }
    yield [`half a length, ${endian} end first`, { framing, sent: bytes(eight(1n).slice(0, 7)), end: cutShort }];
    yield [`half a message, ${endian} end first`, { framing, sent: bytes(eight(5n), "half"), end: cutShort }];
  }
  const four = { lengthPrefix: 4, text: true } as const;
  yield ["a length of 2^32 - 1", { framing: four, sent: bytes([0xff, 0xff, 0xff, 0xff]), end: tooLarge }];
  yield ["a text that is not UTF-8", { framing: four, sent: bytes([0, 0, 0, 2, 0xed, 0xa0]), end: notText }];
  yield ["a text that is cut in a character", { framing: four, sent: bytes([0, 0, 0, 1, 0xf0]), end: notText }];
  const varint = { lengthPrefix: "varint" } as const;
  yield ["a varint without end", { framing: varint, sent: bytes(new Array<number>(100).fill(0xff)), end: malformed }];
  yield ["a varint of 65 bits", { framing: varint, sent: bytes(new Array<number>(9).fill(0x80), [2]), end: malformed }];
  yield ["a varint that is longer than it need be", { framing: varint, sent: bytes([0x81, 0x00]), end: malformed }];
  yield ["a varint of 2^64 - 1", { framing: varint, sent: bytes(new Array<number>(9).fill(0xff), [1]), end: tooLarge }];
  yield ["a varint of 2^53", { framing: varint, sent: bytes([128, 128, 128, 128, 128, 128, 128, 16]), end: tooLarge }];
  yield ["half a varint", { framing: varint, sent: bytes([0x01], "x", [0x80]), end: cutShort, whole: 1 }];
  const fixed = { fixed: 10, text: true } as const;
  yield ["a message that is cut", { framing: fixed, sent: bytes("0123456789", "01234"), end: cutShort, whole: 1 }];
  yield ["ten bytes that are no text", { framing: fixed, sent: bytes("012345678", [0x80]), end: notText }];
}

/** Unusual and valid: this many messages, and a clean end. */
const ODDITIES: Readonly<Record<string, readonly [framing: Framing, sent: Buffer, messages: number]>> = {
  "empty lines": ["lines", bytes("\n\r\n\n"), 3],
  "returns inside a line": ["lines", bytes("a\rb\r\r\n"), 1],
  "NUL in a line": ["lines", bytes("\0\0\n"), 1],
  "messages of no bytes": [{ lengthPrefix: 1 }, bytes([0, 0, 0]), 3],
  "messages of no bytes by varint": [{ lengthPrefix: "varint" }, bytes([0, 0, 0]), 3],
  "nothing between delimiters": [{ delimiter: "ab" }, bytes("ababaab"), 3],
  "nothing at all": ["lines", bytes(), 0],
};

const byFraming = new Map<string, Map<string, Offence>>();
for (const [what, offence] of offences()) {
  const key = JSON.stringify(offence.framing);
  byFraming.set(key, (byFraming.get(key) ?? new Map<string, Offence>()).set(what, offence));
}

const lay = (framing: Framing, does: Service, more: object = {}): Promise<AttackedServer> =>
  AttackedServer.start({ url: TCP, does, options: { framing, maxMessageSize: MAX, ...more } });

describe("framed TCP", LIMIT, () => {
  for (const [key, cases] of byFraming) {
    it(`with ${key} ends a violation with the right error, wherever it is cut`, async () => {
      await using attacked = await lay(JSON.parse(key) as Framing, "swallow");
      for (const [what, { sent, end, whole = 0 }] of cases) {
        for (const alone of [false, true]) {
          const before = await attacked.report();
          await using attacker = await Attacker.to(attacked.port);
          const chunks = alone && sent.length < 1_000 ? Array.from(sent, (byte) => Buffer.of(byte)) : [sent];
          for (const chunk of chunks) await attacker.flood(chunk, 1);
          attacker.socket.end();
          await attacker.until(() => attacker.ended);
          assert.equal(attacker.received, 0, "TCP has no word for what went wrong");
          const { ends, messages } = await attacked.until(
            ({ connections, handled }) => connections === 0 && handled > before.handled,
          );
          assert.deepEqual(ends.slice(before.ends.length), [end], what);
          assert.equal(messages - before.messages, whole, what);
        }
      }
    });
  }

  for (const [what, [framing, sent, count]] of Object.entries(ODDITIES)) {
    it(`accepts ${what} with ${JSON.stringify(framing)}`, async () => {
      await using attacked = await lay(framing, "swallow");
      await using attacker = await Attacker.to(attacked.port);
      await attacker.flood(sent, 1);
      attacker.socket.end();
      await attacker.until(() => attacker.ended);
      const [end] = await attacked.ended();
      assert.deepEqual(end, { code: 1000, by: "peer", error: "", limit: "" });
      assert.equal((await attacked.report()).messages, count);
    });
  }
});

/** Data without end, and how much of it may be in memory. */
const FLOODS: Readonly<Record<string, readonly [framing: Framing, unit: Buffer, held: number]>> = {
  "empty lines": ["lines", bytes("\n"), 0],
  "messages of no bytes": [{ lengthPrefix: 1 }, bytes([0]), 0],
  "messages of one byte": [{ lengthPrefix: "varint" }, bytes([1, 0x78]), 0],
  "beginnings of a delimiter": [{ delimiter: "aaaaaaab" }, bytes("a"), 2 * MAX],
  "a line without end": ["lines", bytes("x"), 2 * MAX],
  "returns without a newline": ["lines", bytes("\r"), 2 * MAX],
};

describe("a flood over TCP", LIMIT, () => {
  for (const [what, [framing, unit, held]] of Object.entries(FLOODS)) {
    it(`of ${what} holds no more than a message`, async () => {
      await using attacked = await lay(framing, "swallow", { closeTimeout: 500 });
      await attacked.begin();
      await using attacker = await Attacker.to(attacked.port);
      await attacker.floodOf(unit, 2 * MIB * SCALE);
      await attacked.until(({ messages, ends }) => messages >= (2 * MIB * SCALE) / unit.length || ends.length > 0);
      await attacked.within(held);
    });
  }

  it("waits at its sender while the application does not receive", async () => {
    for (const framing of ["raw", "lines"] as const) {
      await using attacked = await AttackedServer.start({
        url: TCP,
        does: "ignore",
        options: { framing },
        observed: true,
      });
      await attacked.begin();
      await using attacker = await Attacker.to(attacked.port);
      void attacker.floodOf(bytes("x".repeat(1_000), "\n"), 100_000 * SCALE);
      await attacked.until(({ paused }) => paused === 1);
      await attacked.within(262_144 + 4 * 65_536);
    }
  });

  it("whose echo is not read waits at its sender, and arrives complete when it is read", async () => {
    await using attacked = await AttackedServer.start({
      url: TCP,
      does: "echo",
      options: { framing: "lines" },
      observed: true,
    });
    await attacked.begin();
    await using attacker = await Attacker.to(attacked.port);
    const line = bytes("x".repeat(9_999), "\n");
    const count = 4_000 * SCALE;
    attacker.socket.pause();
    attacker.heard = () => undefined;
    const sent = attacker.flood(line, count);
    await attacked.until(({ paused }) => paused === 1);
    await attacked.within(1_048_576 + 262_144 + 4 * 65_536);
    attacker.socket.resume();
    await sent;
    await attacker.until(() => attacker.received === line.length * count);
    assert.equal(attacker.received, line.length * count);
  });
});

/** The exchanges that compression changes, once for each combination of parameters. */

import assert from "node:assert/strict";
import { it } from "node:test";
import type { ConnectionEvent } from "../../src/index.ts";
import { assertSame, fragmented, meeting, type Peer, pings, type Role } from "./exchanges.ts";
import type { Join, Pair } from "./session.ts";
import type { Deflate } from "./speakers/orders.ts";

const SIZES = [0, 1, 126, 65_536, 300_000];
// Peers with a threshold have a smaller one.
const WORTHWHILE = 10_000;
const COUNT = 200;
const RSV1 = 4;
export const WAYS: readonly Deflate[] = [true, false].flatMap((takeover) =>
  [9, 15].map((bits) => ({ takeover, bits })),
);

/** The tests of `peer` in `role` with compression, with and without context takeover, with the smallest and the largest window. */
export function compressed(peer: Peer, role: Role, ways: readonly Deflate[] = WAYS): void {
  for (const way of ways) {
    const how = `, compressed, ${way.takeover ? "contexts kept" : "no contexts"}, ${way.bits} bits`;
    meeting(peer, role, how, (plainly) => withDeflate(plainly, peer, way));
  }
}

function withDeflate(plainly: Join, { can }: Peer, way: Deflate): void {
  const { takeover, bits } = way;
  let frames: { readonly direction: "in" | "out"; readonly rsv: number }[] = [];
  const observe = (event: ConnectionEvent): void => {
    if (event.type === "frame" && event.opcode < 8) frames.push(event);
  };
  const compression = {
    threshold: 0,
    serverContextTakeover: takeover,
    clientContextTakeover: takeover,
    serverWindowBits: bits,
    clientWindowBits: bits,
  };
  const join: Join = (wishes = {}) => {
    frames = [];
    return plainly({
      ...wishes,
      ours: { ...wishes.ours, compression, observe, trace: true },
      theirs: { deflate: way },
    });
  };

  it("opens with what was to be agreed on", async () => {
    await using pair = await join();
    const { ours, opened } = pair;
    assert.match(ours.extensions, /^permessage-deflate/);
    assert.match(opened.extensions, /^permessage-deflate/);
    if (!can.terms) return;
    for (const side of ["server", "client"]) {
      const parameter = (name: string): boolean => ours.extensions.includes(`${side}_${name}`);
      assert.equal(parameter("no_context_takeover"), !takeover, ours.extensions);
      assert.equal(parameter("max_window_bits=9"), bits === 9, ours.extensions);
    }
  });

  for (const size of SIZES) {
    it(`exchanges texts and bytes of ${size} bytes`, async () => {
      await using pair = await join();
      for (const message of [textOf(size), Buffer.from(textOf(size))]) await bothWays(pair, message);
      if (size < WORTHWHILE) return;
      const compresses = (way: "in" | "out"): boolean =>
        frames.some((one) => one.direction === way && one.rsv === RSV1);
      assert.deepEqual([compresses("out"), compresses("in")], [true, can.deflates]);
    });
  }

  it(`keeps the order of ${COUNT} messages, both ways at once, and the contexts with it`, async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    const expected = Array.from({ length: COUNT }, (_, index) => {
      const text = textOf(40 + 3 * index);
      // Uncompressed messages are between compressed ones, and are not in the window.
      return { message: index % 3 === 0 ? Buffer.from(text) : text, compress: index % 5 !== 0 };
    });
    for (const { message } of expected) theirs.send(message);
    for (const { message, compress } of expected) ours.trySend(message, { compress });
    for (const { message } of expected) assertSame(await ours.receive(), message);
    for (const { message } of expected) assertSame(await theirs.message(), message);
  });

  it("exchanges what cannot be compressed, and what need not be", async () => {
    await using pair = await join();
    for (const size of [1, 200, 70_000, 400_000]) await bothWays(pair, noise(size));
  });

  fragmented(join, can);
  pings(join, can);

  it("closes behind what is compressed, either way", async () => {
    {
      await using pair = await join();
      pair.ours.trySend(textOf(100_000));
      const closing = pair.ours.close(4000, "ours");
      assertSame(await pair.theirs.message(), textOf(100_000));
      assert.deepEqual([(await closing).wasClean, (await pair.theirs.closed()).code], [true, 4000]);
    }
    await using pair = await join();
    pair.theirs.send(textOf(100_000));
    pair.theirs.close(4001, "theirs");
    assertSame(await pair.ours.receive(), textOf(100_000));
    assert.deepEqual([(await pair.ours.closed).code, (await pair.ours.closed).wasClean], [4001, true]);
  });
}

async function bothWays({ ours, theirs }: Pair, message: string | Buffer): Promise<void> {
  theirs.send(message);
  assertSame(await ours.receive(), message);
  await ours.send(message);
  assertSame(await theirs.message(), message);
}

/** Text of this many bytes that compresses like ordinary text, not like a bomb. */
function textOf(size: number): string {
  let text = "";
  for (let index = 0; text.length < size; index += 1) {
    text += JSON.stringify({ id: index, value: (index * 2_654_435_761) % 1_000_003, name: "holdfast" });
  }
  return text.slice(0, size);
}

/** Bytes that do not compress, the same each time. */
function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 0x9e3779b9;
  for (let index = 0; index < size; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state;
  }
  return bytes;
}

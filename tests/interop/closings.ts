/** The ends of a connection between a peer and this library: closed by either side, by both, dropped, or failed by a violation. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { binary, close, continuation, encode, type Frame, fragments, frame, ping, text } from "../conformance/frame.ts";
import { assertHandshake } from "../kit/close-info.ts";
import { KEY } from "../kit/frames.ts";
import type { Abilities, Role } from "./exchanges.ts";
import type { Join } from "./session.ts";

// The codes that a browser may send, and one more for servers.
const THEIR_CODES = [1000, 3000, 4999];
const OUR_CODES = [1000, 1001, 1011, 3000, 4999];
const REASON = "because of é";
const MOST = 1_000;

/** Violations, and the close codes that answer them. */
const FORBIDDEN: readonly (readonly [what: string, code: number, frames: readonly Frame[]])[] = [
  ["a reserved bit", 1002, [text("x", { rsv: 4 })]],
  ["an opcode that has no meaning", 1002, [frame(3, "x")]],
  ["a frame masked as it must not be", 1002, [text("x", { maskedWrongly: true })]],
  ["a ping in fragments", 1002, fragments(ping, "x", "y")],
  ["a ping of 126 bytes", 1002, [ping("x".repeat(126))]],
  ["a continuation of nothing", 1002, [continuation("x")]],
  ["a message inside another", 1002, [text("x", { fin: false }), text("y")]],
  ["a length in more bytes than it needs", 1002, [text("x", { form: 8 })]],
  ["a Close of one byte", 1002, [frame(8, "x")]],
  ["a Close with code 1005", 1002, [close(1005)]],
  ["a text that is no UTF-8", 1007, [text(Buffer.of(0xc0, 0xaf))]],
  ["a reason that is no UTF-8", 1007, [close(1000, Buffer.of(0xff))]],
  ["fragments that are together larger than they may be", 1009, fragments(binary, ...Array(3).fill("x".repeat(400)))],
];

export function closings(join: Join, role: Role, can: Abilities): void {
  for (const code of THEIR_CODES) {
    it(`closes with ${code} and a reason, and has the code back`, async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      theirs.close(code, REASON);
      const [info, told] = await Promise.all([ours.closed, theirs.closed()]);
      assertHandshake(info, { code, reason: REASON, by: "peer" });
      assert.deepEqual([told.code, told.clean], [code, true]);
    });
  }

  if (can.codeless) {
    it("closes without a code", async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      theirs.close();
      const [info, told] = await Promise.all([ours.closed, theirs.closed()]);
      assertHandshake(info, { code: 1005, reason: "", by: "peer" });
      assert.equal(told.clean, true);
    });
  }

  for (const code of OUR_CODES) {
    it(`is told ${code} and a reason when we close`, async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      const [info, told] = await Promise.all([ours.close(code, REASON), theirs.closed()]);
      assertHandshake(info, { code, reason: REASON, by: "local" });
      assert.deepEqual([told.code, told.reason, told.clean], [code, REASON, true]);
    });
  }

  it("may close at the same time as we do", async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    theirs.close(4001, "theirs");
    const [info, told] = await Promise.all([ours.close(4002, "ours"), theirs.closed()]);
    assert.equal(info.wasClean, true);
    assert.ok([4001, 4002].includes(info.code), `${info.code}`);
    assert.ok([4001, 4002].includes(told.code), `${told.code}`);
  });

  it("gets what we sent before our close", async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    for (const word of ["one", "two"]) ours.trySend(word);
    const closing = ours.close();
    assert.deepEqual([await theirs.message(), await theirs.message()], ["one", "two"]);
    assert.equal((await closing).wasClean, true);
  });

  it("is told of our end without a word", async () => {
    await using pair = await join();
    pair.ours.terminate();
    const { code, clean } = await pair.theirs.closed();
    assert.deepEqual([code, clean], [can.lost, false]);
  });

  if (can.drop) {
    it("may end without a word", async () => {
      await using pair = await join();
      pair.theirs.drop();
      const { code, by, wasClean } = await pair.ours.closed;
      assert.deepEqual([code, by, wasClean], [1006, "peer", false]);
    });
  }

  it("is closed with 1009 for a message larger than it may be", async () => {
    await using pair = await join({ ours: { maxMessageSize: MOST } });
    const { ours, theirs } = pair;
    theirs.send("x".repeat(MOST + 1));
    const [info, told] = await Promise.all([ours.closed, theirs.closed()]);
    assert.deepEqual([info.code, info.by, info.wasClean], [1009, "local", false]);
    assert.equal(told.code, 1009);
  });

  if (!can.raw) return;
  for (const [what, code, frames] of FORBIDDEN) {
    it(`is closed with ${code} for ${what}`, async () => {
      await using pair = await join({ ours: { maxMessageSize: MOST } });
      const { ours, theirs } = pair;
      const masked = (wrongly = false): boolean => (role === "client") !== wrongly;
      theirs.raw(Buffer.concat(frames.map((one) => encode(one, masked(one.maskedWrongly) ? KEY : undefined))));
      const [info, told] = await Promise.all([ours.closed, theirs.closed()]);
      assert.deepEqual([info.code, info.by, info.wasClean], [code, "local", false]);
      assert.equal(told.code, code);
    });
  }
}

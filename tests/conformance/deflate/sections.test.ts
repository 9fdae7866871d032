/** Sections 12 and 13 as server and as client: echoed messages are unchanged. HOLDFAST_CONFORMANCE=all plays more messages. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LARGEST } from "../sections/sizes.ts";
import { answerFor, CASES, type DeflateCase, offersFor } from "./cases.ts";
import type { DeflatePeer } from "./deflate-peer.ts";
import { part } from "./payloads.ts";
import { withClient, withServer } from "./roles.ts";

// All of it takes minutes on a busy processor.
const LIMIT = { timeout: process.env["HOLDFAST_CONFORMANCE"] === "all" ? 900_000 : 240_000 };
const OPTIONS = { maxMessageSize: LARGEST };
/** The default threshold: smaller messages are not compressed. */
const THRESHOLD = 1_024;

const countOf = (size: number): number => (process.env["HOLDFAST_CONFORMANCE"] === "all" ? 100 : size < 20_000 ? 4 : 2);

async function exchange({ payload, size, fragment }: DeflateCase, peer: DeflatePeer): Promise<void> {
  for (let index = 0; index < countOf(size); index += 1) {
    const message = part(payload, size, index);
    peer.say(payload.opcode, message, fragment);
    const heard = await peer.hear();
    assert.equal(heard.opcode, payload.opcode);
    assert.ok(heard.payload.equals(message), "it comes back as it was");
    if (payload.soft) assert.equal(heard.compressed, size >= THRESHOLD);
  }
  await peer.close();
}

describe("as server that compresses", () => {
  for (const one of CASES) {
    it(`${one.id} ${one.what}`, LIMIT, async () => {
      const { code, wasClean } = await withServer(offersFor(one.wishes), OPTIONS, (peer) => exchange(one, peer));
      assert.deepEqual({ code, wasClean }, { code: 1000, wasClean: true });
    });
  }
});

describe("as client that compresses", () => {
  for (const one of CASES) {
    it(`${one.id} ${one.what}`, LIMIT, async () => {
      const answer = (offers: readonly string[]): string => answerFor(one.wishes, offers);
      const { code, wasClean } = await withClient(answer, OPTIONS, (peer) => exchange(one, peer));
      assert.deepEqual({ code, wasClean }, { code: 1000, wasClean: true });
    });
  }
});

describe("sections 12 and 13", () => {
  it("are whole: 90 cases and 126", () => {
    const inSection = (section: string): number => CASES.filter(({ id }) => id.startsWith(`${section}.`)).length;
    assert.deepEqual([inSection("12"), inSection("13")], [90, 126]);
    assert.equal(new Set(CASES.map(({ id }) => id)).size, 216);
  });
});

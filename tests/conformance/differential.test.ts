/** The same bytes for our decoder and the receiver of `ws`: the same messages, or the same code, except for the differences listed here. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../kit/random.ts";
import { binary, continuation, frame, ping, text } from "./frame.ts";
import { begins, ours, theirs } from "./receivers.ts";
import { arriving, type Difference, difference, onWire } from "./streams.ts";

const RUNS = 4_000;

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

for (const role of ["server", "client"] as const) {
  describe(`the decoder of a ${role} and the receiver of ws`, { timeout: 240_000 }, () => {
    it("tell the same of the same bytes, wherever they are cut", async () => {
      let same = 0;
      const property = fc.asyncProperty(arriving(role), async (chunks) => {
        const their = await theirs(role, chunks);
        if (difference(DIFFERENCES, ours(role, chunks), their) === undefined) same += 1;
      });
      const budget = runs(RUNS);
      await fc.assert(property, budget);
      // A listed difference must not be the one under test.
      assert.ok(same > budget.numRuns / 2, `only ${same} of ${budget.numRuns} were compared to their end`);
    });

    for (const listed of DIFFERENCES) {
      const { clause, why, example, sent } = listed;
      it(`differ by ${clause}: ${why}`, async () => {
        const chunks = [onWire(role, example).subarray(0, sent)];
        assert.equal(difference(DIFFERENCES, ours(role, chunks), await theirs(role, chunks)), listed);
      });
    }
  });
}

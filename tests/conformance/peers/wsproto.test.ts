/** Compares our decoder with wsproto's on the same bytes, wherever they are cut. */

import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { found, WSPROTO, wanting } from "../../kit/foreign-programs.ts";
import { runs } from "../../kit/random.ts";
import { binary, close, continuation, frame, ping, text } from "../frame.ts";
import { begins, type Outcome, ours, type Role } from "../receivers.ts";
import { arriving, type Difference, difference, onWire } from "../streams.ts";

const RUNS = 1_500;
const PROGRAM = fileURLToPath(new URL("../../../../tests/conformance/peers/wsproto_decoder.py", import.meta.url));
const path = found(WSPROTO);
const LIMIT = { timeout: 180_000, skip: path === undefined && wanting(WSPROTO) };

/** It has no limits. Ours is larger than the messages. */
const MOST = 2 ** 16;

const DIFFERENCES: readonly Difference[] = [
  {
    clause: "RFC 6455 7.4.2",
    why: "code 1014 has been registered since, so it may come; wsproto does not know it",
    allows: (ours, theirs) =>
      (theirs as Theirs).why === "CLOSE with unknown reserved code" &&
      (/^close 1014 /.test(ours.events.at(-1) ?? "") || ours.code === 1007) &&
      begins(ours.events, theirs.events),
    example: [text("first"), close(1014)],
  },
  {
    clause: "RFC 6455 10.4",
    why: "a message that is announced to be larger than it may be is refused at once; wsproto has no limit and waits for it",
    allows: (ours, theirs) =>
      ours.code === 1009 &&
      // For wsproto the following bytes begin a text.
      (theirs.code === undefined || theirs.code === 1007) &&
      theirs.events.length === ours.events.length &&
      begins(theirs.events, ours.events),
    example: [text("first"), binary("", { announced: 2n ** 62n })],
  },
  {
    clause: "RFC 6455 5.4",
    why: "what stands where a continuation must or must not be is refused by its header; wsproto waits for its first octet",
    allows: (ours, theirs) =>
      ours.code === 1002 &&
      ours.violation?.clause === "RFC 6455 5.4" &&
      theirs.code === undefined &&
      theirs.events.length === ours.events.length &&
      begins(theirs.events, ours.events),
    example: [text("first"), continuation("x")],
    sent: -1,
  },
  {
    clause: "RFC 6455 8.1",
    why: "half of a surrogate pair is refused at its second octet; wsproto waits for the third",
    allows: (ours, theirs) =>
      ours.code === 1007 &&
      ours.violation?.clause === "RFC 6455 8.1" &&
      // Whatever error it reports in the end, it delivers no text.
      begins(theirs.events, ours.events) &&
      !theirs.events.slice(ours.events.length).some((event) => /^(text|binary)/.test(event)),
    example: [text("first"), text(Buffer.of(0xed, 0xa0), { fin: false }), ping()],
  },
  {
    clause: "RFC 6455 5.2",
    why: "a header is judged when its length has come; wsproto judges its first two bytes by themselves",
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

interface Theirs extends Outcome {
  /** The error that it reported. */
  readonly why: string | null;
}

class Decoder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(python: string) {
    this.#child = spawn(python, ["-B", PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async told(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the program has ended");
    return JSON.parse(value as string);
  }

  async outcome(role: Role, chunks: readonly Buffer[]): Promise<Theirs> {
    this.#child.stdin.write(`${JSON.stringify({ role, chunks: chunks.map((chunk) => chunk.toString("base64")) })}\n`);
    const told = (await this.told()) as Omit<Theirs, "code"> & { readonly code: number | null };
    return { ...told, code: told.code ?? undefined };
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    await once(this.#child, "close");
  }
}

for (const role of ["server", "client"] as const) {
  describe(`wsproto and the decoder of a ${role}`, LIMIT, () => {
    let decoder: Decoder;
    let version: unknown;
    before(async () => {
      decoder = new Decoder(path ?? "");
      ({ version } = (await decoder.told()) as { readonly version: string });
    });
    after(() => decoder.end());

    it("tell the same of the same bytes, wherever they are cut", async (t) => {
      t.diagnostic(`version of wsproto: ${version}`);
      let same = 0;
      const property = fc.asyncProperty(arriving(role), async (chunks) => {
        const theirs = await decoder.outcome(role, chunks);
        if (difference(DIFFERENCES, ours(role, chunks, false, MOST), theirs) === undefined) same += 1;
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
        const theirs = await decoder.outcome(role, chunks);
        assert.equal(difference(DIFFERENCES, ours(role, chunks, false, MOST), theirs), listed);
      });
    }
  });
}

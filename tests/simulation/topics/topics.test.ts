/** Hubs on several hosts in one process: further seeds, and the same events for the same seed. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../../kit/child-process.ts";
import { runs } from "../../kit/random.ts";
import { misfits } from "../mutants.ts";
import type { Outcome } from "../simulate.ts";
import { TOPIC_MUTANTS } from "./mutants.ts";
import { simulateTopics } from "./simulate.ts";

const CAMPAIGN = fileURLToPath(new URL("../campaign.js", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const FROM = Number(process.env["HOLDFAST_SEED"] ?? 0) >>> 0;

describe("simulated hubs on several hosts", () => {
  it("keep their promises, while the broker loses entries, forgets and rolls back, and hosts die", async () => {
    await using campaign = new ChildProgram(CAMPAIGN, [`${FROM}`, `${runs(300).numRuns}`, "500", "topics"]);
    const { status, stdout } = await campaign.exit;
    const found = stdout.split("\n").filter((line) => line.includes("violations"));
    for (const line of found) assert.fail((JSON.parse(line) as { readonly text: string }).text);
    assert.equal(status, 0);
    assert.match(stdout, /"topics: hole healed"/);
  });

  it("have the same events for the same seed, also after other seeds, and from the list of its choices", async () => {
    const first: Outcome[] = [];
    for (let seed = 0; seed < 20; seed += 1) first.push(await simulateTopics(seed));
    for (let seed = 19; seed >= 0; seed -= 1) {
      assert.equal((await simulateTopics(seed)).hash, first[seed]!.hash, `seed ${seed}`);
      assert.equal((await simulateTopics(first[seed]!.choices)).hash, first[seed]!.hash, `choices of seed ${seed}`);
    }
    assert.ok(new Set(first.map(({ hash }) => hash)).size > 15);
  });

  it("have breakages that fit the built library: npm run simulate -- --topics --mutants tries them", () => {
    assert.deepEqual(misfits(ROOT, TOPIC_MUTANTS), []);
  });
});

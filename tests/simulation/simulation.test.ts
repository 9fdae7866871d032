/** Whole systems in one process: seeds that once failed, further seeds, and the same events for the same seed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { runs } from "../kit/random.ts";
import { misfits } from "./mutants.ts";
import { shrink } from "./shrink.ts";
import { type Outcome, simulate } from "./simulate.ts";
import { timeline } from "./trace.ts";

/** Runs that once failed, each with its choices: what a seed leads to changes with each new kind of step. */
const KEPT = JSON.parse(
  readFileSync(new URL("../../../tests/simulation/seeds.json", import.meta.url), "utf8"),
) as readonly { readonly seed: number; readonly rule?: string; readonly choices: readonly number[] }[];
const CAMPAIGN = fileURLToPath(new URL("campaign.js", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const FROM = Number(process.env["HOLDFAST_SEED"] ?? 0) >>> 0;

async function judge(seed: number, choices?: readonly number[]): Promise<Outcome> {
  const outcome = await simulate(choices ?? seed);
  if (outcome.violations.length > 0) {
    const { events = [] } = await simulate(choices ?? seed, { kept: true });
    assert.fail(
      `seed ${seed}: ${outcome.violations.map(({ rule, what }) => `${rule}: ${what}`).join("\n")}\n${timeline(events)}`,
    );
  }
  return outcome;
}

describe("a simulated system", () => {
  it("keeps all rules in the runs that once failed", async () => {
    for (const { seed, choices } of KEPT) await judge(seed, choices);
  });

  it("keeps all rules with further seeds", async () => {
    // In a process of its own: node:test follows every promise of this one, which takes a third of the time.
    await using campaign = new ChildProgram(CAMPAIGN, [`${FROM}`, `${runs(2_000).numRuns}`]);
    const { status, stdout } = await campaign.exit;
    const found = stdout.split("\n").filter((line) => line.includes("violations"));
    for (const line of found) assert.fail((JSON.parse(line) as { readonly text: string }).text);
    assert.equal(status, 0);
    assert.match(stdout, /"reach":\{/);
  });

  it("has the same events for the same seed, also after other seeds, and from the list of its choices", async () => {
    const first: Outcome[] = [];
    for (let seed = 0; seed < 50; seed += 1) first.push(await simulate(seed));
    for (let seed = 49; seed >= 0; seed -= 1) {
      assert.equal((await simulate(seed)).hash, first[seed]!.hash, `seed ${seed}`);
      const { choices } = first[seed]!;
      assert.equal((await simulate(choices)).choices.length, choices.length);
    }
    assert.ok(new Set(first.map(({ hash }) => hash)).size > 45);
  });

  it("has breakages that fit the built library: npm run simulate -- --mutants tries them", () => {
    assert.deepEqual(misfits(ROOT), []);
  });

  it("of a failing seed has a smaller list of choices that fails in the same way", async () => {
    const settings = { broken: true };
    let failing = await simulate(0, settings);
    for (let seed = 1; failing.violations.length === 0; seed += 1) failing = await simulate(seed, settings);
    const list = await shrink(failing, settings);
    assert.ok(list.length < 20, `${list.length} choices`);
    assert.equal((await simulate(list, settings)).violations[0]?.rule, failing.violations[0]?.rule);
  });
});

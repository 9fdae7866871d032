/** Connections that come and go by the thousand: nothing is left of them, at either side. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SPEECHES } from "../requirements/speech.js";
import { Party } from "./party.js";

const TIMES = Number(process.env["HOLDFAST_RUNS"] ?? 1);
/** In a round; the first of them is to warm up. */
const ROUND = 2_000;
const ROUNDS = 1 + Math.max(1, Math.round(2 * TIMES));

/** Beyond two percent of what was held: what V8 makes of code that runs ever more often. */
const SLACK = 1_048_576;

describe(`${ROUND * (ROUNDS - 1)} connections that come and go`, { timeout: 120_000 * (1 + TIMES) }, () => {
  for (const speech of SPEECHES) {
    it(`leave no memory, descriptor, timer or listener behind, on ${speech.name} (bound: 2 % and ${SLACK} bytes)`, async (t) => {
      await using server = await Party.start();
      await using client = await Party.start();
      const { url, options } = speech;
      const place = await server.tell({ do: "serve", url, options: { ...options }, as: "answer" });
      let before: Awaited<ReturnType<Party["report"]>>[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        await client.tell({ do: "churn", url: place, options: { ...options }, count: ROUND });
        await server.until(({ serving }) => serving === 0);
        const now = [await server.report(true), await client.report(true)];
        if (round === 0) before = now;
        else t.diagnostic(`live ${now.map(({ live }) => live)}, resident ${now.map(({ rss }) => rss)}`);
        for (const [index, report] of now.entries()) {
          const { live, sockets, resources } = before[index] ?? report;
          assert.deepEqual(
            [report.sockets, lasting(report.resources), report.troubles],
            [sockets, lasting(resources), []],
          );
          const growth = report.live - live;
          assert.ok(growth <= live * 0.02 + SLACK, `${growth} bytes in round ${round}`);
        }
      }
      const { accepted } = await server.report();
      assert.equal(accepted, ROUND * ROUNDS);
    });
  }
});

/** Without what is through with this turn. */
const lasting = (resources: readonly string[]): string[] => resources.filter((name) => name !== "Immediate").sort();

/** Thousands of connections open and close: neither side keeps anything of them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess } from "./echo-process.ts";

const TIMES = Number(process.env["HOLDFAST_RUNS"] ?? 1);
/** Connections in a round. The first round is a warm-up. */
const ROUND = 2_000;
const ROUNDS = 1 + Math.max(1, Math.round(2 * TIMES));

/** Bytes allowed beyond two percent of the heap: V8 keeps data about code that runs often. */
const SLACK = 1_048_576;

describe(`${ROUND * (ROUNDS - 1)} connections that open and close`, { timeout: 120_000 * (1 + TIMES) }, () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`leave no memory, descriptor, timer or listener behind, on ${wire.name} (bound: 2 % and ${SLACK} bytes)`, async (t) => {
      await using server = await EchoProcess.start();
      await using client = await EchoProcess.start();
      const { url, options } = wire;
      const place = await server.tell({ do: "serve", url, options: { ...options }, as: "answer" });
      let before: Awaited<ReturnType<EchoProcess["report"]>>[] = [];
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

/** Waits until the current turn is over, so that its garbage is not counted. */
const lasting = (resources: readonly string[]): string[] => resources.filter((name) => name !== "Immediate").sort();

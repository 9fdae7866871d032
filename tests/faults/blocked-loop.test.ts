/** An event loop that is blocked by somebody's code for longer than a heartbeat: nobody is declared dead on that account. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { Party } from "./party.js";

/** In three parts, each of them longer than the heartbeat's timeout. */
const BLOCKED = 7_500;
/** That of the blocked side is over in each of the parts. */
const SHORT = { interval: 1_000, timeout: 2_000 };
/** That of the side that looks on has no reason yet to give up. */
const LONG = { interval: 1_000, timeout: 60_000 };
const VISITORS = 20;

const beating = ({ protocol, options }: Speech, heartbeat: object): Record<string, unknown> => ({
  ...options,
  heartbeat: { ...heartbeat, ...(protocol === "tcp" && { message: "?" }) },
});

/** Pings that have come to either. */
const pings = async (...parties: readonly Party[]): Promise<number> =>
  (await Promise.all(parties.map((party) => party.report()))).reduce((sum, { pings }) => sum + pings, 0);

describe(`an event loop that is blocked for ${BLOCKED} ms`, { timeout: 120_000, concurrency: true }, () => {
  for (const side of ["server", "client"] as const) {
    for (const talk of ["a conversation", "silence"] as const) {
      it(`at the ${side}, in ${talk}: neither side gives the other up (bound: heartbeat, of time that it could listen)`, async () => {
        await using server = await Party.start();
        await using client = await Party.start();
        for (const speech of SPEECHES) {
          const [ours, theirs] = side === "server" ? [SHORT, LONG] : [LONG, SHORT];
          const url = await server.tell({
            ...{ do: "serve", url: speech.url, options: beating(speech, ours), as: "answer" },
          });
          await client.tell({
            ...{ do: "visit", url, options: beating(speech, theirs), count: VISITORS },
            to: { do: talk === "silence" ? "read" : "count" },
          });
        }
        const all = SPEECHES.length * VISITORS;
        const blocked = side === "server" ? server : client;
        await blocked.tell({ do: "block", ms: BLOCKED });
        if (talk === "a conversation") {
          const { guests } = await client.report();
          await client.until(({ guests: { least } }) => least >= guests.least + 10);
        } else {
          // So many that everybody has been judged since.
          const before = await pings(server, client);
          while ((await pings(server, client)) < before + 2 * VISITORS) {
            assert.deepEqual((await client.report()).ends, []);
            await pause(50);
          }
        }
        for (const { ends, troubles, serving, visiting } of [await server.report(), await client.report()]) {
          assert.deepEqual([ends, troubles, Math.max(serving, visiting)], [[], [], all]);
        }
      });
    }
  }
});

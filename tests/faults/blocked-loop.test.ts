/** An application blocks its event loop for longer than the heartbeat allows: neither side gives up the connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { EchoProcess } from "./echo-process.ts";

/** Three blocks, each longer than the heartbeat's timeout. */
const BLOCKED = 7_500;
/** The heartbeat of the blocked side. It expires in each block. */
const SHORT = { interval: 1_000, timeout: 2_000 };
/** The heartbeat of the other side. It does not expire. */
const LONG = { interval: 1_000, timeout: 60_000 };
const VISITORS = 20;

const beating = ({ protocol, options }: WireProtocol, heartbeat: object): Record<string, unknown> => ({
  ...options,
  heartbeat: { ...heartbeat, ...(protocol === "tcp" && { message: "?" }) },
});

/** Pings received by either side. */
const pings = async (...children: readonly EchoProcess[]): Promise<number> =>
  (await Promise.all(children.map((child) => child.report()))).reduce((sum, { pings }) => sum + pings, 0);

describe(`an event loop that is blocked for ${BLOCKED} ms`, { timeout: 120_000, concurrency: true }, () => {
  for (const side of ["server", "client"] as const) {
    for (const talk of ["a conversation", "silence"] as const) {
      it(`at the ${side}, in ${talk}: neither side gives up the other (bound: heartbeat, which counts only time in which the loop ran)`, async () => {
        await using server = await EchoProcess.start();
        await using client = await EchoProcess.start();
        for (const wire of WIRE_PROTOCOLS) {
          const [ours, theirs] = side === "server" ? [SHORT, LONG] : [LONG, SHORT];
          const url = await server.tell({
            ...{ do: "serve", url: wire.url, options: beating(wire, ours), as: "answer" },
          });
          await client.tell({
            ...{ do: "visit", url, options: beating(wire, theirs), count: VISITORS },
            to: { do: talk === "silence" ? "read" : "count" },
          });
        }
        const all = WIRE_PROTOCOLS.length * VISITORS;
        const blocked = side === "server" ? server : client;
        await blocked.tell({ do: "block", ms: BLOCKED });
        if (talk === "a conversation") {
          const { clients } = await client.report();
          await client.until(({ clients: { least } }) => least >= clients.least + 10);
        } else {
          // Enough Pings that every connection was checked since.
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

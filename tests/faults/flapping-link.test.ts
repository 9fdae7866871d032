/** A link that changes between up and down every 200 ms: short connections do not shorten the pauses, and use little processor time. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, LinkedMachines } from "./linked-machines.ts";
import type { Machine, Part, StateFacts } from "./machine.ts";

const PHASE = 200;
const FIRST = 50;
/** Not a divisor of the period of the link, or each attempt would meet the same phase. */
const LONGEST = 330;
/** The number of pauses that are observed: growing ones, and some at the maximum. */
const PAUSES = 8;

/** The share of one processor that a machine may use. It needs a hundredth of that, so a busy loop would be detected. */
const SHARE = 0.5;

const WAYS: readonly [
  what: string,
  down: (linked: LinkedMachines) => Promise<unknown>,
  up: (linked: LinkedMachines) => Promise<unknown>,
][] = [
  [
    "a firewall resets every connection",
    ({ link }) => link.set({ reject: true }),
    ({ link }) => link.set({ reject: false }),
  ],
  ["the client's device is down, and its connections are reset", downAndReset, ({ link }) => link.up("client")],
];

describe(`a link that is up for ${PHASE} ms and down for ${PHASE} ms`, { skip: unable(), timeout: 120_000 }, () => {
  for (const [what, down, up] of WAYS) {
    it(`because ${what}: pauses grow through short openings, and nothing spins (bound: maxPause)`, async (t) => {
      await using linked = await LinkedMachines.start(1);
      const clients = await Promise.all(WIRE_PROTOCOLS.map((wire) => visit(linked, wire)));
      await Promise.all(clients.map((client) => client.until("state", ({ name }) => name === "open")));
      const since = { at: performance.now(), spent: spent(linked.client) };
      while (clients.some((client) => pausesOf(client).length < PAUSES)) {
        await down(linked);
        await new Promise((resolve) => setTimeout(resolve, PHASE));
        await up(linked);
        await new Promise((resolve) => setTimeout(resolve, PHASE));
      }
      const share = (spent(linked.client) - since.spent) / (performance.now() - since.at);
      t.diagnostic(`${(share * 100).toFixed(1)} % of a processor`);
      assert.ok(share < SHARE, `${share}`);
      for (const client of clients) {
        const states = client.latest("state")?.states ?? [];
        t.diagnostic(states.map(({ name, pause = "" }) => `${name} ${pause}`.trim()).join(", "));
        assert.ok(states.filter(({ name }) => name === "open").length > 1, "it was open in between");
        const pauses = pausesOf(client).slice(0, PAUSES);
        for (const [failures, pause] of pauses.entries()) {
          const grown = Math.min(FIRST * 2 ** failures, LONGEST);
          // Measured from the failure. The policy takes a moment.
          assert.ok(pause >= grown && pause < grown + FIRST, `${pauses}`);
        }
      }
      await up(linked);
      await Promise.all(clients.map((client) => client.until("state", ({ name }) => name === "open")));
    });
  }
});

async function visit(linked: LinkedMachines, wire: WireProtocol): Promise<Part> {
  // An idle connection is not reset. A sending side notices; the other side notices by its heartbeat.
  const limits = beating(wire, PHASE / 4, PHASE * 5);
  const { url } = await linked.listening(wire, "nothing", limits);
  const options = { ...wire.options, ...limits, openTimeout: 1_000, initialPause: FIRST, maxPause: LONGEST };
  return linked.client.do({ kind: "return", url, does: "nothing", options });
}

/** An open connection does not notice a device that is down, and survives 200 ms of that. */
async function downAndReset({ link }: LinkedMachines): Promise<void> {
  await link.kill("client");
  await link.down("client");
}

/** The pauses in milliseconds, as the state reports them. */
function pausesOf(client: Part): number[] {
  const states: readonly StateFacts[] = client.latest("state")?.states ?? [];
  return states.flatMap(({ pause }) => (pause === undefined ? [] : [pause]));
}

/** The processor time of this machine, in milliseconds. */
function spent({ pid }: Machine): number {
  // proc_pid_stat(5): after the name, which may contain anything, fields are counted from the third. They are in USER_HZ, 100 everywhere.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

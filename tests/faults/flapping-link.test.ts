/** A link that comes and goes every 200 ms: who comes back is not hurried by connections that hardly live, and spends no time on it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { unable } from "./bad-link.js";
import { beating, Linked } from "./linked.js";
import type { Machine, Part, StateFacts } from "./machine.js";

const PHASE = 200;
const FIRST = 50;
/** No part of how long it takes to go and to come: an attempt would always meet the same. */
const LONGEST = 330;
/** How many pauses are seen: those that grow, and some that cannot any more. */
const PAUSES = 8;

/** The share of one processor that a machine may spend meanwhile. What it does needs a hundredth of that, which shows that nothing spins. */
const SHARE = 0.5;

const WAYS: readonly [
  what: string,
  down: (linked: Linked) => Promise<unknown>,
  up: (linked: Linked) => Promise<unknown>,
][] = [
  [
    "something on the way resets what comes",
    ({ link }) => link.set({ reject: true }),
    ({ link }) => link.set({ reject: false }),
  ],
  ["the client's device is down, and its connections are reset", downAndReset, ({ link }) => link.up("client")],
];

describe(`a link that is up for ${PHASE} ms and down for ${PHASE} ms`, { skip: unable(), timeout: 120_000 }, () => {
  for (const [what, down, up] of WAYS) {
    it(`because ${what}: pauses grow through short openings, and nothing spins (bound: maxPause)`, async (t) => {
      await using linked = await Linked.start(1);
      const clients = await Promise.all(SPEECHES.map((speech) => visit(linked, speech)));
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
          // From the failure on; to judge it takes a moment.
          assert.ok(pause >= grown && pause < grown + FIRST, `${pauses}`);
        }
      }
      await up(linked);
      await Promise.all(clients.map((client) => client.until("state", ({ name }) => name === "open")));
    });
  }
});

async function visit(linked: Linked, speech: Speech): Promise<Part> {
  // A connection on which nothing moves is not reset, and only who sends is told: the other finds out by its heartbeat.
  const limits = beating(speech, PHASE / 4, PHASE * 5);
  const { url } = await linked.listening(speech, "nothing", limits);
  const options = { ...speech.options, ...limits, openTimeout: 1_000, initialPause: FIRST, maxPause: LONGEST };
  return linked.client.do({ kind: "return", url, does: "nothing", options });
}

/** An open connection does not notice that a device is down, and outlives 200 ms of it. */
async function downAndReset({ link }: Linked): Promise<void> {
  await link.kill("client");
  await link.down("client");
}

/** How long it waited each time, in milliseconds, as its state has told. */
function pausesOf(client: Part): number[] {
  const states: readonly StateFacts[] = client.latest("state")?.states ?? [];
  return states.flatMap(({ pause }) => (pause === undefined ? [] : [pause]));
}

/** The processor's time that this machine has had, in milliseconds. */
function spent({ pid }: Machine): number {
  // Behind the name, which may hold anything, proc_pid_stat(5) counts fields from the third on. They are in USER_HZ, 100 everywhere.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Links that fall silent in one direction or both: each end finds out by itself, frees what it held, and a client comes back. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openSockets } from "../descriptors.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { settled, visitors } from "./accounts.js";
import { unable } from "./bad-link.js";
import { beating, carried, type Heard, Linked } from "./linked.js";
import type { Facts, Machine, Part } from "./machine.js";
import type { Side } from "./network.js";

const INTERVAL = 300;
const TIMEOUT = 1_000;
const WRITE_TIMEOUT = 1_000;

/** In kbit/s, so that a load is always on its way. */
const RATE = 4_000;
const LOAD = { messages: 0, size: 1_000 };

const SILENCES: readonly [what: string, sides: readonly Side[]][] = [
  ["both ways", ["server", "client"]],
  ["to the server alone", ["server"]],
  ["to the client alone", ["client"]],
];

const limits = (speech: Speech): object => ({ ...beating(speech, INTERVAL, TIMEOUT), writeTimeout: WRITE_TIMEOUT });

describe("a link that falls silent", { skip: unable(), timeout: 120_000, concurrency: 3 }, () => {
  for (const [what, sides] of SILENCES) {
    it(`${what}: each end closes once and frees its descriptor, and the client is back when the link is (bound: heartbeat)`, async () => {
      await using linked = await Linked.start(1);
      const held = { server: openSockets(linked.server.pid), client: openSockets(linked.client.pid) };
      const visits = await Promise.all(SPEECHES.map((speech) => visit(linked, speech)));
      for (const side of sides) await linked.link.set({ loss: 1 }, side);
      for (const { heard, client } of visits) {
        const ended = await heard.part.until("closed");
        const { states } = await client.until("state", ({ states }) => waits(states) > 0);
        const why = states.find(({ name }) => name === "waiting");
        assert.equal(why?.phase, "session");
        // Whoever still hears the other may hear it give up, if that comes first.
        assertNoticed(ended, sides.includes("server"));
        assertNoticed({ ...why?.error }, sides.includes("client"));
        // There are attempts, and none of them stands: a SYN or its answer is lost.
        await client.until("state", ({ states }) => waits(states) > 1);
        assert.deepEqual([heard.part.count("open"), heard.part.count("closed")], [1, 1]);
        assert.equal(opens(client), 1);
      }
      await linked.link.heal();
      for (const { heard, client } of visits) {
        await heard.part.until("open", () => heard.part.count("open") > 1);
        await client.until("state", ({ name }) => name === "open");
        client.enough();
        await client.until("closed");
        await heard.part.until("closed", () => heard.part.count("closed") === heard.part.count("open"));
      }
      // Those that listen.
      await untilHeld(linked.server, held.server + SPEECHES.length);
      await untilHeld(linked.client, held.client);
    });

    it(`${what}, with data in flight: it is noticed by whichever of both is sooner (bound: writeTimeout, heartbeat)`, async () => {
      await using linked = await Linked.start(2);
      const ends = await Promise.all(
        SPEECHES.map((speech) => linked.joined(speech, { limits: limits(speech), server: "flood" })),
      );
      for (const side of sides) await linked.link.set({ loss: 1 }, side);
      for (const { server, client } of ends) {
        const facts = await server.until("closed");
        await client.until("closed");
        assert.equal(facts["code"], "TIMEOUT");
        const bounds = { writeTimeout: WRITE_TIMEOUT, "heartbeat.timeout": TIMEOUT };
        assert.equal(facts["bound"], bounds[facts["limit"] as keyof typeof bounds]);
        assert.ok((facts["after"] as number) >= (facts["bound"] as number));
      }
    });

    it(`${what}, under load: when the link is back each message is accounted for as its delivery says (bound: heartbeat)`, async (t) => {
      await using linked = await Linked.start(3);
      // Longer than what all of them have on their way takes.
      await linked.link.set({ rate: RATE });
      const all = (
        await Promise.all(
          SPEECHES.map((speech) => visitors(linked, speech, LOAD, beating(speech, INTERVAL, TIMEOUT * 2))),
        )
      ).flat();
      for (const { client } of all) await client.until("state", ({ name }) => name === "open");
      await carried(linked, 500);
      for (const side of sides) await linked.link.set({ loss: 1 }, side);
      for (const { client } of all) await client.until("state", ({ states }) => waits(states) > 0);
      await linked.link.set({ loss: 0 });
      for (const { heard } of all) await heard.part.until("open", () => heard.part.count("open") > 1);
      await carried(linked, 500);
      for (const visitor of all) t.diagnostic(await settled(visitor));
    });
  }
});

/** A client that comes back, and whom it is connected to. */
async function visit(linked: Linked, speech: Speech): Promise<{ readonly heard: Heard; readonly client: Part }> {
  const heard = await linked.listening(speech, "nothing", limits(speech));
  const client = linked.client.do({
    ...{ kind: "return", url: heard.url, does: "nothing" },
    options: { ...speech.options, ...limits(speech), openTimeout: 1_000, initialPause: 100, maxPause: 200 },
  });
  await Promise.all([heard.part.until("open"), client.until("state", ({ name }) => name === "open")]);
  return { heard, client };
}

function assertNoticed(facts: Facts, deaf: boolean): void {
  if (!deaf && facts["code"] !== "TIMEOUT") return;
  assert.deepEqual([facts["code"], facts["limit"], facts["bound"]], ["TIMEOUT", "heartbeat.timeout", TIMEOUT]);
  assert.ok((facts["after"] as number) >= TIMEOUT);
}

const waits = (states: readonly { readonly name: string }[]): number =>
  states.filter(({ name }) => name === "waiting").length;

const opens = (client: Part): number | undefined =>
  client.latest("state")?.states.filter(({ name }) => name === "open").length;

/** Resolves when a machine holds so many sockets, of any kind. */
async function untilHeld(machine: Machine, number: number): Promise<void> {
  // Nothing tells when a descriptor is freed.
  while (openSockets(machine.pid) !== number) await new Promise((resolve) => setTimeout(resolve, 20));
}

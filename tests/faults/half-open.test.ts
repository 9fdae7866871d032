/** Links that lose everything in one direction or both: each side detects it, frees its resources, and the client reconnects. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openSockets } from "../kit/kernel-sockets.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, carried, type Heard, LinkedMachines } from "./linked-machines.ts";
import type { Facts, Machine, Part } from "./machine.ts";
import type { Side } from "./network.ts";
import { senders, settled } from "./numbered-messages.ts";

const INTERVAL = 300;
const TIMEOUT = 1_000;
const WRITE_TIMEOUT = 1_000;

/** In kbit/s, so that messages are always in flight. */
const RATE = 4_000;
const LOAD = { messages: 0, size: 1_000 };

const SILENCES: readonly [what: string, sides: readonly Side[]][] = [
  ["both ways", ["server", "client"]],
  ["to the server alone", ["server"]],
  ["to the client alone", ["client"]],
];

const limits = (wire: WireProtocol): object => ({
  ...beating(wire, INTERVAL, TIMEOUT),
  writeTimeout: WRITE_TIMEOUT,
});

describe("a link that loses everything", { skip: unable(), timeout: 120_000, concurrency: 3 }, () => {
  for (const [what, sides] of SILENCES) {
    it(`${what}: each side closes once and frees its descriptor, and the client reconnects when the link works (bound: heartbeat)`, async () => {
      await using linked = await LinkedMachines.start(1);
      const held = { server: openSockets(linked.server.pid), client: openSockets(linked.client.pid) };
      const visits = await Promise.all(WIRE_PROTOCOLS.map((wire) => visit(linked, wire)));
      for (const side of sides) await linked.link.set({ loss: 1 }, side);
      for (const { heard, client } of visits) {
        const ended = await heard.part.until("closed");
        const { states } = await client.until("state", ({ states }) => waits(states) > 0);
        const why = states.find(({ name }) => name === "waiting");
        assert.equal(why?.phase, "session");
        // A side that still receives may get the other side's Close first.
        assertNoticed(ended, sides.includes("server"));
        assertNoticed({ ...why?.error }, sides.includes("client"));
        // Attempts are made, and none succeeds: a SYN or its answer is lost.
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
      // The listening sockets.
      await untilHeld(linked.server, held.server + WIRE_PROTOCOLS.length);
      await untilHeld(linked.client, held.client);
    });

    it(`${what}, with data in flight: the earlier limit of both detects it (bound: writeTimeout, heartbeat)`, async () => {
      await using linked = await LinkedMachines.start(2);
      const ends = await Promise.all(
        WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { limits: limits(wire), server: "flood" })),
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

    it(`${what}, under load: when the link works again, each message is accounted for as its delivery promises (bound: heartbeat)`, async (t) => {
      await using linked = await LinkedMachines.start(3);
      // Longer than the time that all messages in flight need.
      await linked.link.set({ rate: RATE });
      const all = (
        await Promise.all(
          WIRE_PROTOCOLS.map((wire) => senders(linked, wire, LOAD, beating(wire, INTERVAL, TIMEOUT * 2))),
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

/** A client that reconnects, and the server that it connects to. */
async function visit(
  linked: LinkedMachines,
  wire: WireProtocol,
): Promise<{ readonly heard: Heard; readonly client: Part }> {
  const heard = await linked.listening(wire, "nothing", limits(wire));
  const client = linked.client.do({
    ...{ kind: "return", url: heard.url, does: "nothing" },
    options: { ...wire.options, ...limits(wire), openTimeout: 1_000, initialPause: 100, maxPause: 200 },
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

/** Resolves when a machine has this many sockets, of any kind. */
async function untilHeld(machine: Machine, number: number): Promise<void> {
  // There is no event for a descriptor that is freed.
  while (openSockets(machine.pid) !== number) await new Promise((resolve) => setTimeout(resolve, 20));
}

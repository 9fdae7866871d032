/** Numbered messages over connections that break and return, and the check of which of them arrived. */

import assert from "node:assert/strict";
import type { ReconnectDelivery } from "../../src/index.ts";
import type { WireProtocol } from "../kit/wire-protocols.ts";
import type { Heard, LinkedMachines } from "./linked-machines.ts";
import type { Load } from "./load.ts";
import type { Part } from "./machine.ts";

/** A reconnecting client that sends numbers, and the server that it sends them to. */
export interface Sender {
  readonly name: string;
  readonly delivery: ReconnectDelivery;
  readonly heard: Heard;
  readonly client: Part;
}

const DELIVERIES: readonly ReconnectDelivery[] = ["at-most-once", "confirmed", "resend"];

/** One sender for each delivery of the protocol. On TCP nothing confirms that a message has arrived. */
export async function senders(
  linked: LinkedMachines,
  wire: WireProtocol,
  load: Load,
  limits: object,
): Promise<Sender[]> {
  const all: Sender[] = [];
  for (const delivery of wire.protocol === "tcp" ? DELIVERIES.slice(0, 1) : DELIVERIES) {
    const heard = await linked.listening(wire, "collect", limits, load);
    const client = linked.client.do({
      ...{ kind: "return", url: heard.url, does: "send-numbers", load },
      options: { ...wire.options, ...limits, delivery, initialPause: 20, maxPause: 20 },
    });
    all.push({ name: wire.name, delivery, heard, client });
  }
  return all;
}

/** Ends it, and asserts that each message is accounted for as its delivery promises. Returns the result as a sentence. */
export async function settled({ name, delivery, heard, client }: Sender): Promise<string> {
  client.enough();
  const { sent, failed } = await client.until("accounts");
  const { numbers } = await heard.part.until("collected");
  const doubtful = failed["IN_DOUBT"] ?? [];
  const summary = `${name}, ${delivery}: ${sent.length} sent, ${doubtful.length} in doubt, ${numbers.length} came`;
  assert.deepEqual(
    Object.keys(failed).filter((code) => code !== "IN_DOUBT"),
    [],
  );
  assert.ok(!numbers.includes(null), "whole messages only");
  const came = numbers as readonly number[];
  const first = [...new Set(came)];
  assert.deepEqual(
    first,
    first.toSorted((one, other) => one - other),
    "in order",
  );
  if (delivery !== "resend") assert.equal(first.length, came.length, "none of them twice");
  const missing = new Set(sent);
  for (const number of first) missing.delete(number);
  if (delivery !== "at-most-once") assert.deepEqual([...missing], [], "what was confirmed has come");
  if (delivery === "resend") assert.deepEqual(doubtful, []);
  // Without these the test would prove nothing.
  assert.ok(sent.length > 0 && came.length > 0, summary);
  return summary;
}

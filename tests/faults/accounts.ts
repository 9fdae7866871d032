/** Numbered messages that are sent over one connection after the other, and what is to be true of them when that is over. */

import assert from "node:assert/strict";
import type { Delivery } from "../../src/index.js";
import type { Speech } from "../requirements/speech.js";
import type { Heard, Linked } from "./linked.js";
import type { Load } from "./load.js";
import type { Part } from "./machine.js";

/** A client that comes back and sends numbers, and whom it sends them to. */
export interface Visitor {
  readonly name: string;
  readonly delivery: Delivery;
  readonly heard: Heard;
  readonly client: Part;
}

const DELIVERIES: readonly Delivery[] = ["at-most-once", "confirmed", "resend"];

/** One for each delivery that the protocol has. On TCP nothing says that a message has arrived. */
export async function visitors(linked: Linked, speech: Speech, load: Load, limits: object): Promise<Visitor[]> {
  const all: Visitor[] = [];
  for (const delivery of speech.protocol === "tcp" ? DELIVERIES.slice(0, 1) : DELIVERIES) {
    const heard = await linked.listening(speech, "collect", limits, load);
    const client = linked.client.do({
      ...{ kind: "return", url: heard.url, does: "send-numbers", load },
      options: { ...speech.options, ...limits, delivery, initialPause: 20, maxPause: 20 },
    });
    all.push({ name: speech.name, delivery, heard, client });
  }
  return all;
}

/** Ends it, and asserts that each message is accounted for as its delivery says. What it came to, in a sentence. */
export async function settled({ name, delivery, heard, client }: Visitor): Promise<string> {
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
  // Otherwise nothing of this would have been tried.
  assert.ok(sent.length > 0 && came.length > 0, summary);
  return summary;
}

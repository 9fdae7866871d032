/** A node with the NATS broker, in a process of its own: it subscribes to one topic, reports what it gets, and publishes on request. */

import { natsBroker } from "../../src/broker/nats/index.ts";
import { bytesOf, KEPT, outcomeOf, textOf } from "./harness.ts";

/** What the program sends. */
export interface NodeReport {
  readonly what: "ready" | "entry" | "interrupted" | "restored" | "published" | "refused" | "closed";
  readonly text?: string | undefined;
}

const report = (message: NodeReport): unknown => process.send?.(message);
const broker = natsBroker(process.argv[2] ?? "");
const subscription = broker.subscribe("room", {
  entry: (entry) => report({ what: "entry", text: textOf(entry) }),
  interrupted: () => report({ what: "interrupted" }),
  restored: () => report({ what: "restored" }),
  invalid() {},
});
await subscription.ready;
report({ what: "ready" });
// A text is published; without one the node ends: then nothing keeps the process.
process.on("message", async ({ text }: { readonly text?: string }) => {
  if (text !== undefined) {
    const { error } = await outcomeOf(broker.publish("room", bytesOf(text), { ...KEPT, timeout: 1_000, id: text }));
    report({ what: error === undefined ? "published" : "refused", text: error?.code });
    return;
  }
  await broker.close();
  report({ what: "closed" });
  process.disconnect();
});

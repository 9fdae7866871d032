/** Tests of what a hub reports in the metrics of its process. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GAP_REASONS, type MetricName } from "../../src/base/vocabulary.ts";
import { Hub, memoryBroker, metrics } from "../../src/index.ts";
import { pair, settled } from "../../src/testing/index.ts";

const metric = (name: MetricName, labels = {}): number => metrics(process).snapshot().value(name, labels);

describe("the metrics of hubs", () => {
  it("count what the hub counts, also after its end", async () => {
    const before = [metric("holdfast_topic_publishes_total"), metric("holdfast_topic_entries_total")];
    const hub = new Hub({ broker: memoryBroker() });
    const topic = hub.topic("room");
    const { server } = pair();
    await topic.join(server);
    for (const text of ["a", "b", "c"]) await topic.publish(text);
    await settled();
    assert.equal(metric("holdfast_topics"), 1);
    assert.equal(metric("holdfast_topic_members"), 1);
    assert.equal(metric("holdfast_topic_members_behind"), 0);
    const counted = (): number[] => [metric("holdfast_topic_publishes_total"), metric("holdfast_topic_entries_total")];
    assert.deepEqual(
      counted(),
      before.map((count) => count + 3),
    );
    assert.equal(hub.stats.entries, 3);
    await hub.close();
    assert.equal(metric("holdfast_topics"), 0);
    assert.equal(metric("holdfast_topic_members"), 0);
    assert.deepEqual(
      counted(),
      before.map((count) => count + 3),
    );
  });

  it("count gaps by their reasons", async () => {
    await using hub = new Hub({ broker: memoryBroker() });
    assert.deepEqual(Object.keys(hub.stats.gaps), GAP_REASONS);
    const before = metric("holdfast_topic_gaps_total", { reason: "epoch" });
    const { server } = pair();
    await hub.topic("room").join(server, { after: { epoch: "another", offset: 7, check: 1 } });
    assert.equal(metric("holdfast_topic_gaps_total", { reason: "epoch" }), before + 1);
  });
});

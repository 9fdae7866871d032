/** When the kernel's table of sockets is read for the metrics, and what is shown until then. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SOCKET_STATES } from "../../src/base/vocabulary.ts";
import { Collector } from "../../src/engine/metrics/collector.ts";
import { listen, metrics } from "../../src/index.ts";
import type { StateCounts } from "../../src/kernel/state-counts.ts";
import { TcpSockets } from "../../src/metrics/tcp-sockets.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { type Deferred, deferred } from "../kit/deferred.ts";
import { SOCKETS_SKIP } from "../kit/kernel-sockets.ts";

/** The readings that were begun, which the test ends. */
class Readings {
  readonly begun: Deferred<StateCounts | undefined>[] = [];
  readonly read = (): Promise<StateCounts | undefined> => {
    const reading = deferred<StateCounts | undefined>();
    this.begun.push(reading);
    return reading.promise;
  };
}

function shown(sockets: TcpSockets): Record<string, number> {
  const collector = new Collector();
  sockets.collect(collector);
  return Object.fromEntries(
    collector.numbers("holdfast_tcp_sockets").map(({ labels, value }) => [labels["state"] ?? "", value]),
  );
}

describe("the metric of TCP sockets", () => {
  it("has no series before the first reading, and then one for each state", async () => {
    const clock = new ManualClock();
    const { begun, read } = new Readings();
    const sockets = new TcpSockets(clock, read);
    sockets.refresh();
    assert.deepEqual(shown(sockets), {});
    begun[0]?.resolve(new Map([["CLOSE_WAIT", 3]]));
    await clock.advance(0);
    const values = shown(sockets);
    assert.deepEqual(Object.keys(values), SOCKET_STATES);
    assert.deepEqual([values["close_wait"], values["established"]], [3, 0]);
  });

  it("is read once in 5 s, however often it is collected, and never twice at the same time", async () => {
    const clock = new ManualClock();
    const { begun, read } = new Readings();
    const sockets = new TcpSockets(clock, read);
    for (let collections = 0; collections < 10; collections += 1) shown(sockets);
    await clock.advance(60_000);
    shown(sockets);
    assert.equal(begun.length, 1);
    begun[0]?.resolve(new Map());
    await clock.advance(0);
    shown(sockets);
    shown(sockets);
    assert.equal(begun.length, 2);
    begun[1]?.resolve(new Map());
    await clock.advance(4_999);
    shown(sockets);
    assert.equal(begun.length, 2);
    await clock.advance(1);
    shown(sockets);
    assert.equal(begun.length, 3);
  });

  it("keeps its last values while the table cannot be read, and tries again", async () => {
    const clock = new ManualClock();
    const { begun, read } = new Readings();
    const sockets = new TcpSockets(clock, read);
    sockets.refresh();
    begun[0]?.resolve(new Map([["LISTEN", 1]]));
    await clock.advance(5_000);
    sockets.refresh();
    begun[1]?.reject(Object.assign(new Error("no descriptor is free"), { code: "EMFILE" }));
    await clock.advance(5_000);
    assert.equal(shown(sockets)["listen"], 1);
    assert.equal(begun.length, 3);
  });

  it("has no series where the kernel has no such table", async () => {
    const clock = new ManualClock();
    const sockets = new TcpSockets(clock, () => Promise.resolve(undefined));
    sockets.refresh();
    await clock.advance(0);
    assert.deepEqual(shown(sockets), {});
  });

  it("has the sockets of this process on Linux", { skip: SOCKETS_SKIP }, async () => {
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines", message: () => undefined });
    const measured = metrics(server);
    while (!measured.text().includes("holdfast_tcp_sockets")) await new Promise(setImmediate);
    assert.ok(measured.snapshot().value("holdfast_tcp_sockets", { state: "listen" }) >= 1);
  });
});

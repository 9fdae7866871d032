/** The network between a memory pair, and its faults: latency, capacity, freeze, cut and reset. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after } from "../../src/base/time.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { type LinkOptions, type LinkSide, memoryPair } from "../../src/transport/memory.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { EventRecorder } from "../kit/transport-pair.ts";

interface Network {
  readonly client: Transport;
  readonly server: Transport;
  readonly link: ReturnType<typeof memoryPair>["link"];
  readonly atClient: EventRecorder;
  readonly atServer: EventRecorder;
  readonly clock: ManualClock;
}

function network(options: LinkOptions = {}): Network {
  const clock = new ManualClock();
  const pair = memoryPair({ clock, ...options });
  const atClient = new EventRecorder();
  const atServer = new EventRecorder();
  pair.client.open(atClient);
  pair.server.open(atServer);
  return { ...pair, atClient, atServer, clock };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("a memory pair with latency", () => {
  it("delivers after the latency, and reports the write without it", async () => {
    const { client, atClient, atServer, clock } = network({ latency: 50 });
    client.write(bytes("hello"));
    await clock.advance(49);
    assert.deepEqual([atClient.log, atServer.log], [["written"], []]);
    await clock.advance(1);
    assert.equal(atServer.received.toString(), "hello");
  });

  it("delays the FIN and the reset equally, after the data", async () => {
    const { client, server, atClient, atServer, clock } = network({ latency: 50 });
    client.write(bytes("bye"));
    await settled();
    client.end();
    await clock.advance(49);
    assert.deepEqual(atServer.log, []);
    await clock.advance(1);
    assert.deepEqual(atServer.log, ["data", "ended"]);
    server.abort();
    await clock.advance(49);
    assert.deepEqual([atServer.count("closed"), atClient.count("closed")], [1, 0]);
    await clock.advance(1);
    assert.equal(atClient.error?.errno, "ECONNRESET");
  });

  it("keeps the order when the latency becomes smaller", async () => {
    const { client, atServer, link, clock } = network({ latency: 100 });
    client.write(bytes("one,"));
    await settled();
    link.latency = 10;
    client.write(bytes("two,"));
    await settled();
    link.latency = 0;
    client.write(bytes("three"));
    client.end();
    await clock.advance(100);
    assert.equal(atServer.received.toString(), "one,two,three");
    assert.equal(atServer.log.at(-1), "ended");
  });

  it("keeps the order when another timer expires at the instant of arrival", async () => {
    const { client, atServer, link, clock } = network({ latency: 100 });
    clock.wakeAt(after(clock.now(), 100), () => {
      link.latency = 0;
      client.write(bytes("two"));
    });
    client.write(bytes("one,"));
    await clock.advance(100);
    assert.equal(atServer.received.toString(), "one,two");
  });

  it("has a latency in each direction", async () => {
    const { client, server, atClient, atServer, clock } = network({ latency: 30 });
    client.write(bytes("there"));
    server.write(bytes("back"));
    await clock.advance(30);
    assert.deepEqual([atServer.received.toString(), atClient.received.toString()], ["there", "back"]);
  });
});

describe("the capacity of a memory pair", () => {
  it("limits what can be written without a reader, in each direction", async () => {
    const { client, server, atClient, atServer } = network({ capacity: 100 });
    client.pause();
    server.pause();
    client.write(new Uint8Array(100));
    server.write(new Uint8Array(100));
    await settled();
    assert.deepEqual([atClient.log, atServer.log], [["written"], ["written"]]);
    client.write(new Uint8Array(1));
    server.write(new Uint8Array(1));
    await settled();
    assert.deepEqual([atClient.count("written"), atServer.count("written")], [1, 1]);
    assert.deepEqual([client.queuedBytes, server.queuedBytes], [1, 1]);
    client.resume();
    server.resume();
    await settled();
    assert.deepEqual([atClient.count("written"), atServer.count("written")], [2, 2]);
    assert.deepEqual([atClient.size, atServer.size], [101, 101]);
  });

  it("accepts a large write as the reader frees space", async () => {
    const { client, server, atServer } = network({ capacity: 100 });
    server.pause();
    client.write(new Uint8Array(250));
    await settled();
    assert.equal(client.queuedBytes, 150);
    server.resume();
    await settled();
    assert.deepEqual([atServer.size, client.queuedBytes], [250, 0]);
  });

  it("includes the bytes in transit", async () => {
    const { client, clock, atClient } = network({ capacity: 100, latency: 50 });
    client.write(new Uint8Array(150));
    await settled();
    assert.equal(client.queuedBytes, 50);
    await clock.advance(50);
    assert.deepEqual([client.queuedBytes, atClient.count("written")], [0, 1]);
  });
});

describe("a frozen end", () => {
  const sides: readonly (readonly [LinkSide, LinkSide])[] = [
    ["server", "client"],
    ["client", "server"],
  ];
  for (const [frozen, awake] of sides) {
    it(`reads nothing, while its kernel accepts bytes until its buffer is full: the ${frozen}`, async () => {
      const all = network({ capacity: 100 });
      const at = { client: all.atClient, server: all.atServer };
      all.link.freeze(frozen);
      all[awake].write(new Uint8Array(100));
      await settled();
      assert.deepEqual([at[awake].log, at[frozen].log], [["written"], []]);
      all[awake].write(new Uint8Array(10));
      await all.clock.advance(3_600_000);
      assert.deepEqual([at[awake].log, all[awake].queuedBytes], [["written"], 10]);
      all.link.thaw(frozen);
      await settled();
      assert.deepEqual([at[frozen].size, at[awake].count("written")], [110, 2]);
    });

    it(`sends nothing, neither bytes nor FIN nor reset, until it is thawed: the ${frozen}`, async () => {
      const all = network();
      const at = { client: all.atClient, server: all.atServer };
      all.link.freeze(frozen);
      all[frozen].write(bytes("late"));
      all[frozen].end();
      await all.clock.advance(3_600_000);
      assert.deepEqual([at[frozen].log, at[awake].log], [[], []]);
      all.link.thaw(frozen);
      await settled();
      assert.deepEqual([at[awake].received.toString(), at[awake].log], ["late", ["data", "ended"]]);
      all.link.freeze(frozen);
      all[frozen].abort();
      await settled();
      assert.equal(at[awake].count("closed"), 0);
      all.link.thaw(frozen);
      await settled();
      assert.equal(at[awake].error?.errno, "ECONNRESET");
    });
  }

  it("receives the FIN that arrived while it was frozen after the thaw, behind the bytes", async () => {
    const { client, server, link, atServer } = network();
    link.freeze("server");
    client.write(bytes("bye"));
    await settled();
    client.end();
    await settled();
    link.thaw("server");
    await settled();
    assert.deepEqual([atServer.received.toString(), atServer.log], ["bye", ["data", "ended"]]);
    server.end();
    await settled();
    assert.equal(atServer.log.at(-1), "closed");
  });
});

describe("a cut link", () => {
  it("loses bytes in transit and later bytes, in both directions, without an event", async () => {
    const { client, server, link, clock, atClient, atServer } = network({ latency: 50 });
    client.write(bytes("under way"));
    server.write(bytes("under way"));
    await clock.advance(20);
    link.cut();
    await clock.advance(3_600_000);
    client.write(bytes("later"));
    server.end();
    await clock.advance(3_600_000);
    assert.deepEqual([atClient.log, atServer.log], [["written", "written"], ["written"]]);
  });

  it("loses a reset too: the aborting end is closed, and the other end waits", async () => {
    const { client, link, clock, atClient, atServer } = network();
    link.cut();
    client.abort();
    await clock.advance(3_600_000);
    assert.deepEqual([atClient.log, atServer.log], [["closed"], []]);
  });

  it("lets the kernel accept what fits in its buffer, and no more", async () => {
    const { client, link, clock, atClient } = network({ capacity: 100 });
    link.cut();
    client.write(new Uint8Array(100));
    await settled();
    assert.equal(atClient.count("written"), 1);
    client.write(new Uint8Array(1));
    await clock.advance(3_600_000);
    assert.deepEqual([atClient.count("written"), client.queuedBytes], [1, 1]);
  });
});

describe("a reset link", () => {
  it("fails at both ends, and bytes in transit are lost", async () => {
    const { client, server, link, clock, atClient, atServer } = network({ latency: 50 });
    client.write(bytes("under way"));
    await clock.advance(20);
    link.reset();
    await clock.advance(1_000);
    assert.deepEqual([atClient.log, atServer.log], [["written", "closed"], ["closed"]]);
    for (const { error } of [atClient, atServer]) {
      assert.deepEqual([error?.errno, error?.syscall, error?.code], ["ECONNRESET", "read", "TRANSPORT"]);
    }
    for (const end of [client, server]) {
      end.write(bytes("nobody reads this"));
      end.end();
      end.abort();
    }
    link.reset();
    await clock.advance(1_000);
    assert.deepEqual([atClient.count("closed"), atServer.count("closed")], [1, 1]);
  });

  it("fails a pending write, which is then not queued any more", async () => {
    const { client, server, link, atClient } = network({ capacity: 100 });
    server.pause();
    client.write(new Uint8Array(1_000));
    await settled();
    link.reset();
    await settled();
    assert.deepEqual([atClient.log, client.queuedBytes], [["closed"], 0]);
  });
});

/** The load of `holdfast bench`: that it sends what the plan says, and finds what a server does wrong. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Counts, Plan } from "../../../src/cli/bench/plan.ts";
import { type Connection, listen, type Message } from "../../../src/index.ts";
import { benched, chat, echo, serving } from "./loads.ts";
import { SAMPLE_PLAN } from "./sample-result.ts";

const LIMIT = { timeout: 120_000, concurrency: 4 };

const { client: CLIENT } = SAMPLE_PLAN;

const FAULTS = ["lost", "reordered", "duplicated", "changed", "ended", "failed", "unsent"] as const;

/** The facts that are not zero although all is well in a run without a fault. */
function faultsOf(counts: Counts): Partial<Counts> {
  return Object.fromEntries(FAULTS.filter((name) => counts[name] > 0).map((name) => [name, counts[name]]));
}

describe("the load of a bench", LIMIT, () => {
  it("sends as many messages as the rate says, on all connections, and measures each", async () => {
    const connections = new Set<Connection>();
    await using server = await serving(echo, { open: (connection) => void connections.add(connection) });
    const { counts, latency, series, loop } = await benched(server.url, { rate: 500, connections: 3 });
    assert.equal(connections.size, 3);
    assert.equal(loop, "open");
    // 500 per second for 0.4 s, whenever they were sent and answered.
    assert.equal(latency.count, 200);
    assert.equal(
      series.sent.reduce((sum, one) => sum + one),
      counts.sent,
    );
    assert.deepEqual(faultsOf(counts), {});
    assert.ok((latency.min ?? 0) > 0 && (latency.p50 ?? 0) <= (latency.max ?? 0));
  });

  it("does not measure the messages of the warm-up, and checks them", async () => {
    let number = 0;
    await using server = await serving((connection, message) => void (number++ !== 3 && echo(connection, message)));
    const { counts, latency } = await benched(server.url, { warmup: 200, drain: 1_000 });
    assert.equal(number, 60);
    assert.equal(latency.count, 40);
    assert.deepEqual(faultsOf(counts), { lost: 1 });
  });

  it("keeps as many messages under way as it is to, in the closed loop", async () => {
    let most = 0;
    let waiting: (() => void)[] = [];
    await using server = await serving((connection, message) => {
      waiting.push(() => echo(connection, message));
      most = Math.max(most, waiting.length);
      if (waiting.length < 8) return;
      for (const answer of waiting) answer();
      waiting = [];
    });
    const plan = { rate: undefined, connections: 2, inFlight: 4, drain: 50 };
    const { loop, counts } = await benched(server.url, plan);
    assert.equal(loop, "closed");
    assert.equal(most, 8);
    assert.ok(counts.received > 0);
  });

  it("shares the messages between processes and connections", async () => {
    const received = new Map<number, number>();
    await using server = await serving((connection, message) => {
      received.set(connection.id, (received.get(connection.id) ?? 0) + 1);
      echo(connection, message);
    });
    const { latency } = await benched(server.url, { rate: 300, connections: 3, processes: 2 });
    assert.equal(latency.count, 120);
    // Two connections of one process share a half, and the third has the other half.
    assert.deepEqual([...received.values()].sort(), [30, 30, 60]);
  });

  const forms: Record<string, [plan: Partial<Plan>, seen: string]> = {
    texts: [{ text: true }, "string 64"],
    "binary messages": [{}, "object 64"],
    "messages of 100 kB": [{ size: 100_000 }, "object 100000"],
    "messages of 2 MB": [{ size: 2_000_000, rate: 10 }, "object 2000000"],
  };
  for (const [what, [plan, expected]] of Object.entries(forms)) {
    it(`sends ${what}`, async () => {
      const seen = new Set<string>();
      const server = await serving(
        (connection, message) => {
          seen.add(`${typeof message} ${message.length}`);
          echo(connection, message);
        },
        { maxMessageSize: 4_000_000 },
      );
      await using _ = server;
      const { counts } = await benched(server.url, plan);
      assert.deepEqual([...seen], [expected]);
      assert.deepEqual(faultsOf(counts), {});
    });
  }

  for (const [framing, option] of Object.entries({
    lines: "lines",
    "a length": { lengthPrefix: 4 },
    "a fixed size": { fixed: 64 },
  } as const)) {
    it(`measures framed TCP: ${framing}`, async () => {
      await using server = await listen("tcp://127.0.0.1:0", {
        framing: option,
        message: (connection, message) => void connection.trySend(message),
      });
      const client = { ...CLIENT, framing: option };
      const { counts, latency } = await benched(server.url, { text: framing === "lines", client });
      assert.equal(latency.count, 40);
      assert.deepEqual(faultsOf(counts), {});
    });
  }

  it("offers header fields, subprotocols and the Origin", async () => {
    const seen: unknown[] = [];
    await using server = await serving(echo, {
      subprotocols: ["v1"],
      origin: ["https://app.example"],
      open: ({ protocol }, request) => void seen.push([protocol, request?.headers["x-key"]]),
    });
    const headers = [["X-Key", "7"]] as const;
    const client = { ...CLIENT, headers, subprotocols: ["v1"], origin: "https://app.example" };
    await benched(server.url, { client });
    assert.deepEqual(seen, [["v1", "7"]]);
  });

  it("ends the measurement when it is stopped, with the figures until then", async () => {
    const stop = new AbortController();
    let number = 0;
    await using server = await serving((connection, message) => {
      echo(connection, message);
      if (++number === 50) stop.abort();
    });
    const { latency, duration, counts } = await benched(server.url, { duration: 600_000 }, stop);
    assert.ok(latency.count >= 49 && duration < 600_000);
    assert.deepEqual(faultsOf(counts), {});
  });

  it("rejects if not all connections can be opened, and says how many could", async () => {
    let number = 0;
    await using server = await serving(echo, {
      authorize: () => (number++ === 5 ? new Response(null, { status: 403 }) : undefined),
    });
    await assert.rejects(
      benched(server.url, { connections: 6 }),
      /cannot open more than 5 of 6 connections to ws:.* 403/,
    );
  });
});

describe("the load of a bench, against a server with a fault", LIMIT, () => {
  /** Each is applied to the messages by their number. */
  type Fault = (connection: Connection, message: Message, number: number) => void;
  const held = new WeakMap<Connection, Message>();
  const faults: Record<string, [fault: Fault, as: Partial<Counts>]> = {
    "loses a message": [
      (connection, message, number) => void (number !== 20 && echo(connection, message)),
      { lost: 1 },
    ],
    "doubles a message": [
      (connection, message, number) => {
        echo(connection, message);
        if (number === 20) echo(connection, message);
      },
      { duplicated: 1 },
    ],
    "swaps two messages": [
      (connection, message, number) => {
        if (number === 20) held.set(connection, message);
        else echo(connection, message);
        if (number === 21) echo(connection, held.get(connection) ?? "");
      },
      { reordered: 1 },
    ],
    "changes a message": [
      (connection, message, number) => {
        const bytes = Buffer.from(message);
        if (number === 20) bytes[63] = (bytes[63] ?? 0) ^ 1;
        connection.trySend(bytes);
      },
      // It arrived, but not as it was sent.
      { lost: 1, changed: 1 },
    ],
    "sends a message that was not asked for": [
      (connection, message, number) => {
        echo(connection, message);
        if (number === 20) connection.trySend("welcome");
      },
      { changed: 1 },
    ],
  };
  for (const [what, [fault, as]] of Object.entries(faults)) {
    it(`finds that it ${what}`, async () => {
      let number = 0;
      await using server = await serving((connection, message) => fault(connection, message, number++));
      const { counts } = await benched(server.url, { drain: 1_000 });
      assert.deepEqual(faultsOf(counts), as);
    });
  }

  it("finds that it closes a connection, and why", async () => {
    let number = 0;
    await using server = await serving((connection, message) => {
      if (number++ === 20) void connection.close(1011, "no");
      else echo(connection, message);
    });
    const { counts, reasons } = await benched(server.url, { connections: 2, drain: 500 });
    assert.equal(counts.ended, 1);
    assert.ok(counts.lost >= 1);
    assert.deepEqual(reasons, { "the server closed the connection with 1011": 1 });
  });

  it("counts what a server that does not read keeps from being sent, and ends", async () => {
    // Each message waits for the answer to the first.
    await using server = await serving(() => new Promise<void>(() => undefined), { closeTimeout: 100 });
    const { counts, latency } = await benched(server.url, { size: 1_000_000, drain: 200 });
    assert.ok(counts.unsent > 0 && counts.lost > 0 && counts.unsent + counts.lost === 40, JSON.stringify(counts));
    assert.equal(latency.count, 0);
  });
});

describe("the works of a bench", LIMIT, () => {
  for (const processes of [1, 2]) {
    it(`broadcast: each subscriber and the last one are measured, in ${processes} processes`, async () => {
      await using server = await chat();
      const plan = { work: "broadcast", connections: 6, processes } as const;
      const { counts, latency, last } = await benched(server.url, plan);
      assert.deepEqual(faultsOf(counts), {});
      assert.deepEqual([latency.count, last?.count], [40 * 6, 40]);
      assert.ok((last?.min ?? 0) >= (latency.min ?? 0));
      assert.equal(last?.max, latency.max);
    });
  }

  it("broadcast: a message that a subscriber misses is lost, and has no last subscriber", async () => {
    const members: Connection[] = [];
    let number = 0;
    await using server = await serving(
      (publisher, message) => {
        number += 1;
        const [unlucky] = members.filter((member) => member !== publisher);
        for (const member of members) if (number !== 20 || member !== unlucky) member.trySend(message);
      },
      { open: (connection) => void members.push(connection) },
    );
    const { counts, last } = await benched(server.url, { work: "broadcast", connections: 3, drain: 1_000 });
    assert.deepEqual(faultsOf(counts), { lost: 1 });
    assert.equal(last?.count, 39);
  });

  it("broadcast: in the closed loop the next message follows when all subscribers have the last one", async () => {
    await using server = await chat();
    const { counts, latency, last } = await benched(server.url, { work: "broadcast", connections: 5, rate: undefined });
    assert.deepEqual(faultsOf(counts), {});
    assert.equal(latency.count, (last?.count ?? 0) * 5);
    assert.ok((last?.count ?? 0) > 1);
  });

  it("broadcast: messages of others to the same subscribers do not count", async () => {
    const members = new Set<Connection>();
    await using server = await serving(
      (_, message) => {
        for (const member of members) {
          member.trySend("from another program");
          member.trySend(message);
        }
      },
      { open: (connection) => void members.add(connection) },
    );
    const { counts } = await benched(server.url, { work: "broadcast", connections: 2 });
    assert.deepEqual(faultsOf(counts), {});
  });

  for (const work of ["echo", "broadcast"] as const) {
    it(`${work}: connections that do not read do not count, and the others are measured`, async () => {
      await using server = await (work === "echo" ? serving(echo, { closeTimeout: 100 }) : chat({ closeTimeout: 100 }));
      const { counts, latency } = await benched(server.url, { work, connections: 10, slow: 2 });
      assert.deepEqual(faultsOf(counts), {});
      assert.equal(latency.count, work === "echo" ? 40 : 40 * 8);
    });
  }

  it("echo: a connection that does not read and that the server ends is counted apart", async () => {
    let number = 0;
    // The one that does not read is the first to send, as soon as it is open.
    await using server = await serving((connection, message) => {
      if (number++ === 0) connection.terminate();
      else echo(connection, message);
    });
    const { counts, latency } = await benched(server.url, { connections: 2, slow: 1 });
    assert.deepEqual(faultsOf(counts), {});
    assert.deepEqual([counts.endedSlow, latency.count], [1, 40]);
  });

  it("connect: handshakes are counted and measured, so many at a time", async () => {
    let opening = 0;
    let most = 0;
    await using server = await serving(echo, {
      authorize: async () => {
        opening += 1;
        most = Math.max(most, opening);
        await new Promise((resolve) => setImmediate(resolve));
        opening -= 1;
        return undefined;
      },
    });
    const { counts, latency } = await benched(server.url, { work: "connect", connections: 4, rate: undefined });
    assert.deepEqual(faultsOf(counts), {});
    assert.ok(latency.count >= 4, String(latency.count));
    assert.ok(most <= 4);
  });

  it("connect: at a rate, and a refusal counts as failed", async () => {
    let number = 0;
    await using server = await serving(echo, {
      authorize: () => (number++ === 10 ? new Response(null, { status: 503 }) : undefined),
    });
    const { counts, latency, reasons } = await benched(server.url, { work: "connect", connections: 50 });
    assert.deepEqual(faultsOf(counts), { failed: 1 });
    assert.equal(latency.count, 39);
    assert.match(Object.keys(reasons).join(), /503/);
  });
});

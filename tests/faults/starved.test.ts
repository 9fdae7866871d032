/** Servers that get too little of the machine: a tenth of a processor, or memory for less than come. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, isConnectionError } from "../../src/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { upgraded } from "../raw-peers.js";
import { SPEECHES } from "../requirements/speech.js";
import { ControlGroup } from "./cgroup.js";
import { Party } from "./party.js";

const MIB = 1_048_576;
const skip = process.platform === "win32" && "Windows has no signals by which a process could be held back";

/** Gives a process a tenth of a processor, until the returned function is called: by its control group, or else by signals. */
function starve(party: Party): { readonly how: string; readonly over: () => Promise<void> } {
  const group = ControlGroup.of("cpu");
  if (group !== undefined) {
    group.write("cpu.cfs_period_us", 100_000);
    group.write("cpu.cfs_quota_us", 10_000);
    group.add(party.pid);
    return { how: "its control group", over: () => group[Symbol.asyncDispose]() };
  }
  let starving = true;
  const over = (async () => {
    while (starving) {
      party.signal("SIGSTOP");
      await pause(90);
      party.signal("SIGCONT");
      await pause(10);
    }
  })();
  return {
    how: "signals",
    over: async () => {
      starving = false;
      await over;
    },
  };
}

describe("a server that is starved", { skip, timeout: 180_000 }, () => {
  it("of its processor, under load: nobody is given up, and no queue grows (bound: heartbeat, maxQueuedBytes)", async (t) => {
    await using client = await Party.start();
    const server = await Party.start();
    const { how, over } = starve(server);
    try {
      const members = 25;
      for (const { url, options, protocol } of SPEECHES) {
        const heartbeat = { interval: 1_000, timeout: 10_000, ...(protocol === "tcp" && { message: "?" }) };
        const limits = { ...options, heartbeat };
        const place = await server.tell({ do: "serve", url, options: limits, as: "answer" });
        // Without a pause: more than it can answer.
        const to = { do: "count", think: 0 } as const;
        await client.tell({ do: "visit", url: place, options: { ...limits, openTimeout: 60_000 }, count: members, to });
      }
      const [since, { cpu, given }] = [performance.now(), await server.report()];
      const { guests } = await client.until(({ guests: { least } }) => least >= 100);
      const now = await server.report();
      const spent = performance.now() - since;
      t.diagnostic(
        `by ${how}: ${(((now.cpu - cpu) / spent) * 100).toFixed(0)} % of a processor, ${now.given - given} answers`,
      );
      assert.deepEqual([now.ends, now.troubles, (await client.report()).ends, guests.failures], [[], [], [], []]);
      // Each waits for its answer, and so has one message in the queue at most.
      assert.ok(now.queuedBytes <= SPEECHES.length * members * 20, `${now.queuedBytes}`);
    } finally {
      await server[Symbol.asyncDispose]();
      await over();
    }
  });

  it("of memory: who is too many is turned away, those within keep to their limits, and it lives (bound: 160 MiB)", async (t) => {
    const most = 160 * MIB;
    const group = ControlGroup.of("memory");
    // Node's own heap is the bound where there are no control groups.
    const server = await Party.start({ node: ["--max-old-space-size=64"] });
    try {
      group?.write("memory.limit_in_bytes", most);
      group?.add(server.pid);
      const maxConnections = 100;
      const limits = { maxConnections, maxQueuedBytes: MIB / 4, maxMessageSize: MIB / 4, maxInboxBytes: MIB / 16 };
      const options = { ...limits, writeTimeout: null, heartbeat: { interval: null } };
      const url = await server.tell({ do: "serve", url: "ws://127.0.0.1:0", options, as: "answer" });
      const port = Number(new URL(url).port);
      const { live } = await server.report(true);
      const message = peerFrame({ opcode: 2, payload: Buffer.alloc(65_536), key: KEY });
      const crowd = await Promise.all(Array.from({ length: maxConnections }, () => upgraded(port)));
      for (const { socket } of crowd) {
        socket.pause();
        // More than the kernel and its limits hold: what it cannot send it must not take.
        for (let sent = 0; sent < 256; sent += 1) socket.write(message);
      }
      // Until nothing more is taken from anybody.
      for (let taken = -1, calm = 0; calm < 5; ) {
        const report = await server.report();
        calm = report.taken === taken ? calm + 1 : 0;
        ({ taken } = report);
        await pause(100);
      }
      for (let late = 0; late < 50; late += 1) {
        const refusal = await connect(url).catch((error: unknown) => error);
        assert.ok(isConnectionError(refusal) && refusal.code === "HANDSHAKE", String(refusal));
        assert.deepEqual([refusal.status, refusal.headers["retry-after"] !== undefined], [503, true]);
      }
      const full = await server.report(true);
      const held = full.live - live;
      t.diagnostic(
        `${(held / MIB).toFixed(1)} MiB held for ${full.serving}, resident ${(full.rss / MIB).toFixed(0)} MiB`,
      );
      t.diagnostic(
        group === undefined
          ? "no control group"
          : `at most ${Number(group.read("memory.max_usage_in_bytes")) / MIB} MiB`,
      );
      assert.equal(full.serving, maxConnections);
      assert.ok(held <= maxConnections * (limits.maxQueuedBytes + limits.maxInboxBytes + 65_536) + 4 * MIB, `${held}`);
      for (const peer of crowd) await peer[Symbol.asyncDispose]();
      await server.until(({ serving }) => serving === 0);
      await using next = await connect(url);
      await next.send("hello");
      assert.equal(await next.receive(), "hello");
      assert.deepEqual((await server.report()).troubles, []);
    } finally {
      await server[Symbol.asyncDispose]();
      await group?.[Symbol.asyncDispose]();
    }
  });
});

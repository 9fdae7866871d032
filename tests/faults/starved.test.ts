/** Servers with too few resources: a tenth of a processor, or too little memory for the number of clients. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, isConnectionError } from "../../src/index.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { upgraded } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { ControlGroup } from "./cgroup.ts";
import { EchoProcess } from "./echo-process.ts";

const MIB = 1_048_576;
const skip = process.platform === "win32" && "Windows has no signals by which a process could be held back";

/** Limits a process to a tenth of a processor until the returned function is called: by its control group, or else by signals. */
function starve(child: EchoProcess): { readonly how: string; readonly over: () => Promise<void> } {
  const group = ControlGroup.of("cpu");
  if (group !== undefined) {
    group.write("cpu.cfs_period_us", 100_000);
    group.write("cpu.cfs_quota_us", 10_000);
    group.add(child.pid);
    return { how: "its control group", over: () => group[Symbol.asyncDispose]() };
  }
  let starving = true;
  const over = (async () => {
    while (starving) {
      child.signal("SIGSTOP");
      await pause(90);
      child.signal("SIGCONT");
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
  it("of processor time, under load: no side gives up, and no queue grows (bound: heartbeat, maxQueuedBytes)", async (t) => {
    await using client = await EchoProcess.start();
    const server = await EchoProcess.start();
    const { how, over } = starve(server);
    try {
      const members = 25;
      for (const { url, options, protocol } of WIRE_PROTOCOLS) {
        const heartbeat = { interval: 1_000, timeout: 10_000, ...(protocol === "tcp" && { message: "?" }) };
        const limits = { ...options, heartbeat };
        const place = await server.tell({ do: "serve", url, options: limits, as: "answer" });
        // Without pauses: more than the process can answer.
        const to = { do: "count", think: 0 } as const;
        await client.tell({ do: "visit", url: place, options: { ...limits, openTimeout: 60_000 }, count: members, to });
      }
      const [since, { cpu, given }] = [performance.now(), await server.report()];
      const { clients } = await client.until(({ clients: { least } }) => least >= 100);
      const now = await server.report();
      const spent = performance.now() - since;
      t.diagnostic(
        `by ${how}: ${(((now.cpu - cpu) / spent) * 100).toFixed(0)} % of a processor, ${now.given - given} answers`,
      );
      assert.deepEqual([now.ends, now.troubles, (await client.report()).ends, clients.failures], [[], [], [], []]);
      // Each client awaits its answer, so that at most one message is in its queue.
      assert.ok(now.queuedBytes <= WIRE_PROTOCOLS.length * members * 20, `${now.queuedBytes}`);
    } finally {
      await server[Symbol.asyncDispose]();
      await over();
    }
  });

  it("of memory: clients above the limit are refused, the others keep to their limits, and it survives (bound: 160 MiB)", async (t) => {
    const most = 160 * MIB;
    const group = ControlGroup.of("memory");
    // Where there are no control groups, Node's own heap limit is the bound.
    const server = await EchoProcess.start({ node: ["--max-old-space-size=64"] });
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
        // More than the kernel and the limits of the server hold. The server must not accept the rest.
        for (let sent = 0; sent < 256; sent += 1) socket.write(message);
      }
      // Until the server reads no more from any client.
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
      // The queue, the inbox, the current write, and the copy of the message that the loop awaits in `send`.
      const each = limits.maxQueuedBytes + limits.maxInboxBytes + 2 * 65_536;
      assert.ok(held <= maxConnections * each + 4 * MIB, `${held}`);
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

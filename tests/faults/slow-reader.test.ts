/** Peers that do not read: the kernel's window closes, and their waiting messages cost no more than the queue. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { needed } from "../kit/foreign-programs.ts";
import { SOCKETS_SKIP, untilSockets } from "../kit/kernel-sockets.ts";
import { upgradeRequest } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess } from "./echo-process.ts";
import { unable } from "./network.ts";

const MIB = 1_048_576;
const WRITE_TIMEOUT = 3_000;
const PYTHON = { name: "python3", install: "apt-get install python3", places: ["/usr/bin/python3", "python3"] };

const MESSAGES = 60;

/** A network namespace in which the kernel buffers little. Otherwise it would buffer megabytes for each member. */
const SMALL = [
  ...["unshare", "-n", "/bin/sh", "-c"],
  'ip link set lo up && echo "4096 65536 131072" > /proc/sys/net/ipv4/tcp_wmem && exec "$0" "$@"',
];

/** In Python, since Node cannot set the size of a socket's buffer. It connects, upgrades, reports that, and reads nothing. */
const SLOW = `
import socket, sys, time
peer = socket.socket()
peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
peer.connect(("127.0.0.1", int(sys.argv[1])))
peer.send(sys.argv[2].encode())
print("connected", flush=True)
time.sleep(1000)
`;

describe("a peer that does not read", { timeout: 120_000 }, () => {
  for (const { name, url, protocol, open } of WIRE_PROTOCOLS) {
    it(`closes its window, and is ended, on ${name} (bound: writeTimeout)`, { skip: SOCKETS_SKIP }, async (t) => {
      const [size, times] = [160 * 1_024, 100];
      await using server = await EchoProcess.start();
      const framing = protocol === "tcp" ? { framing: { lengthPrefix: 4 } } : {};
      const limits = { writeTimeout: WRITE_TIMEOUT, maxQueuedBytes: 2 * size * times, heartbeat: { interval: null } };
      const place = await server.tell({ do: "serve", url, options: { ...framing, ...limits }, as: "gather" });
      const port = Number(new URL(place).port);
      await using peer = await open(port);
      peer.socket.pause();
      await server.until(({ serving }) => serving === 1);
      const before = await server.report(true);
      assert.deepEqual(await server.tell({ do: "publish", size, times }), { refused: 0 });
      let probed = false;
      // The kernel's zero window probes.
      await untilSockets(port, (sockets) => {
        probed = sockets.some(({ timer }) => timer === 4);
        return probed || sockets.length === 0;
      });
      assert.ok(probed, "the window has closed");
      const { ends } = await server.until(({ serving }) => serving === 0);
      const [{ error, limit, after = 0 } = { error: "none" }] = ends;
      assert.deepEqual([ends.length, error, limit], [1, "TIMEOUT", "writeTimeout"]);
      assert.ok(after >= WRITE_TIMEOUT, `${after} ms`);
      await untilSockets(port, (sockets) => sockets.length === 0);
      const left = (await server.report(true)).live - before.live;
      t.diagnostic(`ended after ${after.toFixed(0)} ms; ${left} bytes more are held`);
      assert.ok(left < 2 * MIB, `${left} bytes`);
    });
  }

  it("in a group of 1,000: the others get every message, and it costs its queue (bound: maxQueuedBytes)", {
    skip: unable(),
  }, async (t) => {
    const python = needed(t, PYTHON);
    if (python === undefined) return;
    const [size, batch, others, maxQueuedBytes] = [8_192, 5, 999, 65_536];
    await using server = await EchoProcess.start({ by: SMALL });
    const there = ["nsenter", "-t", `${server.pid}`, "-n"];
    const options = { maxQueuedBytes, closeTimeout: 300, heartbeat: { interval: null } };
    const url = await server.tell({ do: "serve", url: "ws://127.0.0.1:0", options, as: "gather" });
    await using readers = await EchoProcess.start({ by: there });
    await readers.tell({ do: "visit", url, options: {}, count: others, to: { do: "read" } });
    const args = ["-c", SLOW, new URL(url).port, upgradeRequest()];
    const slow = spawn("nsenter", [...there.slice(1), python, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const gone = once(slow, "exit");
    try {
      const { serving } = await server.until(({ serving }) => serving === others + 1);
      assert.equal(serving, others + 1);
      const { live } = await server.report(true);
      let sent = 0;
      let most = 0;
      let refused = 0;
      while (sent < MESSAGES) {
        refused += (await server.tell({ do: "publish", size, times: batch })).refused;
        assert.ok(refused <= 1, `${refused} were refused`);
        sent += batch;
        await readers.until(({ clients: { heard } }) => heard.every((number) => number === sent));
        most = Math.max(most, (await server.report(true)).live - live);
        assert.ok(most <= maxQueuedBytes + 4 * MIB, `${most} bytes are held`);
      }
      // A member that gets the message in a later turn is not among those that refuse it: its end says it.
      t.diagnostic(`${most} bytes held at most`);
      const { ends, queuedBytes } = await server.until(({ serving }) => serving === others);
      assert.deepEqual(
        ends.map(({ code, limit }) => [code, limit]),
        [[1013, "maxQueuedBytes"]],
      );
      assert.equal(queuedBytes, 0, "nobody else waits");
      assert.deepEqual((await readers.report()).ends, []);
    } finally {
      slow.kill("SIGKILL");
      await gone;
    }
  });
});

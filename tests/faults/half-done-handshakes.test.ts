/**
 * As many incomplete handshakes as there are descriptors: another client is served, and none of them stays. A server with few places
 * keeps few of them.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { describe, it } from "node:test";
import { connect } from "../../src/index.ts";
import { SPARE_OPENINGS } from "../../src/transport/listen/pending-openings.ts";
import { upgradeRequest } from "../kit/raw-peer.ts";
import { EchoProcess } from "./echo-process.ts";

/** The number of descriptors of this process, and of the server. */
const DESCRIPTORS =
  Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }).replace(/\D+/, "")) || 1_024;
const MANY = Math.min(10_000, DESCRIPTORS - 200);

/** The bytes that each may cost the server: the socket of node:http and its parser. */
const EACH = 12_288;
/** How many times longer a client may wait for its answer than without them. */
const BOUND = 10;

/** Connects, asks, and waits for the answer. Returns the time that it took. */
async function served(url: string): Promise<number> {
  const since = performance.now();
  await using connection = await connect(url);
  await connection.send("hello");
  assert.equal(await connection.receive(), "hello");
  return performance.now() - since;
}

/** The shortest of many times, because other processes use the processor. */
async function quickest(url: string): Promise<number> {
  const times: number[] = [];
  for (let time = 0; time < 20; time += 1) times.push(await served(url));
  return Math.min(...times);
}

/** Opens the sockets, and writes half a request on each. */
async function halfDone(port: number): Promise<Socket[]> {
  const half = upgradeRequest().slice(0, 80);
  const sockets: Socket[] = [];
  while (sockets.length < MANY) {
    const some = Array.from({ length: Math.min(250, MANY - sockets.length) }, () => dial({ port, host: "127.0.0.1" }));
    await Promise.all(some.map((socket) => once(socket, "connect")));
    for (const socket of some) socket.on("error", () => undefined).write(half);
    sockets.push(...some);
  }
  return sockets;
}

describe(`${MANY} handshakes that are half done`, { timeout: 120_000 }, () => {
  it(`cost at most ${EACH} bytes each, and other clients are served (bound: ${BOUND} times as long, and openTimeout)`, async (t) => {
    await using child = await EchoProcess.start();
    const options = { openTimeout: null, maxConnections: MANY + 10 };
    const url = await child.tell({ do: "serve", url: "ws://127.0.0.1:0", options, as: "answer" });
    const alone = await quickest(url);
    const before = await child.report(true);
    const sockets = await halfDone(Number(new URL(url).port));
    const full = await child.until(({ sockets }) => sockets >= before.sockets + MANY);
    const beside = await quickest(url);
    const held = (await child.report(true)).live - before.live;
    t.diagnostic(
      `${full.sockets} sockets, ${Math.round(held / MANY)} bytes each; served in ${beside.toFixed(1)} ms, and without them in ${alone.toFixed(1)} ms`,
    );
    assert.ok(held <= MANY * EACH + 2 * 1_048_576, `${held} bytes`);
    assert.ok(beside < BOUND * alone, `${beside} ms instead of ${alone} ms`);
    for (const socket of sockets) socket.destroy();
    await child.until((report) => report.sockets <= before.sockets);
    assert.deepEqual((await child.report()).troubles, []);
  });

  for (const transport of ["fast", "socket"])
    it(`leave a server with few places on the ${transport} transport its connections and room for others (bound: maxConnections)`, async (t) => {
      await using child = await EchoProcess.start(
        transport === "socket" ? { env: { HOLDFAST_TRANSPORT: "socket" } } : {},
      );
      const places = 10;
      const options = { openTimeout: null, maxConnections: places };
      const url = await child.tell({ do: "serve", url: "ws://127.0.0.1:0", options, as: "answer" });
      const before = await child.report(true);
      const residents = await Promise.all(
        Array.from({ length: places - 1 }, () => connect(url, { maxConnecting: 16 })),
      );
      let most = 0;
      const counting = setInterval(
        () => void child.report().then(({ sockets }) => (most = Math.max(most, sockets))),
        50,
      );
      const sockets = await halfDone(Number(new URL(url).port));
      clearInterval(counting);
      const beside = await quickest(url);
      most = Math.max(most, (await child.report()).sockets) - before.sockets;
      t.diagnostic(`at most ${most} sockets for ${MANY}; served in ${beside.toFixed(1)} ms`);
      assert.ok(most <= places + SPARE_OPENINGS, `${most} sockets`);
      for (const resident of residents) {
        await resident.send("hello");
        assert.equal(await resident.receive(), "hello");
        await resident.close();
      }
      for (const socket of sockets) socket.destroy();
      await child.until((report) => report.sockets <= before.sockets);
      assert.deepEqual((await child.report()).troubles, []);
    });
});

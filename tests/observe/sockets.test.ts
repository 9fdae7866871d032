/** The kernel's view of sockets: of this process's, of another's, and of those that stand still. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { type KernelReport, type KernelSocket, KernelSockets } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { UNCOUNTED, untilSockets } from "../descriptors.js";
import { UnreadServer } from "../unread-server.js";

/** What the kernel says of a server's own ends, as time goes by on a clock of its own. */
function lookAt(server: UnreadServer): { readonly clock: ManualClock; read(): Promise<KernelSocket[]> } {
  const clock = new ManualClock();
  const sockets = new KernelSockets({ port: server.port, clock });
  return { clock, read: async () => (await reportOf(sockets)).sockets.filter(({ state }) => state !== "LISTEN") };
}

async function reportOf(sockets: KernelSockets): Promise<KernelReport> {
  const report = await sockets.read();
  assert.ok(report.supported);
  return report;
}

describe("the kernel's view of sockets", { skip: UNCOUNTED, timeout: 240_000 }, () => {
  it("has those of this process, with their states, queues and holder", async () => {
    await using server = await UnreadServer.open();
    const { far, near } = await server.join();
    far.write("unread");
    await untilSockets(server.port, ([socket]) => socket?.unread === 6);
    const report = await reportOf(new KernelSockets());
    const [listening, accepted, connected] = ["LISTEN", `${near.remotePort}`, `${near.localPort}`].map((which) =>
      report.sockets.find(
        ({ state, localPort, remoteAddress }) =>
          (state === which && localPort === server.port) || remoteAddress === `127.0.0.1:${which}`,
      ),
    );
    assert.equal(listening?.localAddress, `127.0.0.1:${server.port}`);
    assert.deepEqual([accepted?.state, accepted?.receiveQueue, accepted?.sendQueue], ["ESTABLISHED", 6, 0]);
    assert.deepEqual(
      [connected?.localAddress, connected?.remoteAddress],
      [`127.0.0.1:${far.localPort}`, `127.0.0.1:${server.port}`],
    );
    for (const socket of report.sockets) assert.deepEqual(socket.pids, [process.pid]);
    const [own] = report.processes;
    assert.equal(own?.pid, process.pid);
    assert.ok((own?.descriptors ?? 0) >= 3 && (own?.descriptorLimit ?? 0) > (own?.descriptors ?? 0));
    assert.deepEqual(report.hidden, []);
  });

  it("tells how long a peer has ended and we have not, from when it was first seen", async () => {
    await using server = await UnreadServer.open();
    const { far } = await server.join();
    const { clock, read } = lookAt(server);
    assert.deepEqual(
      (await read()).map(({ state, stateFor }) => [state, stateFor]),
      [["ESTABLISHED", 0]],
    );
    await clock.advance(700);
    assert.equal((await read())[0]?.stateFor, 700);
    far.end();
    await untilSockets(server.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    assert.deepEqual(
      (await read()).map(({ state, stateFor }) => [state, stateFor]),
      [["CLOSE_WAIT", 0]],
    );
    await clock.advance(5_000);
    assert.equal((await read())[0]?.stateFor, 5_000);
  });

  it("tells how long a queue has stood still, and not of one that moves", async () => {
    await using server = await UnreadServer.open();
    const { far } = await server.join();
    const { clock, read } = lookAt(server);
    const stalled = async (): Promise<number | undefined> => (await read())[0]?.receiveStalledFor;
    assert.equal(await stalled(), 0);
    await clock.advance(100);
    assert.equal(await stalled(), 0, "an empty queue does not stand still");
    far.write("12345");
    await untilSockets(server.port, ([socket]) => socket?.unread === 5);
    assert.equal(await stalled(), 0);
    await clock.advance(100);
    assert.equal(await stalled(), 100);
    far.write("6");
    await untilSockets(server.port, ([socket]) => socket?.unread === 6);
    assert.equal(await stalled(), 0);
  });

  it("tells of a send queue that nobody takes from", async () => {
    await using server = await UnreadServer.open();
    const { far, near } = await server.join();
    far.pause();
    near.write(Buffer.alloc(16_000_000));
    // What the kernels exchange among themselves settles, and then nothing moves.
    let before = -1;
    await untilSockets(server.port, ([socket]) => {
      const still = socket?.unacknowledged === before && before > 0 && socket.timer === 4;
      before = socket?.unacknowledged ?? -1;
      return still;
    });
    const { clock, read } = lookAt(server);
    await read();
    await clock.advance(900);
    const [socket] = await read();
    assert.equal(socket?.sendStalledFor, 900);
    assert.equal(socket?.timer, "zero-window");
  });

  it("begins anew with a connection that has the same addresses", async () => {
    await using server = await UnreadServer.open();
    // Where nobody else has ports, who could be given ours meanwhile.
    const localAddress = "127.7.7.7";
    const { far, near } = await server.join(localAddress);
    const { clock, read } = lookAt(server);
    await read();
    const localPort = far.localPort ?? 0;
    far.resetAndDestroy();
    near.destroy();
    await untilSockets(server.port, (sockets) => sockets.length === 0);
    await clock.advance(1_000);
    const again = connect({ port: server.port, host: "127.0.0.1", localAddress, localPort });
    await once(again, "connect");
    assert.deepEqual(
      (await read()).map(({ stateFor }) => stateFor),
      [0],
    );
    again.resetAndDestroy();
  });

  it("has those of another process, and forgets those that are gone", async () => {
    await using server = await UnreadServer.open();
    const child = spawn(process.execPath, ["-e", `require("net").connect(${server.port}, "127.0.0.1").resume()`]);
    const exited = once(child, "exit");
    await untilSockets(server.port, ([socket]) => socket?.state === "ESTABLISHED");
    const sockets = new KernelSockets({ pid: child.pid ?? 0 });
    const report = await reportOf(sockets);
    assert.deepEqual(
      report.sockets.map(({ remoteAddress, pids }) => [remoteAddress, pids]),
      [[`127.0.0.1:${server.port}`, [child.pid]]],
    );
    assert.match(report.processes[0]?.command ?? "", /require/);
    child.kill("SIGKILL");
    await exited;
    await assert.rejects(sockets.read(), { code: "TRANSPORT", errno: "ESRCH" });
  });

  it("finds who holds a port", async () => {
    await using server = await UnreadServer.open();
    const { sockets, processes } = await reportOf(new KernelSockets({ pid: "any", port: server.port }));
    assert.deepEqual(
      sockets.map(({ state, pids }) => [state, pids]),
      [["LISTEN", [process.pid]]],
    );
    assert.deepEqual(
      processes.map(({ pid }) => pid),
      [process.pid],
    );
  });

  it("says what it may not see of other users' processes", async (t) => {
    const privileged = process.geteuid?.() === 0;
    if (privileged) process.seteuid?.(65_534);
    try {
      const [one, all] = await Promise.all([1, "any" as const].map((pid) => reportOf(new KernelSockets({ pid }))));
      assert.match(one?.hidden.join() ?? "", /process 1, which is another user's: run as the same user, or as root/);
      assert.deepEqual(one?.sockets, []);
      assert.match(all?.hidden.join() ?? "", /of \d+ processes of other users/);
    } catch (error) {
      // Where the first process is one's own, as in a container without users.
      if (privileged) throw error;
      t.skip("every process here is this user's");
    } finally {
      if (privileged) process.seteuid?.(0);
    }
  });
});

describe("the kernel's view of sockets that there cannot be", () => {
  it("is refused at the door", () => {
    for (const pid of [0, -1, 1.5, Number.NaN, "1"] as number[]) {
      assert.throws(() => new KernelSockets({ pid }), RangeError, `${pid}`);
    }
    for (const port of [0, 65_536, 0.5, Number.NaN]) {
      assert.throws(() => new KernelSockets({ port }), RangeError, `${port}`);
    }
  });

  it("is supported on Linux, and says so where it is not", async () => {
    const report = await new KernelSockets().read();
    assert.equal(report.supported, process.platform === "linux");
    if (!report.supported) assert.match(report.reason, /Linux/);
  });
});

/** The kernel's view of sockets: of this process, of another one, and of sockets without progress. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { type KernelReport, type KernelSocket, KernelSockets } from "../../src/kernel/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { SOCKETS_SKIP, untilSockets } from "../kit/kernel-sockets.ts";
import { UnreadServer } from "../kit/unread-server.ts";

/** The kernel's reports about a server's own sockets, over time by a manual clock. */
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

describe("the kernel's view of sockets", { skip: SOCKETS_SKIP, timeout: 240_000 }, () => {
  it("has the sockets of this process, with their states, queues and holder", async () => {
    await using server = await UnreadServer.open();
    const { far, near } = await server.join();
    far.write("unread");
    await untilSockets(server.port, ([socket]) => socket?.unread === 6);
    const report = await reportOf(new KernelSockets());
    const [listening, accepted, connected] = ["LISTEN", `${near.remotePort}`, `${near.localPort}`].map((which) =>
      report.sockets.find(
        ({ state, localPort, remotePort }) =>
          (state === which && localPort === server.port) || `${remotePort}` === which,
      ),
    );
    assert.equal(listening?.localAddress, "127.0.0.1");
    assert.deepEqual([accepted?.state, accepted?.receiveQueue, accepted?.sendQueue], ["ESTABLISHED", 6, 0]);
    assert.deepEqual(
      [connected?.localAddress, connected?.localPort, connected?.remoteAddress, connected?.remotePort],
      ["127.0.0.1", far.localPort, "127.0.0.1", server.port],
    );
    for (const socket of report.sockets) assert.deepEqual(socket.pids, [process.pid]);
    const [own] = report.processes;
    assert.equal(own?.pid, process.pid);
    assert.ok((own?.descriptors ?? 0) >= 3 && (own?.descriptorLimit ?? 0) > (own?.descriptors ?? 0));
    assert.deepEqual(report.unreadable, []);
  });

  it("measures the time in CLOSE_WAIT from the first read that saw it", async () => {
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

  it("measures how long a queue is unchanged, and 0 for a changing one", async () => {
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

  it("measures a send queue that the peer does not read", async () => {
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

  it("begins again for another connection with the same addresses", async () => {
    await using server = await UnreadServer.open();
    // In a network namespace, where no other process can get our ports.
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

  it("has the sockets of another process, and forgets closed ones", async () => {
    await using server = await UnreadServer.open();
    await using child = new ChildProgram("-e", [`require("net").connect(${server.port}, "127.0.0.1").resume()`]);
    const { pid = 0 } = child.process;
    await untilSockets(server.port, ([socket]) => socket?.state === "ESTABLISHED");
    const sockets = new KernelSockets({ pid });
    const report = await reportOf(sockets);
    assert.deepEqual(
      report.sockets.map(({ remoteAddress, remotePort, pids }) => [remoteAddress, remotePort, pids]),
      [["127.0.0.1", server.port, [pid]]],
    );
    assert.match(report.processes[0]?.command ?? "", /require/);
    child.signal("SIGKILL");
    await child.exit;
    await assert.rejects(sockets.read(), { code: "TRANSPORT", errno: "ESRCH" });
  });

  it("finds the processes that hold a port", async () => {
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

  it("lists what is not readable of processes of other users", async (t) => {
    const privileged = process.geteuid?.() === 0;
    if (privileged) process.seteuid?.(65_534);
    try {
      const [one, all] = await Promise.all([1, "any" as const].map((pid) => reportOf(new KernelSockets({ pid }))));
      assert.match(one?.unreadable.join() ?? "", /process 1 of another user: run as the same user, or as root/);
      assert.deepEqual(one?.sockets, []);
      assert.match(all?.unreadable.join() ?? "", /of \d+ processes of other users/);
    } catch (error) {
      // Where the first process is one's own, as in a container without users.
      if (privileged) throw error;
      t.skip("every process here is this user's");
    } finally {
      if (privileged) process.seteuid?.(0);
    }
  });
});

describe("an impossible option of KernelSockets", () => {
  it("is refused by the constructor", () => {
    for (const pid of [0, -1, 1.5, Number.NaN]) {
      assert.throws(() => new KernelSockets({ pid }), RangeError, `${pid}`);
    }
    assert.throws(() => new KernelSockets({ pid: "1" as never }), TypeError);
    for (const port of [0, 65_536, 0.5, Number.NaN]) {
      assert.throws(() => new KernelSockets({ port }), RangeError, `${port}`);
    }
  });

  it("is supported on Linux, and reports where it is not", async () => {
    const report = await new KernelSockets().read();
    assert.equal(report.supported, process.platform === "linux");
    if (!report.supported) assert.match(report.reason, /Linux/);
  });
});

/** The kernel poller, over real sockets whose reader does nothing. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { describe, it } from "node:test";
import { KernelPoller, type PausedEntry, type UnansweredEntry } from "../../../src/transport/socket/kernel-poller.ts";
import { SOCKETS_SKIP, untilSockets } from "../../kit/kernel-sockets.ts";

// The kernel's number for the timer of a sender whose peer has no room.
const ZERO_WINDOW = 4;

/** A pair of sockets: the far side acts as the test says, and the near side reads nothing. */
class Stage implements AsyncDisposable {
  readonly far: Socket;
  readonly near: Socket;
  readonly #server: Server;

  private constructor(server: Server, far: Socket, near: Socket) {
    this.#server = server;
    this.far = far;
    this.near = near;
    for (const socket of [far, near]) socket.on("error", () => undefined);
  }

  static async open(): Promise<Stage> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const far = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    const [near] = (await once(server, "connection")) as [Socket];
    return new Stage(server, far, near);
  }

  get port(): number {
    return this.near.localPort ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.far.destroy();
    this.near.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Waits for reports about `socket`. */
class Waiting implements PausedEntry {
  readonly socket: PausedEntry["socket"];
  fins = 0;
  looks = 0;
  #tell: () => void = () => undefined;

  constructor(socket: PausedEntry["socket"]) {
    this.socket = socket;
  }

  finSeen(): void {
    this.fins += 1;
    this.#tell();
  }

  missing(): void {
    this.looks += 1;
    this.#tell();
  }

  /** Resolves at the next report. Its own timer keeps the process alive, because the poller's does not. */
  async news(): Promise<void> {
    const alive = setInterval(() => undefined, 1_000);
    await new Promise<void>((resolve) => {
      this.#tell = resolve;
    });
    clearInterval(alive);
  }
}

describe("the kernel poller", { skip: SOCKETS_SKIP, timeout: 240_000 }, () => {
  it("reports a FIN behind unread bytes, once for each addPaused", async () => {
    await using stage = await Stage.open();
    const poller = new KernelPoller(1);
    const waiting = new Waiting(stage.near);
    stage.far.end("never read");
    poller.addPaused(waiting);
    await waiting.news();
    assert.deepEqual([waiting.fins, waiting.looks], [1, 0]);
    // Another socket is polled meanwhile, so that there are polls that could report it again.
    const other = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    poller.addPaused(other);
    await other.news();
    await other.news();
    poller.deletePaused(other);
    assert.equal(waiting.fins, 1);
    poller.addPaused(waiting);
    await waiting.news();
    assert.equal(waiting.fins, 2);
  });

  it("reports a connection that was reset as missing", async () => {
    await using stage = await Stage.open();
    stage.far.write("never read");
    stage.far.resetAndDestroy();
    await untilSockets(stage.port, (sockets) => sockets.length === 0);
    const poller = new KernelPoller(1);
    const waiting = new Waiting(addresses(stage.near));
    poller.addPaused(waiting);
    await waiting.news();
    await waiting.news();
    poller.deletePaused(waiting);
    assert.equal(waiting.fins, 0);
  });

  it("reports nothing for a live connection, nor to a deleted entry", async () => {
    await using stage = await Stage.open();
    await using ended = await Stage.open();
    const poller = new KernelPoller(1);
    const alive = new Waiting(stage.near);
    const resumed = new Waiting(ended.near);
    const gone = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    for (const waiting of [alive, resumed, gone]) poller.addPaused(waiting);
    poller.deletePaused(resumed);
    ended.far.end();
    // By then the table has been read with the FIN in it.
    await untilSockets(ended.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    await gone.news();
    await gone.news();
    for (const waiting of [alive, gone]) poller.deletePaused(waiting);
    assert.deepEqual([alive.fins, alive.looks, resumed.fins, resumed.looks], [0, 0, 0, 0]);
  });

  it("reports an acknowledgement when the peer's kernel accepts bytes, and none while it accepts nothing", async () => {
    await using stage = await Stage.open();
    const poller = new KernelPoller(1);
    let told = 0;
    const unanswered: UnansweredEntry = { socket: stage.near, acknowledged: () => (told += 1) };
    // It is missing at each poll, which shows that there was one.
    const looks = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    poller.addPaused(looks);
    stage.near.write(Buffer.alloc(16_777_216));
    await untilSockets(stage.port, (sockets) => sockets.some(({ timer }) => timer === ZERO_WINDOW));
    poller.addUnanswered(unanswered);
    for (let look = 0; look < 2; look += 1) await looks.news();
    assert.equal(told, 0);
    stage.far.resume();
    while (told === 0) await looks.news();
    poller.deleteUnanswered(unanswered);
    await looks.news();
    const before = told;
    await looks.news();
    assert.equal(told, before);
    poller.deletePaused(looks);
  });

  it("reports nothing where there is no such table", async () => {
    await using stage = await Stage.open();
    const blind = new KernelPoller(1, "darwin");
    const waiting = new Waiting(stage.near);
    stage.far.end();
    blind.addPaused(waiting);
    const seeing = new KernelPoller(1);
    const other = new Waiting(stage.near);
    seeing.addPaused(other);
    await other.news();
    assert.deepEqual([waiting.fins, waiting.looks], [0, 0]);
  });
});

/** What is left of a socket's addresses when it has none any more. */
function addresses({
  localAddress = "",
  localPort = 0,
  remoteAddress = "",
  remotePort = 0,
}: Socket): PausedEntry["socket"] {
  return { localAddress, localPort, remoteAddress, remotePort };
}

/** The lookout for those who have paused, over real sockets whose reader does nothing. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { describe, it } from "node:test";
import { Lookout, type Paused, type Unanswered } from "../../src/transport/lookout.js";
import { UNCOUNTED, untilSockets } from "../descriptors.js";

// The kernel's number for the timer of a sender whose peer has no room.
const ZERO_WINDOW = 4;

/** A pair of sockets of which the far one does as it is told, and the near one reads nothing. */
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

/** One who waits for news of `socket`. */
class Waiting implements Paused {
  readonly socket: Paused["socket"];
  fins = 0;
  looks = 0;
  #tell: () => void = () => undefined;

  constructor(socket: Paused["socket"]) {
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

  /** Resolves at the next news. A timer of its own keeps the process alive, as the lookout's does not. */
  async news(): Promise<void> {
    const alive = setInterval(() => undefined, 1_000);
    await new Promise<void>((resolve) => {
      this.#tell = resolve;
    });
    clearInterval(alive);
  }
}

describe("the lookout", { skip: UNCOUNTED, timeout: 240_000 }, () => {
  it("tells of a FIN behind unread bytes, once for each time that it is asked", async () => {
    await using stage = await Stage.open();
    const lookout = new Lookout(1);
    const waiting = new Waiting(stage.near);
    stage.far.end("never read");
    lookout.add(waiting);
    await waiting.news();
    assert.deepEqual([waiting.fins, waiting.looks], [1, 0]);
    // Another is asked for meanwhile, so that there are looks at which it could be told again.
    const other = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    lookout.add(other);
    await other.news();
    await other.news();
    lookout.delete(other);
    assert.equal(waiting.fins, 1);
    lookout.add(waiting);
    await waiting.news();
    assert.equal(waiting.fins, 2);
  });

  it("says of a connection that was reset that the kernel has none such", async () => {
    await using stage = await Stage.open();
    stage.far.write("never read");
    stage.far.resetAndDestroy();
    await untilSockets(stage.port, (sockets) => sockets.length === 0);
    const lookout = new Lookout(1);
    const waiting = new Waiting(addresses(stage.near));
    lookout.add(waiting);
    await waiting.news();
    await waiting.news();
    lookout.delete(waiting);
    assert.equal(waiting.fins, 0);
  });

  it("says nothing of one that lives, nor to one that has gone on", async () => {
    await using stage = await Stage.open();
    await using ended = await Stage.open();
    const lookout = new Lookout(1);
    const alive = new Waiting(stage.near);
    const resumed = new Waiting(ended.near);
    const gone = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    for (const waiting of [alive, resumed, gone]) lookout.add(waiting);
    lookout.delete(resumed);
    ended.far.end();
    // By then the table has been read with the FIN in it.
    await untilSockets(ended.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    await gone.news();
    await gone.news();
    for (const waiting of [alive, gone]) lookout.delete(waiting);
    assert.deepEqual([alive.fins, alive.looks, resumed.fins, resumed.looks], [0, 0, 0, 0]);
  });

  it("tells who has no answer when the peer's system takes what is on its way, and not while it takes nothing", async () => {
    await using stage = await Stage.open();
    const lookout = new Lookout(1);
    let told = 0;
    const unanswered: Unanswered = { socket: stage.near, acknowledged: () => (told += 1) };
    // At each look it is missing, which tells that there was one.
    const looks = new Waiting({ ...addresses(stage.near), remotePort: 1 });
    lookout.add(looks);
    stage.near.write(Buffer.alloc(16_777_216));
    await untilSockets(stage.port, (sockets) => sockets.some(({ timer }) => timer === ZERO_WINDOW));
    lookout.follow(unanswered);
    for (let look = 0; look < 2; look += 1) await looks.news();
    assert.equal(told, 0);
    stage.far.resume();
    while (told === 0) await looks.news();
    lookout.unfollow(unanswered);
    await looks.news();
    const before = told;
    await looks.news();
    assert.equal(told, before);
    lookout.delete(looks);
  });

  it("sees nothing where there is no such table", async () => {
    await using stage = await Stage.open();
    const blind = new Lookout(1, "darwin");
    const waiting = new Waiting(stage.near);
    stage.far.end();
    blind.add(waiting);
    const seeing = new Lookout(1);
    const other = new Waiting(stage.near);
    seeing.add(other);
    await other.news();
    assert.deepEqual([waiting.fins, waiting.looks], [0, 0]);
  });
});

/** What is left of a socket's addresses when it has none any more. */
function addresses({ localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 }: Socket): Paused["socket"] {
  return { localAddress, localPort, remoteAddress, remotePort };
}

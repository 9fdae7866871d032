/** The memory that an idle connection retains with all defaults. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import type { Question } from "./footprint-server.ts";

const SERVER = fileURLToPath(new URL("./footprint-server.js", import.meta.url));

type Way = "hooks" | "loop" | "group";

/** Enough connections that the memory of the process itself is small for each of them. */
const CONNECTIONS = 2_000;
const AT_ONCE = 100;

/** Enough connections that V8 has finished the compilation of the code. */
const WARMING = 500;

const REQUEST = [
  "GET / HTTP/1.1",
  "Host: 127.0.0.1",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "\r\n",
].join("\r\n");

const PING = 9;
const PONG = 10;

class Crowd implements AsyncDisposable {
  readonly #child: ChildProgram;
  readonly #port: number;
  readonly #sockets: Socket[] = [];

  private constructor(child: ChildProgram, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async gather(interval: number, way: Way, node: readonly string[] = []): Promise<Crowd> {
    // On the fast transport, also if other tests use another one: a net.Socket alone is larger than everything measured here.
    const child = new ChildProgram(SERVER, [String(interval), way], {
      env: { HOLDFAST_TRANSPORT: "" },
      channel: true,
      node,
    });
    return new Crowd(child, await child.message<number>());
  }

  get size(): number {
    return this.#sockets.length;
  }

  ask(question: Question): Promise<number> {
    return this.#child.ask<number>(question);
  }

  async until(question: Question, least: number): Promise<void> {
    while ((await this.ask(question)) < least) await pause(10);
  }

  /** Opens connections until there are `connections`. */
  async join(connections: number): Promise<void> {
    while (this.size < connections) await Promise.all(Array.from({ length: AT_ONCE }, () => this.#open()));
    await this.until("connections", connections);
  }

  async leave(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.resetAndDestroy();
    while ((await this.ask("connections")) > 0) await pause(10);
  }

  /** Each connection sends one message and receives the answer. */
  async speak(): Promise<void> {
    const before = await this.ask("messages");
    for (const socket of this.#sockets) socket.write(peerFrame({ opcode: 1, payload: "hello", key: KEY }));
    await this.until("messages", before + this.#sockets.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#child.process.disconnect();
    await this.#child.exit;
  }

  /** Opens a connection that answers Pings. */
  async #open(): Promise<void> {
    const socket = connect(this.#port, "127.0.0.1");
    this.#sockets.push(socket);
    socket.on("error", () => undefined);
    await once(socket, "connect");
    socket.write(REQUEST);
    await once(socket, "data");
    const frames = new FrameReader();
    socket.on("data", (chunk: Buffer) => {
      for (const { opcode } of frames.push(chunk)) {
        if (opcode === PING) socket.write(peerFrame({ opcode: PONG, payload: "", key: KEY }));
      }
    });
  }
}

/** Retained bytes for each of `CONNECTIONS`. */
async function footprint(
  interval: number,
  way: Way,
  use: (crowd: Crowd) => Promise<void> = async () => undefined,
): Promise<number> {
  await using crowd = await Crowd.gather(interval, way);
  await crowd.join(WARMING);
  await use(crowd);
  await crowd.leave();
  const before = await crowd.ask("memory");
  await crowd.join(CONNECTIONS);
  await use(crowd);
  return ((await crowd.ask("memory")) - before) / CONNECTIONS;
}

/** Retained bytes for each of the connections that join a topic, beyond what they took before, when all have their messages. */
async function membership(): Promise<number> {
  // Without the compilers of V8: their code for a large topic is 300 kB once, whatever the number of members.
  await using crowd = await Crowd.gather(25_000, "hooks", ["--no-opt", "--no-maglev", "--no-sparkplug"]);
  const listen = async (): Promise<void> => {
    assert.equal(await crowd.ask("join"), crowd.size);
    for (let message = 0; message < 3; message += 1) assert.equal(await crowd.ask("publish"), crowd.size);
  };
  await crowd.join(3 * CONNECTIONS);
  // All were members before, so nothing is made for the first time.
  await listen();
  assert.equal(await crowd.ask("leave"), 0);
  const before = await crowd.ask("memory");
  await listen();
  return ((await crowd.ask("memory")) - before) / crowd.size;
}

/** Messages, and then silence until every connection has answered a Ping of the heartbeat. */
async function fallSilent(crowd: Crowd): Promise<void> {
  await crowd.speak();
  const before = await crowd.ask("pongs");
  // Some connections may have received a Ping before they sent their message.
  await crowd.until("pongs", before + 3 * crowd.size);
}

async function listen(crowd: Crowd): Promise<void> {
  for (let message = 0; message < 3; message += 1) assert.equal(await crowd.ask("send"), crowd.size);
}

const skip = process.platform === "win32" && "there is no fast transport";

describe("an idle connection", { skip }, () => {
  it("keeps at most 1,100 bytes of heap with hooks", async () => {
    const bytes = await footprint(25_000, "hooks");
    assert.ok(bytes <= 1_100, `${bytes} bytes`);
  });

  it("keeps at most 3,500 bytes of heap with a loop that waits", async () => {
    const bytes = await footprint(25_000, "loop");
    assert.ok(bytes <= 3_500, `${bytes} bytes`);
  });

  it("keeps at most 1,300 bytes of heap after messages with hooks, because the pool has its parts", async () => {
    const bytes = await footprint(25_000, "hooks", (crowd) => crowd.speak());
    assert.ok(bytes <= 1_300, `${bytes} bytes`);
  });

  it("keeps at most 1,300 bytes of heap after messages, also after the heartbeat found the peer silent", async () => {
    const bytes = await footprint(1_000, "hooks", fallSilent);
    assert.ok(bytes <= 1_300, `${bytes} bytes`);
  });

  it("keeps at most 2,000 bytes of heap as a member of a group that sends messages", async () => {
    const bytes = await footprint(25_000, "group", listen);
    assert.ok(bytes <= 2_000, `${bytes} bytes`);
  });

  it("takes at most 100 bytes more as a member of a topic", async (t) => {
    const bytes = await membership();
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes <= 100, `${bytes} bytes`);
  });
});

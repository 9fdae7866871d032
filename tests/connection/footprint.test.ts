/** What a connection keeps in memory while nothing happens on it, with all defaults on. */

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import type { Question } from "./footprint-server.js";

const SERVER = fileURLToPath(new URL("./footprint-server.js", import.meta.url));

type Way = "hooks" | "loop" | "group";

/** So many that what the process itself keeps is little for each of them. */
const CONNECTIONS = 2_000;
const AT_ONCE = 100;

/** Enough for V8 to have done with the code of a connection's life. */
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
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #sockets: Socket[] = [];

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async gather(interval: number, way: Way): Promise<Crowd> {
    // On the fast lane, whatever the others are tested on: a net.Socket alone is larger than all that is measured here.
    const env = { ...process.env, HOLDFAST_TRANSPORT: "" };
    const child = fork(SERVER, [String(interval), way], { env });
    const [port] = await once(child, "message");
    return new Crowd(child, port);
  }

  get size(): number {
    return this.#sockets.length;
  }

  async ask(question: Question): Promise<number> {
    const answered = once(this.#child, "message");
    this.#child.send(question);
    const [number] = await answered;
    return number;
  }

  async until(question: Question, least: number): Promise<void> {
    while ((await this.ask(question)) < least) await pause(10);
  }

  async join(connections: number): Promise<void> {
    for (let joined = 0; joined < connections; joined += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.#open()));
    }
    await this.until("connections", connections);
  }

  async leave(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.resetAndDestroy();
    while ((await this.ask("connections")) > 0) await pause(10);
  }

  /** Each sends one message, which comes back. */
  async speak(): Promise<void> {
    const before = await this.ask("messages");
    for (const socket of this.#sockets) socket.write(peerFrame({ opcode: 1, payload: "hello", key: KEY }));
    await this.until("messages", before + this.#sockets.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
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

/** Live bytes for each of `CONNECTIONS`. */
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

/** Messages, then silence until every connection has been asked for a sign of life, and has given it. */
async function fallSilent(crowd: Crowd): Promise<void> {
  await crowd.speak();
  const before = await crowd.ask("pongs");
  // Some may have been asked before they spoke.
  await crowd.until("pongs", before + 3 * crowd.size);
}

async function listen(crowd: Crowd): Promise<void> {
  for (let message = 0; message < 3; message += 1) assert.equal(await crowd.ask("told"), crowd.size);
}

const skip = process.platform === "win32" && "there is no fast lane";

describe("a connection on which nothing happens", { skip }, () => {
  it("keeps at most 1,100 bytes of heap with hooks", async () => {
    const bytes = await footprint(25_000, "hooks");
    assert.ok(bytes <= 1_100, `${bytes} bytes`);
  });

  it("keeps at most 3,500 bytes of heap with a loop that waits", async () => {
    const bytes = await footprint(25_000, "loop");
    assert.ok(bytes <= 3_500, `${bytes} bytes`);
  });

  it("keeps at most 1,300 bytes of heap behind messages with hooks, since others use what has handled them", async () => {
    const bytes = await footprint(25_000, "hooks", (crowd) => crowd.speak());
    assert.ok(bytes <= 1_300, `${bytes} bytes`);
  });

  it("keeps at most 1,300 bytes of heap behind messages, too, once the heartbeat has found it silent", async () => {
    const bytes = await footprint(1_000, "hooks", fallSilent);
    assert.ok(bytes <= 1_300, `${bytes} bytes`);
  });

  it("keeps at most 2,000 bytes of heap as a member of a group that is sent messages", async () => {
    const bytes = await footprint(25_000, "group", listen);
    assert.ok(bytes <= 2_000, `${bytes} bytes`);
  });
});

/** The attacker's side: a socket that sends without end, and reads only when it wants to. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Frame, FrameReader } from "../frames.js";
import { upgradeRequest } from "../raw-peers.js";

/** No attack takes so long: one that waits for what never comes is cut then, so that its test fails and cleans up. */
const PATIENCE = 120_000;

export class Assault implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves when the descriptor is free: at a reset, or when both sides have ended. */
  readonly closed: Promise<void>;
  /** Bytes that have come. */
  received = 0;
  /** Who hears what comes. */
  heard: (chunk: Buffer) => void;
  /** The other side's FIN has come. */
  ended = false;
  readonly #kept: Buffer[] = [];
  #tell: () => void = () => undefined;

  private constructor(port: number) {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.socket = socket;
    const patience = setTimeout(() => socket.destroy(), PATIENCE);
    this.heard = (chunk) => this.#kept.push(chunk);
    // That it is reset is what it asks for.
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.length;
      this.heard(chunk);
      this.#tell();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#tell();
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        clearTimeout(patience);
        resolve();
        this.#tell();
      });
    });
  }

  /** Connects, and says nothing yet. */
  static async to(port: number): Promise<Assault> {
    const assault = new Assault(port);
    await once(assault.socket, "connect");
    return assault;
  }

  /** Connects, and speaks WebSocket. */
  static async on(port: number): Promise<Assault> {
    const assault = await Assault.to(port);
    assault.socket.write(upgradeRequest());
    await assault.until(() => assault.bytes.includes("\r\n\r\n"));
    assert.match(assault.bytes.toString("latin1"), /^HTTP\/1\.1 101 [\s\S]*\r\n\r\n$/);
    assault.#kept.length = 0;
    assault.received = 0;
    return assault;
  }

  get over(): boolean {
    return this.socket.destroyed;
  }

  /** What has come, as long as nobody else hears it; of an upgrade, what came behind it. */
  get bytes(): Buffer {
    return Buffer.concat(this.#kept);
  }

  get frames(): Frame[] {
    return new FrameReader().push(this.bytes);
  }

  /** The code in the Close frame that has come; undefined if none has, or if it holds none. */
  get closeCode(): number | undefined {
    const payload = this.frames.find(({ opcode }) => opcode === 8)?.payload;
    return payload?.length ? payload.readUInt16BE(0) : undefined;
  }

  /** Sends `bytes` so many times, at the pace at which they are taken; less if the socket ends before. Answers how often. */
  async flood(bytes: Uint8Array, times: number): Promise<number> {
    for (let sent = 0; sent < times; sent += 1) {
      if (this.over) return sent;
      if (!this.socket.write(bytes)) await this.#drained();
    }
    return times;
  }

  /** Sends at least `count` of them, many at a time; answers how many. */
  async floodOf(unit: Uint8Array, count: number): Promise<number> {
    const units = Math.max(1, Math.floor(65_536 / unit.length));
    const bytes = Buffer.concat(new Array<Uint8Array>(units).fill(unit));
    return units * (await this.flood(bytes, Math.ceil(count / units)));
  }

  /** Resolves once `condition` holds, or never can: behind a FIN nothing comes. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.over && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#tell = resolve;
      });
    }
  }

  /** Waits for the other side's end, be it a FIN or a reset, and ends this side too. */
  async cut(): Promise<void> {
    await this.until(() => this.ended);
    this.socket.end();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off("drain", done).off("close", done);
        resolve();
      };
      this.socket.on("drain", done).on("close", done);
    });
  }
}

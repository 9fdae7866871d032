/** Plays the steps of a row on a socket, and compares what comes back byte by byte. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { settled } from "../../src/testing/index.js";
import { close, encode, type Frame, headerSize } from "./frame.js";
import type { Row, Step } from "./row.js";

const KEY = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

export class ScriptedPeer {
  readonly #socket: Socket;
  /** Whether it is the client's side: what it says is masked then, and what it hears is not. */
  readonly #client: boolean;
  #chunks: Buffer[] = [];
  /** Bytes that came and were not compared yet. */
  #size = 0;
  #ended = false;
  #gone = false;
  #errno: string | undefined;
  #changed: () => void = () => undefined;

  /** On a socket whose opening handshake is over; `rest` is what came behind it. */
  constructor(socket: Socket, side: "client" | "server", rest: Buffer) {
    this.#socket = socket;
    this.#client = side === "client";
    // What is said in many writes arrives in many segments.
    socket.setNoDelay(true);
    const heard = (chunk: Buffer): void => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#changed();
    };
    heard(rest);
    socket.on("data", heard);
    socket.on("end", () => {
      this.#ended = true;
      this.#changed();
    });
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      this.#errno = code;
    });
    socket.on("close", () => {
      this.#gone = true;
      this.#changed();
    });
  }

  /** The whole row, to the end of the socket. */
  async play({ steps, end }: Row): Promise<void> {
    for (const step of steps) await this.#step(step);
    if (end.how === "clean") {
      await this.#step({ do: "say", frames: [close(1000)], cut: "whole" });
      await this.#hear([close(1000)]);
    } else if (end.how === "failed") {
      await this.#hearFailure(end.code);
    }
    // RFC 6455 7.1.1: the server closes TCP first. Only one that fails may do so whoever it is (7.1.7).
    if (!this.#client && end.how !== "failed") {
      await settled();
      assert.equal(this.#ended, false, "a client waits until the server has closed TCP");
      this.#socket.end();
    }
    await this.#until(() => this.#ended);
    assert.equal(this.#size, 0, `nothing comes behind Close, but there was ${shown(Buffer.concat(this.#chunks))}`);
    this.#socket.end();
    await this.#until(() => this.#gone);
    assert.equal(this.#errno, undefined, "TCP ends with a FIN each way");
  }

  async #step(step: Step): Promise<void> {
    if (step.do === "hear") return this.#hear(step.frames);
    if (step.do === "hearNothing") {
      await settled();
      assert.equal(this.#size, 0, `nothing was to be heard, but there was ${shown(Buffer.concat(this.#chunks))}`);
      assert.equal(this.#ended, false);
      return;
    }
    if (step.do === "sayPart") {
      const { frame, from, to } = step;
      const header = headerSize(frame, this.#client);
      await this.#write(this.#encode(frame).subarray(from === 0 ? 0 : header + from, header + to));
      return;
    }
    const frames = step.frames.map((frame) => this.#encode(frame));
    if (step.cut === "frames") for (const frame of frames) await this.#write(frame);
    else if (step.cut === "whole") await this.#write(Buffer.concat(frames));
    else {
      const bytes = Buffer.concat(frames);
      for (let at = 0; at < bytes.length; at += step.cut) await this.#write(bytes.subarray(at, at + step.cut));
    }
  }

  #encode(frame: Frame): Buffer {
    return encode(frame, this.#client !== (frame.maskedWrongly ?? false) ? KEY : undefined);
  }

  /** In a segment of its own: the other side has had a turn to read it when this resolves. */
  async #write(bytes: Buffer): Promise<void> {
    if (this.#gone) return;
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
    // The first of these turns may be the one that has polled already.
    for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
  }

  async #hear(frames: readonly Frame[]): Promise<void> {
    for (const frame of frames) await this.#hearFrame(frame);
  }

  async #hearFrame(frame: Frame): Promise<void> {
    const masked = !this.#client;
    const header = headerSize(frame, masked);
    const first = await this.#take(2);
    // What is something else altogether may be shorter, and nothing behind it.
    const start = encode(frame, masked ? KEY : undefined).subarray(0, 2);
    if (!first.equals(start)) assert.equal(shown(Buffer.concat([first, ...this.#chunks])), shown(start));
    const actual = Buffer.concat([first, await this.#take(header + frame.payload.length - 2)]);
    // Whatever the key is: that it is fresh and unpredictable is a matter of its own.
    const expected = encode(frame, masked ? actual.subarray(header - 4, header) : undefined);
    if (!actual.equals(expected)) assert.equal(shown(actual), shown(expected));
  }

  /** A Close frame with this code and any reason. */
  async #hearFailure(code: number): Promise<void> {
    const header = await this.#take(this.#client ? 2 : 6);
    const size = (header[1] ?? 0) & 127;
    assert.ok(size >= 2 && size <= 125, `a Close frame with a code was expected, not ${shown(header)}`);
    const body = await this.#take(size);
    const key = this.#client ? Buffer.alloc(4) : header.subarray(2);
    const payload = body.map((byte, index) => byte ^ key[index & 3]!);
    const expected = encode(close(code, payload.subarray(2)), this.#client ? undefined : key);
    assert.equal(shown(Buffer.concat([header, body])), shown(expected));
    new TextDecoder("utf-8", { fatal: true }).decode(payload.subarray(2));
  }

  async #take(size: number): Promise<Buffer> {
    await this.#until(() => this.#size >= size || this.#ended);
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [bytes.subarray(size)];
    this.#size = Math.max(0, bytes.length - size);
    return bytes.subarray(0, size);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#gone) throw new Error(`the socket is gone${this.#errno === undefined ? "" : `: ${this.#errno}`}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

/** Enough of these bytes to see what they are. */
function shown(bytes: Buffer): string {
  const start = bytes.subarray(0, 80);
  return `${start.toString("hex")} ${JSON.stringify(start.toString("latin1"))} (${bytes.length} bytes)`;
}

/** Plays the steps of a row on a socket, and compares the received bytes. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { settled } from "../../src/testing/index.ts";
import { KEY } from "../kit/frames.ts";
import { RawPeer } from "../kit/raw-peer.ts";
import { close, encode, type Frame, headerSize } from "./frame.ts";
import type { Row, Step } from "./row.ts";

export class ScriptedPeer {
  readonly #peer: RawPeer;
  /** True for the client side: it sends masked frames, and expects unmasked ones. */
  readonly #client: boolean;

  /** On a socket whose opening handshake is complete. `rest` holds the bytes after it. */
  constructor(socket: Socket, side: "client" | "server", rest: Buffer) {
    this.#peer = new RawPeer(socket);
    this.#client = side === "client";
    // So that many writes arrive as many segments.
    socket.setNoDelay(true);
    this.#peer.heard(rest);
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
    // RFC 6455 7.1.1: the server closes TCP first. A side that fails the connection may close it in either role (7.1.7).
    if (!this.#client && end.how !== "failed") {
      await settled();
      assert.equal(this.#peer.ended, false, "a client waits until the server has closed TCP");
      this.#peer.socket.end();
    }
    await this.#until(() => this.#peer.ended);
    assert.equal(this.#peer.size, 0, `nothing comes behind Close, but there was ${shown(this.#peer.bytes)}`);
    this.#peer.socket.end();
    await this.#until(() => this.#peer.gone);
    assert.equal(await this.#peer.closed, undefined, "TCP ends with a FIN each way");
  }

  async #step(step: Step): Promise<void> {
    if (step.do === "hear") return this.#hear(step.frames);
    if (step.do === "hearNothing") {
      await settled();
      assert.equal(this.#peer.size, 0, `nothing was to be heard, but there was ${shown(this.#peer.bytes)}`);
      assert.equal(this.#peer.ended, false);
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

  /** In its own segment: when this resolves, the other side has had a turn to read it. */
  async #write(bytes: Buffer): Promise<void> {
    if (this.#peer.gone) return;
    await new Promise<void>((resolve) => this.#peer.socket.write(bytes, () => resolve()));
    // The first of these turns may be one whose poll phase is over.
    for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
  }

  async #hear(frames: readonly Frame[]): Promise<void> {
    for (const frame of frames) await this.#hearFrame(frame);
  }

  async #hearFrame(frame: Frame): Promise<void> {
    const masked = !this.#client;
    const header = headerSize(frame, masked);
    const first = await this.#take(2);
    // Other data may be shorter than the expected frame, with nothing after it.
    const start = encode(frame, masked ? KEY : undefined).subarray(0, 2);
    if (!first.equals(start)) assert.equal(shown(Buffer.concat([first, this.#peer.bytes])), shown(start));
    const actual = Buffer.concat([first, await this.#take(header + frame.payload.length - 2)]);
    // With any masking key. Another test checks that keys are fresh and unpredictable.
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
    await this.#until(() => this.#peer.size >= size || this.#peer.ended);
    return this.#peer.take(size);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#peer.gone) {
        const errno = await this.#peer.closed;
        throw new Error(`the socket is gone${errno === undefined ? "" : `: ${errno}`}`);
      }
      await this.#peer.change();
    }
  }
}

/** Enough of these bytes for an error message. */
function shown(bytes: Buffer): string {
  const start = bytes.subarray(0, 80);
  return `${start.toString("hex")} ${JSON.stringify(start.toString("latin1"))} (${bytes.length} bytes)`;
}

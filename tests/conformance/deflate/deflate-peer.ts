/** A peer that implements permessage-deflate strictly and checks the other side: RSV1, the window, context takeover. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { constants, deflateRawSync } from "node:zlib";
import { puff } from "../../fuzz/puff.ts";
import { FrameReader, KEY } from "../../kit/frames.ts";
import type { RawPeer } from "../../kit/raw-peer.ts";
import { encode, type Frame, frame, pieces } from "../frame.ts";

/** The parameters that limit what one side sends. */
export interface Direction {
  readonly takeover: boolean;
  readonly bits: number;
}

export interface Agreement {
  readonly server: Direction;
  readonly client: Direction;
}

/** The parameters of the one extension in a field, by name; a parameter without a value is "". */
export function paramsOf(extension: string): ReadonlyMap<string, string> {
  const [name, ...params] = extension.split(";").map((one) => one.trim());
  assert.equal(name, "permessage-deflate");
  return new Map(params.map((param) => [param.split("=")[0] ?? "", param.split("=")[1] ?? ""]));
}

/** The parameters that a server has accepted in its response. */
export function agreementOf(answer: string): Agreement {
  const params = paramsOf(answer);
  const manner = (side: "server" | "client"): Direction => ({
    takeover: !params.has(`${side}_no_context_takeover`),
    bits: Number(params.get(`${side}_max_window_bits`) ?? 15),
  });
  return { server: manner("server"), client: manner("client") };
}

export interface ReceivedMessage {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly compressed: boolean;
  /** The compressed data as received, without frame headers. */
  readonly packed: Buffer;
  readonly fragments: number;
}

interface Control {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** `payload` compressed, without its last four bytes. It may refer to `history`. */
export function packed(payload: Uint8Array, { bits }: Direction, history: Uint8Array = new Uint8Array()): Buffer {
  // zlib has no raw window of 8 bits. Repetitions of one byte fit into any window.
  const how = bits === 8 ? { strategy: constants.Z_RLE } : { windowBits: bits };
  const dictionary = bits === 8 ? {} : { dictionary: history.subarray(-(2 ** bits)) };
  const written = deflateRawSync(payload, {
    ...how,
    ...(history.length > 0 && dictionary),
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  return written.subarray(0, -4);
}

const WINDOW = 32_768;

export class DeflatePeer {
  /** The largest distance in the received data. */
  farthest = 0;
  /** Resolves when the descriptor is free. */
  readonly closed: Promise<void>;
  readonly controls: Control[] = [];
  readonly #socket: Socket;
  readonly #side: "server" | "client";
  readonly #own: Direction;
  readonly #other: Direction;
  readonly #reader = new FrameReader();
  #said: Buffer = Buffer.alloc(0);
  #heard: Buffer = Buffer.alloc(0);
  #open: { opcode: number; compressed: boolean; parts: Buffer[] } | undefined;
  readonly #messages: ReceivedMessage[] = [];
  #trouble: unknown;
  #over = false;
  #changed: () => void = () => undefined;

  /** On a socket whose opening handshake is complete. */
  constructor({ socket, bytes }: RawPeer, side: "server" | "client", agreement: Agreement) {
    this.#socket = socket.setNoDelay(true);
    this.#side = side;
    const { server, client } = agreement;
    [this.#own, this.#other] = side === "client" ? [client, server] : [server, client];
    const hear = (chunk: Buffer): void => {
      try {
        this.#read(chunk);
      } catch (error) {
        this.#trouble ??= error;
      }
      this.#changed();
    };
    socket.removeAllListeners("data").on("data", hear);
    socket.on("end", () => {
      this.#over = true;
      this.#changed();
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#over = true;
        resolve();
        this.#changed();
      });
    });
    hear(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
  }

  write(...frames: readonly Frame[]): void {
    for (const one of frames) this.#socket.write(encode(one, this.#side === "client" ? KEY : undefined));
  }

  /** Compresses a message, and sends it in fragments of `size` bytes. */
  say(opcode: number, payload: Uint8Array, size: number = Infinity): void {
    const body = packed(payload, this.#own, this.#own.takeover ? this.#said : undefined);
    this.#said = Buffer.concat([this.#said, payload]).subarray(-WINDOW);
    this.sayPacked(opcode, body, size);
  }

  /** Sends data that is already compressed. */
  sayPacked(opcode: number, body: Uint8Array, size: number = Infinity): void {
    const parts = pieces(body, Math.min(size, Math.max(1, body.length)));
    parts.forEach((part, index) => {
      const last = index === parts.length - 1;
      this.write(frame(index === 0 ? opcode : 0, part, { fin: last, rsv: index === 0 ? 4 : 0 }));
    });
  }

  /** The next message. */
  async hear(): Promise<ReceivedMessage> {
    await this.#until(() => this.#messages.length > 0);
    return this.#messages.shift() as ReceivedMessage;
  }

  /** The payload of the next control frame with this opcode. */
  async control(opcode: number): Promise<Buffer> {
    const find = (): Control | undefined => this.controls.find((one) => one.opcode === opcode);
    await this.#until(() => find() !== undefined);
    return find()?.payload ?? Buffer.alloc(0);
  }

  /** The code of the Close frame. No message may arrive before it. */
  async closeCode(): Promise<number> {
    const payload = await this.control(8);
    assert.deepEqual(this.#messages, []);
    return payload.readUInt16BE();
  }

  /** Closes, and waits for the answer. */
  async close(): Promise<void> {
    this.write(frame(8, Buffer.of(3, 232)));
    assert.equal(await this.closeCode(), 1000);
    this.#socket.end();
    await this.closed;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#trouble !== undefined) throw this.#trouble;
      if (this.#over) throw new Error("the socket closed before what was expected");
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #read(chunk: Buffer): void {
    for (const { opcode, fin, masked, rsv, payload } of this.#reader.push(chunk)) {
      assert.equal(masked, this.#side === "server");
      if (opcode >= 8) {
        assert.equal(rsv, 0, "no control frame is compressed (RFC 7692 6.1)");
        this.controls.push({ opcode, payload });
        continue;
      }
      if (opcode === 0) assert.equal(rsv, 0, "RSV1 is for the first frame of a message (RFC 7692 6.1)");
      else this.#open = { opcode, compressed: rsv === 4, parts: [] };
      assert.ok(rsv === 0 || rsv === 4);
      this.#open?.parts.push(payload);
      if (!fin || this.#open === undefined) continue;
      const { opcode: first, compressed, parts } = this.#open;
      const body = Buffer.concat(parts);
      this.#messages.push({
        ...{ opcode: first, compressed, packed: body, fragments: parts.length },
        payload: compressed ? this.#unpack(body) : body,
      });
    }
  }

  #unpack(body: Buffer): Buffer {
    const before = this.#other.takeover ? this.#heard : new Uint8Array();
    const { bytes, why, reach } = puff(body, before, Infinity);
    assert.equal(why, "whole");
    this.farthest = Math.max(this.farthest, reach);
    assert.ok(reach <= 2 ** this.#other.bits, `it refers ${reach} back, with ${this.#other.bits} bits of window`);
    this.#heard = Buffer.concat([this.#heard, bytes]).subarray(-WINDOW);
    return Buffer.from(bytes.buffer);
  }
}

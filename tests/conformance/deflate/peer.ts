/** A peer that speaks permessage-deflate by the letter, and holds the other side to it: RSV1, the window, whose context is kept. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { constants, deflateRawSync } from "node:zlib";
import { FrameReader } from "../../frames.js";
import { puff } from "../../fuzz/puff.js";
import type { RawPeer } from "../../raw-peers.js";
import { encode, type Frame, frame, pieces } from "../frame.js";

const KEY = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

/** What one side keeps to in what it sends. */
export interface Manner {
  readonly takeover: boolean;
  readonly bits: number;
}

export interface Agreement {
  readonly server: Manner;
  readonly client: Manner;
}

/** The parameters of the one extension in a field, by name; a parameter without a value is "". */
export function paramsOf(extension: string): ReadonlyMap<string, string> {
  const [name, ...params] = extension.split(";").map((one) => one.trim());
  assert.equal(name, "permessage-deflate");
  return new Map(params.map((param) => [param.split("=")[0] ?? "", param.split("=")[1] ?? ""]));
}

/** What a server has agreed to by its answer. */
export function agreementOf(answer: string): Agreement {
  const params = paramsOf(answer);
  const manner = (side: "server" | "client"): Manner => ({
    takeover: !params.has(`${side}_no_context_takeover`),
    bits: Number(params.get(`${side}_max_window_bits`) ?? 15),
  });
  return { server: manner("server"), client: manner("client") };
}

export interface Heard {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly compressed: boolean;
  /** What it was on the wire, without headers. */
  readonly packed: Buffer;
  readonly fragments: number;
}

interface Control {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** `payload` as it goes over the wire, without its last four octets; in `history` it may refer. */
export function packed(payload: Uint8Array, { bits }: Manner, history: Uint8Array = new Uint8Array()): Buffer {
  // zlib knows no raw window of 8 bits. Repetitions of one octet are in any.
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
  /** The largest distance in what was heard. */
  farthest = 0;
  /** Resolves when the descriptor is free. */
  readonly closed: Promise<void>;
  readonly controls: Control[] = [];
  readonly #socket: Socket;
  readonly #side: "server" | "client";
  readonly #own: Manner;
  readonly #other: Manner;
  readonly #reader = new FrameReader();
  #said: Buffer = Buffer.alloc(0);
  #heard: Buffer = Buffer.alloc(0);
  #open: { opcode: number; compressed: boolean; parts: Buffer[] } | undefined;
  readonly #messages: Heard[] = [];
  #trouble: unknown;
  #over = false;
  #changed: () => void = () => undefined;

  /** On a socket whose opening handshake is over. */
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

  /** Sends what is compressed already. */
  sayPacked(opcode: number, body: Uint8Array, size: number = Infinity): void {
    const parts = pieces(body, Math.min(size, Math.max(1, body.length)));
    parts.forEach((part, index) => {
      const last = index === parts.length - 1;
      this.write(frame(index === 0 ? opcode : 0, part, { fin: last, rsv: index === 0 ? 4 : 0 }));
    });
  }

  /** The next message. */
  async hear(): Promise<Heard> {
    await this.#until(() => this.#messages.length > 0);
    return this.#messages.shift() as Heard;
  }

  /** The payload of a control frame of this kind, once there is one. */
  async control(opcode: number): Promise<Buffer> {
    const find = (): Control | undefined => this.controls.find((one) => one.opcode === opcode);
    await this.#until(() => find() !== undefined);
    return find()?.payload ?? Buffer.alloc(0);
  }

  /** The code of the Close that comes, before which no message does. */
  async closeCode(): Promise<number> {
    const payload = await this.control(8);
    assert.deepEqual(this.#messages, []);
    return payload.readUInt16BE();
  }

  /** Closes, and is answered. */
  async goodbye(): Promise<void> {
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

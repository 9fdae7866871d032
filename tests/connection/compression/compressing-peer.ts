/** A peer with permessage-deflate that uses the streams of zlib: one for each direction, used for all messages. */

import { once } from "node:events";
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib";
import { type Frame, FrameReader, peerFrame } from "../../kit/frames.ts";

const TAIL = Buffer.of(0x00, 0x00, 0xff, 0xff);
const KEY = [1, 2, 3, 4];

/** A message as it was transmitted. */
export interface Unpacked {
  readonly text: string;
  /** Its first opcode. */
  readonly opcode: number;
  readonly packed: boolean;
  readonly frames: number;
  /** Number of transmitted bytes of payload. */
  readonly size: number;
}

export interface PackedPeerOptions {
  readonly windowBits?: number;
  /** Whether messages refer to those before them, in both directions. */
  readonly takeover?: boolean;
}

export class PackedPeer {
  readonly #options: Required<PackedPeerOptions>;
  readonly #reader = new FrameReader();
  #inflate: InflateRaw;
  #deflate: DeflateRaw;

  constructor({ windowBits = 15, takeover = false }: PackedPeerOptions = {}) {
    this.#options = { windowBits, takeover };
    this.#inflate = createInflateRaw({ windowBits });
    this.#deflate = createDeflateRaw({ windowBits });
  }

  /** The messages that `bytes` complete. */
  async read(bytes: Uint8Array): Promise<Unpacked[]> {
    const messages: Unpacked[] = [];
    let open: Frame[] = [];
    for (const frame of this.#reader.push(bytes)) {
      if (frame.opcode >= 8) continue;
      open.push(frame);
      if (!frame.fin) continue;
      const [first] = open as [Frame];
      const payload = Buffer.concat(open.map((each) => each.payload));
      const packed = first.rsv === 4;
      const text = String(packed ? await this.#unpack(payload) : payload);
      messages.push({ text, opcode: first.opcode, packed, frames: open.length, size: payload.length });
      open = [];
    }
    return messages;
  }

  /** A compressed text as a client sends it, in one frame. */
  async write(text: string, opcode = 1): Promise<Uint8Array> {
    if (!this.#options.takeover) this.#deflate = createDeflateRaw({ windowBits: this.#options.windowBits });
    const chunks: Buffer[] = [];
    this.#deflate.on("data", (chunk: Buffer) => chunks.push(chunk));
    this.#deflate.write(text);
    await new Promise<void>((resolve) => this.#deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    this.#deflate.removeAllListeners("data");
    return peerFrame({ opcode, rsv: 4, key: KEY, payload: Buffer.concat(chunks).subarray(0, -4) });
  }

  async #unpack(payload: Uint8Array): Promise<Buffer> {
    const { takeover, windowBits } = this.#options;
    if (!takeover) this.#inflate = createInflateRaw({ windowBits });
    const inflate = this.#inflate;
    const chunks: Buffer[] = [];
    inflate.on("data", (chunk: Buffer) => chunks.push(chunk));
    const failed = once(inflate, "error").then(([error]) => Promise.reject(error as Error));
    inflate.write(Buffer.concat([payload, TAIL]));
    await Promise.race([new Promise<void>((resolve) => inflate.flush(constants.Z_SYNC_FLUSH, resolve)), failed]);
    inflate.removeAllListeners("data").removeAllListeners("error");
    return Buffer.concat(chunks);
  }
}

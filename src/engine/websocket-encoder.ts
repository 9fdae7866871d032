/** The sending half of RFC 6455: a header before each payload, and a client's mask over it. */

import { BINARY, CONTINUATION, headerSize, KEY_SIZE, LONGEST_HEADER, TEXT, writeHeader } from "./frame.js";
import { mask } from "./mask.js";
import type { Data, Encoder, Part } from "./protocol.js";

export class WebSocketEncoder implements Encoder {
  readonly overhead: number;
  readonly shareable: boolean;
  readonly streams = true;
  readonly #masks: boolean;
  readonly #nextMaskKey: () => number;
  #key = 0;
  /** Payload bytes of the frame that are covered already. */
  #offset = 0;

  /** `nextMaskKey` gives 32 unpredictable bits (RFC 6455 10.3); a server never asks for them. */
  constructor(role: "server" | "client", nextMaskKey: () => number) {
    this.#masks = role === "client";
    this.#nextMaskKey = nextMaskKey;
    this.overhead = this.#masks ? LONGEST_HEADER + KEY_SIZE : LONGEST_HEADER;
    this.shareable = !this.#masks;
  }

  payload(data: Data): Data {
    return data;
  }

  before(target: Uint8Array, at: number, size: number, text: boolean, part: Part, packed: boolean = false): number {
    const opcode = part === "middle" || part === "last" ? CONTINUATION : text ? TEXT : BINARY;
    const fin = part === "whole" || part === "last";
    // RFC 7692 section 6.1: the bit stands on the first frame alone, for all the message.
    const rsv1 = packed && opcode !== CONTINUATION;
    if (!this.#masks) return writeHeader(target, at, fin, rsv1, opcode, size, undefined);
    this.#key = this.#nextMaskKey();
    this.#offset = 0;
    return writeHeader(target, at, fin, rsv1, opcode, size, this.#key);
  }

  cover(target: Uint8Array, from: number, to: number): void {
    if (!this.#masks) return;
    mask(target, from, to, this.#key, this.#offset);
    this.#offset += to - from;
  }

  after(_target: Uint8Array, at: number): number {
    return at;
  }

  /** A whole control frame. Leaves alone the frame that `before` began. */
  control(opcode: number, payload: Uint8Array): Uint8Array {
    const key = this.#masks ? this.#nextMaskKey() : undefined;
    const frame = new Uint8Array(headerSize(payload.length, this.#masks) + payload.length);
    const start = writeHeader(frame, 0, true, false, opcode, payload.length, key);
    frame.set(payload, start);
    if (key !== undefined) mask(frame, start, frame.length, key, 0);
    return frame;
  }
}

/** The encoder of RFC 6455: it writes a header before each payload, and masks the payload if this side is the client. */

import type { Encoder, MessageContent, Part } from "../protocol.ts";
import { BINARY, CONTINUATION, headerSize, KEY_SIZE, MAX_HEADER, TEXT, writeHeader } from "./frame.ts";
import { mask } from "./mask.ts";

export class WebSocketEncoder implements Encoder {
  readonly overhead: number;
  readonly shareable: boolean;
  readonly streams = true;
  readonly #isClient: boolean;
  readonly #nextMaskKey: () => number;
  #key = 0;
  /** The number of payload bytes of the current frame that are already masked. */
  #offset = 0;

  /** `nextMaskKey` returns 32 unpredictable bits (RFC 6455 10.3). A server never calls it. */
  constructor(role: "server" | "client", nextMaskKey: () => number) {
    this.#isClient = role === "client";
    this.#nextMaskKey = nextMaskKey;
    this.overhead = this.#isClient ? MAX_HEADER + KEY_SIZE : MAX_HEADER;
    this.shareable = !this.#isClient;
  }

  payload(data: MessageContent): MessageContent {
    return data;
  }

  before(target: Uint8Array, at: number, size: number, text: boolean, part: Part, compressed: boolean = false): number {
    const opcode = part === "middle" || part === "last" ? CONTINUATION : text ? TEXT : BINARY;
    const fin = part === "whole" || part === "last";
    // RFC 7692 section 6.1: RSV1 is set only on the first frame, and applies to the whole message.
    const rsv1 = compressed && opcode !== CONTINUATION;
    if (!this.#isClient) return writeHeader(target, at, fin, rsv1, opcode, size, undefined);
    this.#key = this.#nextMaskKey();
    this.#offset = 0;
    return writeHeader(target, at, fin, rsv1, opcode, size, this.#key);
  }

  mask(target: Uint8Array, from: number, to: number): void {
    if (!this.#isClient) return;
    mask(target, from, to, this.#key, this.#offset);
    this.#offset += to - from;
  }

  after(_target: Uint8Array, at: number): number {
    return at;
  }

  /** Encodes a whole control frame. Does not change the state of the frame that `before` began. */
  control(opcode: number, payload: Uint8Array): Uint8Array {
    const key = this.#isClient ? this.#nextMaskKey() : undefined;
    const frame = new Uint8Array(headerSize(payload.length, this.#isClient) + payload.length);
    const start = writeHeader(frame, 0, true, false, opcode, payload.length, key);
    frame.set(payload, start);
    if (key !== undefined) mask(frame, start, frame.length, key, 0);
    return frame;
  }
}

/** What is observed tells of each frame and framed message, and of what happens to it. Nobody else pays for that. */

import type { Progress } from "../base/errors.js";
import type { ConnectionEvent, Observer } from "../base/events.js";
import { BINARY, CONTINUATION, RSV1, TEXT } from "../engine/frame.js";
import type { Data, Decoder, Encoder, FrameFacts, Part, Visitor } from "../engine/protocol.js";
import type { Connection } from "./connection.js";
import { Core } from "./core.js";
import type { Whole } from "./parts.js";
import type { Wire } from "./wire.js";

export class TracedCore extends Core {
  readonly #observe: Observer;

  constructor(connection: Connection, whole: Whole, observe: Observer) {
    super(connection, { ...whole, wire: tracedWire(whole.wire, connection.id, observe) });
    this.#observe = observe;
  }

  /** Called by the decoder, which builds no facts where there is no such thing. */
  frame(facts: FrameFacts): void {
    this.#observe({ type: "frame", id: this.connection.id, direction: "in", ...facts });
  }

  protected override emit(event: ConnectionEvent): void {
    this.#observe(event);
  }
}

function tracedWire(wire: Wire, id: number, observe: Observer): Wire {
  const { protocol, closesFirst, deflating, inflating } = wire;
  const control = (opcode: number, payload: Uint8Array): Uint8Array => {
    const masked = !wire.encoder.shareable;
    observe({ type: "frame", id, direction: "out", opcode, fin: true, rsv: 0, masked, length: payload.length });
    return wire.control?.(opcode, payload) ?? payload;
  };
  return {
    ...{ protocol, closesFirst, deflating, inflating },
    // A frame that was encoded for many would leave without being told of.
    kind: undefined,
    shelves: undefined,
    encoder: new TracedEncoder(wire.encoder, id, observe),
    // A WebSocket's decoder tells of its frames by itself.
    decoder: () => (protocol === "tcp" ? new TracedDecoder(wire.decoder(), id, observe) : wire.decoder()),
    judge: () => wire.judge(),
    ...(wire.control !== undefined && { control }),
  };
}

class TracedDecoder implements Decoder {
  readonly #decoder: Decoder;
  readonly #id: number;
  readonly #observe: Observer;

  constructor(decoder: Decoder, id: number, observe: Observer) {
    this.#decoder = decoder;
    this.#id = id;
    this.#observe = observe;
  }

  get partial(): Progress {
    return this.#decoder.partial;
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const tell = (text: boolean, fin: boolean, length: number): void => {
      const opcode = text ? TEXT : BINARY;
      this.#observe({ type: "frame", id: this.#id, direction: "in", opcode, fin, rsv: 0, masked: false, length });
    };
    return this.#decoder.receive(chunk, from, {
      message: (data) => {
        const text = typeof data === "string";
        tell(text, true, text ? Buffer.byteLength(data) : data.length);
        return visitor.message(data);
      },
      piece: (type, bytes, last) => {
        tell(type === "text", last, bytes.length);
        return visitor.piece(type, bytes, last);
      },
      ping: (payload) => visitor.ping(payload),
      pong: (payload) => visitor.pong(payload),
      close: (code, reason) => visitor.close(code, reason),
      fail: (violation) => visitor.fail(violation),
    });
  }
}

class TracedEncoder implements Encoder {
  readonly overhead: number;
  readonly shareable: boolean;
  readonly streams: boolean;
  readonly #encoder: Encoder;
  readonly #id: number;
  readonly #observe: Observer;

  constructor(encoder: Encoder, id: number, observe: Observer) {
    this.overhead = encoder.overhead;
    this.shareable = encoder.shareable;
    this.streams = encoder.streams;
    this.#encoder = encoder;
    this.#id = id;
    this.#observe = observe;
  }

  payload(data: Data, part: Part): Data {
    return this.#encoder.payload(data, part);
  }

  before(target: Uint8Array, at: number, size: number, text: boolean, part: Part, packed: boolean = false): number {
    const opcode = part === "middle" || part === "last" ? CONTINUATION : text ? TEXT : BINARY;
    const fin = part === "whole" || part === "last";
    const masked = !this.shareable;
    const rsv = packed && opcode !== CONTINUATION ? RSV1 : 0;
    this.#observe({ type: "frame", id: this.#id, direction: "out", opcode, fin, rsv, masked, length: size });
    return this.#encoder.before(target, at, size, text, part, packed);
  }

  cover(target: Uint8Array, from: number, to: number): void {
    this.#encoder.cover(target, from, to);
  }

  after(target: Uint8Array, at: number, part: Part): number {
    return this.#encoder.after(target, at, part);
  }
}

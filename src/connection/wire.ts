/** Which protocol a connection speaks: the decoder, the encoder and the control frames that belong together. */

import { asData } from "../base/bytes.js";
import type { Framing } from "../engine/framing/framing.js";
import { resolveFraming } from "../engine/framing/framing.js";
import type { Data, Decoder, DecoderLimits, Encoder } from "../engine/protocol.js";
import { WebSocketDecoder } from "../engine/websocket-decoder.js";
import { WebSocketEncoder } from "../engine/websocket-encoder.js";
import { maskKey } from "../transport/random.js";
import type { SettledOptions } from "./options.js";

/** One connection's protocol. */
export interface Wire {
  readonly protocol: "websocket" | "tcp";
  /** Connections with the same kind write the same bytes for the same message; undefined where each writes its own. */
  readonly kind: object | undefined;
  readonly decoder: Decoder;
  readonly encoder: Encoder;
  /** Judges the parts of one message: what may stand in one can depend on those before, and not on other messages. */
  readonly judge: () => Pick<Encoder, "payload">;
  /** A whole control frame; undefined where the protocol has none. */
  readonly control: ((opcode: number, payload: Uint8Array) => Uint8Array) | undefined;
}

/** Makes the protocol of each connection of one listener or dialer. */
export type WireFactory = (limits: DecoderLimits) => Wire;

const SERVER_FRAMES = {};

export function webSocketWire(role: "server" | "client"): WireFactory {
  return (limits) => {
    const encoder = new WebSocketEncoder(role, maskKey);
    return {
      protocol: "websocket",
      kind: role === "server" ? SERVER_FRAMES : undefined,
      decoder: new WebSocketDecoder(role, limits),
      encoder,
      judge: () => encoder,
      control: (opcode, payload) => encoder.control(opcode, payload),
    };
  };
}

/** Judges the framing, and the message that the heartbeat is to send in it. */
export function framedWire(framing: Framing | undefined, { heartbeat: { message } }: SettledOptions): WireFactory {
  const resolved = resolveFraming(framing);
  if (message !== undefined) resolved.encoder().payload(message, "whole");
  return (limits) => ({
    protocol: "tcp",
    kind: resolved,
    decoder: resolved.decoder(limits),
    encoder: resolved.encoder(),
    judge: () => resolved.encoder(),
    control: undefined,
  });
}

/** A message whose encoded form is made once, for many connections. Made by `prepare`. */
export class PreparedMessage {
  readonly data: Data;
  readonly #frames = new Map<object, Uint8Array>();

  constructor(data: Data) {
    this.data = typeof data === "string" ? data : Uint8Array.from(data);
  }

  /** The bytes that `wire` writes for it; undefined where they differ from connection to connection. */
  frame({ kind, encoder }: Wire): Uint8Array | undefined {
    if (kind === undefined) return undefined;
    const known = this.#frames.get(kind);
    if (known !== undefined) return known;
    const data = encoder.payload(this.data, "whole");
    const text = typeof data === "string";
    const size = text ? Buffer.byteLength(data) : data.length;
    const frame = Buffer.allocUnsafeSlow(size + encoder.overhead);
    const start = encoder.before(frame, 0, size, text, "whole");
    if (text) frame.write(data, start, size, "utf8");
    else frame.set(data, start);
    encoder.cover(frame, start, start + size);
    const encoded = frame.subarray(0, encoder.after(frame, start + size, "whole"));
    this.#frames.set(kind, encoded);
    return encoded;
  }
}

/** Copies `data` and encodes it at most once for each protocol, whatever the number of connections it is sent on. */
export function prepare(data: Data | ArrayBuffer | ArrayBufferView | PreparedMessage): PreparedMessage {
  return data instanceof PreparedMessage ? data : new PreparedMessage(asData(data));
}

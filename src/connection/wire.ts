/** Which protocol a connection speaks: the decoder, the encoder and the control frames that belong together. */

import { asData } from "../base/bytes.js";
import type { Framing } from "../engine/framing/framing.js";
import { resolveFraming } from "../engine/framing/framing.js";
import type { Data, Decoder, DecoderLimits, Encoder } from "../engine/protocol.js";
import { WebSocketDecoder } from "../engine/websocket-decoder.js";
import { WebSocketEncoder } from "../engine/websocket-encoder.js";
import { maskKey } from "../transport/random.js";
import type { Compression } from "./compression.js";
import { Deflating } from "./deflating.js";
import { Inflating } from "./inflating.js";
import type { SettledOptions } from "./options.js";

/** One connection's protocol. */
export interface Wire {
  readonly protocol: "websocket" | "tcp";
  /** Connections with the same kind write the same bytes for the same message; undefined where each writes its own. */
  readonly kind: object | undefined;
  readonly decoder: Decoder;
  readonly encoder: Encoder;
  /** How messages are compressed, and how those that come are decompressed; undefined where that was not agreed on. */
  readonly deflating: Deflating | undefined;
  readonly inflating: Inflating | undefined;
  /** Judges the parts of one message: what may stand in one can depend on those before, and not on other messages. */
  readonly judge: () => Pick<Encoder, "payload">;
  /** A whole control frame; undefined where the protocol has none. */
  readonly control: ((opcode: number, payload: Uint8Array) => Uint8Array) | undefined;
}

/** Makes the protocol of each connection of one listener or dialer. */
export type WireFactory = (limits: DecoderLimits) => Wire;

const SERVER_FRAMES = new Map<string, object>();

export function webSocketWire(role: "server" | "client", compression?: Compression): WireFactory {
  return (limits) => {
    const encoder = new WebSocketEncoder(role, maskKey);
    return {
      protocol: "websocket",
      kind: role === "server" ? serverFrames(compression) : undefined,
      decoder: new WebSocketDecoder(role, limits, compression !== undefined),
      encoder,
      deflating: compression && deflating(role, compression),
      inflating: compression && inflating(role, compression, limits),
      judge: () => encoder,
      control: (opcode, payload) => encoder.control(opcode, payload),
    };
  };
}

/** What connections whose messages are compressed in the same way have in common. */
function serverFrames(compression: Compression | undefined): object {
  const { threshold, level, agreement } = compression ?? {};
  const key = compression === undefined ? "" : `${threshold} ${level} ${agreement?.serverWindowBits}`;
  const kind = SERVER_FRAMES.get(key) ?? {};
  SERVER_FRAMES.set(key, kind);
  return kind;
}

function deflating(role: "server" | "client", { threshold, level, agreement }: Compression): Deflating {
  const windowBits = role === "server" ? agreement.serverWindowBits : agreement.clientWindowBits;
  const contextTakeover = role === "server" ? agreement.serverContextTakeover : agreement.clientContextTakeover;
  return new Deflating({ threshold, level, windowBits, contextTakeover });
}

function inflating(
  role: "server" | "client",
  { maxInflationRatio, agreement }: Compression,
  limits: DecoderLimits,
): Inflating {
  const takeover = role === "server" ? agreement.clientContextTakeover : agreement.serverContextTakeover;
  const bits = role === "server" ? agreement.clientWindowBits : agreement.serverWindowBits;
  return new Inflating(limits, { maxInflationRatio, windowBits: takeover ? bits : undefined });
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
    deflating: undefined,
    inflating: undefined,
    judge: () => resolved.encoder(),
    control: undefined,
  });
}

/** A message as connections of one kind write it. */
export interface Encoded {
  readonly frame: Uint8Array;
  /** The payload that stands for the message, and its bytes: to count those of a text anew for each member takes longer than all else. */
  readonly payload: Data;
  readonly size: number;
}

/** A message whose encoded form is made once, for many connections. Made by `prepare`. */
export class PreparedMessage {
  readonly data: Data;
  readonly compress: boolean | undefined;
  readonly #encoded = new Map<object, Encoded>();
  /** The kind that was asked for last, and its form: most members of a group are of one kind. */
  #kind: object | undefined;
  #form: Encoded | undefined;

  constructor(data: Data, compress: boolean | undefined) {
    this.compress = compress;
    this.data = typeof data === "string" ? data : Uint8Array.from(data);
  }

  /** What `wire` writes for it; undefined where that differs from connection to connection. */
  for(wire: Wire): Encoded | undefined {
    const { kind } = wire;
    if (kind === undefined || kind === this.#kind) return kind && this.#form;
    const form = this.#encoded.get(kind) ?? this.#encode(wire);
    this.#encoded.set(kind, form);
    this.#kind = kind;
    this.#form = form;
    return form;
  }

  #encode({ encoder, deflating }: Wire): Encoded {
    const payload = encoder.payload(this.data, "whole");
    const text = typeof payload === "string";
    const bytes = text ? Buffer.from(payload) : payload;
    const packed = deflating?.alone(bytes, this.compress);
    const written = packed ?? bytes;
    const { length } = written;
    const frame = Buffer.allocUnsafeSlow(length + encoder.overhead);
    const start = encoder.before(frame, 0, length, text, "whole", packed !== undefined);
    frame.set(written, start);
    encoder.cover(frame, start, start + length);
    const end = encoder.after(frame, start + length, "whole");
    return { frame: frame.subarray(0, end), payload, size: bytes.length };
  }
}

/** How a message is prepared. */
export interface PrepareOptions {
  /** Whether it is compressed where that was agreed on. @default by each connection's `threshold` */
  readonly compress?: boolean;
}

/**
 * Copies `data`, and encodes and compresses it at most once for each protocol and way of compressing, whatever the number of
 * connections it is sent on.
 */
export function prepare(
  data: Data | ArrayBuffer | ArrayBufferView | PreparedMessage,
  { compress }: PrepareOptions = {},
): PreparedMessage {
  if (data instanceof PreparedMessage && (compress === undefined || compress === data.compress)) return data;
  return new PreparedMessage(data instanceof PreparedMessage ? data.data : asData(data), compress);
}

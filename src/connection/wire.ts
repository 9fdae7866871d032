/** Which protocol a connection speaks: the decoder, the encoder and the control frames that belong together. */

import { isEmptyPong, PING } from "../engine/frame.js";
import type { Codec, Framing } from "../engine/framing/framing.js";
import { resolveFraming } from "../engine/framing/framing.js";
import type { Decoder, DecoderLimits, Encoder } from "../engine/protocol.js";
import { WebSocketDecoder } from "../engine/websocket-decoder.js";
import { WebSocketEncoder } from "../engine/websocket-encoder.js";
import { maskKey } from "../transport/random.js";
import type { Compression } from "./compression.js";
import { Deflating } from "./deflating.js";
import { Inflating } from "./inflating.js";
import type { SettledOptions } from "./options.js";
import { Shelves } from "./shelf.js";

/** One connection's protocol. Connections that need no state of their own for it share one. */
export interface Wire {
  readonly protocol: "websocket" | "tcp";
  /** RFC 6455 7.1.1: the server closes the TCP connection first, so that it is the client's side that waits. */
  readonly closesFirst: boolean;
  /** Connections with the same kind write the same bytes for the same message; undefined where each writes its own. */
  readonly kind: object | undefined;
  readonly encoder: Encoder;
  /** How messages are compressed, and how those that come are decompressed; undefined where that was not agreed on. */
  readonly deflating: Deflating | undefined;
  readonly inflating: Inflating | undefined;
  /** Where those that share this wire leave parts for each other; undefined where each has a wire of its own. */
  readonly shelves: Shelves | undefined;
  /** A decoder that has seen nothing yet: between messages one is as good as another. */
  decoder(): Decoder;
  /** Judges the parts of one message: what may stand in one can depend on those before, and not on other messages. */
  judge(): Pick<Encoder, "payload">;
  /** A whole control frame, not to be changed; left out where the protocol has none. */
  control?(opcode: number, payload: Uint8Array): Uint8Array;
  /** Whether `chunk` is what answers an empty Ping, and nothing else. Left out where a decoder has to see every frame. */
  emptyPong?(chunk: Uint8Array): boolean;
}

/** Makes the protocol of each connection of one listener or dialer. */
export type WireFactory = (limits: DecoderLimits) => Wire;

class WebSocketWire implements Wire {
  readonly protocol = "websocket";
  readonly closesFirst: boolean;
  readonly kind: object | undefined;
  readonly encoder: WebSocketEncoder;
  readonly deflating: Deflating | undefined;
  readonly inflating: Inflating | undefined;
  readonly shelves: Shelves | undefined;
  readonly #role: "server" | "client";
  readonly #limits: DecoderLimits;
  #emptyPing: Uint8Array | undefined;

  constructor(role: "server" | "client", limits: DecoderLimits, compression: Compression | undefined) {
    this.closesFirst = role === "server";
    this.kind = role === "server" ? serverFrames(compression) : undefined;
    this.encoder = new WebSocketEncoder(role, maskKey);
    this.deflating = compression && deflating(role, compression);
    this.inflating = compression && inflating(role, compression, limits);
    this.shelves = role === "server" && compression === undefined ? new Shelves() : undefined;
    this.#role = role;
    this.#limits = limits;
  }

  decoder(): Decoder {
    return new WebSocketDecoder(this.#role, this.#limits, this.inflating !== undefined);
  }

  judge(): Pick<Encoder, "payload"> {
    return this.encoder;
  }

  control(opcode: number, payload: Uint8Array): Uint8Array {
    if (opcode !== PING || payload.length > 0 || this.#role === "client") return this.encoder.control(opcode, payload);
    // A server does not mask, so that all of them are alike.
    this.#emptyPing ??= this.encoder.control(PING, payload);
    return this.#emptyPing;
  }

  emptyPong(chunk: Uint8Array): boolean {
    return isEmptyPong(chunk, this.#role === "server");
  }
}

// A server neither masks, which would take a key for each frame, nor compresses here.
const PLAIN_SERVERS = new WeakMap<DecoderLimits, Wire>();

export function webSocketWire(role: "server" | "client", compression?: Compression): WireFactory {
  return (limits) => {
    const shared = role === "server" && compression === undefined;
    const wire = (shared ? PLAIN_SERVERS.get(limits) : undefined) ?? new WebSocketWire(role, limits, compression);
    if (shared) PLAIN_SERVERS.set(limits, wire);
    return wire;
  };
}

const SERVER_FRAMES = new Map<string, object>();

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

class FramedWire implements Wire {
  readonly protocol = "tcp";
  readonly closesFirst = true;
  readonly kind: Codec;
  readonly encoder: Encoder;
  readonly deflating: undefined;
  readonly inflating: undefined;
  readonly shelves: undefined;
  readonly #limits: DecoderLimits;

  constructor(codec: Codec, limits: DecoderLimits) {
    this.kind = codec;
    this.encoder = codec.encoder();
    this.#limits = limits;
  }

  decoder(): Decoder {
    return this.kind.decoder(this.#limits);
  }

  judge(): Pick<Encoder, "payload"> {
    return this.kind.encoder();
  }
}

/** Judges the framing, and the message that the heartbeat is to send in it. */
export function framedWire(framing: Framing | undefined, { heartbeat: { message } }: SettledOptions): WireFactory {
  const codec = resolveFraming(framing);
  if (message !== undefined) codec.encoder().payload(message, "whole");
  return (limits) => new FramedWire(codec, limits);
}

/** Combines the decoder, the encoder and the control frames of the protocol of a connection. */

import { judgeAtMost } from "../base/judge.ts";
import type { Codec, Framing } from "../engine/framing/framing.ts";
import { resolveFraming } from "../engine/framing/framing.ts";
import type { Decoder, DecoderLimits, Encoder } from "../engine/protocol.ts";
import { WebSocketDecoder } from "../engine/websocket/decoder.ts";
import { WebSocketEncoder } from "../engine/websocket/encoder.ts";
import { isEmptyPong, PING } from "../engine/websocket/frame.ts";
import { maskKey } from "../transport/random.ts";
import { Deflater } from "./compression/deflate.ts";
import { Inflater } from "./compression/inflate.ts";
import type { Compression } from "./compression/options.ts";
import type { SettledOptions } from "./options.ts";
import { newPartPools, type PartPools } from "./pool.ts";

/** Protocol of one connection. Connections that need no state of their own for it share one object. */
export interface Protocol {
  readonly name: "websocket" | "tcp";
  /** RFC 6455 7.1.1: the server closes the TCP connection first, and the client waits for that. */
  readonly closesFirst: boolean;
  /**
   * Connections of the same kind write the same bytes for the same message. Undefined if each connection writes its own bytes.
   */
  readonly kind: object | undefined;
  readonly encoder: Encoder;
  /** Compress sent messages and decompress received ones. Undefined if compression was not negotiated. */
  readonly deflater: Deflater | undefined;
  readonly inflater: Inflater | undefined;
  /** Pools of parts for the connections that share this object. Undefined if each connection has its own. */
  readonly pools: PartPools | undefined;
  /** Creates a decoder in its initial state. Between messages all decoders are equal. */
  decoder(): Decoder;
  /**
   * Creates a validator for the parts of one message. A part may depend on the parts before it, but not on other messages.
   */
  partValidator(): Pick<Encoder, "payload">;
  /** Encodes a control frame, which must not be modified. Omitted if the protocol has none. */
  control?(opcode: number, payload: Uint8Array): Uint8Array;
  /** True if `chunk` is exactly the answer to an empty Ping. Omitted if a decoder must see every frame. */
  emptyPong?(chunk: Uint8Array): boolean;
}

/** Creates the protocol of each connection of one listener or dialer. */
export type ProtocolFactory = (limits: DecoderLimits) => Protocol;

class WebSocketProtocol implements Protocol {
  readonly name = "websocket";
  readonly closesFirst: boolean;
  readonly kind: object | undefined;
  readonly encoder: WebSocketEncoder;
  readonly deflater: Deflater | undefined;
  readonly inflater: Inflater | undefined;
  readonly pools: PartPools | undefined;
  readonly #role: "server" | "client";
  readonly #limits: DecoderLimits;
  #emptyPing: Uint8Array | undefined;

  constructor(role: "server" | "client", limits: DecoderLimits, compression: Compression | undefined) {
    this.closesFirst = role === "server";
    this.kind = role === "server" ? serverKind(compression) : undefined;
    this.encoder = new WebSocketEncoder(role, maskKey);
    this.deflater = compression && deflater(role, compression);
    this.inflater = compression && inflater(role, compression, limits);
    this.pools = role === "server" && compression === undefined ? newPartPools() : undefined;
    this.#role = role;
    this.#limits = limits;
  }

  decoder(): Decoder {
    return new WebSocketDecoder(this.#role, this.#limits, this.inflater !== undefined);
  }

  partValidator(): Pick<Encoder, "payload"> {
    return this.encoder;
  }

  control(opcode: number, payload: Uint8Array): Uint8Array {
    if (opcode !== PING || payload.length > 0 || this.#role === "client") return this.encoder.control(opcode, payload);
    // A server does not mask, so all its empty Pings are equal.
    this.#emptyPing ??= this.encoder.control(PING, payload);
    return this.#emptyPing;
  }

  emptyPong(chunk: Uint8Array): boolean {
    return isEmptyPong(chunk, this.#role === "server");
  }
}

// Protocols of servers without compression. They need no state per connection: a server does not mask, which would need a key for
// each frame.
const SHARED_PROTOCOLS = new WeakMap<DecoderLimits, Protocol>();

export function webSocketProtocol(role: "server" | "client", compression?: Compression): ProtocolFactory {
  return (limits) => {
    const shared = role === "server" && compression === undefined;
    const protocol =
      (shared ? SHARED_PROTOCOLS.get(limits) : undefined) ?? new WebSocketProtocol(role, limits, compression);
    if (shared) SHARED_PROTOCOLS.set(limits, protocol);
    return protocol;
  };
}

const SERVER_KINDS = new Map<string, object>();

/** The object that connections with the same compression settings have in common. */
function serverKind(compression: Compression | undefined): object {
  const { threshold, level, agreement } = compression ?? {};
  const key = compression === undefined ? "" : `${threshold} ${level} ${agreement?.serverWindowBits}`;
  const kind = SERVER_KINDS.get(key) ?? {};
  SERVER_KINDS.set(key, kind);
  return kind;
}

function deflater(role: "server" | "client", { threshold, level, agreement }: Compression): Deflater {
  const windowBits = role === "server" ? agreement.serverWindowBits : agreement.clientWindowBits;
  const contextTakeover = role === "server" ? agreement.serverContextTakeover : agreement.clientContextTakeover;
  return new Deflater({ threshold, level, windowBits, contextTakeover });
}

function inflater(
  role: "server" | "client",
  { maxInflationRatio, agreement }: Compression,
  limits: DecoderLimits,
): Inflater {
  const takeover = role === "server" ? agreement.clientContextTakeover : agreement.serverContextTakeover;
  const bits = role === "server" ? agreement.clientWindowBits : agreement.serverWindowBits;
  return new Inflater(limits, { maxInflationRatio, windowBits: takeover ? bits : undefined });
}

class FramedProtocol implements Protocol {
  readonly name = "tcp";
  readonly closesFirst = true;
  readonly kind: Codec;
  readonly encoder: Encoder;
  readonly deflater: undefined;
  readonly inflater: undefined;
  readonly pools: undefined;
  readonly #limits: DecoderLimits;

  constructor(codec: Codec, limits: DecoderLimits) {
    this.kind = codec;
    this.encoder = codec.encoder();
    this.#limits = limits;
  }

  decoder(): Decoder {
    return this.kind.decoder(this.#limits);
  }

  partValidator(): Pick<Encoder, "payload"> {
    return this.kind.encoder();
  }
}

/** Validates the framing, whether it fits the limits, and the heartbeat message in that framing. */
export function framedProtocol(
  framing: Framing | undefined,
  { heartbeat: { message }, maxMessageSize, streaming }: SettledOptions,
): ProtocolFactory {
  const codec = resolveFraming(framing);
  if (!streaming) judgeAtMost("fixed", codec.fixedSize ?? 0, "maxMessageSize", maxMessageSize);
  if (message !== undefined) codec.encoder().payload(message, "whole");
  return (limits) => new FramedProtocol(codec, limits);
}

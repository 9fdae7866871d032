/** Reports each frame and framed message of a connection to `observe`. Used only with the option `trace`. */

import type { ConnectionEvent, FrameEvent } from "../base/events.ts";
import type { Decoder, DecoderLimits, Visitor } from "../engine/protocol.ts";
import { BINARY, CLOSE, HeaderParser, TEXT } from "../engine/websocket/frame.ts";
import { frameViolation } from "../engine/websocket/frame-rules.ts";
import type { Endpoints, Transport, TransportEvents } from "../transport/transport.ts";
import type { Protocol, ProtocolFactory } from "./protocol.ts";
import type { Tap } from "./tally.ts";

export type Report = (facts: Omit<FrameEvent, "type" | "id" | "direction">) => void;

// The connection applies its own limits. The trace shows also what exceeds them.
const NO_LIMITS = { maxMessageSize: Infinity, maxFragments: Infinity } as const;

/**
 * Reads the bytes between a connection and its transport, in both directions. So a connection that is traced takes the same code
 * paths as one that is not.
 */
export class TracedTransport implements Transport {
  readonly #transport: Transport;
  readonly #received: Tap;
  readonly #sent: Tap;

  constructor(
    transport: Transport,
    protocol: ProtocolFactory,
    { id, streaming, report }: { id: number; streaming: boolean; report: (event: ConnectionEvent) => void },
  ) {
    const tap = (direction: "in" | "out"): Tap =>
      frameTap(protocol({ ...NO_LIMITS, streaming }), direction, (facts) =>
        report({ type: "frame", id, direction, ...facts }),
      );
    this.#transport = transport;
    this.#received = tap("in");
    this.#sent = tap("out");
  }

  get endpoints(): Endpoints {
    return this.#transport.endpoints;
  }

  get queuedBytes(): number {
    return this.#transport.queuedBytes;
  }

  open(events: TransportEvents): void {
    this.#transport.open({
      data: (chunk) => {
        this.#received.read(chunk);
        events.data(chunk);
      },
      written: () => events.written(),
      fin: () => events.fin(),
      finSeen: () => events.finSeen?.(),
      acknowledged: () => events.acknowledged?.(),
      closed: (error) => events.closed(error),
    });
  }

  write(bytes: Uint8Array): boolean {
    this.#sent.read(bytes);
    return this.#transport.write(bytes);
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  watchAcknowledgements(wanted: boolean): void {
    this.#transport.watchAcknowledgements?.(wanted);
  }

  whenAcknowledged(atMost: number, call: (unacknowledged: number) => void): boolean {
    return this.#transport.whenAcknowledged?.(atMost, call) === true;
  }

  end(): void {
    this.#transport.end();
  }

  abort(): void {
    this.#transport.abort();
  }

  release(): void {
    this.#transport.release();
  }

  ref(wanted: boolean): void {
    this.#transport.ref(wanted);
  }
}

/** Reports the frames of one direction of a connection. */
export function frameTap(protocol: Protocol, direction: "in" | "out", report: Report): Tap {
  if (protocol.name === "tcp") return new MessageTap(protocol.decoder(), report);
  // A server shares its frames, because it does not mask them. The peer of a server masks.
  return new FrameTap(protocol.encoder.shareable === (direction === "in"), protocol.deflater !== undefined, report);
}

/** Reads the frames of a WebSocket. Ends after a Close frame and after a frame that breaks the rules, as a decoder does. */
export class FrameTap implements Tap {
  readonly #masked: boolean;
  readonly #deflate: boolean;
  readonly #report: Report;
  readonly #header = new HeaderParser();
  /** Bytes of the payload that have not been read yet. */
  #payloadLeft = 0;
  /** True if the next data frame continues a message. */
  #insideMessage = false;
  /** True if the frame whose header is being read is already reported. */
  #reported = false;
  #ended = false;

  constructor(masked: boolean, deflate: boolean, report: Report) {
    this.#masked = masked;
    this.#deflate = deflate;
    this.#report = report;
  }

  read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#ended) {
      if (this.#payloadLeft > 0) {
        const step = Math.min(this.#payloadLeft, bytes.length - at);
        this.#payloadLeft -= step;
        at += step;
      } else {
        at = this.#header.push(bytes, at);
        // The masking key may be missing.
        if (this.#header.sized && !this.#reported) this.#reportFrame();
        if (this.#header.complete) this.#beginPayload();
      }
    }
  }

  #reportFrame(): void {
    const header = this.#header;
    const { opcode, fin, rsv, masked, length } = header;
    this.#report({ opcode, fin, rsv, masked, length });
    const limits: DecoderLimits = { ...NO_LIMITS, streaming: false };
    const violation = frameViolation(header, this.#masked, this.#insideMessage, 0, 1, limits, this.#deflate);
    this.#ended = violation !== undefined || opcode === CLOSE;
    this.#reported = true;
    if (!header.control) this.#insideMessage = !fin;
  }

  #beginPayload(): void {
    this.#payloadLeft = this.#header.length;
    this.#reported = false;
    this.#header.reset();
  }
}

/** Reads the messages of framed TCP with a decoder of its own. */
class MessageTap implements Tap {
  readonly #decoder: Decoder;
  readonly #visitor: Visitor;
  #ended = false;

  constructor(decoder: Decoder, report: Report) {
    this.#decoder = decoder;
    const frame = (text: boolean, fin: boolean, length: number): boolean => {
      report({ opcode: text ? TEXT : BINARY, fin, rsv: 0, masked: false, length });
      return true;
    };
    this.#visitor = {
      message: (data) =>
        typeof data === "string" ? frame(true, true, Buffer.byteLength(data)) : frame(false, true, data.length),
      piece: (type, bytes, last) => frame(type === "text", last, bytes.length),
      ping: () => true,
      pong: () => true,
      close: () => undefined,
      fail: () => {
        this.#ended = true;
      },
    };
  }

  read(bytes: Uint8Array): void {
    if (!this.#ended) this.#decoder.receive(bytes, 0, this.#visitor);
  }
}

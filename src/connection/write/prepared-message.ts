/** Encodes a message once for many connections. */

import { PREPARED } from "../../base/brand.ts";
import { asData, ownData } from "../../base/bytes.ts";
import { judgeOptions } from "../../base/judge.ts";
import type { Message, MessageContent } from "../../engine/protocol.ts";
import { WebSocketDecoder } from "../../engine/websocket/decoder.ts";
import { type AnyCodec, judgeCodec, type MessageCodec } from "../codec.ts";
import type { PreparedMessage, Sendable } from "../contract.ts";
import type { Protocol } from "../protocol.ts";
import { OutgoingMessage, type SharedForm } from "./outgoing-message.ts";
import { judgeCompress } from "./send-options.ts";
import { writePayload } from "./write-buffer.ts";

// The bit of the first byte of a frame that ends its message.
const FIN = 0x80;

/** A message in the form that connections of one kind write. */
export interface EncodedMessage extends SharedForm {
  /**
   * The payload of the message and its size in bytes. To count the bytes of a text again for each member takes longer than all
   * other work.
   */
  readonly payload: MessageContent;
  readonly size: number;
}

/** A prepared message, with its encoded forms. */
export class Prepared implements Omit<PreparedMessage, typeof PREPARED> {
  /** The message. For bytes, a copy. */
  readonly message: Message;
  readonly compress: boolean | undefined;
  readonly #encoded = new Map<object, EncodedMessage>();
  /** The kind that was used last, and its form: most members of a group are of one kind. */
  #kind: object | undefined;
  #form: EncodedMessage | undefined;

  constructor(message: MessageContent, compress: boolean | undefined) {
    this.compress = compress;
    this.message = ownData(message);
  }

  /** The form that connections of `protocol` write. Undefined if each connection writes its own bytes. */
  encodedFor(protocol: Protocol): EncodedMessage | undefined {
    const { kind } = protocol;
    if (kind === undefined || kind === this.#kind) return kind && this.#form;
    const form = this.#encoded.get(kind) ?? this.#encode(protocol);
    this.#encoded.set(kind, form);
    this.#kind = kind;
    this.#form = form;
    return form;
  }

  /**
   * The message as an entry of the send queue of one connection. `form`: its encoded form, if the connection has one.
   */
  toOutgoing({ encoder }: Protocol, form: EncodedMessage | undefined): OutgoingMessage {
    const { message } = this;
    const outgoing = new OutgoingMessage(message, form?.payload ?? encoder.payload(message, "whole"), form?.size);
    outgoing.form = form;
    outgoing.compress = this.compress;
    return outgoing;
  }

  #encode({ encoder, deflater }: Protocol): EncodedMessage {
    const payload = encoder.payload(this.message, "whole");
    const text = typeof payload === "string";
    const bytes = text ? Buffer.from(payload) : payload;
    const compressed = deflater?.compressAlone(bytes, this.compress);
    const written = compressed ?? bytes;
    const { length } = written;
    const frame = Buffer.allocUnsafeSlow(length + encoder.overhead);
    const start = encoder.before(frame, 0, length, text, "whole", compressed !== undefined);
    const end = writePayload(encoder, frame, start, written, length, "whole");
    return { frame: frame.subarray(0, end), payload, size: bytes.length, queues: 0 };
  }
}

/**
 * A message of one connection whose bytes no other code can change, so that the connection needs no copy of them. It has no
 * encoded form: that would be another copy.
 */
class OwnedMessage extends Prepared {
  override encodedFor(): undefined {
    return undefined;
  }
}

/** A message with the frame in which servers write it. */
class PreparedFrame extends Prepared {
  readonly #form: EncodedMessage;

  constructor(frame: Uint8Array, message: Message) {
    // The frame is not compressed, so the other forms are not either.
    super(message, false);
    const size = typeof message === "string" ? Buffer.byteLength(message) : message.length;
    this.#form = { frame, payload: this.message, size, queues: 0 };
  }

  override encodedFor(protocol: Protocol): EncodedMessage | undefined {
    const writesFrame = protocol.name === "websocket" && protocol.kind !== undefined;
    return writesFrame ? this.#form : super.encodedFor(protocol);
  }
}

/**
 * Copies `message`, for code that keeps it until it sends it. The connection that sends the result makes no further copy. A
 * prepared message is returned as it is.
 */
export function ownedMessage(message: Sendable): PreparedMessage {
  return (preparedOf(message) ?? new OwnedMessage(asData(message), undefined)) as Prepared & PreparedMessage;
}

Object.defineProperty(Prepared.prototype, PREPARED, { value: true });

/** `given` if it is a prepared message, and the same message if another copy of the library has prepared it. */
export function preparedOf(given: unknown): Prepared | undefined {
  if (given instanceof Prepared) return given;
  if (typeof given !== "object" || given === null || !(PREPARED in given)) return undefined;
  const { message, compress } = given as unknown as PreparedMessage;
  return new Prepared(asData(message), compress);
}

/** Returns the message to send: what the codec makes of a value. A prepared message is a message already. */
export function encodedBy(codec: AnyCodec | undefined, value: unknown): Sendable {
  return codec === undefined || preparedOf(value) !== undefined ? (value as Sendable) : codec.encode(value);
}

/** Options of `prepare`. */
export interface PrepareOptions {
  /** Whether the message is compressed, if compression was negotiated. @default by each connection's `threshold` */
  readonly compress?: boolean | undefined;
}

/** Options of `prepare` for a value. */
export interface PrepareValueOptions<Out> extends PrepareOptions {
  /** Encodes the value. */
  readonly codec: MessageCodec<unknown, Out>;
}

/**
 * Copies `message`. The copy is encoded and compressed at most once for each protocol and each set of compression settings, for
 * any number of connections. Returns `message` itself if it is a prepared message and `compress` does not change it.
 *
 * With a codec, `message` is a value, which is encoded now, once. A prepared message is sent as it is, also by connections that have
 * a codec.
 */
export function prepare(message: Sendable, options?: PrepareOptions): PreparedMessage;
export function prepare<Out>(message: Out, options: PrepareValueOptions<Out>): PreparedMessage;
export function prepare(
  message: unknown,
  options: PrepareOptions & { readonly codec?: MessageCodec<unknown, never> } = {},
): PreparedMessage {
  judgeOptions(options);
  const { codec, ...others } = options;
  return prepared(encodedBy(judgeCodec(codec), message), others);
}

/** Implements `prepare`. */
export function prepared(message: Sendable, options: PrepareOptions): Prepared & PreparedMessage {
  judgeOptions(options);
  const { compress } = options;
  judgeCompress(compress);
  const known = preparedOf(message);
  const same = known !== undefined && (compress === undefined || compress === known.compress);
  const result = same ? known : new Prepared(known?.message ?? asData(message), compress);
  // The prototype has the mark. A class cannot declare it with isolated declarations.
  return result as Prepared & PreparedMessage;
}

/**
 * Returns the message of an encoded WebSocket frame, in the form of `prepare`. Servers write a copy of these bytes as they are, with
 * compression too. A client sends the message in a frame of its own, because it masks, and so does framed TCP. For programs that
 * have encoded their messages already, such as Socket.IO.
 *
 * Throws TypeError if `frame` is not exactly one whole data frame of a server: FIN is set, the opcode is text or binary, there is no
 * mask and no reserved bit, the length has its shortest form, and a text is UTF-8. A compressed frame has a reserved bit: what it
 * refers to is known to one connection only. Pass the message to `prepare` instead.
 */
export function prepareFrame(frame: Uint8Array | ArrayBuffer | ArrayBufferView): PreparedMessage {
  const bytes = asData(frame);
  if (typeof bytes === "string") throw new TypeError("Cannot prepare a frame: expected bytes, got a string");
  const own = ownData(bytes) as Uint8Array;
  const prepared: Prepared = new PreparedFrame(own, messageOfFrame(own));
  return prepared as Prepared & PreparedMessage;
}

function messageOfFrame(frame: Uint8Array): Message {
  const messages: Message[] = [];
  let problem = "it is not one whole message in one frame";
  const stop = (): boolean => false;
  // The decoder of a client accepts what a server may send.
  const decoder = new WebSocketDecoder("client", { maxMessageSize: Infinity, maxFragments: 1, streaming: false });
  const end = decoder.receive(frame, 0, {
    message: (message) => messages.push(message) === 0,
    piece: stop,
    ping: stop,
    pong: stop,
    close: () => undefined,
    fail: (violation) => {
      ({ problem } = violation);
    },
  });
  const [message] = messages;
  const oneFrame = ((frame[0] ?? 0) & FIN) !== 0;
  if (message === undefined || end !== frame.length || !oneFrame)
    throw new TypeError(`Cannot prepare a frame: ${problem}`);
  return message;
}

/** The interfaces between a connection and a wire protocol: a decoder that calls a visitor, and an encoder. */

import type { MessageBytes } from "../base/bytes.ts";
import type { Progress } from "../base/errors.ts";
import type { ProtocolErrorReason } from "../base/protocol-reasons.ts";

/** A message: text as a string, or binary as bytes. */
export type Message = string | MessageBytes;

/** The content of a message to send. Its bytes may be in memory that another thread shares. */
export type MessageContent = string | Uint8Array;

/** A violation of the protocol or of a limit by the peer, with the status code for the Close frame. */
export type Violation = ProtocolViolation | LimitViolation;

interface ViolationFacts {
  /** The status code for the Close frame: 1002, 1003, 1007, 1008 or 1009. */
  readonly closeCode: number;
  /** The violated clause, such as `RFC 6455 5.1`. */
  readonly clause: string;
  /** One sentence without its full stop, with the values that were compared. */
  readonly problem: string;
}

export interface ProtocolViolation extends ViolationFacts {
  readonly reason: ProtocolErrorReason;
  /** What the application threw, if it found the violation. */
  readonly cause?: unknown;
  readonly limit?: undefined;
}

export interface LimitViolation extends ViolationFacts {
  readonly reason?: undefined;
  /** The exceeded limit. */
  readonly limit: { readonly name: string; readonly maximum: number; readonly actual: number };
}

/**
 * Receives the decoded messages and frames. Payloads are copies, never views of the chunk, so a visitor may keep and change them.
 * A method returns true to continue. If it returns false, the decoder stops after this call and leaves the rest of the chunk.
 */
export interface Visitor {
  /** A whole message. */
  message(data: Message): boolean;
  /** A piece of a message, if the decoder streams. `last`: the piece ends the message; it may be empty. */
  piece(type: "text" | "binary", bytes: MessageBytes, last: boolean): boolean;
  /** A whole message that is still compressed (RFC 7692 section 6). Not needed if permessage-deflate is not in use. */
  compressed?(type: "text" | "binary", bytes: Uint8Array): boolean;
  ping(payload: Uint8Array): boolean;
  pong(payload: Uint8Array): boolean;
  /** The peer's Close frame. `code` is 1005 if the frame has no code. Nothing is decoded after it. */
  close(code: number, reason: string): void;
  /** The peer violated a rule or a limit. Nothing is decoded after it. */
  fail(violation: Violation): void;
}

/** The limits of a decoder, for WebSocket and for framed TCP. */
export interface DecoderLimits {
  /** The maximum payload of one message, in bytes. Compared with the size that the peer announces, before any byte is stored. */
  readonly maxMessageSize: number;
  /** The maximum number of fragments of one message. */
  readonly maxFragments: number;
  /**
   * True: the decoder delivers pieces as they arrive, not whole messages. It stores nothing, and the limits above do not apply.
   */
  readonly streaming: boolean;
  /** `bytes`: a whole text is delivered as the result of `textBytes`. Every other value has no effect here. */
  readonly messageType?: string | undefined;
}

/** The receiving half of a protocol. Stores at most one incomplete message. */
export interface Decoder {
  /**
   * Decodes `chunk` from index `from` and calls the visitor. Returns the index of the first byte that was not decoded: it is
   * `chunk.length`, unless the visitor returned false. The decoder keeps no reference to the chunk. It may unmask a masked frame
   * in place, and changes nothing else in it.
   */
  receive(chunk: Uint8Array, from: number, visitor: Visitor): number;
  /**
   * The stream has ended. Delivers the incomplete message if the end of the stream completes it, and may fail. Omitted if only
   * bytes can complete a message.
   */
  end?(visitor: Visitor): void;
  /** The progress of the incomplete message. `received` is 0 at a message boundary. */
  readonly partial: Progress;
  /** The memory that the incomplete message takes, in bytes. It can be more than was received, because arrays grow in steps. */
  readonly heldBytes: number;
  /** Frees that memory. Nothing may be decoded afterwards. */
  discard(): void;
}

/** The part of a message that is being written. `whole` is a message that is not written in parts. */
export type Part = "whole" | "first" | "middle" | "last";

/** The sending half of a protocol: writes the bytes before and after a payload. Holds the state of at most one frame. */
export interface Encoder {
  /** The maximum number of bytes that `before` and `after` write together. */
  readonly overhead: number;
  /** True if one encoded message can be sent on many connections. False if each message is masked with a new key. */
  readonly shareable: boolean;
  /** True if a message can be written in parts, before its total size is known. */
  readonly streams: boolean;
  /**
   * Returns the payload that represents `data`: usually `data` itself. Called when the application passes the message, so that
   * misuse (a line that contains a newline) throws TypeError or RangeError to the caller before the message is queued. The parts
   * of one message are passed in their order. If this throws for a part, the message stays in its state: another part may follow.
   */
  payload(data: MessageContent, part: Part): MessageContent;
  /**
   * Writes the bytes that precede a payload of `size` bytes. Returns the index after them. `text`: the message is text, not
   * binary. `compressed`: the payload is compressed.
   */
  before(target: Uint8Array, at: number, size: number, text: boolean, part: Part, compressed?: boolean): number;
  /**
   * Masks payload bytes in place; does nothing in a protocol without masks. The bytes `from` to `to` are the next ones of the
   * frame that `before` began.
   */
  mask(target: Uint8Array, from: number, to: number): void;
  /** Writes the bytes that follow the payload. Returns the index after them. */
  after(target: Uint8Array, at: number, part: Part): number;
}

/** What the connection and a wire protocol say to each other: a chunk goes in, calls come out. */

import type { Progress } from "../base/errors.js";

/** A message: text or binary. */
export type Data = string | Uint8Array;

/** How a peer broke the rules, and what is to be answered. */
export interface Violation {
  /** The status code for the Close frame: 1002, 1003, 1007, 1008 or 1009. */
  readonly closeCode: number;
  /** The clause that was broken, such as `RFC 6455 5.1`. */
  readonly clause: string;
  /** One sentence without its full stop, holding the numbers. */
  readonly problem: string;
  /** Set when what was broken is one of our limits and not the protocol. */
  readonly limit?: { readonly name: string; readonly maximum: number; readonly actual: number };
}

/** One frame as its header announced it. Built only when somebody traces. */
export interface FrameFacts {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly masked: boolean;
  readonly length: number;
}

/**
 * Who is told what arrived. The payloads given to it are its own: they are copies, never views of the chunk.
 * Each answer says whether to go on; `false` stops the decoder behind this call, with the rest of the chunk not taken.
 */
export interface Visitor {
  /** A whole message. */
  message(data: Data): boolean;
  /** A piece of a message, when the decoder was made to stream. `last` ends it and may come with no bytes. */
  piece(type: "text" | "binary", bytes: Uint8Array, last: boolean): boolean;
  /** A whole message that is still compressed (RFC 7692 section 6). Left out where no compression was agreed on. */
  packed?(type: "text" | "binary", bytes: Uint8Array): boolean;
  ping(payload: Uint8Array): boolean;
  pong(payload: Uint8Array): boolean;
  /** The peer's Close frame; 1005 when it carried no code. Nothing is decoded after it. */
  close(code: number, reason: string): void;
  /** The peer broke a rule. Nothing is decoded after it. */
  fail(violation: Violation): void;
  /** A frame's header was read. Left out when nobody traces. */
  frame?(facts: FrameFacts): void;
}

/** What both protocols need to know to decode. */
export interface DecoderLimits {
  /** Most payload bytes of one message. Judged by what the peer announces, before anything is stored. */
  readonly maxMessageSize: number;
  /** Most fragments of one message. */
  readonly maxFragments: number;
  /** Give pieces as they arrive instead of whole messages; nothing is stored then, and the limits above do not apply. */
  readonly streaming: boolean;
}

/** The receiving half of a protocol. Holds at most one message that has not been completed. */
export interface Decoder {
  /**
   * Takes `chunk` from index `from` on and calls the visitor. Returns the index of the first byte that was not
   * taken: `chunk.length`, unless the visitor said to stop. The chunk is only read (and, for a masked frame, may
   * be unmasked in place): nothing of it is kept.
   */
  receive(chunk: Uint8Array, from: number, visitor: Visitor): number;
  /** The message that is under way; `received` is 0 at a message boundary. */
  readonly partial: Progress;
}

/** Which part of a message is being written. A message that is sent whole is `whole`. */
export type Part = "whole" | "first" | "middle" | "last";

/** The sending half of a protocol: writes what stands around a payload. Holds the state of one frame at the most. */
export interface Encoder {
  /** Most bytes that `before` and `after` together write. */
  readonly overhead: number;
  /** Whether one encoded form serves many connections: not when each masks with keys of its own. */
  readonly shareable: boolean;
  /** Whether a message may be written in parts, before its total size is known. */
  readonly streams: boolean;
  /**
   * The payload bytes that stand for `data`: usually `data` itself. Called as the message is handed over, so that
   * misuse (a line with a newline inside) throws `TypeError` or `RangeError` to its author before anything is queued.
   * The parts of one message come in their order; what is thrown for a part leaves the message where it was.
   */
  payload(data: Data, part: Part): Data;
  /**
   * Writes what precedes a payload of `size` bytes; returns the index behind it. `text` tells the message's type, and
   * `packed` whether the payload is compressed.
   */
  before(target: Uint8Array, at: number, size: number, text: boolean, part: Part, packed?: boolean): number;
  /** Transforms payload bytes in place, in order, `from` to `to` being the next of the frame that `before` began. */
  cover(target: Uint8Array, from: number, to: number): void;
  /** Writes what follows the payload; returns the index behind it. */
  after(target: Uint8Array, at: number, part: Part): number;
}

/** The receiving half of RFC 6455: frames at whatever places the network cuts them, messages out. */

import type { Progress } from "../base/errors.js";
import { Assembler, plain } from "./assembler.js";
import { parseClose } from "./close.js";
import {
  CLOSE,
  CONTINUATION,
  HeaderParser,
  KEY_SIZE,
  PING,
  RSV1,
  readWord,
  SHORT_HEADER,
  shortMessageEnd,
  TEXT,
} from "./frame.js";
import { judge } from "./frame-rules.js";
import { mask, WORTH_WORDS, Words } from "./mask.js";
import type { Decoder, DecoderLimits, Violation, Visitor } from "./protocol.js";
import { Store } from "./store.js";

const NOTHING = new Uint8Array();

// Most that the shortest header can announce.
const SHORT = 125;

/** After a Close frame or a violation it takes everything and decodes nothing. */
export class WebSocketDecoder implements Decoder {
  readonly #limits: DecoderLimits;
  /** Those of compressed messages; undefined where no compression was agreed on. */
  readonly #packedLimits: DecoderLimits | undefined;
  /** Whether frames come masked: those of clients do. */
  readonly #masked: boolean;
  /** Whether a short message that is all there is always within the limits. */
  readonly #takesShort: boolean;
  readonly #header = new HeaderParser();
  readonly #assembler: Assembler;
  #announced: boolean = false;
  #over: boolean = false;
  /** Payload bytes of this frame so far. Counts up, because what is missing of 2^60 bytes is no exact number. */
  #taken = 0;
  /** What has come of a compressed message, to be decompressed as a whole; undefined inside any other. */
  #packed: Store | undefined;
  #packedType: "text" | "binary" = "binary";
  /** The payload of the control frame that is under way. */
  #control: Uint8Array = NOTHING;
  /** Frames of this message so far, and what those that are complete took on the wire. */
  #fragments = 0;
  #behind = 0;

  /** `deflate`: whether permessage-deflate was agreed on. */
  constructor(role: "server" | "client", limits: DecoderLimits, deflate: boolean = false) {
    this.#limits = limits;
    this.#packedLimits = deflate ? packedLimits(limits) : undefined;
    this.#masked = role === "server";
    this.#takesShort = this.#masked && !limits.streaming && limits.maxFragments >= 1 && limits.maxMessageSize >= SHORT;
    this.#assembler = new Assembler(limits, "RFC 6455 8.1");
  }

  get partial(): Progress {
    if (this.#over) return { received: 0, expected: undefined };
    const header = this.#header;
    // A control frame inside a fragmented message does not say how long that message will be.
    const known = header.sized && (header.control ? this.#behind === 0 : header.fin);
    return {
      received: this.#behind + header.received + this.#taken,
      expected: known ? this.#behind + header.size + header.length : undefined,
    };
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    // Here too, and not only in what is copied: seeing one class of array keeps this loop fast.
    const bytes = plain(chunk);
    const end = bytes.length;
    const header = this.#header;
    // One view serves all the frames of the chunk.
    const words = this.#masked && end - from >= WORTH_WORDS ? new Words(bytes) : undefined;
    let at = from;
    let goOn = true;
    const short = this.#takesShort && visitor.frame === undefined;
    while (goOn && at < end && !this.#over) {
      // Most messages need no more than this.
      const behind = short && header.received === 0 && this.#between() ? shortMessageEnd(bytes, at) : -1;
      if (behind > 0) {
        goOn = this.#takeShort(bytes, at, behind, visitor, words);
        at = behind;
        continue;
      }
      if (!header.complete) {
        at = header.push(bytes, at);
        if (header.sized && !this.#announced) this.#announce(visitor);
        if (!header.complete || this.#over) break;
        this.#begin(end - at);
      }
      const start = at;
      at = Math.min(end, start + header.length - this.#taken);
      if (this.#masked) mask(bytes, start, at, header.key, this.#taken, words);
      this.#taken += at - start;
      goOn = header.control ? this.#takeControl(bytes, start, at, visitor) : this.#takeData(bytes, start, at, visitor);
    }
    return this.#over ? end : at;
  }

  /** Whether no message has begun. */
  #between(): boolean {
    return !this.#assembler.active && this.#packed === undefined;
  }

  #takeShort(bytes: Uint8Array, at: number, end: number, visitor: Visitor, words: Words | undefined): boolean {
    const from = at + SHORT_HEADER;
    mask(bytes, from, end, readWord(bytes, from - KEY_SIZE), 0, words);
    const goOn = this.#assembler.whole((bytes[at] as number) === 0x80 + TEXT, bytes, from, end, visitor);
    if (this.#assembler.failed) this.#over = true;
    return goOn;
  }

  /** Judges a frame by what its header announces, before anything of it is stored. */
  #announce(visitor: Visitor): void {
    const header = this.#header;
    const assembler = this.#assembler;
    this.#announced = true;
    visitor.frame?.({
      opcode: header.opcode,
      fin: header.fin,
      rsv: header.rsv,
      masked: header.masked,
      length: header.length,
    });
    if (!header.control) this.#fragments++;
    const packed = this.#packed;
    const active = assembler.active || packed !== undefined;
    const first = header.rsv === RSV1 && !active;
    const limits = (first || packed !== undefined ? this.#packedLimits : undefined) ?? this.#limits;
    const size = packed?.size ?? assembler.size;
    const deflate = this.#packedLimits !== undefined;
    const violation = judge(header, this.#masked, active, size, this.#fragments, limits, deflate);
    if (violation !== undefined) this.#fail(violation, visitor);
  }

  /** Makes ready for the payload of a frame whose header is complete, `available` bytes of it being at hand. */
  #begin(available: number): void {
    const header = this.#header;
    const assembler = this.#assembler;
    if (header.control) {
      this.#control = new Uint8Array(header.length);
      return;
    }
    if (header.opcode !== CONTINUATION && header.rsv === RSV1) {
      this.#packed = new Store();
      this.#packedType = header.opcode === TEXT ? "text" : "binary";
    }
    if (this.#packed !== undefined) {
      if (header.fin) this.#packed.expect(this.#packed.size + header.length);
      return;
    }
    if (header.opcode !== CONTINUATION) {
      // A message that is all there needs no assembling.
      if (header.fin && header.length <= available) return;
      assembler.begin(header.opcode === TEXT);
    }
    if (header.fin) assembler.expect(assembler.size + header.length);
  }

  #takeData(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const assembler = this.#assembler;
    const { fin, opcode, size, length } = this.#header;
    let goOn: boolean;
    if (this.#packed !== undefined) return this.#takePacked(this.#packed, bytes, from, to, visitor);
    if (this.#taken < length) {
      goOn = assembler.take(bytes, from, to, visitor);
    } else if (fin) {
      this.#next();
      this.#fragments = 0;
      this.#behind = 0;
      goOn = assembler.active
        ? assembler.last(bytes, from, to, visitor)
        : assembler.whole(opcode === TEXT, bytes, from, to, visitor);
    } else {
      this.#next();
      this.#behind += size + length;
      goOn = assembler.take(bytes, from, to, visitor);
    }
    if (assembler.failed) this.#over = true;
    return goOn;
  }

  #takePacked(packed: Store, bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const { fin, size, length } = this.#header;
    packed.append(bytes, from, to);
    if (this.#taken < length) return true;
    this.#next();
    if (!fin) {
      this.#behind += size + length;
      return true;
    }
    this.#fragments = 0;
    this.#behind = 0;
    this.#packed = undefined;
    return visitor.packed?.(this.#packedType, packed.take()) ?? true;
  }

  #takeControl(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const { opcode, length } = this.#header;
    const payload = this.#control;
    payload.set(bytes.subarray(from, to), this.#taken - (to - from));
    if (this.#taken < length) return true;
    this.#next();
    this.#control = NOTHING;
    if (opcode === PING) return visitor.ping(payload);
    if (opcode !== CLOSE) return visitor.pong(payload);
    const said = parseClose(payload);
    if ("closeCode" in said) {
      this.#fail(said, visitor);
    } else {
      this.#end();
      visitor.close(said.code, said.reason);
    }
    return false;
  }

  #next(): void {
    this.#header.reset();
    this.#announced = false;
    this.#taken = 0;
  }

  #fail(violation: Violation, visitor: Visitor): void {
    this.#end();
    visitor.fail(violation);
  }

  #end(): void {
    this.#over = true;
    this.#assembler.clear();
    this.#packed = undefined;
  }
}

/**
 * What bounds a compressed message on its way. It is stored even by those who stream, since it is decompressed as a whole.
 * What cannot be compressed grows a little: a message of the largest size has to pass, however its sender's zlib is set up.
 */
function packedLimits({ maxMessageSize, maxFragments, streaming }: DecoderLimits): DecoderLimits {
  const most = maxMessageSize + Math.ceil(maxMessageSize / 16) + 64;
  return { maxMessageSize: most, maxFragments: streaming ? Infinity : maxFragments, streaming: false };
}

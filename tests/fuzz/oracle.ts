/** What a reader of the whole stream makes of it at leisure. Shares no code with what it judges. */

import { isUtf8 } from "node:buffer";
import type { DecoderLimits } from "../../src/engine/protocol.ts";
import type { Call } from "./cut-stream.ts";

/** The position of one frame in the stream. What has not arrived has no end. */
export interface Span {
  readonly start: number;
  /** Behind the length: from here on it is known how long the frame is. */
  readonly sized: number;
  readonly end: number;
  /** Bytes of the whole frame, as announced. */
  readonly size: number;
  readonly control: boolean;
  readonly fin: boolean;
}

export interface Meant {
  /** The expected calls, without a failure. */
  readonly calls: Call[];
  readonly spans: Span[];
  /** Each way in which the stream breaks the rules at the place where it first does, as `code clause`. */
  broken: string[];
  /** Payload of the message that has not ended. */
  pending: Uint8Array;
}

const CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];

/** The stream `wire`, read as RFC 6455 defines it, with all its bytes known. */
export function framesMeant(wire: Uint8Array, masked: boolean, limits: DecoderLimits, deflate: boolean): Meant {
  const meant: Meant = { calls: [], spans: [], broken: [], pending: new Uint8Array() };
  const view = Buffer.from(wire);
  let message: { readonly text: boolean; readonly packed: boolean; payload: Buffer; fragments: number } | undefined;
  for (let at = 0; at + 2 <= view.length; ) {
    const first = view.readUInt8(at);
    const second = view.readUInt8(at + 1);
    const short = second & 127;
    const sized = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (sized > view.length) break;
    const length =
      short === 126 ? BigInt(view.readUInt16BE(at + 2)) : short === 127 ? view.readBigUInt64BE(at + 2) : BigInt(short);
    const opcode = first & 15;
    const fin = first >= 128;
    const control = opcode >= 8;
    const start = sized + (second >= 128 ? 4 : 0);
    const size = Number(length) + start - at;
    const end = at + size <= view.length ? at + size : Infinity;
    meant.spans.push({ start: at, sized, end, size, control, fin });

    const broken = meant.broken;
    const rsv = (first >> 4) & 7;
    if (rsv !== 0 && !(deflate && rsv === 4)) broken.push("1002 RFC 6455 5.2");
    // RFC 7692 section 6.1: the bit is in the first frame of a message.
    if (deflate && rsv === 4 && (control || opcode === 0)) broken.push("1002 RFC 7692 6.1");
    const packed = message?.packed ?? (deflate && rsv === 4);
    if (![0, 1, 2, 8, 9, 10].includes(opcode)) broken.push("1002 RFC 6455 5.2");
    if (second >= 128 !== masked) broken.push("1002 RFC 6455 5.1");
    if (length >= 2n ** 63n) broken.push("1002 RFC 6455 5.2");
    if (short > 125 && length < (short === 126 ? 126n : 65_536n)) broken.push("1002 RFC 6455 5.2");
    if (control && (!fin || length > 125n)) broken.push("1002 RFC 6455 5.5");
    if (!control && (opcode === 0) !== (message !== undefined)) broken.push("1002 RFC 6455 5.4");
    if (!control && (packed || !limits.streaming)) {
      const fragments = limits.streaming ? 0 : (message?.fragments ?? 0) + 1;
      const total = BigInt(message?.payload.length ?? 0) + length;
      const { maxMessageSize: maximum } = limits;
      // What cannot be compressed grows by being it.
      const most = packed ? maximum + Math.ceil(maximum / 16) + 64 : maximum;
      if (fragments > limits.maxFragments || Number(total) > most) broken.push("1009 RFC 6455 10.4");
    }
    if (broken.length > 0 || start > view.length) break;

    const payload = Buffer.from(view.subarray(start, Math.min(end, view.length)));
    if (second >= 128) for (const [index] of payload.entries()) payload[index]! ^= view[start - 4 + (index % 4)]!;
    if (control) {
      if (end === Infinity) break;
      if (opcode !== 8) meant.calls.push([opcode === 9 ? "ping" : "pong", Uint8Array.from(payload)]);
      else {
        closeMeant(payload, meant);
        break;
      }
    } else {
      message ??= { text: opcode === 1, packed, payload: Buffer.alloc(0), fragments: 0 };
      message.payload = Buffer.concat([message.payload, payload]);
      message.fragments += 1;
      if (!packed) meant.pending = message.payload;
      const ends = fin && end !== Infinity;
      if (message.text && !packed && !(ends ? isUtf8(message.payload) : mayBeUtf8(message.payload))) {
        meant.broken.push("1007 RFC 6455 8.1");
        break;
      }
      if (end === Infinity) break;
      if (fin) {
        const bytes = Uint8Array.from(message.payload);
        if (packed) meant.calls.push(["packed", message.text ? "text" : "binary", bytes]);
        else meant.calls.push(["message", message.text ? message.payload.toString() : bytes]);
        meant.pending = new Uint8Array();
        message = undefined;
      }
    }
    at = end;
  }
  return meant;
}

function closeMeant(payload: Buffer, meant: Meant): void {
  if (payload.length === 0) meant.calls.push(["close", 1005, ""]);
  else if (payload.length === 1) meant.broken.push("1002 RFC 6455 5.5.1");
  else {
    const code = payload.readUInt16BE(0);
    const reason = payload.subarray(2);
    if (!CODES.includes(code) && !(code >= 3000 && code <= 4999)) meant.broken.push("1002 RFC 6455 7.4");
    if (!isUtf8(reason)) meant.broken.push("1007 RFC 6455 8.1");
    if (meant.broken.length === 0) meant.calls.push(["close", code, reason.toString()]);
  }
}

/** The progress of the current message after `taken` bytes of the stream, if nothing has ended the stream. */
export function underWay(spans: readonly Span[], taken: number): { received: number; expected: number | undefined } {
  let behind = 0;
  for (const { start, sized, end, size, control, fin } of spans) {
    if (end <= taken) {
      if (!control) behind = fin ? 0 : behind + size;
    } else if (start < taken) {
      const known = sized <= taken && (control ? behind === 0 : fin);
      return { received: behind + taken - start, expected: known ? behind + size : undefined };
    }
  }
  // A frame whose length has not arrived has no extent.
  const last = spans.at(-1)?.end ?? 0;
  return { received: behind + Math.max(0, taken - last), expected: undefined };
}

/** Whether a text may begin like this. */
export function mayBeUtf8(bytes: Uint8Array): boolean {
  if (isUtf8(bytes)) return true;
  // Whatever character is under way, one of these ends it.
  for (const next of [0x80, 0x90, 0xa0]) {
    for (const rest of [[], [0x80], [0x80, 0x80]]) {
      if (isUtf8(Buffer.concat([bytes, Buffer.from([next, ...rest])]))) return true;
    }
  }
  return false;
}

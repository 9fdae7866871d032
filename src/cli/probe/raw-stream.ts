/** One stream of the probe: it sends any bytes, valid or not, and reports the received frames and how the other side ends. */

import type { Duplex } from "node:stream";
import { closePayload, NORMAL } from "../../engine/websocket/close-codes.ts";
import { CLOSE, HeaderParser, headerSize, MAX_CONTROL, PING, PONG, writeHeader } from "../../engine/websocket/frame.ts";
import { frameViolation } from "../../engine/websocket/frame-rules.ts";
import { mask } from "../../engine/websocket/mask.ts";
import { maskKey } from "../../transport/random.ts";

// Limits of what one server can make this process hold or read. Frames are kept until a check has taken them; data frames only show
// that there are some.
const MOST_DATA_FRAMES = 100;
const MOST_FRAMES = 1_000;
const MOST_BYTES = 64 * 1_024 * 1_024;

// Milliseconds. A fragment of 2 MiB takes 16 s on a line of 1 Mbit/s. Behind a server that reads nothing a write would last for ever.
const LONGEST_WRITE = 30_000;

/** How the other side ended the stream. `violation`: it broke a rule of RFC 6455, and the rest cannot be read. */
export interface StreamEnd {
  readonly type: "end";
  readonly how: "fin" | "reset" | "violation" | "flood";
  /** What was violated; the system's name of the error after a reset. */
  readonly problem: string;
  readonly at: number;
}

/** A received frame, or on TCP a received chunk, which has no opcode. */
export interface ReceivedFrame {
  readonly type: "frame";
  readonly opcode: number | undefined;
  /** Of control frames, at most 125 bytes. Empty for other frames. */
  readonly payload: Uint8Array;
  readonly at: number;
}

export interface SentFrame {
  readonly opcode: number;
  readonly payload?: Uint8Array;
  readonly fin?: boolean;
  /** The reserved bit RSV1, which nothing was agreed on for. */
  readonly rsv1?: boolean;
  readonly masked?: boolean;
  /** The announced length, if it is not that of the payload. */
  readonly length?: number;
}

// Milliseconds. A server that answers no Close is not waited for: another check says so.
const FAREWELL = 500;

const NO_PAYLOAD = new Uint8Array();
const LIMITS = { maxMessageSize: Infinity, maxFragments: Infinity, streaming: true };

export class RawStream {
  readonly #stream: Duplex;
  readonly #frames: ReceivedFrame[] = [];
  readonly #header = new HeaderParser();
  readonly #framed: boolean;
  readonly #deflate: boolean;
  #end: StreamEnd | undefined;
  #received = 0;
  #inside = false;
  /** Payload bytes of the current frame that were not received yet; undefined between frames. */
  #left: number | undefined;
  #payload: Uint8Array = NO_PAYLOAD;
  #changed: () => void = () => undefined;
  #setOver: () => void = () => undefined;
  /** Resolves at the end of the stream. */
  readonly #over: Promise<void>;

  /** `head`: the bytes that came with the answer to the upgrade. `deflate`: compression is in use. TCP is not `framed`. */
  constructor(stream: Duplex, head: Uint8Array, framed: boolean, deflate: boolean) {
    this.#stream = stream;
    this.#framed = framed;
    this.#deflate = deflate;
    this.#over = new Promise((resolve) => {
      this.#setOver = resolve;
    });
    stream.on("error", (error: NodeJS.ErrnoException) => this.#ended("reset", error.code ?? error.message));
    stream.on("end", () => this.#ended("fin", ""));
    stream.on("close", () => this.#ended("fin", ""));
    if (head.length > 0) this.#take(head);
    stream.on("data", (chunk: Uint8Array) => this.#take(chunk));
  }

  /** How the other side has ended; undefined as long as it has not. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** Resolves with the next frame, with the end after all frames, or with undefined after `limit` milliseconds. */
  async next(limit: number): Promise<ReceivedFrame | StreamEnd | undefined> {
    const until = performance.now() + limit;
    for (;;) {
      const one = this.#frames.shift() ?? this.#end;
      const left = until - performance.now();
      if (one !== undefined || left <= 0) return one;
      await this.#change(left);
    }
  }

  /** Resolves with the end of the stream, or with undefined after `limit` milliseconds. Drops the frames before it. */
  async ending(limit: number): Promise<StreamEnd | undefined> {
    const until = performance.now() + limit;
    for (;;) {
      const one = await this.next(Math.max(until - performance.now(), 0));
      if (one === undefined || one.type === "end") return one;
    }
  }

  /** Writes a frame; the default is a valid one. Resolves when the kernel has it, or the stream has ended. */
  async send({
    opcode,
    payload = NO_PAYLOAD,
    fin = true,
    rsv1 = false,
    masked = true,
    length,
  }: SentFrame): Promise<void> {
    const announced = length ?? payload.length;
    const bytes = new Uint8Array(headerSize(announced, masked) + payload.length);
    const key = masked ? maskKey() : undefined;
    const start = writeHeader(bytes, 0, fin, rsv1, opcode, announced, key);
    bytes.set(payload, start);
    if (key !== undefined) mask(bytes, start, bytes.length, key, 0);
    await this.#write(bytes);
  }

  /** Ends the stream at once. */
  destroy(): void {
    this.#changed();
    this.#stream.destroy();
  }

  #write(bytes: Uint8Array): Promise<unknown> {
    if (this.#end !== undefined || !this.#stream.writable) return Promise.resolve();
    const written = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LONGEST_WRITE);
      this.#stream.write(bytes, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    return Promise.race([written, this.#over]);
  }

  #change(limit: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.ceil(limit));
      this.#changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #take(chunk: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#received += chunk.length;
    if (this.#framed) this.#parse(chunk);
    else this.#keep(undefined, NO_PAYLOAD);
    if (this.#received > MOST_BYTES || this.#frames.length > MOST_FRAMES)
      this.#ended("flood", `more than ${MOST_BYTES} bytes or ${MOST_FRAMES} frames at once`);
    this.#changed();
  }

  #parse(chunk: Uint8Array): void {
    const header = this.#header;
    for (let at = 0; at < chunk.length && this.#end === undefined; ) {
      if (this.#left === undefined) {
        at = header.push(chunk, at);
        if (!header.complete) return;
        const violation = frameViolation(header, false, this.#inside, 0, 1, LIMITS, this.#deflate);
        if (violation !== undefined) {
          this.#ended("violation", `${violation.problem} (${violation.clause})`);
          return;
        }
        if (!header.control) this.#inside = !header.fin;
        this.#left = header.length;
        // A control frame has at most 125 bytes of payload: `frameViolation` has checked it.
        this.#payload = header.control ? new Uint8Array(Math.min(header.length, MAX_CONTROL)) : NO_PAYLOAD;
      }
      const part = Math.min(this.#left, chunk.length - at);
      if (header.control) this.#payload.set(chunk.subarray(at, at + part), this.#payload.length - this.#left);
      at += part;
      this.#left -= part;
      if (this.#left > 0) return;
      this.#keep(header.opcode, this.#payload);
      this.#left = undefined;
      header.reset();
    }
  }

  #keep(opcode: number | undefined, payload: Uint8Array): void {
    if ((opcode ?? 0) < CLOSE && this.#frames.length >= MOST_DATA_FRAMES) return;
    this.#frames.push({ type: "frame", opcode, payload, at: performance.now() });
  }

  #ended(how: StreamEnd["how"], problem: string): void {
    this.#end ??= { type: "end", how, problem, at: performance.now() };
    this.#setOver();
    this.#changed();
  }
}

/** True for a frame with this opcode. */
export function isFrame(one: ReceivedFrame | StreamEnd | undefined, opcode: number): one is ReceivedFrame {
  return one?.type === "frame" && one.opcode === opcode;
}

/** Answers a Ping of the server: without its Pong, a server with a heartbeat would end the connection for this reason. */
export async function answerPing(stream: RawStream, one: ReceivedFrame | StreamEnd | undefined): Promise<void> {
  if (isFrame(one, PING)) await stream.send({ opcode: PONG, payload: one.payload });
}

/** The reaction of a server: a Close, an end without one, a Pong to the last Ping, or nothing within the limit. */
export type Reaction =
  | { readonly how: "close"; readonly payload: Uint8Array; readonly at: number }
  | { readonly how: "pong"; readonly payload: Uint8Array; readonly at: number }
  | { readonly how: "none" }
  | (Omit<StreamEnd, "type"> & { readonly how: StreamEnd["how"] });

/** Waits for the reaction, skips data frames, and answers Pings. */
export async function reactionOf(stream: RawStream, limit: number): Promise<Reaction> {
  const until = performance.now() + limit;
  for (;;) {
    const one = await stream.next(Math.max(until - performance.now(), 0));
    if (one === undefined) return { how: "none" };
    if (one.type === "end") return one;
    if (one.opcode === CLOSE) return { how: "close", payload: one.payload, at: one.at };
    if (one.opcode === PONG) return { how: "pong", payload: one.payload, at: one.at };
    await answerPing(stream, one);
  }
}

/** Ends a connection whose check is over, so that the server sees an orderly end and logs no error. */
export async function leave(raw: RawStream): Promise<void> {
  if (raw.end === undefined) {
    await raw.send({ opcode: CLOSE, payload: closePayload(NORMAL, "") });
    await raw.ending(FAREWELL);
  }
  raw.destroy();
}

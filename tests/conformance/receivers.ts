/** Our decoder and the receiver of `ws` with the same bytes: the results of each. */

import type { Writable } from "node:stream";
import * as ws from "ws";
import { Inflater, type InflaterOwner } from "../../src/connection/compression/inflate.ts";
import type { DecoderLimits, Message, Violation, Visitor } from "../../src/engine/protocol.ts";
import { WebSocketDecoder } from "../../src/engine/websocket/decoder.ts";

/** The message size limit of both. */
export const MOST = 300;

export type Role = "server" | "client";

/** The results in order; bytes in base 16. */
export interface Outcome {
  readonly events: string[];
  /** The close code; undefined while nothing is wrong. */
  code: number | undefined;
}

export interface Ours extends Outcome {
  violation: Violation | undefined;
  /** Bytes of an incomplete frame or message. */
  partial: number;
  /** The compressed messages as received, each with the number of events before it. */
  packed: { readonly bytes: Uint8Array; readonly before: number }[];
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const LIMITS: DecoderLimits = { maxMessageSize: MOST, maxFragments: Infinity, streaming: false };

class Recorder implements Visitor, InflaterOwner {
  readonly outcome: Ours = { events: [], code: undefined, violation: undefined, partial: 0, packed: [] };
  // With context takeover, which is the default of ws.
  readonly #inflating = new Inflater(LIMITS, { maxInflationRatio: 100, windowBits: 15 });

  message(data: Message): boolean {
    return this.#note(`${typeof data === "string" ? "text" : "binary"} ${hex(Buffer.from(data as string))}`);
  }

  piece(): boolean {
    throw new Error("nothing was to be streamed");
  }

  compressed(type: "text" | "binary", bytes: Uint8Array): boolean {
    this.outcome.packed.push({ bytes, before: this.outcome.events.length });
    return this.#inflating.decompress(type, bytes, this);
  }

  inflated(): void {
    throw new Error("so little is decompressed at once");
  }

  fault(error: unknown): void {
    throw error;
  }

  ping(payload: Uint8Array): boolean {
    return this.#note(`ping ${hex(payload)}`);
  }

  pong(payload: Uint8Array): boolean {
    return this.#note(`pong ${hex(payload)}`);
  }

  close(code: number, reason: string): void {
    this.#note(`close ${code} ${hex(Buffer.from(reason))}`);
  }

  fail(violation: Violation): void {
    this.outcome.code = violation.closeCode;
    this.outcome.violation = violation;
  }

  #note(event: string): true {
    this.outcome.events.push(event);
    return true;
  }
}

/** The results of our decoder. With `deflate`, compression is agreed on. */
export function ours(
  role: Role,
  chunks: readonly Buffer[],
  deflate: boolean = false,
  maxMessageSize: number = MOST,
): Ours {
  const decoder = new WebSocketDecoder(role, { ...LIMITS, maxMessageSize }, deflate);
  const recorder = new Recorder();
  const { outcome } = recorder;
  for (const chunk of chunks) {
    const bytes = Uint8Array.from(chunk);
    // Data that cannot be decompressed ends the connection, outside of the decoder.
    for (let at = 0; at < bytes.length && outcome.code === undefined; ) at = decoder.receive(bytes, at, recorder);
  }
  outcome.partial = decoder.partial.received;
  return outcome;
}

// The types of ws lack them, its module has them.
const { Receiver, PerMessageDeflate } = ws as unknown as {
  readonly Receiver: new (options: object) => Writable;
  readonly PerMessageDeflate: new (options: object) => { accept(configurations: object[]): object; cleanup(): void };
};

/** The results of the receiver of ws. */
export async function theirs(role: Role, chunks: readonly Buffer[], deflate: boolean = false): Promise<Outcome> {
  const outcome: Outcome = { events: [], code: undefined };
  let over = false;
  const isServer = role === "server";
  const extension = new PerMessageDeflate({ isServer, maxPayload: MOST });
  if (deflate) extension.accept([{}]);
  const extensions = deflate ? { "permessage-deflate": extension } : {};
  const receiver = new Receiver({ isServer, maxPayload: MOST, extensions });
  receiver.on("message", (data: Buffer, isBinary: boolean) => {
    outcome.events.push(`${isBinary ? "binary" : "text"} ${hex(data)}`);
  });
  receiver.on("ping", (payload: Buffer) => outcome.events.push(`ping ${hex(payload)}`));
  receiver.on("pong", (payload: Buffer) => outcome.events.push(`pong ${hex(payload)}`));
  receiver.on("conclude", (code: number, reason: Buffer) => {
    outcome.events.push(`close ${code} ${hex(reason)}`);
    over = true;
  });
  receiver.on("error", (error: object) => {
    const symbol = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code");
    outcome.code = (error as Record<symbol, number>)[symbol as symbol];
    over = true;
  });
  const ended = new Promise((resolve) => receiver.on("close", resolve));
  for (const chunk of chunks) {
    if (over) break;
    const taken = new Promise((resolve) => receiver.write(Buffer.from(chunk), resolve));
    // Without compression it is synchronous, and needs no wait.
    if (deflate) await taken;
  }
  // It emits an error in a separate tick.
  await new Promise(process.nextTick);
  receiver.destroy();
  await ended;
  extension.cleanup();
  return outcome;
}

/** True if `whole` begins with `start`. */
export const begins = (whole: readonly string[], start: readonly string[]): boolean =>
  start.every((event, index) => whole[index] === event);

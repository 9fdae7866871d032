/** One message, or one part of a streamed one, on its way out. */

import type { Data, Part } from "../engine/protocol.js";
import type { Copy } from "./copies.js";
import type { Wait } from "./waits.js";

/** What its author wants of it is set before it is queued, and then stays. */
export class Outgoing {
  /** What was given to be sent, to be handed back if it is refused; or its copy, until that is let go of. */
  given: Data | Copy | undefined;
  /** The payload that stands for it. */
  data: Data;
  /** Bytes of payload: what it counts for in the queue. */
  readonly size: number;
  text: boolean;
  wait: Wait<void> | undefined;
  key: string | undefined;
  /** Its frame, encoded once for many connections. */
  frame: Uint8Array | undefined;
  /** Whether it is to be compressed; undefined leaves it to the connection's threshold. */
  compress: boolean | undefined;
  /** Its call was told that it leaves, so that nothing may take its place. */
  promised: boolean = false;
  /** What is written instead of `data`; undefined until that has been decided. `pending`: another thread is at it. */
  packed: Uint8Array | "plain" | "pending" | undefined;
  /** `started`: bytes of it may be with the kernel, so it cannot be taken back. */
  state: "waiting" | "started" | "written" = "waiting";

  /** `size`: that of `data`, if it is known. */
  constructor(
    given: Data,
    data: Data,
    size: number = typeof data === "string" ? Buffer.byteLength(data) : data.length,
  ) {
    this.given = given;
    this.data = data;
    this.size = size;
    this.text = typeof data === "string";
    this.wait = undefined;
    this.key = undefined;
    this.frame = undefined;
    this.compress = undefined;
    this.packed = undefined;
  }
}

/**
 * The place in the queue of a message whose parts come one by one. Messages behind it wait until it has ended, since
 * RFC 6455 section 5.4 forbids two messages to mingle.
 */
export class OutgoingStream {
  // Its parts do not count in the queue: if they did, a queue full of what waits behind them could never move again.
  readonly size = 0;
  readonly text: boolean;
  readonly compress: boolean | undefined;
  /** Those that have come and are not with the kernel, in order. */
  readonly parts: Outgoing[] = [];
  /** Bytes of it may be with the kernel, so that it cannot be taken back. */
  begun = false;
  /** No further part comes. */
  ended = false;

  constructor(text: boolean, compress?: boolean) {
    this.text = text;
    this.compress = compress;
  }

  /** Which part of the message `part` is, if it is written next. */
  position(part: Outgoing): Part {
    const last = this.ended && part === this.parts.at(-1);
    if (this.begun) return last ? "last" : "middle";
    return last ? "whole" : "first";
  }
}

/** What stands in the outgoing queue. */
export type Queued = Outgoing | OutgoingStream;

/** Messages that are encoded once for many connections. */

import { asData } from "../base/bytes.js";
import type { Data } from "../engine/protocol.js";
import { Burst } from "./burst.js";
import { Outgoing } from "./outgoing.js";
import type { Wire } from "./wire.js";

/** A message as connections of one kind write it. */
export interface Encoded {
  readonly frame: Uint8Array;
  /** The payload that stands for the message, and its bytes: to count those of a text anew for each member takes longer than all else. */
  readonly payload: Data;
  readonly size: number;
}

/** A message whose encoded form is made once, for many connections. Made by `prepare`. */
export class PreparedMessage {
  readonly data: Data;
  readonly compress: boolean | undefined;
  readonly #encoded = new Map<object, Encoded>();
  /** The kind that was asked for last, and its form: most members of a group are of one kind. */
  #kind: object | undefined;
  #form: Encoded | undefined;

  constructor(data: Data, compress: boolean | undefined) {
    this.compress = compress;
    this.data = typeof data === "string" ? data : Uint8Array.from(data);
  }

  /** What `wire` writes for it; undefined where that differs from connection to connection. @internal */
  for(wire: Wire): Encoded | undefined {
    const { kind } = wire;
    if (kind === undefined || kind === this.#kind) return kind && this.#form;
    const form = this.#encoded.get(kind) ?? this.#encode(wire);
    this.#encoded.set(kind, form);
    this.#kind = kind;
    this.#form = form;
    return form;
  }

  /** It, on its way out of one connection: of those for which it has the `form`, or of any. @internal */
  outgoing({ encoder }: Wire, form: Encoded | undefined): Outgoing {
    const { data } = this;
    const outgoing = new Outgoing(data, form?.payload ?? encoder.payload(data, "whole"), form?.size);
    outgoing.frame = form?.frame;
    outgoing.compress = this.compress;
    return outgoing;
  }

  /** What a group sends with: `Group` knows what is public alone. @internal */
  burst(): Burst {
    return new Burst();
  }

  #encode({ encoder, deflating }: Wire): Encoded {
    const payload = encoder.payload(this.data, "whole");
    const text = typeof payload === "string";
    const bytes = text ? Buffer.from(payload) : payload;
    const packed = deflating?.alone(bytes, this.compress);
    const written = packed ?? bytes;
    const { length } = written;
    const frame = Buffer.allocUnsafeSlow(length + encoder.overhead);
    const start = encoder.before(frame, 0, length, text, "whole", packed !== undefined);
    frame.set(written, start);
    encoder.cover(frame, start, start + length);
    const end = encoder.after(frame, start + length, "whole");
    return { frame: frame.subarray(0, end), payload, size: bytes.length };
  }
}

/** How a message is prepared. */
export interface PrepareOptions {
  /** Whether it is compressed where that was agreed on. @default by each connection's `threshold` */
  readonly compress?: boolean;
}

/**
 * Copies `data`, and encodes and compresses it at most once for each protocol and way of compressing, whatever the number of
 * connections it is sent on.
 */
export function prepare(
  data: Data | ArrayBuffer | ArrayBufferView | PreparedMessage,
  { compress }: PrepareOptions = {},
): PreparedMessage {
  if (data instanceof PreparedMessage && (compress === undefined || compress === data.compress)) return data;
  return new PreparedMessage(data instanceof PreparedMessage ? data.data : asData(data), compress);
}

/** The calls that put messages and pings into a connection. */

import { asData } from "../base/bytes.js";
import { LimitError } from "../base/errors.js";
import { PING } from "../engine/frame.js";
import type { Data } from "../engine/protocol.js";
import type { Core } from "./core.js";
import { judgeOverflow, type Overflow } from "./options.js";
import type { SendResult } from "./outbox.js";
import { Outgoing, OutgoingStream } from "./outgoing.js";
import { MAX_PINGS } from "./pings.js";
import { rejected, type WaitOptions } from "./waits.js";
import { PreparedMessage } from "./wire.js";
import { MessageWriter } from "./writer.js";

/** What may be sent. Bytes are not copied: they must not change until `send` settles. */
export type Sendable = Data | ArrayBuffer | ArrayBufferView | PreparedMessage;

/** How one message is to be sent. */
export interface SendOptions extends WaitOptions {
  /** What happens if it does not fit, for this message. @default the connection's `overflow` */
  readonly overflow?: Overflow;
  /** Under `coalesce`, a message that still waits and has the same key is replaced by this one. */
  readonly key?: string;
  /** Whether it is compressed where that was agreed on. @default by the connection's `threshold` */
  readonly compress?: boolean;
}

/** How a message in parts is to be sent. */
export interface WriterOptions {
  /** Whether it is compressed where that was agreed on. @default if its first part reaches the connection's `threshold` */
  readonly compress?: boolean;
}

/** The part of the options that does not need a wait. */
type How = Pick<SendOptions, "overflow" | "key" | "compress">;

export class Sending {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  send(message: Sendable, options: SendOptions | undefined): Promise<void> {
    const { waits, outbox, refusal, inboxEmpty } = this.#core;
    const outgoing = this.#outgoing(message, options);
    if (refusal !== undefined) return rejected(refusal);
    // A loop that has more to answer must not wait for the kernel each time: that would be one write for each message.
    const hurried = options === undefined && !inboxEmpty && !waits.writeExpired;
    if (hurried && outbox.leavesWith(outgoing)) {
      outgoing.promised = true;
      outbox.send(outgoing, this.#core.options.overflow);
      return SENT;
    }
    const wait = waits.begin<void>("send", "write", options, () => outbox.withdraw(outgoing));
    if (wait.settled) return wait.promise;
    outgoing.wait = wait;
    waits.watch(wait);
    outbox.send(outgoing, options?.overflow ?? this.#core.options.overflow);
    return wait.promise;
  }

  trySend(message: Sendable, options: How | undefined): SendResult {
    const { outbox, refusal, waits } = this.#core;
    const outgoing = this.#outgoing(message, options);
    if (refusal !== undefined || waits.writeExpired) return "refused";
    return outbox.send(outgoing, options?.overflow ?? this.#core.options.overflow);
  }

  writer(type: "text" | "binary", { compress }: WriterOptions, truncated: (cause: unknown) => void): MessageWriter {
    const { outbox, waits, wire, options, refusal } = this.#core;
    if (type !== "text" && type !== "binary") {
      throw new TypeError(`Cannot write a message of type ${String(type)}: expected text or binary`);
    }
    if (!wire.encoder.streams)
      throw new TypeError("Cannot write in parts: this framing needs each message's size first");
    judgeCompress(compress);
    const stream = new OutgoingStream(type === "text", compress);
    if (refusal === undefined && !outbox.begin(stream)) {
      const { maxQueuedMessages: maximum } = options;
      throw new LimitError({ operation: "send", limit: "maxQueuedMessages", maximum, actual: outbox.queuedMessages });
    }
    return new MessageWriter({ outbox, waits, options, closing: this.#core, judge: wire.judge(), truncated }, stream);
  }

  ping(options: WaitOptions | undefined): Promise<number> {
    const { wire, pings, waits, outbox, refusal } = this.#core;
    if (wire.control === undefined) throw new TypeError("Cannot ping: framed TCP has no Ping");
    if (refusal !== undefined) return rejected(refusal);
    const wait = waits.begin<number>("ping", "none", options, () => {
      pings.remove(wait);
      return true;
    });
    if (wait.settled) return wait.promise;
    if (pings.full || !outbox.control({ operation: "write:ping", frame: wire.control(PING, pings.add(wait)) })) {
      pings.remove(wait);
      wait.reject(new LimitError({ operation: "send", limit: "pings", maximum: MAX_PINGS, actual: MAX_PINGS + 1 }));
    } else waits.watch(wait);
    return wait.promise;
  }

  drain(options: WaitOptions | undefined): Promise<void> {
    const { waits, outbox, refusal, state } = this.#core;
    if (state === "closed") return rejected(refusal);
    const wait = waits.begin<void>("drain", "write", options, () => {
      outbox.forgetDrain(wait);
      return true;
    });
    if (!wait.settled) {
      waits.watch(wait);
      outbox.drain(wait);
    }
    return wait.promise;
  }

  /** Judges the message now, so that misuse throws before anything is queued. */
  #outgoing(message: Sendable, options: How | undefined): Outgoing {
    const { wire } = this.#core;
    const { key, compress } = options === undefined ? NOTHING_SAID : judged(options);
    if (message instanceof PreparedMessage) return this.#prepared(message, key, compress);
    const data = asData(message);
    const outgoing = new Outgoing(data, wire.encoder.payload(data, "whole"));
    outgoing.key = key;
    outgoing.compress = compress;
    return outgoing;
  }

  #prepared(message: PreparedMessage, key: string | undefined, compress: boolean | undefined): Outgoing {
    const { wire } = this.#core;
    const { data } = message;
    const known = compress === undefined || compress === message.compress ? message.for(wire) : undefined;
    const outgoing = new Outgoing(data, known?.payload ?? wire.encoder.payload(data, "whole"), known?.size);
    outgoing.frame = known?.frame;
    outgoing.key = key;
    outgoing.compress = compress ?? message.compress;
    return outgoing;
  }
}

const NOTHING_SAID: How = {};

const SENT = Promise.resolve();

/** Judges how a message is to be sent. */
function judged(how: How): How {
  if (typeof how !== "object" || how === null) {
    throw new TypeError(`Cannot use ${how === null ? "null" : typeof how} as options: expected an object`);
  }
  const { overflow, key, compress } = how;
  if (overflow !== undefined) judgeOverflow(overflow);
  if (key !== undefined && typeof key !== "string") {
    throw new TypeError(`Cannot use key: expected a string, got ${typeof key}`);
  }
  judgeCompress(compress);
  return how;
}

function judgeCompress(compress: boolean | undefined): void {
  if (compress === undefined || typeof compress === "boolean") return;
  throw new TypeError(`Cannot use compress: expected true or false, got ${typeof compress}`);
}

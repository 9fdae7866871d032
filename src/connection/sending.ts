/** The calls that put messages and pings into a connection. */

import { asData } from "../base/bytes.js";
import { LimitError } from "../base/errors.js";
import { PING } from "../engine/frame.js";
import type { Data } from "../engine/protocol.js";
import type { Core } from "./core.js";
import type { Outbox } from "./outbox.js";
import type { SendResult } from "./outbox-owner.js";
import { Outgoing, OutgoingStream } from "./outgoing.js";
import { MAX_PINGS } from "./pings.js";
import { PreparedMessage } from "./prepared.js";
import { type How, judgeCompress, judged, type SendOptions, type WriterOptions } from "./send-options.js";
import { rejected, type WaitOptions } from "./waits.js";
import { MessageWriter } from "./writer.js";

/** What may be sent. Bytes are not copied at once, if at all: they must not change until `send` settles. */
export type Sendable = Data | ArrayBuffer | ArrayBufferView | PreparedMessage;

const SENT = Promise.resolve();

const NOTHING_SAID: How = {};

export function send(core: Core, message: Sendable, options: SendOptions | undefined): Promise<void> {
  const outgoing = outgoingOf(core, message, options);
  const { outbox, refusal, inboxEmpty, writeExpired } = core;
  if (refusal !== undefined) return rejected(refusal);
  // A loop that has more to answer must not wait for the kernel each time: that would be one write for each message.
  const hurried = options === undefined && !inboxEmpty && !writeExpired;
  if (hurried && outbox.leavesWith(outgoing)) {
    outgoing.promised = true;
    outbox.send(outgoing, core.options.overflow);
    return SENT;
  }
  const { waits } = core;
  const wait = waits.begin<void>("send", "write", options, () => outbox.withdraw(outgoing));
  if (wait.settled) return wait.promise;
  outgoing.wait = wait;
  waits.watch(wait);
  hasten(core, outbox);
  outbox.send(outgoing, options?.overflow ?? core.options.overflow);
  return wait.promise;
}

export function trySend(core: Core, message: Sendable, options: How | undefined): SendResult {
  if (options === undefined && sendStraight(core, message)) return "sent";
  const outgoing = outgoingOf(core, message, options);
  const { outbox, refusal, writeExpired } = core;
  if (refusal !== undefined || writeExpired) return "refused";
  hasten(core, outbox);
  return outbox.send(outgoing, options?.overflow ?? core.options.overflow);
}

function sendStraight(core: Core, message: Sendable): boolean {
  if (typeof message !== "string" && !(message instanceof Uint8Array)) return false;
  const { outbox, refusal, writeExpired } = core;
  if (refusal !== undefined || writeExpired || !outbox.sendStraight(message)) return false;
  answered(core);
  return true;
}

export function writer(
  core: Core,
  type: "text" | "binary",
  { compress }: WriterOptions,
  truncated: (cause: unknown) => void,
): MessageWriter {
  const { outbox, waits, wire, options, refusal } = core;
  if (type !== "text" && type !== "binary") {
    throw new TypeError(`Cannot write a message of type ${String(type)}: expected text or binary`);
  }
  if (!wire.encoder.streams) throw new TypeError("Cannot write in parts: this framing needs each message's size first");
  judgeCompress(compress);
  const stream = new OutgoingStream(type === "text", compress);
  if (refusal === undefined && !outbox.begin(stream)) {
    const { maxQueuedMessages: maximum } = options;
    throw new LimitError({ operation: "send", limit: "maxQueuedMessages", maximum, actual: outbox.queuedMessages });
  }
  return new MessageWriter({ outbox, waits, options, closing: core, judge: wire.judge(), truncated }, stream);
}

export function ping(core: Core, options: WaitOptions | undefined): Promise<number> {
  const { wire, pings, waits, outbox, refusal } = core;
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

export function drain(core: Core, options: WaitOptions | undefined): Promise<void> {
  const { waits, outbox, refusal, state } = core;
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

/**
 * A loop that answers the last message of a chunk has nothing to add before another chunk comes: this need not wait for the
 * end of the turn. Once for each chunk, or whoever sends to one connection from many would write for each.
 */
function hasten(core: Core, outbox: Outbox): void {
  if (answered(core)) outbox.hasten();
}

/** Whether this answers the last message of a chunk. */
function answered(core: Core): boolean {
  if (core.arrived === 0 || !core.inboxEmpty) return false;
  core.arrived = 0;
  return true;
}

/** Judges the message now, so that misuse throws before anything is queued. */
function outgoingOf(core: Core, message: Sendable, options: How | undefined): Outgoing {
  const { wire } = core;
  const { key, compress } = options === undefined ? NOTHING_SAID : judged(options);
  if (message instanceof PreparedMessage) return outgoingOfPrepared(core, message, key, compress);
  const data = asData(message);
  const outgoing = new Outgoing(data, wire.encoder.payload(data, "whole"));
  outgoing.key = key;
  outgoing.compress = compress;
  return outgoing;
}

function outgoingOfPrepared(
  core: Core,
  message: PreparedMessage,
  key: string | undefined,
  compress: boolean | undefined,
): Outgoing {
  const { wire } = core;
  const asPrepared = compress === undefined || compress === message.compress;
  const outgoing = message.outgoing(wire, asPrepared ? message.for(wire) : undefined);
  outgoing.key = key;
  if (compress !== undefined) outgoing.compress = compress;
  return outgoing;
}

/** Implements the calls that send messages. */

import { asData } from "../../base/bytes.ts";
import { judgeChoice, judgeOptions } from "../../base/judge.ts";
import type { Sendable, SendOptions, SendResult, WaitOptions, WriterOptions } from "../contract.ts";
import type { Core } from "../core.ts";
import {
  callsOf,
  inboxIsEmpty,
  outboxForCall,
  outboxOf,
  refusalOf,
  unhandledCallsOf,
  writeDeadlineExpired,
  writeDeadlineIsSet,
  writeIsPending,
} from "../lazy-parts.ts";
import type { Overflow } from "../options.ts";
import { handledRejection } from "../time/pending-calls.ts";
import { corkedWrites, type WaitingSend } from "./corked-writes.ts";
import { PartWriter, type WriterOwner } from "./message-writer.ts";
import { type OutgoingMessage, OutgoingStream, outgoingOf, releaseCopy } from "./outgoing-message.ts";
import { type Prepared, preparedOf } from "./prepared-message.ts";
import { judgeCompress, judgeMessageOptions, type MessageOptions } from "./send-options.ts";

const SENT = Promise.resolve();

const NO_OPTIONS: MessageOptions = {};

export function send(core: Core, message: Sendable, options: SendOptions | undefined): Promise<void> {
  const corked = options === undefined ? sendCorkedAwaited(core, message) : undefined;
  if (corked !== undefined) return corked;
  const outgoing = outgoingOfArguments(core, message, options);
  const refusal = refusalOf(core);
  if (refusal !== undefined) {
    releaseCopy(outgoing);
    return handledRejection(refusal);
  }
  const outbox = outboxForCall(core);
  // If a loop has more messages to answer, its call resolves at once. To wait for the kernel would cost one write per message.
  const resolvesEarly = options === undefined && !inboxIsEmpty(core) && !writeDeadlineExpired(core);
  if (resolvesEarly && outbox.fitsWriteWith(outgoing)) {
    outgoing.promised = true;
    outbox.send(outgoing, core.options.overflow);
    return SENT;
  }
  const calls = callsOf(core);
  const call = calls.begin<void>("send", "write", options, () => outboxOf(core).withdraw(outgoing));
  if (call.settled) {
    releaseCopy(outgoing);
    return call.promise;
  }
  outgoing.call = call;
  calls.track(call);
  if (answersLastMessage(core)) outbox.writeSoon();
  const overflow = options?.overflow ?? core.options.overflow;
  if (outbox.send(outgoing, overflow) !== "refused" || lossIsIntended(overflow)) return call.promise;
  return unhandledCallsOf(core).refuse(call.promise);
}

/**
 * Short path of a loop that answers messages: each is encoded into the shared write buffer, and only the last one of a chunk
 * waits for the write. Returns undefined if it does not apply: then nothing is sent.
 */
function sendCorkedAwaited(core: Core, message: Sendable): Promise<void> | undefined {
  if (typeof message !== "string" && !(message instanceof Uint8Array)) return undefined;
  if (refusalOf(core) !== undefined || writeDeadlineIsSet(core) || core.arrived === 0) return undefined;
  if (!inboxIsEmpty(core)) return corkedWrites.send(core, message, "promised") ? SENT : undefined;
  const calls = callsOf(core);
  const call = calls.begin<void>("send", "write", undefined, () => {
    // A message in the write buffer leaves with this turn, before any time limit can be reached.
    return sent.message !== undefined && outboxOf(core).withdraw(sent.message);
  });
  const sent: WaitingSend = { call, message: undefined };
  if (!corkedWrites.send(core, message, sent)) return undefined;
  if (answersLastMessage(core)) corkedWrites.writeSoon();
  calls.track(call);
  return call.promise;
}

/**
 * True if the application chose a policy that loses the message. Then the loss is counted, or the connection ends, and `onError`
 * is not called.
 */
function lossIsIntended(overflow: Overflow): boolean {
  return overflow === "drop-newest" || overflow === "close";
}

export function trySend(core: Core, message: Sendable, options: MessageOptions | undefined): SendResult {
  if (options === undefined && trySendCorked(core, message)) return "sent";
  const outgoing = outgoingOfArguments(core, message, options);
  if (refusalOf(core) !== undefined || writeDeadlineExpired(core)) {
    releaseCopy(outgoing);
    return "refused";
  }
  const outbox = outboxForCall(core);
  if (answersLastMessage(core)) outbox.writeSoon();
  return outbox.send(outgoing, options?.overflow ?? core.options.overflow);
}

function trySendCorked(core: Core, message: Sendable): boolean {
  if (typeof message !== "string" && !(message instanceof Uint8Array)) return false;
  if (refusalOf(core) !== undefined || writeDeadlineExpired(core)) return false;
  if (!corkedWrites.send(core, message, undefined)) return false;
  answersLastMessage(core);
  return true;
}

export function writer(
  core: Core,
  type: "text" | "binary",
  options: WriterOptions,
  truncated: (cause: unknown) => void,
): PartWriter {
  judgeOptions(options);
  const { compress } = options;
  const { protocol } = core;
  if (core.options.codec !== undefined) throw new TypeError("Cannot write in parts: the codec encodes whole messages");
  judgeChoice("type", type, ["text", "binary"]);
  if (!protocol.encoder.streams)
    throw new TypeError("Cannot write in parts: this framing needs each message's size first");
  judgeCompress(compress);
  const stream = new OutgoingStream(type === "text", compress);
  if (refusalOf(core) === undefined && !outboxForCall(core).beginStream(stream)) throw stream.refusal;
  const owner: WriterOwner = {
    options: core.options,
    validator: protocol.partValidator(),
    truncated,
    outbox: () => outboxForCall(core),
    calls: () => callsOf(core),
    refusal: () => refusalOf(core),
    refuse: (refused) => unhandledCallsOf(core).refuse(refused),
    misuse: (error) => unhandledCallsOf(core).misuse(error),
  };
  return new PartWriter(owner, stream);
}

export function drain(core: Core, options: WaitOptions | undefined): Promise<void> {
  if (core.closing?.state === "over") return handledRejection(core.closing.refusal);
  const calls = callsOf(core);
  const call = calls.begin<void>("drain", "write", options, () => {
    outboxOf(core).removeDrain(call);
    return true;
  });
  if (!call.settled) {
    calls.track(call);
    outboxForCall(core).addDrain(call);
  }
  return call.promise;
}

/**
 * True if this send answers the last message of a chunk. A loop that answers it sends nothing more before the next chunk. So the
 * write need not wait for the end of the turn. Only once per chunk: otherwise sends from many connections to one would each cost
 * a write.
 */
function answersLastMessage(core: Core): boolean {
  if (core.arrived === 0 || !inboxIsEmpty(core)) return false;
  core.arrived = 0;
  return true;
}

/** Validates the message and its options now, so that misuse throws before anything is queued. */
function outgoingOfArguments(core: Core, message: Sendable, options: MessageOptions | undefined): OutgoingMessage {
  const { protocol } = core;
  const { key, compress } = options === undefined ? NO_OPTIONS : judgeMessageOptions(options);
  // Most messages are strings or views. For them `in` is not used, because it is slow.
  const prepared = typeof message === "string" || ArrayBuffer.isView(message) ? undefined : preparedOf(message);
  if (prepared !== undefined) return outgoingOfPrepared(core, prepared, key, compress);
  const outgoing = outgoingOf(asData(message), protocol.encoder, writeIsPending(core));
  outgoing.key = key;
  outgoing.compress = compress;
  return outgoing;
}

function outgoingOfPrepared(
  core: Core,
  message: Prepared,
  key: string | undefined,
  compress: boolean | undefined,
): OutgoingMessage {
  const { protocol } = core;
  const asPrepared = compress === undefined || compress === message.compress;
  const outgoing = message.toOutgoing(protocol, asPrepared ? message.encodedFor(protocol) : undefined);
  outgoing.key = key;
  if (compress !== undefined) outgoing.compress = compress;
  return outgoing;
}

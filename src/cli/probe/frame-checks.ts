/** The checks of frames: Ping, the closing handshake, frames that break a rule, and the size of messages. */

import { closePayload, NORMAL, parseClose } from "../../engine/websocket/close-codes.ts";
import { CLOSE, CONTINUATION, PING, TEXT } from "../../engine/websocket/frame.ts";
import type { CheckResult } from "./finding.ts";
import { milliseconds, shown } from "./opening-checks.ts";
import { type RawStream, type Reaction, reactionOf, type SentFrame } from "./raw-stream.ts";

const PINGS = 3;

// Milliseconds. A server that answers the Ping behind a wrong frame may still be about to refuse that frame.
const GRACE = 250;

const encoder = new TextEncoder();

/** An end, in words. */
export function reactionInWords(reaction: Reaction): string {
  if (reaction.how === "close") {
    const close = parseClose(reaction.payload);
    if ("problem" in close) return `a wrong Close frame (${close.problem})`;
    return `Close ${close.code}${close.reason === "" ? "" : ` "${shown(close.reason)}"`}`;
  }
  if (reaction.how === "fin") return "a FIN without Close";
  if (reaction.how === "reset") return `a reset without Close (${shown(reaction.problem)})`;
  if (reaction.how === "violation") return `a frame that breaks a rule: ${reaction.problem}`;
  if (reaction.how === "flood") return `too much to read: ${reaction.problem}`;
  return reaction.how === "pong" ? "a Pong" : "no answer";
}

/** The code of a Close frame; undefined for another end. */
function codeOf(reaction: Reaction): number | undefined {
  if (reaction.how !== "close") return undefined;
  const close = parseClose(reaction.payload);
  return "problem" in close ? undefined : close.code;
}

/** Pings, and says how long their answers took. */
export async function pingAnswer(raw: RawStream, timeout: number): Promise<CheckResult> {
  const lengths: number[] = [];
  for (let count = 0; count < PINGS; count += 1) {
    const payload = encoder.encode(`holdfast ${count}`);
    const sentAt = performance.now();
    await raw.send({ opcode: PING, payload });
    const reaction = await reactionOf(raw, timeout);
    if (reaction.how !== "pong") {
      const change =
        "answer each Ping at once (RFC 6455 section 5.5.2): without a Pong, clients count the connection as dead";
      return { level: "fault", text: `a Ping got ${reactionInWords(reaction)}`, change };
    }
    if (Buffer.compare(reaction.payload, payload) !== 0) {
      const change = "answer a Ping with its own bytes (RFC 6455 section 5.5.3)";
      return { level: "fault", text: "the Pong does not have the bytes of the Ping", change };
    }
    lengths.push(reaction.at - sentAt);
  }
  const least = Math.min(...lengths);
  const text = `answered, round trip ${milliseconds(least)} to ${milliseconds(Math.max(...lengths))}`;
  return { level: "ok", text, facts: { rtt: least, rtts: lengths } };
}

/** Closes with 1000. The server must answer with a Close, and then end the TCP connection first (RFC 6455 section 7.1.1). */
export async function closeAnswer(raw: RawStream, timeout: number): Promise<CheckResult> {
  const sentAt = performance.now();
  await raw.send({ opcode: CLOSE, payload: closePayload(NORMAL, "") });
  const answer = await closeOf(raw, timeout);
  if (answer.how !== "close") {
    const change = "answer a Close with a Close (RFC 6455 section 5.5.1): clients report 1006 otherwise";
    return { level: "fault", text: `Close 1000 got ${reactionInWords(answer)}`, change };
  }
  const end = await raw.ending(timeout);
  const facts = { code: codeOf(answer), answerAfter: answer.at - sentAt, endAfter: end && end.at - sentAt };
  const words = `Close 1000 got ${reactionInWords(answer)} after ${milliseconds(facts.answerAfter)}`;
  if (end === undefined) {
    const change =
      "end the TCP connection behind the Close at once: it is for the server to do it first (RFC 6455 section 7.1.1)";
    return {
      level: "fault",
      text: `${words}, and the TCP connection stays open for ${timeout / 1_000} s`,
      change,
      facts,
    };
  }
  const how = end.how === "fin" ? "FIN" : end.how === "reset" ? "reset" : end.problem;
  const text = `${words}, then ${how} after ${milliseconds(end.at - sentAt)}`;
  if (codeOf(answer) !== NORMAL)
    return { level: "note", text, change: "answer with the code that was received", facts };
  return { level: end.how === "fin" ? "ok" : "note", text, facts };
}

/** The first reaction that is no Pong: one may be on its way. */
async function closeOf(raw: RawStream, timeout: number): Promise<Reaction> {
  const until = performance.now() + timeout;
  for (;;) {
    const reaction = await reactionOf(raw, Math.max(until - performance.now(), 0));
    if (reaction.how !== "pong") return reaction;
  }
}

/** A frame that breaks a rule, and the code with which it must be answered. */
interface WrongFrame {
  readonly what: string;
  readonly frame: SentFrame;
  readonly code: number;
  readonly clause: string;
}

const WRONG_FRAMES: Readonly<Record<"masking" | "reserved-bits" | "utf8", WrongFrame>> = {
  masking: {
    what: "a frame without a mask",
    frame: { opcode: TEXT, payload: encoder.encode("holdfast"), masked: false },
    code: 1002,
    clause: "RFC 6455 section 5.1",
  },
  "reserved-bits": {
    what: "a frame with a reserved bit",
    frame: { opcode: TEXT, payload: encoder.encode("holdfast"), rsv1: true },
    code: 1002,
    clause: "RFC 6455 section 5.2",
  },
  utf8: {
    what: "a text that is not UTF-8",
    frame: { opcode: TEXT, payload: Uint8Array.of(0xc3, 0x28) },
    code: 1007,
    clause: "RFC 6455 section 8.1",
  },
};

/** Sends a frame that breaks a rule, and a Ping behind it: a Pong shows at once that the server goes on. */
export async function wrongFrame(
  raw: RawStream,
  name: keyof typeof WRONG_FRAMES,
  timeout: number,
): Promise<CheckResult> {
  const { what, frame, code, clause } = WRONG_FRAMES[name];
  const before = await reactionOf(raw, 0);
  if (before.how !== "none")
    return { level: "note", text: `not tested: the server has sent ${reactionInWords(before)} before` };
  await raw.send(frame);
  await raw.send({ opcode: PING });
  const first = await reactionOf(raw, timeout);
  const reaction = first.how === "pong" ? await closeOf(raw, GRACE) : first;
  const facts = { code: codeOf(reaction), expected: code };
  const text = `${what} got ${reactionInWords(reaction)}`;
  if (facts.code === code) return { level: "ok", text, facts };
  const change = `answer with Close ${code} (${clause})`;
  if (reaction.how === "none") {
    const goesOn = first.how === "pong" ? `${what} is accepted: the server goes on` : text;
    return { level: "fault", text: goesOn, change: `${change}, and end the connection`, facts };
  }
  // The connection ends, as it must; only the code is for people and logs.
  return { level: reaction.how === "violation" ? "fault" : "note", text, change, facts };
}

// Bytes.
const FIRST_SIZE = 1_024;
const HUGE = 2 ** 40;

/**
 * Finds the largest message by fragments that double it, with a Ping between them. The message is never completed, so the
 * application behind the server does not get it.
 */
export async function messageSize(raw: RawStream, most: number, timeout: number): Promise<CheckResult> {
  let size = 0;
  while (size < most) {
    const next = Math.min(size === 0 ? FIRST_SIZE : size * 2, most);
    const payload = new Uint8Array(next - size).fill(0x20);
    await raw.send({ opcode: size === 0 ? TEXT : CONTINUATION, payload, fin: false });
    await raw.send({ opcode: PING });
    const reaction = await reactionOf(raw, timeout);
    if (reaction.how !== "pong") return limited(reaction, size, next);
    size = next;
  }
  await raw.send({ opcode: CONTINUATION, payload: Uint8Array.of(0x20), fin: false, length: HUGE });
  const reaction = await closeOf(raw, GRACE * 2);
  const facts = { least: size, code: codeOf(reaction) };
  const above = `above ${bytesInWords(size)}`;
  if (reaction.how !== "none") {
    return { level: "ok", text: `${above}; the announcement of 1 TiB got ${reactionInWords(reaction)}`, facts };
  }
  const change =
    "if there is no limit, set one: a client can fill the memory of the server (maxPayload, max_size, maxMessageSize)";
  return { level: "note", text: `${above}; the announcement of 1 TiB is not refused`, change, facts };
}

function limited(reaction: Reaction, least: number, most: number): CheckResult {
  const facts = { least, most, code: codeOf(reaction) };
  const text = `between ${bytesInWords(least)} and ${bytesInWords(most)}: then ${reactionInWords(reaction)}`;
  if (facts.code === 1009) return { level: "ok", text, facts };
  if (reaction.how === "none" || reaction.how === "violation")
    return {
      level: "fault",
      text: `after ${bytesInWords(least)} of a message: ${reactionInWords(reaction)}`,
      change:
        "answer a Ping between the fragments of a message (RFC 6455 section 5.4), and a message that is too large with Close 1009",
      facts,
    };
  return { level: "note", text, change: "answer a message that is too large with Close 1009", facts };
}

function bytesInWords(bytes: number): string {
  const [size, unit] =
    bytes >= 1_024 ** 2 ? [bytes / 1_024 ** 2, "MiB"] : bytes >= 1_024 ? [bytes / 1_024, "KiB"] : [bytes, "B"];
  return `${Number(size.toFixed(1))} ${unit}`;
}

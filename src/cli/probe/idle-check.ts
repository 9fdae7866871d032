/** The search for the idle limit of the server and of the proxies before it. */

import { PING, PONG } from "../../engine/websocket/frame.ts";
import type { CheckResult } from "./finding.ts";
import { reactionInWords } from "./frame-checks.ts";
import { type AnswerFields, idleAdvice, pingAdvice } from "./hops.ts";
import { answerPing, isFrame, type RawStream, type Reaction, reactionOf } from "./raw-stream.ts";

// Milliseconds. Below it, the round trip and the timers of proxies are not small any more.
const SHORTEST = 1_000;

/** The silences of a search that ends with `longest`: doubled each time. */
export function silencesUpTo(longest: number): readonly number[] {
  const silences: number[] = [];
  for (let silence = longest; silence >= SHORTEST || silences.length === 0; silence /= 2) silences.unshift(silence);
  return silences;
}

/** What happened in one silence. */
interface Silence {
  readonly reaction: Reaction;
  /** Milliseconds without a byte from either side before the reaction. */
  readonly length: number;
}

/**
 * Waits in silence, each time twice as long, up to `longest`. With `pings`, a Ping after each silence finds a hop that has forgotten
 * the connection and says nothing. `fields` are those of the answer to the upgrade.
 */
export async function idle(
  raw: RawStream,
  longest: number,
  timeout: number,
  fields: AnswerFields,
  pings: boolean,
): Promise<CheckResult> {
  const counts = { pings: 0, data: 0 };
  for (const silence of silencesUpTo(longest)) {
    const ended = await silent(raw, silence, counts);
    if (ended !== undefined) return limitFound(ended, fields);
    // TCP has no Ping: whether the stream still works is known only to the application.
    if (!pings) continue;
    await raw.send({ opcode: PING });
    const reaction = await reactionOf(raw, timeout);
    if (reaction.how !== "pong") return limitFound({ reaction, length: silence }, fields);
  }
  const { pings: received, data } = counts;
  const facts = { longest, pings: received, data };
  const seconds = `${longest / 1_000} s`;
  if (received > 0) {
    const text = `open after ${seconds}; the server sent ${received === 1 ? "a Ping" : `${received} Pings`}, which proxies count as traffic`;
    return { level: "ok", text, facts };
  }
  if (data > 0) {
    const text = `open after ${seconds}; the server sent ${data} messages, so it was not silent for so long`;
    return { level: "note", text, facts };
  }
  return { level: "ok", text: `open after ${seconds} of silence; --idle searches longer`, facts };
}

/** Resolves with undefined if the connection is open after `length` milliseconds. */
async function silent(
  raw: RawStream,
  length: number,
  counts: { pings: number; data: number },
): Promise<Silence | undefined> {
  const until = performance.now() + length;
  let quietSince = performance.now();
  for (;;) {
    const one = await raw.next(Math.max(until - performance.now(), 0));
    if (one === undefined) return undefined;
    const quiet = one.at - quietSince;
    if (one.type === "end") return { reaction: one, length: quiet };
    if (one.opcode === 8) return { reaction: { how: "close", payload: one.payload, at: one.at }, length: quiet };
    quietSince = one.at;
    if (isFrame(one, PING)) counts.pings += 1;
    else if (!isFrame(one, PONG)) counts.data += 1;
    await answerPing(raw, one);
  }
}

function limitFound({ reaction, length }: Silence, fields: AnswerFields): CheckResult {
  const seconds = length / 1_000;
  const facts = { limit: Math.round(length), how: reaction.how };
  const after = `after ${seconds.toFixed(1)} s of silence`;
  if (reaction.how === "none") {
    const text = `${after} a Ping gets no answer: a hop has forgotten the connection, and tells neither side`;
    return { level: "fault", text, change: idleAdvice(seconds, fields), facts };
  }
  const side = reaction.how === "close" ? "the server ends the connection" : "the connection ends";
  const text = `${after} ${side} with ${reactionInWords(reaction)}`;
  // A proxy knows no frames, so a Close is that of the server, and its code gives clients the reason.
  const level = reaction.how === "close" ? "note" : "fault";
  const advice =
    reaction.how === "close"
      ? `${pingAdvice(seconds)}, or raise the idle limit of the server`
      : idleAdvice(seconds, fields);
  return { level, text, change: advice, facts };
}

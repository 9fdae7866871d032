/** What happens on a connection, as events: their form as lines of JSON, which `--json` and `--record` write and `--replay` reads. */

import type { CloseInfo, ConnectPhase, FrameEvent, Message } from "../../index.ts";
import { printableJson } from "../terminal.ts";

/** The parts of a session. `at` is milliseconds since the start of the command. */
export type SessionEvent = { readonly at: number } & (
  | { readonly type: "connecting"; readonly url: string; readonly attempt: number }
  | OpenedEvent
  | {
      readonly type: "handshake";
      readonly requestHeaders: Readonly<Record<string, string>>;
      readonly responseHeaders: Readonly<Record<string, string>>;
    }
  | MessageEvent
  | { readonly type: "pong"; readonly rtt: number }
  | { readonly type: "frame"; readonly frame: FrameEvent }
  | WaitingEvent
  | ({ readonly type: "close"; readonly kind: "websocket" | "tcp" } & CloseInfo)
  | FailedEvent
);

/** A connection is open. */
export interface OpenedEvent {
  readonly type: "open";
  readonly url: string;
  readonly remoteAddress: string;
  readonly remotePort: number | undefined;
  /** The subprotocol; empty without one. */
  readonly protocol: string;
  readonly extensions: string;
  /** Milliseconds of each phase of opening, in their order. */
  readonly phases: Phases;
}

export type Phases = Readonly<Partial<Record<ConnectPhase, number>>>;

/** A message was received, or passed to the kernel. */
export interface MessageEvent {
  readonly type: "message";
  readonly direction: "in" | "out";
  readonly message: Message;
  /** Milliseconds since the last message in either direction, or since the connection opened. */
  readonly since: number;
  /** True for a message of `--exec` or `--replay`. */
  readonly scripted: boolean;
}

/** The connection was lost or could not be opened, and another attempt follows. */
export interface WaitingEvent {
  readonly type: "waiting";
  readonly attempt: number;
  /** Milliseconds until that attempt. */
  readonly pause: number;
  readonly kind: string;
  readonly error: unknown;
}

/** The command ends with an error. */
export interface FailedEvent {
  readonly type: "failed";
  readonly error: unknown;
  /** The exit status. */
  readonly status: number;
}

/** Passes each event on. The next message is received when the result has settled. */
export type EventSink = (event: SessionEvent) => void | Promise<void>;

/** The event as one line of JSON, with its end of line. Bytes are base64, an error is its message, and times have microseconds. */
export function eventLine(event: SessionEvent): string {
  const { at, ...rest } = event;
  return `${printableJson(JSON.stringify({ at: rounded(at), ...factsOf(rest as SessionEvent) }))}\n`;
}

function factsOf(event: SessionEvent): object {
  if (event.type === "message") {
    const { type, direction, since, message } = event;
    const content =
      typeof message === "string" ? { text: message } : { base64: Buffer.from(message).toString("base64") };
    return { type, direction, since: rounded(since), ...content };
  }
  if (event.type === "pong") return { ...event, rtt: rounded(event.rtt) };
  if (event.type === "frame") {
    const { type: _, ...frame } = event.frame;
    return { type: "frame", ...frame };
  }
  if (event.type === "waiting") return { ...event, pause: rounded(event.pause), error: messageOf(event.error) };
  if (event.type === "failed") return { ...event, error: messageOf(event.error) };
  if (event.type === "close")
    return { ...event, cause: event.cause === undefined ? undefined : messageOf(event.cause) };
  if (event.type !== "open") return event;
  const phases = Object.entries(event.phases).map(([phase, length]) => [phase, rounded(length)]);
  return { ...event, phases: Object.fromEntries(phases) };
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1_000) / 1_000;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A sent message of a recording, and the milliseconds since the sent message before it; 0 for the first. */
export interface RecordedMessage {
  readonly message: Message;
  readonly pause: number;
}

/**
 * Reads the sent messages of a recording. Throws an Error that names the line if one is not of the form that `eventLine` writes, and
 * if there is no sent message.
 */
export function parseRecording(text: string): RecordedMessage[] {
  const messages: RecordedMessage[] = [];
  let last: number | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const sent = line.trim() === "" ? undefined : sentMessage(line, index + 1);
    if (sent === undefined) continue;
    messages.push({ message: sent.message, pause: Math.max(sent.at - (last ?? sent.at), 0) });
    last = sent.at;
  }
  if (messages.length === 0) throw new Error("it has no sent message");
  return messages;
}

/** The message of a line; undefined if the line is another event. */
function sentMessage(line: string, number: number): { readonly message: Message; readonly at: number } | undefined {
  const fail = (): never => {
    throw new Error(`line ${number} is not one that --record writes`);
  };
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return fail();
  }
  if (typeof event !== "object" || event === null) return fail();
  const { type, direction, at, text, base64 } = event as Readonly<Record<string, unknown>>;
  if (typeof type !== "string" || typeof at !== "number") return fail();
  if (type !== "message" || direction !== "out") return undefined;
  if (typeof text === "string") return { message: text, at };
  return typeof base64 === "string" ? { message: new Uint8Array(Buffer.from(base64, "base64")), at } : fail();
}

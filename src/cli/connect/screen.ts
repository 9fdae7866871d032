/** Writes the events of a session: messages to stdout, all else to stderr. */

import type { WriteStream } from "node:tty";
import { OPCODE_NAMES } from "../../base/opcode-names.ts";
import { printableLine, type Style, styleFor } from "../terminal.ts";
import { durationInWords, type MessageForm, marked, messageText } from "./format.ts";
import type { Keyboard } from "./keyboard.ts";
import { endInWords, errorInWords, STATUSES, statusOfEnd } from "./outcome.ts";
import { type EventSink, eventLine, type OpenedEvent, type SessionEvent, type WaitingEvent } from "./transcript.ts";

/** What is written, and how. */
export interface ScreenOptions {
  readonly form: MessageForm;
  /** Received messages as they are. */
  readonly raw: boolean;
  /** A mark and the time before each message. */
  readonly marks: boolean;
  /** Sent messages too, if they have marks. Without, those that nobody has typed. */
  readonly sent: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly keyboard: Keyboard | undefined;
}

/** Writes each event as a line of JSON to stdout. */
export const writeJson: EventSink = (event) => written(process.stdout, eventLine(event));

/** Writes the events for people, or the messages for a program. */
export class Screen {
  readonly #options: ScreenOptions;
  readonly #style: Style = styleFor(process.stdout);
  readonly #noteStyle: Style = styleFor(process.stderr);

  constructor(options: ScreenOptions) {
    this.#options = options;
  }

  readonly show: EventSink = (event) => {
    if (event.type === "message") return this.#message(event);
    if (event.type === "pong" && this.#options.keyboard !== undefined) this.#options.keyboard.showRtt(event.rtt);
    const line = this.#line(event);
    const failed = event.type === "close" && statusOfEnd(event) !== STATUSES.clean;
    if (line !== undefined && (failed || !this.#options.quiet)) this.#note(line);
    return undefined;
  };

  #message({
    direction,
    message,
    since,
    scripted,
  }: Extract<SessionEvent, { readonly type: "message" }>): void | Promise<void> {
    const { raw, form, marks, sent } = this.#options;
    // Without marks a reader could not tell them from received messages.
    if (direction === "out" && !(marks && (sent || scripted))) return undefined;
    // A text needs a line end, so that a program can tell two messages apart; bytes have lengths of their own.
    if (raw) return written(process.stdout, typeof message === "string" ? `${message}\n` : message);
    const text = messageText(message, form);
    if (!marks) return this.#write(`${text}\n`);
    const time = this.#style("dim", `+${durationInWords(since)}`.padStart(11));
    const mark = direction === "in" ? this.#style("cyan", "<") : this.#style("green", ">");
    return this.#write(`${marked(`${time} ${mark} `, text, this.#style)}\n`);
  }

  #line(event: SessionEvent): string | undefined {
    const { verbose, keyboard } = this.#options;
    const style = this.#noteStyle;
    if (event.type === "open") return style("green", this.#opened(event));
    if (event.type === "close") return style(event.wasClean ? "green" : "red", endInWords(event));
    if (event.type === "waiting") return style("yellow", waitingInWords(event));
    if (event.type === "pong") return keyboard === undefined ? `ping ${durationInWords(event.rtt)}` : undefined;
    if (event.type === "connecting") return this.#connecting(event.url, event.attempt);
    if (event.type === "handshake") return verbose ? handshakeLines(event).join("\n") : undefined;
    if (event.type === "frame") return style("dim", frameInWords(event.frame));
    return undefined;
  }

  /** A person who waits needs to know for what. The attempts after the first are in the lines before their pauses. */
  #connecting(url: string, attempt: number): string | undefined {
    const { verbose, keyboard } = this.#options;
    if (verbose) return `connecting to ${url}, attempt ${attempt}`;
    return keyboard !== undefined && attempt === 1 ? `connecting to ${url}` : undefined;
  }

  #opened({ url, phases, protocol, extensions }: OpenedEvent): string {
    const lengths = Object.entries(phases).filter(([phase, length]) => phase !== "queue" || length >= 1);
    const times = lengths.map(([phase, length]) => `${phase} ${durationInWords(length)}`).join(", ");
    const agreed = [protocol && `subprotocol ${printableLine(protocol)}`, extensions && "compressed"].filter(Boolean);
    const help = this.#options.keyboard === undefined ? "" : "; Ctrl+D closes it";
    return `${[`connected to ${url}`, ...agreed].join(", ")} (${times})${help}`;
  }

  /** A line about the connection. stderr, so that stdout has only messages. */
  #note(line: string): void {
    if (this.#options.keyboard !== undefined) this.#options.keyboard.write(`${line}\n`);
    else process.stderr.write(`${line}\n`);
  }

  #write(text: string): void | Promise<void> {
    if (this.#options.keyboard === undefined || process.stdout.isTTY !== true) return written(process.stdout, text);
    return this.#options.keyboard.write(text);
  }
}

/** Writes to a stream. Resolves when the stream has room again, so that a slow reader of the output slows the peer down. */
function written(stream: NodeJS.WriteStream | WriteStream, text: string | Uint8Array): void | Promise<void> {
  if (stream.write(text) || stream.destroyed) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ["drain", "close", "error"] as const) stream.removeListener(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "error"] as const) stream.once(event, done);
  });
}

function waitingInWords({ attempt, pause, kind, error }: WaitingEvent): string {
  return `${kind}: ${printableLine(errorInWords(error))}; attempt ${attempt} in ${durationInWords(pause)}`;
}

function handshakeLines(event: Extract<SessionEvent, { readonly type: "handshake" }>): string[] {
  const lines = (mark: string, headers: Readonly<Record<string, string>>): string[] =>
    Object.entries(headers).map(([name, value]) => `${mark} ${name}: ${printableLine(value)}`);
  return [...lines(">", event.requestHeaders), ...lines("<", event.responseHeaders)];
}

function frameInWords({
  direction,
  opcode,
  fin,
  rsv,
  masked,
  length,
}: Extract<SessionEvent, { readonly type: "frame" }>["frame"]): string {
  const facts = [fin ? "" : "more follows", rsv === 0 ? "" : `rsv ${rsv}`, masked ? "masked" : ""].filter(Boolean);
  const name = OPCODE_NAMES[opcode] ?? `opcode ${opcode}`;
  return `${direction === "in" ? "<" : ">"} frame ${name}, ${length} bytes${facts.map((fact) => `, ${fact}`).join("")}`;
}

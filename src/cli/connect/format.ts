/** How messages and durations are written for people. Pure functions. */

import type { Message } from "../../index.ts";
import { printable, type Style } from "../terminal.ts";

/** How a message is written. */
export interface MessageForm {
  /** JSON on several lines. */
  readonly pretty: boolean;
  /** Bytes as base64 in place of hexadecimal digits. */
  readonly base64: boolean;
  /** A dump with offsets and characters for bytes, in place of one line. */
  readonly dump: boolean;
  /** Without a newline at the end of a text. For TCP without framing, whose chunks end in one where they are lines. */
  readonly trim: boolean;
}

/** The message as lines of text, in which no character controls a terminal. */
export function messageText(message: Message, { pretty, base64, dump, trim }: MessageForm): string {
  if (typeof message === "string") {
    const text = trim ? message.replace(/\r?\n$/, "") : message;
    return printable((pretty ? indentedJson(text) : undefined) ?? text);
  }
  const bytes = Buffer.from(message);
  if (base64) return bytes.toString("base64");
  return dump ? hexDump(bytes) : bytes.toString("hex");
}

const BYTES_PER_ROW = 16;

/** Rows of an offset, 16 bytes and their ASCII characters, as `hexdump -C` prints them. */
export function hexDump(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += BYTES_PER_ROW) {
    const row = [...bytes.subarray(offset, offset + BYTES_PER_ROW)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0"));
    const halves = [digits.slice(0, 8).join(" "), digits.slice(8).join(" ")].join("  ");
    const characters = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${offset.toString(16).padStart(8, "0")}  ${halves.padEnd(BYTES_PER_ROW * 3)}  |${characters}|`);
  }
  return rows.length === 0 ? "(0 bytes)" : rows.join("\n");
}

// The tokens of a text that is valid JSON.
const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * A JSON object or array with one member per line; undefined for any other text. Numbers and strings keep their characters:
 * `JSON.stringify` would round a large number, and merge two members of the same name.
 */
export function indentedJson(text: string): string | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  let [result, depth] = ["", 0];
  const line = (): string => `\n${"  ".repeat(depth)}`;
  const tokens = text.match(JSON_TOKEN) ?? [];
  for (const [at, token] of tokens.entries()) {
    const empty = tokens[at - 1] === "{" || tokens[at - 1] === "[";
    if (token === "{" || token === "[") {
      depth += 1;
      result += token + (/^[}\]]$/.test(tokens[at + 1] ?? "") ? "" : line());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      result += (empty ? "" : line()) + token;
    } else {
      result += token === "," ? `,${line()}` : token === ":" ? ": " : token;
    }
  }
  return result;
}

/** A duration in the unit that needs the fewest digits: `0.123 ms`, `12.3 ms`, `1.23 s`, `3 min 5 s`, `2 h 5 min`. */
export function durationInWords(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(3)} ms`;
  if (milliseconds < 1_000) return `${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Marks each line after the first, so that no line of a message looks like a line of this program. */
export function marked(mark: string, text: string, style: Style): string {
  const [first = "", ...rest] = text.split("\n");
  return [`${mark}${first}`, ...rest.map((line) => `${style("dim", "|")} ${line}`)].join("\n");
}

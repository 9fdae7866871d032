/** Text for terminals: colours where the stream shows them, and strings of a peer without control characters. */

import { styleText } from "node:util";

/** The styles in use. Each is readable on light and on dark terminals. */
export type Tone = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Adds the control sequences of a style to a text, or returns it unchanged. */
export type Style = (tone: Tone, text: string) => string;

/** Returns the text unchanged. */
export const plain: Style = (_, text) => text;

/** A stream that may be a terminal, as `process.stdout` is. */
export interface MaybeTerminal {
  readonly isTTY?: boolean;
  hasColors?(): boolean;
}

/**
 * The style for `stream`: colours only on a terminal, and none with NO_COLOR. `hasColors` of Node also obeys NODE_DISABLE_COLORS,
 * FORCE_COLOR and TERM=dumb.
 */
export function styleFor(stream: MaybeTerminal): Style {
  // Before `hasColors`: for Node, FORCE_COLOR is stronger than NO_COLOR.
  if (stream.isTTY !== true || process.env["NO_COLOR"] || stream.hasColors?.() !== true) return plain;
  // Without a check of its own: Node 20 has none, and checks stdout in later versions.
  return (tone, text) => styleText(tone, text, { validateStream: false });
}

// C0 and C1 controls except tab and newline, DEL, the line and paragraph separators, and the marks that change the direction of a
// text: they could move the cursor, forge a line of ours, or show a text in another order than it has.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to escape.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const SHORT: Readonly<Record<string, string>> = { "\b": "\\b", "\f": "\\f", "\r": "\\r", "\v": "\\v" };

/** `text` of a peer, with each control character as an escape such as `\x1b` or `\u202e`. Tabs and newlines stay. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) => SHORT[character] ?? escapeOf(character.charCodeAt(0)));
}

/** As `printable`, in one line: tabs and newlines are escaped too. */
export function printableLine(text: string): string {
  return printable(text).replace(/\n/g, "\\n").replace(/\t/g, "\\t");
}

/** JSON without the control characters that `JSON.stringify` leaves in strings, as escapes of JSON. The value stays the same. */
export function printableJson(json: string): string {
  return json.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function escapeOf(code: number): string {
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

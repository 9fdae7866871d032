/** Lines for a log: no text of a peer can end a line, look like another field, or change how a terminal shows it. */

/** A log: pino, winston, `console`, or any object with this method. It must not throw. */
export interface Logger {
  info(line: string): void;
}

const MAX_TEXT = 256;

// Control characters, format characters, separators of lines, and parts of a broken surrogate pair.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** `text` in quotation marks, as in JSON, with each unprintable character as an escape. At most 256 characters of it. */
export function quoted(text: string): string {
  const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return JSON.stringify(shown).replace(UNPRINTABLE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** `text`, in quotation marks if it has other characters than those of a simple path. */
export function quotedIfNeeded(text: string): string {
  return /^[\w/.~:@!$&'()*+,;%-]+$/.test(text) && text.length <= MAX_TEXT ? text : quoted(text);
}

/** The envelope of messages: two bytes before each, which carry the topic and the offset. `docs/topics.md` describes it. */

import type { SkipReason } from "./encoder.ts";
import type { GapReason } from "./position.ts";

/** Begins a message that belongs to no topic. The message follows. */
export const DIRECT = "0";
/** Begins a control record, which is a JSON object with one key. */
export const CONTROL = "{";

/** A control record. The next message of the alias is the first one behind the offset. */
export interface ControlRecord {
  readonly join?: {
    readonly topic: string;
    readonly alias: string;
    readonly epoch: string;
    readonly offset: number;
    readonly check: number;
    readonly gap?: { readonly why: GapReason; readonly count?: number };
  };
  readonly skip?: {
    readonly alias: string;
    readonly to: number;
    readonly epoch: string;
    readonly check: number;
    readonly why: GapReason | SkipReason;
    readonly count?: number;
  };
  readonly leave?: string;
}

// From U+0031 to U+007A, then from U+0080 on, without surrogates. So an alias is no control record and no direct message, and is one
// byte for the first 74 topics.
const FIRST = 0x31;
const ONE_BYTE = 0x7a - FIRST + 1;
const BEYOND = 0x80;
const SURROGATES = { first: 0xd800, count: 0x800 };
const LAST = 0x10ffff;

/** Most topics that a hub can name. */
export const MAX_ALIASES: number = ONE_BYTE + LAST - BEYOND + 1 - SURROGATES.count;

/** The alias with this number, which is less than `MAX_ALIASES`. */
export function aliasOf(index: number): string {
  if (index < ONE_BYTE) return String.fromCodePoint(FIRST + index);
  const point = index - ONE_BYTE + BEYOND;
  return String.fromCodePoint(point < SURROGATES.first ? point : point + SURROGATES.count);
}

const CHECK = 0x20;
const CHECKS = 64;
const LETTER = 0x61;
const LETTERS = 26;

/** The check of an offset: one character from U+0020 to U+005F. */
export function checkCharacter(offset: number): string {
  return String.fromCharCode(CHECK + (offset % CHECKS));
}

/**
 * The step from one offset to the next one: nothing for 1, as nearly always, and otherwise the number in base 26, in lower-case letters
 * (`a` is 0), which are no check.
 */
export function stepLetters(step: number): string {
  if (step === 1) return "";
  let letters = "";
  for (let rest = step; rest > 0; rest = Math.floor(rest / LETTERS))
    letters = String.fromCharCode(LETTER + (rest % LETTERS)) + letters;
  return letters;
}

/** Reads the step and the check at `start`. Undefined if there are none. */
export function readStep(
  codeAt: (index: number) => number | undefined,
  start: number,
): { readonly step: number; readonly check: number; readonly end: number } | undefined {
  let step = 0;
  let index = start;
  for (; ; index += 1) {
    const letter = (codeAt(index) ?? 0) - LETTER;
    if (letter < 0 || letter >= LETTERS || step > Number.MAX_SAFE_INTEGER / LETTERS) break;
    step = step * LETTERS + letter;
  }
  const check = (codeAt(index) ?? 0) - CHECK;
  if (check < 0 || check >= CHECKS) return undefined;
  return { step: index === start ? 1 : step, check, end: index + 1 };
}

/** True if `check` is the one of `offset`. */
export function fitsOffset(check: number, offset: number): boolean {
  return check === offset % CHECKS;
}

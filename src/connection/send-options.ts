/** How a message is to be sent, and what is wrong with the wish. */

import { judgeOverflow, type Overflow } from "./options.js";
import type { WaitOptions } from "./waits.js";

/** How one message is to be sent. */
export interface SendOptions extends WaitOptions {
  /** What happens if it does not fit, for this message. @default the connection's `overflow` */
  readonly overflow?: Overflow;
  /** Under `coalesce`, a message that still waits and has the same key is replaced by this one. */
  readonly key?: string;
  /** Whether it is compressed where that was agreed on. @default by the connection's `threshold` */
  readonly compress?: boolean;
}

/** How a message in parts is to be sent. */
export interface WriterOptions {
  /** Whether it is compressed where that was agreed on. @default if its first part reaches the connection's `threshold` */
  readonly compress?: boolean;
}

/** The part of the options that does not need a wait. */
export type How = Pick<SendOptions, "overflow" | "key" | "compress">;

/** Misuse is a TypeError. */
export function judged(how: How): How {
  if (typeof how !== "object" || how === null) {
    throw new TypeError(`Cannot use ${how === null ? "null" : typeof how} as options: expected an object`);
  }
  const { overflow, key, compress } = how;
  if (overflow !== undefined) judgeOverflow(overflow);
  if (key !== undefined && typeof key !== "string") {
    throw new TypeError(`Cannot use key: expected a string, got ${typeof key}`);
  }
  judgeCompress(compress);
  return how;
}

export function judgeCompress(compress: boolean | undefined): void {
  if (compress === undefined || typeof compress === "boolean") return;
  throw new TypeError(`Cannot use compress: expected true or false, got ${typeof compress}`);
}

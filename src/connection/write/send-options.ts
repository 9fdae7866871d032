/** Defines and validates the options of one sent message. */

import { judgeBoolean, judgeOptions, judgeString } from "../../base/judge.ts";
import type { SendOptions } from "../contract.ts";
import { judgeOverflow } from "../options.ts";

/** The options that do not concern a pending call. */
export type MessageOptions = Pick<SendOptions, "overflow" | "key" | "compress">;

/** Returns valid options. Throws a TypeError or RangeError for others. */
export function judgeMessageOptions(options: MessageOptions): MessageOptions {
  judgeOptions(options);
  const { overflow, key, compress } = options;
  if (overflow !== undefined) judgeOverflow(overflow);
  if (key !== undefined) judgeString("key", key);
  judgeCompress(compress);
  return options;
}

export function judgeCompress(compress: boolean | undefined): void {
  if (compress !== undefined) judgeBoolean("compress", compress);
}

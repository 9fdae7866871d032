/** Defines and validates the options of one sent message. */

import { judgeBoolean, judgeOptions, judgeString } from "../../base/judge.ts";
import type { GroupMember, SendOptions } from "../contract.ts";
import { judgeOverflow } from "../options.ts";

/** The options that do not concern a pending call. */
export type MessageOptions = Pick<SendOptions, "overflow" | "key" | "compress">;

/** The options of a message to the members of a group. */
export interface MemberMessageOptions extends MessageOptions {
  /** Called when a member has refused the message, also if it was deferred. The member gets no deferred message of this owner any more. */
  readonly refusal?: RefusalOwner | undefined;
}

/** Decides about members that have refused a message. */
export interface RefusalOwner {
  refused(member: GroupMember, options: MemberMessageOptions): void;
}

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

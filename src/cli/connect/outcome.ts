/** How a connection ended, in words and as the exit status. */

import { ClosedError, type CloseInfo, HandshakeError, LimitError, TimeoutError } from "../../index.ts";
import { UsageError } from "../flags.ts";
import { printableLine } from "../terminal.ts";
import { messageOf } from "./transcript.ts";

type Outcome = "clean" | "failed" | "misuse" | "unreachable" | "refused" | "late" | "interrupted" | "terminated";

/** The exit status of each way to end. The last two are those of shells for SIGINT and SIGTERM. */
export const STATUSES: Readonly<Record<Outcome, number>> = {
  ...{ clean: 0, failed: 1, misuse: 2, unreachable: 3, refused: 4, late: 5, interrupted: 130, terminated: 143 },
};

// 1000, 1001 and a Close without a code, which is 1005 here (RFC 6455 section 7.4).
const ORDERLY_CODES: readonly number[] = [1000, 1001, 1005];

/** The exit status for a connection that was open. */
export function statusOfEnd({ wasClean, by, code, cause }: CloseInfo): number {
  if (cause instanceof TimeoutError) return STATUSES.late;
  return wasClean && (by === "local" || ORDERLY_CODES.includes(code)) ? STATUSES.clean : STATUSES.failed;
}

/** The exit status for an error: of the attempt to connect, of `reconnect`, or of this program. */
export function statusOfError(error: unknown): number {
  // TypeError and RangeError are the errors of the library for wrong addresses and options.
  if (error instanceof UsageError || error instanceof TypeError || error instanceof RangeError) return STATUSES.misuse;
  if (error instanceof HandshakeError) return error.status === undefined ? STATUSES.unreachable : STATUSES.refused;
  if (error instanceof TimeoutError)
    return error.operation.startsWith("connect:") ? STATUSES.unreachable : STATUSES.late;
  // The limits of `reconnect` have the error of the last attempt as their cause.
  if (error instanceof LimitError && error.cause !== undefined) return statusOfError(error.cause);
  return STATUSES.failed;
}

/** The error in one line. The body of an answer explains a refusal better than its status. */
export function errorInWords(error: unknown): string {
  const body = error instanceof HandshakeError ? error.body.trim() : "";
  return messageOf(error) + (body === "" ? "" : `; the answer says ${quoted(body)}`);
}

/** The end of a connection in one line: who began it, the code and the reason, and the cause if there is one. */
export function endInWords({ kind, code, reason, wasClean, by, cause }: CloseInfo & { readonly kind: string }): string {
  // A ClosedError has the same facts as this line.
  const why = cause === undefined || cause instanceof ClosedError ? "" : `: ${printableLine(messageOf(cause))}`;
  const side = by === "peer" ? "the peer" : "this side";
  if (kind === "tcp") return wasClean ? `closed by ${side}` : `lost${why}`;
  if (!wasClean && code === 1006) return `lost without a Close (1006)${why}`;
  const words = reason === "" ? "" : ` ${quoted(reason)}`;
  return `closed by ${side} with ${code}${words}${why}`;
}

// In characters. A line of a terminal or of a log, with some room for the rest.
const LONGEST_QUOTE = 200;

function quoted(text: string): string {
  const short = text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}...` : text;
  return `"${printableLine(short)}"`;
}

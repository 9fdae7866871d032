/** Whether to come back, and what the server said about when: the default policy. */

import { isConnectionError } from "../index.js";
import type { ReconnectCause } from "./reconnect-cause.js";

/** `false`: never again. `true`: after the pause of the backoff. With `after`: so many milliseconds later than that. */
export type ReconnectVerdict = boolean | { readonly after: number };

/**
 * Close codes with which a peer says that to come back is no use (RFC 6455 section 7.4.1, and its registry for 3000 and
 * 3003): it is done (1000), it cannot take what we send (1002, 1003, 1007, 1009), we lack an extension (1010), or we may not
 * (1008, 3000, 3003). 4000 to 4999 are the application's, and so is the decision about them.
 */
const FINAL_CODES: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003];

/** Codes with which a server says that it goes, and may say for how long. */
const LEAVING: readonly number[] = [1001, 1012, 1013];

// RFC 9110 section 15: what is wrong with the request is wrong with the next one too, but for these, which pass.
const PASSING_REFUSALS: readonly number[] = [408, 421, 425, 429];
// Permanent redirections, which connect does not follow, and what a server will not learn by being asked again.
const FINAL_ANSWERS: readonly number[] = [300, 301, 308, 501, 505];

/**
 * The policy that applies unless another one is given; another one may ask it for what it does not decide itself.
 *
 * Final are: misuse and errors that are not the library's, because the application's own code would fail again; a hook's
 * error; a `LimitError` of a connection that is still open; the codes and statuses above. Everything else is a matter of
 * time. `Retry-After` in a refusal, in seconds or as a date, and `retry-after=SECONDS` at the end of the reason of a Close
 * with 1001, 1012 or 1013, say how much.
 */
export function shouldReconnect(cause: ReconnectCause): ReconnectVerdict {
  const { phase, error, status, code, by } = cause;
  // What it throws is not ours to judge: a fetch that fails offline is a TypeError.
  if (phase === "target") return true;
  if (!isConnectionError(error)) return false;
  if (status !== undefined) return isFinalStatus(status) ? false : delayed(retryAfter(cause));
  if (phase !== "session") return true;
  if (by === undefined) return error.code !== "LIMIT";
  // 1011 is what we close with when the application's code on the connection has failed.
  if (by === "local") return code !== 1011;
  if (code === undefined) return true;
  if (FINAL_CODES.includes(code)) return false;
  return delayed(LEAVING.includes(code) ? saidInReason(cause.reason) : undefined);
}

function isFinalStatus(status: number): boolean {
  if (status >= 400 && status < 500) return !PASSING_REFUSALS.includes(status);
  return FINAL_ANSWERS.includes(status);
}

function delayed(after: number | undefined): ReconnectVerdict {
  return after === undefined ? true : { after };
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfter({ headers, at }: ReconnectCause): number | undefined {
  const said = headers["retry-after"]?.trim();
  if (said === undefined) return undefined;
  if (/^\d+$/.test(said)) return Number(said) * 1_000;
  const until = httpDate(said);
  if (until === undefined) return undefined;
  // The server's clock need not agree with ours, but it agrees with itself.
  const from = httpDate(headers["date"] ?? "") ?? at.getTime();
  return Math.max(until - from, 0);
}

/** RFC 9110 section 5.6.7: three forms, each in GMT, the last of which does not say so. */
function httpDate(said: string): number | undefined {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(said)) return undefined;
  const ms = Date.parse(said.endsWith(" GMT") ? said : `${said} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** What `server.close({ retryAfter })` puts there. */
function saidInReason(reason: string): number | undefined {
  const [, seconds] = /(?:^|[ ;,])retry-after=(\d+(?:\.\d+)?)$/.exec(reason) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}

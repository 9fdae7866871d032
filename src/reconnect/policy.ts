/** The default policy: whether to connect again, and the additional pause that the server requested. */

import type { ReconnectCause, ReconnectKind } from "./cause.ts";

/**
 * `false`: do not connect again. `true`: connect again after the pause of the backoff. With `after`: that many milliseconds later
 * than with `true`, limited by `maxRetryAfter`.
 */
export type ReconnectVerdict = boolean | { readonly after: number };

/** Close codes of a server that stops, restarts, or is overloaded. Its reason may say how long a client should wait. */
const STOPPING_CODES: readonly number[] = [1001, 1012, 1013];

/**
 * The decision of the default policy about each kind of cause. A cause is final if the next attempt would fail in the same way
 * because of what this program requests. It is passing if time or the other side can change it. docs/reconnect.md gives the
 * reason for each.
 */
export const VERDICTS: Readonly<Record<ReconnectKind, "final" | "passing">> = Object.freeze({
  misuse: "final",
  target: "passing",
  "unknown-name": "passing",
  tls: "passing",
  unreachable: "passing",
  "refused-for-good": "final",
  "refused-for-now": "passing",
  "closed-for-good": "final",
  "closed-for-now": "passing",
  lost: "passing",
  limit: "final",
  "message-type": "final",
  protocol: "passing",
  hook: "passing",
  timeout: "passing",
  session: "final",
  requested: "passing",
});

/**
 * The default of the option `shouldReconnect`. A policy of the application may call it for the causes that it does not decide
 * itself. It decides by `cause.kind`; docs/reconnect.md has the table.
 *
 * A server can request a longer pause: with `Retry-After` in a refusal, in seconds or as a date, or with `retry-after=SECONDS` at
 * the end of the reason of a Close with 1001, 1012 or 1013.
 */
export function shouldReconnect(cause: ReconnectCause): ReconnectVerdict {
  const { kind, code, reason } = cause;
  if (VERDICTS[kind] === "final") return false;
  if (kind === "refused-for-now") return verdictOf(retryAfter(cause));
  const leaving = kind === "closed-for-now" && code !== undefined && STOPPING_CODES.includes(code);
  return verdictOf(leaving ? retryAfterInReason(reason) : undefined);
}

function verdictOf(after: number | undefined): ReconnectVerdict {
  return after === undefined ? true : { after };
}

/** Reads the `Retry-After` field: seconds, or a date (RFC 9110 section 10.2.3). Returns milliseconds. */
function retryAfter({ headers, at }: ReconnectCause): number | undefined {
  const text = headers["retry-after"]?.trim();
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  const until = httpDate(text);
  if (until === undefined) return undefined;
  // The date is compared with the server's own `Date` field, because the clocks of the server and of this side may differ.
  const from = httpDate(headers["date"] ?? "") ?? at.getTime();
  return Math.max(until - from, 0);
}

/** Parses an HTTP date. All three forms are in GMT, but the last form does not contain the word (RFC 9110 section 5.6.7). */
function httpDate(text: string): number | undefined {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text)) return undefined;
  const ms = Date.parse(text.endsWith(" GMT") ? text : `${text} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Reads the text that `server.close({ retryAfter })` adds to the reason. Returns milliseconds. */
function retryAfterInReason(reason: string): number | undefined {
  const [, seconds] = /(?:^|[ ;,])retry-after=(\d+(?:\.\d+)?)$/.exec(reason) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}

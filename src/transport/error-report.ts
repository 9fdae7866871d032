/** Reports errors that have no other listener: to the application's `onError`, or to stderr. */

import { Console } from "node:console";
import { inspect } from "node:util";
import { type ConnectionIdentity, ERROR_PLACES, type ErrorFacts, type ReportError } from "../base/error-context.ts";
import { isError } from "../base/forms.ts";
import { joinHostPort } from "../base/host-port.ts";

// A report can contain text from a peer. The limits keep it readable, and prevent a peer from filling the disk with one error.
const MAX_REPORT_LENGTH = 16_384;
const MAX_NAME_LENGTH = 256;
const MAX_ERRORS = 16;

/**
 * Returns a function that reports an error and never throws. It calls `onError` with the error and its context.
 *
 * If `onError` throws, or returns a promise that rejects, that failure and the original error are both written to stderr. Without
 * `onError`, each error is written to stderr with its stack, its causes and its connection. This default does not depend on
 * Node's settings for warnings.
 */
export function errorReporter<Identity extends ConnectionIdentity = ConnectionIdentity>(
  onError?: (error: unknown, context: ErrorFacts<Identity>) => unknown,
): ReportError<Identity> {
  if (onError === undefined) return printError;
  return (error, context) => {
    const failed = (failure: unknown): void => {
      printError(error, context);
      printError(failure, { ...context, place: "onError" });
    };
    try {
      const returned = onError(error, context) as PromiseLike<unknown> | undefined;
      if (typeof returned?.then === "function") returned.then(undefined, failed);
    } catch (failure) {
      failed(failure);
    }
  };
}

/** Writes an error to stderr, with its stack, its causes and its connection: the default of `onError`. */
export function printError(error: unknown, facts: ErrorFacts): void {
  printLine(describeError(error, facts));
}

/** Writes a text to stderr. If stderr is closed, full or broken, the text is lost and nothing is thrown. */
export function printLine(text: string): void {
  try {
    // A stream reports a failed write later, as an `error` event, which would end the process. Of Node's ways to write, only
    // `Console` handles that event.
    new Console({ stdout: process.stderr }).log(`holdfast: ${text}`);
  } catch {
    // There is no other output to write to.
  }
}

/** The text of a report, without the prefix `holdfast:`. Never throws, whatever value `error` is. */
export function describeError(error: unknown, facts: ErrorFacts): string {
  return shortened(`${ERROR_PLACES[facts.place]}${subject(facts)} failed: ${textOf(error)}`);
}

/** The text of an error, with its stack and its causes. Never throws. */
export function textOf(error: unknown): string {
  try {
    return shortened(describe(error, { errors: MAX_ERRORS }));
  } catch {
    // A getter or a proxy of the error threw.
    return `a value that cannot be shown (${typeof error})`;
  }
}

function shortened(text: string): string {
  const whole = printable(text);
  if (whole.length <= MAX_REPORT_LENGTH) return whole;
  return `${whole.slice(0, MAX_REPORT_LENGTH)} … (${whole.length - MAX_REPORT_LENGTH} more characters)`;
}

/** The URL is shown without its query, because the query often contains a token. */
function subject({ connection, path, place, remoteAddress, remotePort }: ErrorFacts): string {
  if (connection !== undefined) {
    const url = connection.url.replace(/\?.*/s, "").slice(0, MAX_NAME_LENGTH);
    return ` of connection ${connection.id} (${url}, peer ${joinHostPort(connection.remoteAddress, connection.remotePort)})`;
  }
  if (path === undefined && remoteAddress === undefined) return "";
  const names = [path?.slice(0, MAX_NAME_LENGTH), remoteAddress && `peer ${joinHostPort(remoteAddress, remotePort)}`];
  return `${place === "request" ? "" : " of an opening"} (${names.filter(Boolean).join(", ")})`;
}

/** `left.errors` is the number of errors that may still be shown: causes can form a cycle, or a tree of any size. */
function describe(error: unknown, budget: { errors: number }): string {
  if (budget.errors === 0) return "…";
  budget.errors -= 1;
  if (!isError(error)) return inspect(error, { depth: 2, maxStringLength: 1_024, maxArrayLength: 16 });
  const { name, message, stack, cause } = error;
  const { code } = error as NodeJS.ErrnoException;
  const suffix = typeof code === "string" && !message.includes(code) ? ` [${code}]` : "";
  const lines = [`${name}${suffix}${message && `: ${message}`}`, ...frames(String(stack), message)];
  const { errors: inner } = error as AggregateError;
  const errors: readonly unknown[] = name === "AggregateError" && Array.isArray(inner) ? inner : [];
  for (const [index, member] of errors.entries()) {
    if (budget.errors === 0) break;
    lines.push(`    error ${index + 1} of ${errors.length}: ${describe(member, budget)}`);
  }
  if (cause !== undefined) lines.push(`    caused by: ${describe(cause, budget)}`);
  return lines.join("\n");
}

/**
 * The lines of a stack after its heading, such as the calls. The heading is left out, because it can contain an old name, or a
 * message that was changed later.
 */
function frames(stack: string, message: string): string[] {
  const head = message === "" ? -1 : stack.indexOf(message);
  const rest = head < 0 ? stack : stack.slice(head + message.length);
  return rest.split("\n").filter((line) => /^\s+\S/.test(line));
}

// Control characters, format characters and line separators. A terminal would execute them, and they could forge a line or
// reverse its direction.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * Escapes unprintable characters and indents each line after the first, so that no text of an error looks like another report.
 */
function printable(text: string): string {
  return text
    .replace(UNPRINTABLE, (character) =>
      character === "\n" ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`,
    )
    .replace(/\n(?! )/g, "\n    ");
}

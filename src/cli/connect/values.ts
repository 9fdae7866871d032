/** The values of the flags of `holdfast connect`: proxies, files, header fields, framings, close codes, durations. */

import { readFileSync } from "node:fs";
import { type Dialer, type Framing, httpProxy, proxyFromEnvironment, socksProxy } from "../../index.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import { messageOf } from "./transcript.ts";

// A day, in milliseconds.
export const LONGEST: number = 86_400_000;

// V8's longest string, in characters: a text message is received as one string.
export const MAX_MESSAGE: number = 2 ** 29 - 24;

export function dialerOf(proxy: string): Dialer {
  if (proxy !== "env" && !/^(https?|socks5h?):/i.test(proxy)) {
    const expected = "a URL such as http://127.0.0.1:8080 or socks5://127.0.0.1:1080, or env";
    throw new UsageError(`cannot use --proxy ${JSON.stringify(proxy)}: expected ${expected}`);
  }
  try {
    return proxy === "env" ? proxyFromEnvironment() : /^socks5/i.test(proxy) ? socksProxy(proxy) : httpProxy(proxy);
  } catch (error) {
    throw new UsageError(`cannot use --proxy ${JSON.stringify(proxy)}: ${messageOf(error)}`);
  }
}

export function fileOf(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`cannot use ${flag} ${JSON.stringify(file)}: ${messageOf(error)}`);
  }
}

export function fieldOf(text: string): readonly [string, string] {
  const colon = text.indexOf(":");
  if (colon <= 0) throw new UsageError(`cannot use --header ${JSON.stringify(text)}: expected "Name: value"`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

// The names are those of `holdfast bench`.
const FRAMINGS: Readonly<Record<string, Framing>> = {
  lines: { lastLine: "deliver" },
  crlf: { eol: "\r\n", lastLine: "deliver" },
  raw: "raw",
  length8: { lengthPrefix: 1 },
  length16: { lengthPrefix: 2 },
  length32: { lengthPrefix: 4 },
  length64: { lengthPrefix: 8 },
  varint: { lengthPrefix: "varint" },
};

/** The forms of `--framing`, in words. */
export const FRAMING_FORMS: string = [...Object.keys(FRAMINGS), "fixed:BYTES", "delimiter:TEXT"].join(", ");

export function framingOf(text: string): Framing {
  const known = Object.hasOwn(FRAMINGS, text) ? FRAMINGS[text] : undefined;
  if (known !== undefined) return known;
  const [, name, value = ""] = /^(fixed|delimiter):([\s\S]+)$/.exec(text) ?? [];
  if (name === "fixed") return { fixed: wholeNumber("--framing fixed:", value, 1, MAX_MESSAGE) };
  if (name === "delimiter") return { delimiter: unescaped(value) };
  throw new UsageError(`cannot use --framing ${JSON.stringify(text)}: expected one of ${FRAMING_FORMS}`);
}

/** A shell passes `\n`, `\r`, `\t` and `\0` as two characters. */
function unescaped(text: string): string {
  const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "0": "\0", "\\": "\\" };
  return text.replace(/\\([nrt0\\])/g, (_, letter: string) => escapes[letter] ?? "");
}

export function closeOf(text: string): readonly [code: number, reason: string] {
  const [digits = "", ...rest] = text.split(":");
  const code = wholeNumber("--close", digits, 1_000, 4_999);
  return [code, rest.join(":")];
}

export function durationOrNever(flag: string, text: string, least: number): number {
  return text === "Infinity" ? Infinity : duration(flag, text, least, LONGEST);
}

/** The values of the flags of `holdfast connect`: proxies, files, header fields, framings, close codes, durations. */

import { readFileSync } from "node:fs";
import { type Dialer, type Framing, httpProxy, proxyFromEnvironment } from "../../index.ts";
import { UsageError, wholeNumber } from "../flags.ts";
import { messageOf } from "./transcript.ts";

// A day, in milliseconds.
export const LONGEST: number = 86_400_000;

// V8's longest string, in characters: a text message is received as one string.
export const MAX_MESSAGE: number = 2 ** 29 - 24;

export function dialerOf(proxy: string): Dialer {
  try {
    return proxy === "env" ? proxyFromEnvironment() : httpProxy(proxy);
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

export function framingOf(text: string): Framing {
  const [name, value = ""] = [
    text.split(":", 1)[0],
    text.includes(":") ? text.slice(text.indexOf(":") + 1) : undefined,
  ];
  if (text === "lines") return { lastLine: "deliver" };
  if (text === "crlf") return { eol: "\r\n", lastLine: "deliver" };
  if (text === "raw") return "raw";
  if (name === "prefix" && value === "varint") return { lengthPrefix: "varint" };
  if (name === "prefix" && /^[1248]$/.test(value)) return { lengthPrefix: Number(value) as 1 | 2 | 4 | 8 };
  if (name === "fixed") return { fixed: wholeNumber("--framing fixed:", value, 1, MAX_MESSAGE) };
  if (name === "delimiter" && value !== "")
    return { delimiter: value.replaceAll("\\n", "\n").replaceAll("\\r", "\r").replaceAll("\\0", "\0") };
  throw new UsageError(
    `cannot use --framing ${JSON.stringify(text)}: expected lines, crlf, raw, prefix:1, prefix:2, prefix:4, prefix:8, prefix:varint, fixed:BYTES or delimiter:TEXT`,
  );
}

export function closeOf(text: string): readonly [code: number, reason: string] {
  const [digits = "", ...rest] = text.split(":");
  const code = wholeNumber("--close", digits, 1_000, 4_999);
  return [code, rest.join(":")];
}

export function durationOrNever(flag: string, text: string, least: number): number {
  return text === "Infinity" ? Infinity : wholeNumber(flag, text, least, LONGEST);
}

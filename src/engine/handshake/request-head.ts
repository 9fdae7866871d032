/** A strict parser for the head of an upgrade request (RFC 9112); all other requests are left to Node's HTTP parser. */

import type { RequestFacts } from "./request.ts";

/** The head of a request. */
export interface RequestHead {
  readonly facts: RequestFacts;
  /** The length of the head in characters. Bytes after it belong to the protocol that the request asks for. */
  readonly length: number;
}

const LINE = /^GET (\/[\x21\x22\x24-\x7e]*) HTTP\/1\.1$/;
const METHOD = "GET /";
const END = "\r\n\r\n";
// The grammar also allows tabs and empty elements here. This pattern does not, because versions of Node's parser treat them
// differently.
const SIMPLE_CONNECTION = /^ *[\w!#$%&'*+\-.^`|~]+(?:, ?[\w!#$%&'*+\-.^`|~]+)* *$/;
// These fields announce a body after the head, or demand an interim response before the response.
const CHANGES_FRAMING: readonly string[] = ["content-length", "transfer-encoding", "expect"];

/**
 * Parses the request head at the beginning of `text` (bytes decoded as latin1). Returns undefined unless `text` begins with a
 * complete head of a GET request with HTTP/1.1 for a path, with lines that end with CRLF, and without fields that change framing
 * or processing (Content-Length, Transfer-Encoding, Expect, an unusual Connection). Every HTTP parser gives the same result for
 * an accepted head; but not every valid head is accepted. Does not validate the names and values: `judgeRequest` does.
 */
export function readRequestHead(text: string): RequestHead | undefined {
  if (!text.startsWith(METHOD)) return undefined;
  const end = text.indexOf(END);
  if (end < 0) return undefined;
  let at = text.indexOf("\r\n");
  const target = LINE.exec(text.slice(0, at))?.[1];
  if (target === undefined) return undefined;
  const rawHeaders: string[] = [];
  while (at < end) {
    const from = at + 2;
    at = text.indexOf("\r\n", from);
    const colon = text.indexOf(":", from);
    if (colon < 0 || colon >= at) return undefined;
    const name = text.slice(from, colon);
    if (!isUnambiguous(name, text, colon + 1, at)) return undefined;
    rawHeaders.push(name, trimmed(text, colon + 1, at));
  }
  return { facts: { method: "GET", httpVersion: "1.1", target, rawHeaders }, length: end + END.length };
}

/** True if all HTTP parsers treat the field in the same way. Its value is `text` from index `from` to index `to`. */
function isUnambiguous(name: string, text: string, from: number, to: number): boolean {
  // The length of the name alone excludes most other fields.
  switch (name.length) {
    case "expect".length:
    case "content-length".length:
    case "transfer-encoding".length:
      return !CHANGES_FRAMING.includes(name.toLowerCase());
    case "connection".length:
      return name.toLowerCase() !== "connection" || SIMPLE_CONNECTION.test(text.slice(from, to));
    default:
      return true;
  }
}

/** Removes the white space around a value, which is not part of it (RFC 9110 section 5.5). */
function trimmed(text: string, from: number, to: number): string {
  let first = from;
  let last = to;
  while (first < last && isSpace(text.charCodeAt(first))) first += 1;
  while (first < last && isSpace(text.charCodeAt(last - 1))) last -= 1;
  return text.slice(first, last);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

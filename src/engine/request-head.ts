/** The head of an upgrade request read from its bytes, strictly (RFC 9112): what is in doubt is left to others. */

import type { RequestFacts } from "./handshake-request.js";

/** A request, and how many characters it is long: what stands behind belongs to the protocol that it asks for. */
export interface RequestHead {
  readonly facts: RequestFacts;
  readonly length: number;
}

const LINE = /^GET (\/[\x21\x22\x24-\x7e]*) HTTP\/1\.1$/;
const METHOD = "GET /";
const END = "\r\n\r\n";
// Without the tabs that may stand there, and the empty elements: not every version of Node's parser knows what to make of them.
const CONNECTION = /^ *[\w!#$%&'*+\-.^`|~]+(?:, ?[\w!#$%&'*+\-.^`|~]+)* *$/;
// They say that something stands behind the head, or that something comes before the answer.
const NOT_ALONE: readonly string[] = ["content-length", "transfer-encoding", "expect"];

/**
 * Reads the request that `text`, bytes as latin1, begins with. Undefined if that is not the whole head of a GET by HTTP/1.1 on a
 * path, in lines that end with CRLF, of fields of which none means more than it says. What it answers is then what any reader of
 * HTTP would; the opposite does not hold. Names and values are for `judgeRequest` to look at.
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
    if (!plain(name, text, colon + 1, at)) return undefined;
    rawHeaders.push(name, trimmed(text, colon + 1, at));
  }
  return { facts: { method: "GET", httpVersion: "1.1", target, rawHeaders }, length: end + END.length };
}

/** Whether a field is one of which all readers make the same. Its value stands in `text`. */
function plain(name: string, text: string, from: number, to: number): boolean {
  // By their lengths most are told apart from those that matter here without another look.
  switch (name.length) {
    case "expect".length:
    case "content-length".length:
    case "transfer-encoding".length:
      return !NOT_ALONE.includes(name.toLowerCase());
    case "connection".length:
      return name.toLowerCase() !== "connection" || CONNECTION.test(text.slice(from, to));
    default:
      return true;
  }
}

/** Without the white space around it, which is no part of a value (RFC 9110 section 5.5). */
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

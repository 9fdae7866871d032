/** Creates the header fields that each side sends in the opening handshake (RFC 6455 sections 4.1 and 4.2.2). */

import { isObject, kindOf } from "../../base/forms.ts";
import { type Extension, formatExtensions } from "./extension.ts";
import { isFieldValue, isToken } from "./header.ts";
import { authorityOf } from "./origin.ts";
import type { Accepted } from "./request.ts";

/** Header fields, in the order in which they are written. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

/**
 * Header fields that the application adds to a request or a response, in every form that `new Headers()` accepts: an object, a
 * `Headers`, a `Map` or a list of pairs. If a name has several values, each value becomes a field of its own, as `Set-Cookie`
 * requires. A property whose value is undefined is left out. Fields that the handshake writes itself, and invalid names and
 * values, are refused with TypeError.
 */
export type ExtraHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | Iterable<readonly [name: string, value: string | readonly string[]] | readonly string[]>;

// Fields that the application must not add, in addition to all that begin with sec-websocket-. Fields that describe a body are in
// the list because a handshake has no body.
const RESERVED: readonly string[] = [
  "host",
  "upgrade",
  "connection",
  "origin",
  "expect",
  "content-length",
  "transfer-encoding",
];
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The Sec-WebSocket-Accept for a key. `sha1Base64` returns the SHA-1 digest of an ASCII text in base64. */
export function acceptKey(key: string, sha1Base64: (text: string) => string): string {
  return sha1Base64(key + GUID);
}

/** The contents of the client's request. */
export interface RequestOptions {
  /** The Host field: `host[:port]`, without the port if it is the default port of the scheme. */
  readonly host: string;
  /** Sixteen random octets in base64, new for each request. */
  readonly key: string;
  readonly origin: string | undefined;
  /** In order of preference. */
  readonly protocols: readonly string[];
  /** In order of preference. */
  readonly extensions: readonly Extension[];
  readonly headers: ExtraHeaders;
}

/** Creates the fields of the request. Throws TypeError for a value that a field cannot contain, such as one with a line break. */
export function requestHeaders(options: RequestOptions): HeaderFields {
  const { host, key, origin, protocols, extensions } = options;
  if (authorityOf(host, "http") === undefined) {
    throw new TypeError(`Cannot connect: ${JSON.stringify(host)} is not a host with or without a port`);
  }
  const fields: [string, string][] = [
    ["Host", host],
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Key", key],
    ["Sec-WebSocket-Version", "13"],
  ];
  if (origin !== undefined) fields.push(["Origin", checkedValue("origin", origin)]);
  judgeSubprotocols(protocols);
  if (protocols.length > 0) fields.push(["Sec-WebSocket-Protocol", offeredProtocols(protocols)]);
  if (extensions.length > 0) fields.push(["Sec-WebSocket-Extensions", formatExtensions(extensions)]);
  return [...fields, ...extraFields(options.headers)];
}

/** The contents of the server's response. */
export interface AnswerOptions {
  /** One of the subprotocols that the client offered; undefined for none. */
  readonly protocol: string | undefined;
  /** The accepted extensions. The client must have offered each of them. */
  readonly extensions: readonly Extension[];
  readonly headers: ExtraHeaders;
}

/**
 * Creates the fields of the 101 response. Throws TypeError for a value that a field cannot contain, and for a subprotocol or an
 * extension that the client did not offer.
 */
export function responseHeaders(
  request: Pick<Accepted, "key" | "protocols" | "extensions">,
  answer: AnswerOptions,
  sha1Base64: (text: string) => string,
): HeaderFields {
  const { protocol, extensions } = answer;
  const fields: [string, string][] = [
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Accept", acceptKey(request.key, sha1Base64)],
  ];
  if (protocol !== undefined) {
    if (!request.protocols.includes(protocol)) {
      throw new TypeError(`Cannot accept with subprotocol ${JSON.stringify(protocol)}: the client did not offer it`);
    }
    fields.push(["Sec-WebSocket-Protocol", protocol]);
  }
  for (const { name } of extensions) {
    if (request.extensions.some((offered) => offered.name === name)) continue;
    throw new TypeError(`Cannot accept with extension ${JSON.stringify(name)}: the client did not offer it`);
  }
  if (extensions.length > 0) fields.push(["Sec-WebSocket-Extensions", formatExtensions(extensions)]);
  return [...fields, ...extraFields(answer.headers)];
}

/** Throws TypeError unless `subprotocols` is a list of tokens. The letters of a string would be taken for a list. */
export function judgeSubprotocols(subprotocols: unknown): void {
  if (!Array.isArray(subprotocols)) {
    throw new TypeError(`Cannot use subprotocols: expected a list of strings, got ${kindOf(subprotocols)}`);
  }
  for (const subprotocol of subprotocols) {
    if (typeof subprotocol === "string" && isToken(subprotocol)) continue;
    throw new TypeError(`Cannot use subprotocol ${JSON.stringify(subprotocol)}: expected a token`);
  }
}

/** Returns the first of the server's subprotocols, in the server's order of preference, that the client offers. */
export function selectProtocol(offered: readonly string[], supported: readonly string[]): string | undefined {
  return supported.find((protocol) => offered.includes(protocol));
}

// RFC 6455 section 4.1, 10: the subprotocols must be tokens and must all be different.
function offeredProtocols(protocols: readonly string[]): string {
  if (new Set(protocols).size < protocols.length) {
    throw new TypeError(`Cannot offer subprotocols ${protocols.join(", ")}: one of them is repeated`);
  }
  return protocols.join(", ");
}

/** Returns the fields that the application adds. Throws TypeError for a field that the handshake writes itself. */
export function extraFields(headers: ExtraHeaders): HeaderFields {
  const fields = fieldsOf(headers);
  for (const [name] of fields) {
    const folded = name.toLowerCase();
    if (RESERVED.includes(folded) || folded.startsWith("sec-websocket-")) {
      throw new TypeError(`Cannot send header ${name}: the handshake writes it itself`);
    }
  }
  return fields;
}

/** Returns a list of fields. Reads `headers` once, because it can be an iterator. Throws TypeError for an invalid field. */
export function fieldsOf(headers: ExtraHeaders): HeaderFields {
  if (!isObject(headers)) {
    throw new TypeError(
      `Cannot use headers: expected an object, Headers, a Map or a list of pairs, got ${kindOf(headers)}`,
    );
  }
  const fields: [string, string][] = [];
  const pairs = Symbol.iterator in headers ? (headers as Iterable<unknown>) : Object.entries(headers);
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new TypeError(`Cannot use headers: expected pairs of a name and a value, got ${kindOf(pair)}`);
    }
    const [name, values]: unknown[] = pair;
    if (typeof name !== "string" || !isToken(name)) {
      throw new TypeError(`Cannot send header ${JSON.stringify(name)}: its name is not a token`);
    }
    if (values === undefined) continue;
    for (const value of Array.isArray(values) ? values : [values]) fields.push([name, checkedValue(name, value)]);
  }
  return fields;
}

function checkedValue(name: string, value: unknown): string {
  if (typeof value !== "string") {
    throw new TypeError(`Cannot send header ${name}: expected a string or a list of strings, got ${kindOf(value)}`);
  }
  if (isFieldValue(value)) return value;
  throw new TypeError(`Cannot send header ${name}: its value contains a character that is not allowed in a header`);
}

/** What each side writes in the opening handshake (RFC 6455 sections 4.1 and 4.2.2). */

import { type Extension, formatExtensions } from "./extension.js";
import type { Accepted } from "./handshake-request.js";
import { isFieldValue, isToken } from "./header.js";
import { authorityOf } from "./origin.js";

/** Fields to be written, in this order. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

/** Fields that a user adds. A name with several values becomes several fields, as `Set-Cookie` needs. */
export type ExtraHeaders = Readonly<Record<string, string | readonly string[]>>;

// Besides all that begin with sec-websocket-. Those about a body are here because the handshake has none.
const OWNED: readonly string[] = [
  "host",
  "upgrade",
  "connection",
  "origin",
  "expect",
  "content-length",
  "transfer-encoding",
];
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The Sec-WebSocket-Accept that answers a key. `sha1Base64` gives the base64 of the SHA-1 of an ASCII text. */
export function acceptKey(key: string, sha1Base64: (text: string) => string): string {
  return sha1Base64(key + GUID);
}

/** What the client asks for. */
export interface RequestOptions {
  /** The Host field: `host[:port]`, the port left out when it is the scheme's own. */
  readonly host: string;
  /** Sixteen fresh random octets in base64. */
  readonly key: string;
  readonly origin: string | undefined;
  /** In the order of preference. */
  readonly protocols: readonly string[];
  /** In the order of preference. */
  readonly extensions: readonly Extension[];
  readonly headers: ExtraHeaders;
}

/** The request's fields. TypeError for a value that could not be sent as what it is, such as one with a line break. */
export function requestHeaders(options: RequestOptions): HeaderFields {
  const { host, key, origin, protocols, extensions } = options;
  if (authorityOf(host, "http") === undefined) {
    throw new TypeError(`Cannot connect: ${JSON.stringify(host)} is no host with or without a port`);
  }
  const fields: [string, string][] = [
    ["Host", host],
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Key", key],
    ["Sec-WebSocket-Version", "13"],
  ];
  if (origin !== undefined) fields.push(["Origin", checked("origin", origin)]);
  if (protocols.length > 0) fields.push(["Sec-WebSocket-Protocol", offer(protocols)]);
  if (extensions.length > 0) fields.push(["Sec-WebSocket-Extensions", formatExtensions(extensions)]);
  return [...fields, ...extra(options.headers)];
}

/** What the server agrees to. */
export interface AnswerOptions {
  /** One of those that the client offered, or none. */
  readonly protocol: string | undefined;
  /** Answers to extensions that the client offered. */
  readonly extensions: readonly Extension[];
  readonly headers: ExtraHeaders;
}

/** The fields of the 101. TypeError for what cannot be sent, and for a subprotocol or extension that was not offered. */
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
  return [...fields, ...extra(answer.headers)];
}

/** The first of the server's subprotocols, in its order of preference, that the client offers. */
export function selectProtocol(offered: readonly string[], supported: readonly string[]): string | undefined {
  return supported.find((protocol) => offered.includes(protocol));
}

// Section 4.1, 10: tokens, and all different.
function offer(protocols: readonly string[]): string {
  for (const protocol of protocols) {
    if (!isToken(protocol)) {
      throw new TypeError(`Cannot offer subprotocol ${JSON.stringify(protocol)}: expected a token`);
    }
  }
  if (new Set(protocols).size < protocols.length) {
    throw new TypeError(`Cannot offer subprotocols ${protocols.join(", ")}: one is there twice`);
  }
  return protocols.join(", ");
}

function extra(headers: ExtraHeaders): [string, string][] {
  const fields: [string, string][] = [];
  for (const [name, values] of Object.entries(headers)) {
    const folded = name.toLowerCase();
    if (!isToken(name)) throw new TypeError(`Cannot send header ${JSON.stringify(name)}: its name is no token`);
    if (OWNED.includes(folded) || folded.startsWith("sec-websocket-")) {
      throw new TypeError(`Cannot send header ${name}: the handshake writes it itself`);
    }
    for (const value of typeof values === "string" ? [values] : values) fields.push([name, checked(name, value)]);
  }
  return fields;
}

function checked(name: string, value: string): string {
  if (typeof value === "string" && isFieldValue(value)) return value;
  throw new TypeError(`Cannot send header ${name}: its value has a character that no header may have`);
}

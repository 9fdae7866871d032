/** Validates the request of an opening handshake on the server (RFC 6455 section 4.2.1). */

import type { Refusal } from "../../base/refusals.ts";
import { parseExtensions, type ReceivedExtension } from "./extension.ts";
import { includesToken, parseTokens, parseUpgrade } from "./header.ts";
import { authorityOf } from "./origin.ts";
import { type UpgradeFields, upgradeFields } from "./upgrade-fields.ts";

/** The head of a request, in the form of node:http. */
export interface RequestFacts {
  readonly method: string;
  /** For example `1.1`. */
  readonly httpVersion: string;
  /** The request-target as received. */
  readonly target: string;
  /** Names and values in turn: name, value, name, value. Values have no white space around them. */
  readonly rawHeaders: readonly string[];
}

/** A valid request for a WebSocket. Its path, its origin and the server's capacity are checked later. */
export interface Accepted {
  readonly accepted: true;
  /** As received: neither decoded nor normalised. */
  readonly path: string;
  /** The part of the target after the first question mark. Empty if there is none. */
  readonly query: string;
  /** The authority to which the request is addressed, as received. */
  readonly host: string;
  readonly origin: string | undefined;
  /** The subprotocols that the client offers, in its order of preference. */
  readonly protocols: readonly string[];
  /** The extensions that the client offers, in its order of preference. */
  readonly extensions: readonly ReceivedExtension[];
  readonly key: string;
  /** True if `100 Continue` must be sent before the 101 (RFC 9110 section 7.8). */
  readonly expectsContinue: boolean;
}

/** The response to a request that cannot become a WebSocket. The server closes the connection after it. */
export interface Refused {
  readonly accepted: false;
  readonly reason: Extract<Refusal, "headers" | "httpVersion" | "method" | "request" | "upgrade" | "version">;
  readonly status: 400 | 405 | 426 | 431;
  /** One sentence without its full stop. */
  readonly problem: string;
  /** The violated clause. */
  readonly clause: string;
  /** The header fields that the response must contain. */
  readonly headers: Readonly<Record<string, string>>;
}

// 16 octets in base64: 21 characters, one character with the last two bits, and the padding. The unused bits of that character
// are not checked: the grammar of RFC 6455 does not restrict them, and the key is used only as text.
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const AT_LEAST_1_1 = /^(?:1\.[1-9]|[2-9]\.[0-9])$/;
const ABSOLUTE_FORM = /^(?:https?|wss?):\/\//i;
const NOT_TARGET = /[^\x21-\x7e]|#/;

// node:http drops further fields silently if a request has too many: it keeps 2,000 names and values, which are about 1,000
// fields. A dropped field may be a Content-Length or an Origin.
const MAX_FIELDS = 1_000;

/** Checks a request against the rules that are the same for every server: HTTP and RFC 6455. Never throws, for any input. */
export function judgeRequest(request: RequestFacts): Accepted | Refused {
  if (request.method !== "GET") {
    const headers = { Allow: "GET", Connection: "close" };
    const problem = "the method is not GET";
    return { accepted: false, reason: "method", status: 405, problem, clause: "RFC 6455 4.2.1", headers };
  }
  const count = request.rawHeaders.length / 2;
  if (count > MAX_FIELDS) return tooManyFields(count);
  const fields = upgradeFields(request.rawHeaders);
  if (fields === undefined) return badRequest("a header field is malformed", "RFC 9110 5.5");
  // HTTP/1.0 has no Upgrade. A server must ignore the field there (RFC 9110 section 7.8), so this is a request without an
  // upgrade.
  if (!AT_LEAST_1_1.test(request.httpVersion))
    return upgradeRequired("httpVersion", "HTTP is older than 1.1", "RFC 9110 7.8");
  const { host } = fields;
  if (host === undefined || fields.hosts !== 1)
    return badRequest("there is not exactly one Host field", "RFC 9112 3.2");
  if (authorityOf(host, "http") === undefined) return badRequest("the Host field is invalid", "RFC 9112 3.2");
  const target = parseTarget(request.target, host);
  if (target === undefined) return badRequest("the request-target is neither a path nor a URL", "RFC 9112 3.2");
  return judgeUpgrade(fields) ?? judgeBody(fields) ?? judgeOffers(fields, target);
}

interface Target {
  readonly path: string;
  readonly query: string;
  readonly host: string;
}

function parseTarget(target: string, host: string): Target | undefined {
  if (NOT_TARGET.test(target)) return undefined;
  if (target.startsWith("/")) return pathAndQuery(target, host);
  const scheme = ABSOLUTE_FORM.exec(target)?.[0];
  if (scheme === undefined) return undefined;
  // RFC 9112 section 3.2.2: a request-target in absolute form replaces the Host field.
  const rest = target.slice(scheme.length);
  const end = rest.search(/[/?]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  if (authorityOf(authority, "http") === undefined) return undefined;
  return pathAndQuery(rest.slice(authority.length), authority);
}

function pathAndQuery(resource: string, host: string): Target {
  const mark = resource.indexOf("?");
  if (mark < 0) return { path: resource || "/", query: "", host };
  return { path: resource.slice(0, mark) || "/", query: resource.slice(mark + 1), host };
}

// The values that nearly all clients send, as already parsed lists.
const UPGRADE: readonly string[] = ["Upgrade"];
const WEBSOCKET: readonly string[] = ["websocket"];

function judgeUpgrade({ connection = "", upgrade = "", version, key }: UpgradeFields): Refused | undefined {
  const options = connection === "Upgrade" ? UPGRADE : parseTokens(connection);
  if (options === undefined) return badRequest("the Connection field is malformed", "RFC 9110 7.6.1");
  const protocols = upgrade === "websocket" ? WEBSOCKET : parseUpgrade(upgrade);
  if (protocols === undefined) return badRequest("the Upgrade field is malformed", "RFC 9110 7.8");
  if (!includesToken(protocols, "websocket"))
    return upgradeRequired("upgrade", "Upgrade does not name websocket", "RFC 6455 4.2.1");
  if (!includesToken(options, "upgrade"))
    return upgradeRequired("upgrade", "Connection does not name Upgrade", "RFC 6455 4.2.1");
  // Two lines of one field are joined with a comma, so a repeated version or key never passes these checks.
  if (version !== "13") return upgradeRequired("version", "Sec-WebSocket-Version is not 13, once", "RFC 6455 4.2.2");
  if (key === undefined || !KEY.test(key)) {
    return badRequest("Sec-WebSocket-Key is not 16 octets in base64, once", "RFC 6455 4.2.1");
  }
  return undefined;
}

// RFC 9110 section 7.8: the protocol changes after the whole request. If a request has a body, the server could read the bytes
// after the head as frames and an intermediary could read them as the body (request smuggling).
function judgeBody({ contentLength, transferEncoding }: UpgradeFields): Refused | undefined {
  const empty = (contentLength === undefined || /^0+$/.test(contentLength)) && transferEncoding === undefined;
  return empty ? undefined : badRequest("the request has a body", "RFC 9110 7.8");
}

function judgeOffers(fields: UpgradeFields, target: Target): Accepted | Refused {
  const { protocol } = fields;
  const protocols = protocol === undefined ? [] : parseTokens(protocol);
  if (protocols === undefined || (protocol !== undefined && protocols.length === 0)) {
    return badRequest("Sec-WebSocket-Protocol is not a list of tokens", "RFC 6455 4.3");
  }
  if (protocols.length > 1 && new Set(protocols).size < protocols.length) {
    return badRequest("Sec-WebSocket-Protocol names a subprotocol twice", "RFC 6455 4.1");
  }
  const extensions = fields.extensions === undefined ? [] : parseExtensions(fields.extensions);
  if (extensions === undefined) return badRequest("Sec-WebSocket-Extensions is malformed", "RFC 6455 9.1");
  return {
    accepted: true,
    path: target.path,
    query: target.query,
    host: target.host,
    origin: fields.origin,
    protocols,
    extensions,
    key: fields.key as string,
    expectsContinue: fields.expect?.toLowerCase() === "100-continue",
  };
}

// Each refusal closes the connection. Otherwise an intermediary that takes the refusal for an acceptance would pass on further,
// unchecked bytes.
function badRequest(problem: string, clause: string): Refused {
  return { accepted: false, reason: "request", status: 400, problem, clause, headers: { Connection: "close" } };
}

function tooManyFields(count: number): Refused {
  const problem = `there are ${count} header fields or more, where ${MAX_FIELDS} are allowed`;
  const headers = { Connection: "close" };
  return { accepted: false, reason: "headers", status: 431, problem, clause: "RFC 6585 5", headers };
}

// A 426 response must name the protocol (RFC 9110 section 15.5.22) and the version (RFC 6455 section 4.4).
function upgradeRequired(reason: "httpVersion" | "upgrade" | "version", problem: string, clause: string): Refused {
  const headers = { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" };
  return { accepted: false, reason, status: 426, problem, clause, headers };
}

/** The server's judgement of an opening handshake's request (RFC 6455 section 4.2.1). */

import { parseExtensions, type ReceivedExtension } from "./extension.js";
import { names, parseTokens, parseUpgrade } from "./header.js";
import { authorityOf } from "./origin.js";
import { type UpgradeFields, upgradeFields } from "./upgrade-fields.js";

/** A request's head, as node:http gives it. */
export interface RequestFacts {
  readonly method: string;
  /** Such as `1.1`. */
  readonly httpVersion: string;
  /** The request-target as received. */
  readonly target: string;
  /** Name, value, name, value; values without the white space around them. */
  readonly rawHeaders: readonly string[];
}

/** The request asks for a WebSocket, and breaks no rule. Whether it gets one is still to be decided: path, origin, room. */
export interface Accepted {
  readonly accepted: true;
  /** As received: nothing in it is decoded or normalised. */
  readonly path: string;
  /** What follows the first question mark; empty if there is none. */
  readonly query: string;
  /** The authority that the request was made to, as received. */
  readonly host: string;
  readonly origin: string | undefined;
  /** The subprotocols that the client speaks, in the order of its preference. */
  readonly protocols: readonly string[];
  /** The extensions that the client offers, in the order of its preference. */
  readonly extensions: readonly ReceivedExtension[];
  readonly key: string;
  /** Whether `100 Continue` must be sent before the 101, RFC 9110 section 7.8. */
  readonly expectsContinue: boolean;
}

/** The answer to a request that cannot become a WebSocket. The connection is to be closed behind it. */
export interface Refused {
  readonly accepted: false;
  readonly status: 400 | 405 | 426 | 431;
  /** One sentence without its full stop. */
  readonly problem: string;
  /** The clause that was broken. */
  readonly clause: string;
  /** The fields that the answer must carry. */
  readonly headers: Readonly<Record<string, string>>;
}

// Sixteen octets are 21 characters, two bits in another, and the padding. Those two bits are not looked into: the RFC's
// grammar does not, and the key is used as it was written.
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const AT_LEAST_1_1 = /^(?:1\.[1-9]|[2-9]\.[0-9])$/;
const ABSOLUTE_FORM = /^(?:https?|wss?):\/\//i;
const NOT_TARGET = /[^\x21-\x7e]|#/;

// Of more than 2,000 fields node:http drops the rest without a word, and with them a Content-Length or an Origin.
const MOST_FIELDS = 1_000;

/** Judges a request by everything that has nothing to do with what the server is for. Throws nothing, whatever came. */
export function judgeRequest(request: RequestFacts): Accepted | Refused {
  if (request.method !== "GET") {
    const headers = { Allow: "GET", Connection: "close" };
    return { accepted: false, status: 405, problem: "the method is not GET", clause: "RFC 6455 4.2.1", headers };
  }
  const count = request.rawHeaders.length / 2;
  if (count > MOST_FIELDS) return tooMany(count);
  const fields = upgradeFields(request.rawHeaders);
  if (fields === undefined) return bad("a header field is malformed", "RFC 9110 5.5");
  // HTTP/1.0 knows no Upgrade: the field is to be ignored, and what is left is a plain request.
  if (!AT_LEAST_1_1.test(request.httpVersion)) return upgradeRequired("HTTP is older than 1.1", "RFC 9110 7.8");
  const { host } = fields;
  if (host === undefined || fields.hosts !== 1) return bad("there is not exactly one Host field", "RFC 9112 3.2");
  if (authorityOf(host, "http") === undefined) return bad("the Host field is invalid", "RFC 9112 3.2");
  const target = parseTarget(request.target, host);
  if (target === undefined) return bad("the request-target is neither a path nor a URL", "RFC 9112 3.2");
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
  // RFC 9112 section 3.2.2: a request-target in absolute form overrules the Host field.
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

// What nearly everybody says is known without a parser.
const UPGRADE: readonly string[] = ["Upgrade"];
const WEBSOCKET: readonly string[] = ["websocket"];

function judgeUpgrade({ connection = "", upgrade = "", version, key }: UpgradeFields): Refused | undefined {
  const options = connection === "Upgrade" ? UPGRADE : parseTokens(connection);
  if (options === undefined) return bad("the Connection field is malformed", "RFC 9110 7.6.1");
  const protocols = upgrade === "websocket" ? WEBSOCKET : parseUpgrade(upgrade);
  if (protocols === undefined) return bad("the Upgrade field is malformed", "RFC 9110 7.8");
  if (!names(protocols, "websocket")) return upgradeRequired("Upgrade does not name websocket", "RFC 6455 4.2.1");
  if (!names(options, "upgrade")) return upgradeRequired("Connection does not name Upgrade", "RFC 6455 4.2.1");
  // Of two lines, whatever they say, neither of these can be made.
  if (version !== "13") return upgradeRequired("Sec-WebSocket-Version is not 13, once", "RFC 6455 4.2.2");
  if (key === undefined || !KEY.test(key)) {
    return bad("Sec-WebSocket-Key is not 16 octets in base64, once", "RFC 6455 4.2.1");
  }
  return undefined;
}

// RFC 9110 section 7.8: the protocol changes behind the whole request. What follows a request that has a body would be
// taken for frames by one and for the body by another who stands between.
function judgeBody({ contentLength, transferEncoding }: UpgradeFields): Refused | undefined {
  const empty = (contentLength === undefined || /^0+$/.test(contentLength)) && transferEncoding === undefined;
  return empty ? undefined : bad("the request has a body", "RFC 9110 7.8");
}

function judgeOffers(fields: UpgradeFields, target: Target): Accepted | Refused {
  const { protocol } = fields;
  const protocols = protocol === undefined ? [] : parseTokens(protocol);
  if (protocols === undefined || (protocol !== undefined && protocols.length === 0)) {
    return bad("Sec-WebSocket-Protocol is no list of tokens", "RFC 6455 4.3");
  }
  if (protocols.length > 1 && new Set(protocols).size < protocols.length) {
    return bad("Sec-WebSocket-Protocol names a subprotocol twice", "RFC 6455 4.1");
  }
  const extensions = fields.extensions === undefined ? [] : parseExtensions(fields.extensions);
  if (extensions === undefined) return bad("Sec-WebSocket-Extensions is malformed", "RFC 6455 9.1");
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

// Each refusal ends the connection: an intermediary that read it as consent would go on passing bytes that nobody judges.
function bad(problem: string, clause: string): Refused {
  return { accepted: false, status: 400, problem, clause, headers: { Connection: "close" } };
}

function tooMany(count: number): Refused {
  const problem = `there are ${count} header fields or more, where ${MOST_FIELDS} are allowed`;
  return { accepted: false, status: 431, problem, clause: "RFC 6585 5", headers: { Connection: "close" } };
}

// RFC 9110 section 15.5.22 has a 426 name the protocol, RFC 6455 section 4.4 the version.
function upgradeRequired(problem: string, clause: string): Refused {
  const headers = { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" };
  return { accepted: false, status: 426, problem, clause, headers };
}

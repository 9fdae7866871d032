/** Validates the response of an opening handshake on the client (RFC 6455 section 4.1). */

import { type Extension, parseExtensions, type ReceivedExtension } from "./extension.ts";
import { type FieldLines, fieldLines, includesToken, joinedLines, parseTokens } from "./header.ts";

/** The head of a response, and the relevant contents of the request. */
export interface ResponseFacts {
  readonly status: number;
  /** Names and values in turn, in the form of node:http: name, value, name, value. Values have no white space around them. */
  readonly rawHeaders: readonly string[];
  /** The expected Sec-WebSocket-Accept: `acceptKey` of the key in the request. */
  readonly accept: string;
  /** The subprotocols in the request. */
  readonly protocols: readonly string[];
  /** The extensions in the request. */
  readonly extensions: readonly Extension[];
}

/** The response is valid: the connection is open. */
export interface Agreement {
  readonly agreed: true;
  /** The subprotocol in use; empty if the server chose none. */
  readonly protocol: string;
  /** The extensions in use. The code of each extension must check whether the parameters match the offer. */
  readonly extensions: readonly ReceivedExtension[];
}

/** The response is invalid: the connection must not be used. */
export interface Disagreement {
  readonly agreed: false;
  /** One sentence without its full stop. */
  readonly problem: string;
  /** The violated clause. Undefined if none was violated: the server refused the request. */
  readonly clause: string | undefined;
}

/**
 * Checks the final response. Never throws, for any input. Ignores Content-Length and Transfer-Encoding, as RFC 9112 section 6.3
 * requires: a server must not send them with a 101, but a 101 response always ends at its empty line.
 */
export function judgeResponse(response: ResponseFacts): Agreement | Disagreement {
  if (response.status !== 101) return disagreement(`the server answered ${response.status}`);
  const lines = fieldLines(response.rawHeaders);
  if (lines === undefined) return disagreement("a header field is malformed", "RFC 9110 5.5");
  // A single value, not a list: a connection cannot change to two protocols.
  const upgrade = singleValue(lines, "upgrade");
  if (upgrade?.toLowerCase() !== "websocket") return disagreement("Upgrade is not websocket", "RFC 6455 4.1");
  if (!includesToken(parseTokens(joinedLines(lines, "connection") ?? "") ?? [], "upgrade")) {
    return disagreement("Connection does not name Upgrade", "RFC 6455 4.1");
  }
  if (singleValue(lines, "sec-websocket-accept") !== response.accept) {
    return disagreement("Sec-WebSocket-Accept is not the answer to the key", "RFC 6455 4.1");
  }
  const protocol = singleValue(lines, "sec-websocket-protocol", "");
  if (protocol === undefined) return disagreement("Sec-WebSocket-Protocol is repeated", "RFC 6455 11.3.4");
  if (lines.has("sec-websocket-protocol") && !response.protocols.includes(protocol)) {
    return disagreement("the server chose a subprotocol that was not offered", "RFC 6455 4.1");
  }
  const extension = singleValue(lines, "sec-websocket-extensions", "");
  if (extension === undefined) return disagreement("Sec-WebSocket-Extensions is repeated", "RFC 6455 11.3.2");
  const extensions = lines.has("sec-websocket-extensions") ? parseExtensions(extension) : [];
  if (extensions === undefined) return disagreement("Sec-WebSocket-Extensions is malformed", "RFC 6455 9.1");
  const chosen = extensions.map(({ name }) => name);
  const offered = new Set(response.extensions.map(({ name }) => name));
  if (!chosen.every((name) => offered.has(name))) {
    return disagreement("the server chose an extension that was not offered", "RFC 6455 4.1");
  }
  // If the client offers an extension several times, the server may accept only one of these offers: RFC 7692 section 5 forbids
  // two extensions that use the same bit.
  if (new Set(chosen).size < chosen.length) return disagreement("the server chose an extension twice", "RFC 7692 5");
  return { agreed: true, protocol, extensions };
}

/** The value of a field that may appear only once. Returns `absent` if the field is missing, undefined if it is repeated. */
function singleValue(lines: FieldLines, name: string, absent?: string): string | undefined {
  const values = lines.get(name);
  if (values === undefined) return absent;
  return values.length === 1 ? values[0] : undefined;
}

function disagreement(problem: string, clause?: string): Disagreement {
  return { agreed: false, problem, clause };
}

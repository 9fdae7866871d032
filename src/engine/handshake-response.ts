/** The client's judgement of an opening handshake's response (RFC 6455 section 4.1). */

import { type Extension, parseExtensions, type ReceivedExtension } from "./extension.js";
import { type FieldLines, fieldLines, joined, names, parseTokens } from "./header.js";

/** A response's head, and what was asked for. */
export interface ResponseFacts {
  readonly status: number;
  /** Name, value, name, value, as node:http gives them; values without the white space around them. */
  readonly rawHeaders: readonly string[];
  /** The only right Sec-WebSocket-Accept: `acceptKey` of the key that was sent. */
  readonly accept: string;
  /** The subprotocols that were offered. */
  readonly protocols: readonly string[];
  /** The extensions that were offered. */
  readonly extensions: readonly Extension[];
}

/** The connection is open. */
export interface Agreement {
  readonly agreed: true;
  /** The subprotocol in use; empty if the server chose none. */
  readonly protocol: string;
  /** The extensions in use. Whether their parameters answer what was offered is for each extension to judge. */
  readonly extensions: readonly ReceivedExtension[];
}

/** The connection must not be used. */
export interface Disagreement {
  readonly agreed: false;
  /** One sentence without its full stop. */
  readonly problem: string;
  /** The clause that was broken. */
  readonly clause: string;
}

/**
 * Judges the final response. Throws nothing, whatever came. Content-Length and Transfer-Encoding are passed over, as
 * RFC 9112 section 6.3 has it: a server must not send them, but a 101 ends with its empty line whatever it carries.
 */
export function judgeResponse(response: ResponseFacts): Agreement | Disagreement {
  if (response.status !== 101) return no(`the server answered ${response.status}`, "RFC 6455 4.1");
  const lines = fieldLines(response.rawHeaders);
  if (lines === undefined) return no("a header field is malformed", "RFC 9110 5.5");
  // One value and not a list: the connection cannot have become two protocols.
  const upgrade = only(lines, "upgrade");
  if (upgrade?.toLowerCase() !== "websocket") return no("Upgrade is not websocket", "RFC 6455 4.1");
  if (!names(parseTokens(joined(lines, "connection") ?? "") ?? [], "upgrade")) {
    return no("Connection does not name Upgrade", "RFC 6455 4.1");
  }
  if (only(lines, "sec-websocket-accept") !== response.accept) {
    return no("Sec-WebSocket-Accept does not answer the key, once", "RFC 6455 4.1");
  }
  const protocol = only(lines, "sec-websocket-protocol", "");
  if (protocol === undefined) return no("Sec-WebSocket-Protocol came more than once", "RFC 6455 11.3.4");
  if (lines.has("sec-websocket-protocol") && !response.protocols.includes(protocol)) {
    return no("the server chose a subprotocol that was not offered", "RFC 6455 4.1");
  }
  const extension = only(lines, "sec-websocket-extensions", "");
  if (extension === undefined) return no("Sec-WebSocket-Extensions came more than once", "RFC 6455 11.3.2");
  const extensions = lines.has("sec-websocket-extensions") ? parseExtensions(extension) : [];
  if (extensions === undefined) return no("Sec-WebSocket-Extensions is malformed", "RFC 6455 9.1");
  const chosen = extensions.map(({ name }) => name);
  const offered = new Set(response.extensions.map(({ name }) => name));
  if (!chosen.every((name) => offered.has(name))) {
    return no("the server chose an extension that was not offered", "RFC 6455 4.1");
  }
  // Of several offers of one extension the server picks one: RFC 7692 section 5 has no two on the same bit.
  if (new Set(chosen).size < chosen.length) return no("the server chose an extension twice", "RFC 7692 5");
  return { agreed: true, protocol, extensions };
}

/** The value of a field that may come once: `absent` if it did not come, undefined if it came more often. */
function only(lines: FieldLines, name: string, absent?: string): string | undefined {
  const values = lines.get(name);
  if (values === undefined) return absent;
  return values.length === 1 ? values[0] : undefined;
}

function no(problem: string, clause: string): Disagreement {
  return { agreed: false, problem, clause };
}

/** Parses and formats addresses: URLs with the schemes ws, wss, tcp and tls, each also for a unix socket. */

import { joinHostPort } from "../base/host-port.ts";

/** A parsed address. */
export interface Address {
  readonly protocol: "websocket" | "tcp";
  readonly secure: boolean;
  /** Empty for all interfaces. An IPv6 address has no brackets here. */
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket. If set, it replaces `host` and `port`. */
  readonly socketPath: string | undefined;
  /** The path of the request with its query. `/` if the URL has no path. */
  readonly path: string;
}

const SCHEME = /^(wss?|tcp|tls)(\+unix)?:/;
// `ws://:9000` means all interfaces, as in Go. `new URL` rejects it, because a ws URL must have a host.
const NO_HOST = /^(\w+:\/\/)(?=:\d)/;
const NO_FRAGMENT = "a fragment means nothing here (RFC 6455 3)";

/** Parses `url`. Throws a TypeError that says what is expected if `url` is not a valid address. */
export function parseAddress(url: string | URL): Address {
  const text = String(url);
  const [, kind, unix] = SCHEME.exec(text.toLowerCase()) ?? [];
  if (kind === undefined) throw badAddress(text, "expected ws:, wss:, tcp: or tls:, or one of them with +unix");
  const protocol = kind.startsWith("ws") ? "websocket" : "tcp";
  const secure = kind === "wss" || kind === "tls";
  if (unix !== undefined) return { protocol, secure, ...unixSocket(text, protocol) };
  let parsed: URL;
  try {
    parsed = new URL(text.replace(NO_HOST, "$1any"));
  } catch {
    throw badAddress(text, "expected a URL such as ws://127.0.0.1:9000/path");
  }
  if (parsed.username !== "" || parsed.password !== "")
    throw badAddress(text, "credentials belong in an Authorization header");
  if (parsed.hash !== "") throw badAddress(text, NO_FRAGMENT);
  const host = NO_HOST.test(text) ? "" : parsed.hostname.replace(/^\[|\]$/g, "");
  const path = `${parsed.pathname || "/"}${parsed.search}`;
  if (protocol === "tcp" && path !== "/") throw badAddress(text, "a TCP address has no path");
  if (protocol === "tcp" && parsed.port === "") throw badAddress(text, "expected a port");
  const port = parsed.port === "" ? (secure ? 443 : 80) : Number(parsed.port);
  return { protocol, secure, host, port, socketPath: undefined, path };
}

/**
 * Parses an address such as `ws+unix:///run/app.sock:/path`. The path of the request follows the colon. Percent-encoded characters
 * of the socket's path are decoded, because a URL object encodes spaces and other characters.
 */
function unixSocket(text: string, protocol: "websocket" | "tcp"): Omit<Address, "protocol" | "secure"> {
  const rest = text.slice(text.indexOf(":") + 1).replace(/^\/\//, "");
  const [encoded = ""] = rest.split(":", 1);
  const path = rest.slice(encoded.length + 1) || "/";
  const socketPath = decoded(encoded);
  if (socketPath === undefined) throw badAddress(text, "a % in the path of a socket is written %25");
  if (socketPath === "" || !path.startsWith("/") || (protocol === "tcp" && path !== "/")) {
    throw badAddress(text, "expected the path of a socket, such as ws+unix:///run/app.sock:/path");
  }
  // `new URL` escapes or removes the characters that a request must not contain, as for the other addresses.
  const { pathname, search, hash } = new URL(`ws://localhost${path}`);
  if (hash !== "") throw badAddress(text, NO_FRAGMENT);
  return { host: "localhost", port: 0, socketPath, path: pathname + search };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Formats an address as a URL. `port` is the bound port if the address has port 0. */
export function formatAddress(address: Address, port: number = address.port): string {
  const scheme = address.protocol === "tcp" ? (address.secure ? "tls" : "tcp") : address.secure ? "wss" : "ws";
  const path = address.path === "/" ? "" : address.path;
  if (address.socketPath !== undefined) {
    // The characters that would end the path, or that a URL object would change.
    const socketPath = address.socketPath.replaceAll(/[%:?#\s]/g, encodeURIComponent);
    return `${scheme}+unix://${socketPath}${path && `:${path}`}`;
  }
  return `${scheme}://${joinHostPort(address.host, port)}${path}`;
}

/**
 * Creates the error for an invalid address. Applications write error messages to logs, so the message hides the credentials: all
 * text that a URL parser could read as credentials.
 */
export function badAddress(text: string, expected: string): TypeError {
  const shown = text.replace(/^(\s*[a-z][a-z0-9+.-]*:[/\\]*)?.*@/is, "$1***@");
  return new TypeError(`Cannot use address ${JSON.stringify(shown)}: ${expected}`);
}

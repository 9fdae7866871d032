/** Addresses are URLs: ws, wss, tcp and tls, each also over a unix socket. */

/** An address taken apart. */
export interface Address {
  readonly protocol: "websocket" | "tcp";
  readonly secure: boolean;
  /** Empty for every interface. An IPv6 address has no brackets here. */
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket, which then stands for host and port. */
  readonly socketPath: string | undefined;
  /** The path of the request, with its query; `/` if none was given. */
  readonly path: string;
}

const SCHEME = /^(wss?|tcp|tls)(\+unix)?:/;
// `ws://:9000`, every interface, as Go writes it: no URL, since ws has to have a host.
const NO_HOST = /^(\w+:\/\/)(?=:\d)/;
const NO_FRAGMENT = "a fragment means nothing here (RFC 6455 3)";

/** Takes `url` apart; TypeError with what was expected if it is no address. */
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

/** `ws+unix:///run/app.sock:/path`: the path of the request stands behind a colon. */
function unixSocket(text: string, protocol: "websocket" | "tcp"): Omit<Address, "protocol" | "secure"> {
  const rest = text.slice(text.indexOf(":") + 1).replace(/^\/\//, "");
  const [socketPath = ""] = rest.split(":", 1);
  const path = rest.slice(socketPath.length + 1) || "/";
  if (socketPath === "" || !path.startsWith("/") || (protocol === "tcp" && path !== "/")) {
    throw badAddress(text, "expected the path of a socket, such as ws+unix:///run/app.sock:/path");
  }
  // What may not stand in a request is escaped or left out, as in every other URL.
  const { pathname, search, hash } = new URL(`ws://localhost${path}`);
  if (hash !== "") throw badAddress(text, NO_FRAGMENT);
  return { host: "localhost", port: 0, socketPath, path: pathname + search };
}

/** The address as a URL again, with the port that it got. */
export function formatAddress(address: Address, port: number = address.port): string {
  const scheme = address.protocol === "tcp" ? (address.secure ? "tls" : "tcp") : address.secure ? "wss" : "ws";
  const path = address.path === "/" ? "" : address.path;
  if (address.socketPath !== undefined) return `${scheme}+unix://${address.socketPath}${path && `:${path}`}`;
  return `${scheme}://${hostPort(address.host, port)}${path}`;
}

/** Host and port as they stand in a URL. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The error for an address that is none. Messages end in logs, so credentials are left out, wherever a URL would find them. */
export function badAddress(text: string, expected: string): TypeError {
  const shown = text.replace(/^(\s*[a-z][a-z0-9+.-]*:[/\\]*)?.*@/is, "$1***@");
  return new TypeError(`Cannot use address ${JSON.stringify(shown)}: ${expected}`);
}

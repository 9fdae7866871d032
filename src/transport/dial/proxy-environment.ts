/** Chooses the proxy of a destination by the environment variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. */

import { BlockList, isIP } from "node:net";
import { judgeOptions } from "../../base/judge.ts";
import type { DialDestination, Dialer } from "./dialer.ts";
import { httpProxy } from "./http-proxy.ts";
import { socksProxy } from "./socks-proxy.ts";

/**
 * Returns a value of the option `dial`: connections are opened through the proxy that the environment names, or directly if it
 * names none. The variables are read once, at this call; their names are accepted in lower and in upper case, lower case first.
 *
 * - `HTTP_PROXY` is for `ws:`, `HTTPS_PROXY` for `wss:`. `ALL_PROXY` is for both if the other one is not set, and for `tcp:` and
 *   `tls:`. The value is a URL as in `httpProxy` or `socksProxy`; without a scheme it is an http: URL. In a CGI program (`REQUEST_METHOD` is set)
 *   `HTTP_PROXY` in upper case is ignored, because there it is the `Proxy` field of a request.
 * - `NO_PROXY` lists the servers to which connections are opened directly, separated by commas or spaces: `example.com` (also its
 *   subdomains), `.example.com` or `*.example.com` (only the subdomains), an IP address, a network as `10.0.0.0/8` or `fd00::/8`,
 *   each also with a port (`example.com:8080`, `[::1]:8080`), and `*` for all servers. Names are compared as text: they are
 *   not resolved.
 * - Loopback addresses and `localhost` are always opened directly, and unix sockets too.
 *
 * If the variable of a destination has another value, such as a socks4: URL, `connect` rejects in phase `proxy`.
 *
 * @example
 * const connection = await connect("wss://example.com/live", { dial: proxyFromEnvironment() });
 */
export function proxyFromEnvironment(environment: Readonly<Record<string, string | undefined>> = process.env): Dialer {
  judgeOptions(environment, "environment");
  const read = (name: string): string | undefined => {
    const upper = name === "http_proxy" && environment["REQUEST_METHOD"] ? undefined : environment[name.toUpperCase()];
    return environment[name] || upper || undefined;
  };
  const dialerOf = (name: string): Dialer | undefined => {
    const value = read(name);
    if (value === undefined) return undefined;
    try {
      if (/^socks5h?:/i.test(value)) return socksProxy(value);
      return httpProxy(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
    } catch {
      // Thrown when the variable is needed: programs that need another one are not affected. Without the value, because it can
      // contain a password.
      return () => {
        throw new TypeError(`Cannot use ${name.toUpperCase()}: expected a URL such as http://gateway.example:8080`);
      };
    }
  };
  const all = dialerOf("all_proxy");
  const plain = dialerOf("http_proxy") ?? all;
  const secure = dialerOf("https_proxy") ?? all;
  const exceptions = (read("no_proxy") ?? "")
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(parseException);
  return (destination, attempt) => {
    const dialer = destination.kind === "tcp" ? all : destination.secure ? secure : plain;
    if (dialer === undefined || destination.socketPath !== undefined) return undefined;
    const host = destination.host.toLowerCase().replace(/\.$/, "");
    if (isLoopback(host) || exceptions.some((matches) => matches(host, destination.port))) return undefined;
    return dialer(destination, attempt);
  };
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || includes(LOOPBACK, host);
}

function includes(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 4 ? "ipv4" : "ipv6");
}

/** Whether an entry of NO_PROXY is for this server. */
type Exception = (host: DialDestination["host"], port: number) => boolean;

function parseException(entry: string): Exception {
  if (entry === "*") return () => true;
  // A port follows a name, an IPv4 address, or an IPv6 address in brackets.
  const [, inBrackets, beforePort, digits] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  const pattern = inBrackets ?? beforePort ?? entry.toLowerCase();
  const matches = parseHost(pattern);
  return (host, port) => (digits === undefined || port === Number(digits)) && matches(host);
}

function parseHost(pattern: string): (host: string) => boolean {
  const [address = "", size] = pattern.split("/");
  const family = isIP(address);
  if (family !== 0) {
    const list = new BlockList();
    const bits = size === undefined ? (family === 4 ? 32 : 128) : Number(size);
    const valid = Number.isInteger(bits) && bits >= 0 && bits <= (family === 4 ? 32 : 128) && size !== "";
    if (!valid) return () => false;
    list.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
    return (host) => includes(list, host);
  }
  const [, subdomainsOnly, name = ""] = /^(\*?\.)?(.*?)\.?$/.exec(pattern) ?? [];
  return (host) =>
    name !== "" && isIP(host) === 0 && ((subdomainsOnly === undefined && host === name) || host.endsWith(`.${name}`));
}

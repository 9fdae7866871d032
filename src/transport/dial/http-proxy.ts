/** Opens connections through an HTTP proxy, with the method CONNECT. */

import { isUrl, kindOf } from "../../base/forms.ts";
import { joinHostPort } from "../../base/host-port.ts";
import { judgeNames, judgeOptions } from "../../base/judge.ts";
import { type ExtraHeaders, extraFields, type HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import { answerProblem } from "../http/client.ts";
import { requestTunnel } from "../http/tunnel.ts";
import type { TlsDialOptions } from "../node-types.ts";
import { tlsProblem } from "../tls-problem.ts";
import type { Dialer } from "./dialer.ts";

/** Options of `httpProxy`. */
export interface HttpProxyOptions {
  /** Additional header fields of the CONNECT request. @default {} */
  readonly headers?: ExtraHeaders | undefined;
  /** Options of `node:tls` for a proxy with an https: URL. They do not apply to the TLS of the server. @default {} */
  readonly tls?: TlsDialOptions | undefined;
}

/**
 * Returns a value of the option `dial`: connections are opened through an HTTP proxy, with the method CONNECT. The proxy resolves
 * the name of the server. TLS of `wss:` and `tls:` is between this side and the server, so the proxy cannot read it.
 *
 * `proxy` is an http: or https: URL, as in `http://user:password@gateway.example:8080`. The ports are 80 and 443 by default.
 * Credentials are sent to the proxy (`Proxy-Authorization: Basic`). Throws TypeError for any other URL.
 *
 * If the proxy refuses, `connect` rejects with a HandshakeError in phase `proxy` that has the `status`, `headers` and `body` of the
 * answer.
 *
 * @example
 * const connection = await connect("wss://example.com/live", { dial: httpProxy("http://gateway.example:8080") });
 */
export function httpProxy(proxy: string | URL, options: HttpProxyOptions = {}): Dialer {
  judgeOptions(options);
  judgeNames(Object.keys(options), (name) => name === "headers" || name === "tls");
  const { headers = {}, tls = {} } = options;
  judgeOptions(tls, "tls");
  const { host, port, secure, credentials } = parseProxy(proxy);
  const own = extraFields(headers);
  return async (destination, { open, signal }) => {
    if (destination.socketPath !== undefined) throw new TypeError("Cannot reach a unix socket through a proxy");
    const name = joinHostPort(destination.host, destination.port);
    const socket = await open({ host, port, tls: secure ? tls : undefined }).catch((error: Error) => {
      throw secure ? withWords(error, tlsProblem(error, "proxy")) : error;
    });
    await requestTunnel(socket, name, [["Host", name], ...credentials, ...own], signal).catch((error: Error) => {
      throw withWords(error, answerProblem(error, secure, ["proxy", "https:"]));
    });
    return socket;
  };
}

/** Returns an error with the same code that says in words what failed, or `error` itself if there are none. */
function withWords(error: NodeJS.ErrnoException, words: string | undefined): Error {
  return words === undefined ? error : Object.assign(new Error(words, { cause: error }), { code: error.code });
}

interface Proxy {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly credentials: HeaderFields;
}

/** Throws TypeError if `proxy` is not an http: or https: URL without a path. */
function parseProxy(proxy: unknown): Proxy {
  if (typeof proxy !== "string" && !isUrl(proxy))
    throw new TypeError(`Cannot use proxy: expected a URL, got ${kindOf(proxy)}`);
  try {
    const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(String(proxy));
    const secure = protocol === "https:";
    if ((secure || protocol === "http:") && pathname + search + hash === "/") {
      const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      return {
        host: hostname.replace(/^\[|\]$/g, ""),
        port: port === "" ? (secure ? 443 : 80) : Number(port),
        secure,
        // RFC 7617 section 2.
        credentials: login === ":" ? [] : [["Proxy-Authorization", `Basic ${Buffer.from(login).toString("base64")}`]],
      };
    }
  } catch {
    // Reported below, without the value: it can contain a password.
  }
  throw new TypeError("Cannot use proxy: expected a URL such as http://user:password@gateway.example:8080");
}

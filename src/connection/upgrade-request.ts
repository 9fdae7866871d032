/** Defines the request of an opening handshake, as the application of a server sees it. */

import type { PathParams } from "../engine/handshake/path-pattern.ts";
import type { DetailedPeerCertificate, IncomingMessage } from "../transport/node-types.ts";

/** The TLS session of a request. Read it before the connection has ended: after that there is no session. */
export interface RequestTls {
  /** The server name that the client asked for (SNI). Undefined if it named none. */
  readonly serverName: string | undefined;
  /** The protocol that ALPN agreed on, such as `http/1.1`. Undefined if there was no ALPN. */
  readonly alpnProtocol: string | undefined;
  /** The version of TLS, such as `TLSv1.3`. */
  readonly version: string | undefined;
  /** The certificate of the client. Undefined if it sent none, which is the case unless `tls.requestCert` is set. */
  readonly peerCertificate: DetailedPeerCertificate | undefined;
  /** True if the client's certificate was verified with `tls.ca`. */
  readonly authorized: boolean;
}

/**
 * A request to open a WebSocket. `authorize`, the `open` hook and the handler get the same object. The connection does not keep
 * it. So its memory, about the size of the request, is free as soon as the application keeps no reference to it; a running
 * handler that names it as a parameter is such a reference.
 */
export interface UpgradeRequest<Names extends string = string> {
  /** The path as received, without the query. */
  readonly path: string;
  /** The values of the parameters of the path pattern, such as `room` of `/rooms/:room`, decoded. */
  readonly params: PathParams<Names>;
  /** The text after the question mark. Empty if there is none. */
  readonly query: string;
  /** The host to which the request is addressed, with the port if the request names it. */
  readonly host: string;
  /** The `Origin` field. Undefined if the request has none. */
  readonly origin: string | undefined;
  /** The subprotocols that the client offers, in its order of preference. */
  readonly protocols: readonly string[];
  /** All header fields by name in lower case. Several lines of one field are joined with `, `, those of Cookie with `; `. */
  readonly headers: Readonly<Record<string, string>>;
  /** The IP address of the client. Empty on a unix socket. */
  readonly remoteAddress: string;
  /** The port of the client. Undefined if it is not known. */
  readonly remotePort: number | undefined;
  /** True if the connection is encrypted with TLS. */
  readonly secure: boolean;
  /** The TLS session. Undefined without TLS. */
  readonly tls: RequestTls | undefined;
  /**
   * The request of node:http, for code that works on it, such as express-session or passport. Undefined if this library read the
   * request itself: always under `listen`.
   */
  readonly raw: IncomingMessage | undefined;
  /**
   * While `authorize` is pending, aborts when the client leaves, after `openTimeout`, or when the server closes. The result of
   * `authorize` is then ignored. Does not abort later: that is what `connection.signal` is for.
   */
  readonly signal: AbortSignal;
}

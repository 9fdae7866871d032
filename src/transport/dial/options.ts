/** The options of `connect` that decide how the stream to the server is opened, with their validation. */

import { isIP } from "node:net";
import { kindOf } from "../../base/forms.ts";
import { judgeFunction, judgeString } from "../../base/judge.ts";
import type { Duplex, LookupFunction } from "../node-types.ts";
import type { DialAddress } from "./dial.ts";
import { type Dialer, isDuplex } from "./dialer.ts";
import type { DialRoute } from "./lookup.ts";

/** How the stream to the server is opened. */
export interface DialOptions {
  /**
   * Opens the stream to the server, in place of a TCP connection: through a proxy (`httpProxy`, `socksProxy`,
   * `proxyFromEnvironment`), an SSH tunnel, or after STARTTLS. A function is called for each attempt. An open Duplex, such as a socket or one end of
   * a tunnel, is used once; if `connect` rejects, it is destroyed. TLS of `wss:` and `tls:` runs on the stream. The time that it
   * takes counts for `openTimeout`. WebSockets to one host name open one after the other (`maxConnecting`).
   * @default a TCP connection or a unix socket
   */
  readonly dial?: Dialer | Duplex | undefined;
  /**
   * Resolves the host name, with the signature of `dns.lookup`. It is called with `all: true`, and every result must be an IP
   * address. It is not called for an IP address in the URL: to check these too, use `dial`.
   * @default dns.lookup
   */
  readonly lookup?: LookupFunction | undefined;
  /** Uses only IPv4 (4) or IPv6 (6) addresses of a host name; 0 means both. @default that of `localAddress`, else 0 */
  readonly family?: 0 | 4 | 6 | undefined;
  /** The IP address from which this side connects. @default the system's choice */
  readonly localAddress?: string | undefined;
}

/** Options that were validated. */
export interface SettledDial {
  readonly dialer: Dialer | undefined;
  readonly route: DialRoute;
}

/** Throws TypeError or RangeError for an invalid option. */
export function settleDial(
  { dial, lookup, family, localAddress }: DialOptions,
  { socketPath }: DialAddress,
): SettledDial {
  if (dial !== undefined && typeof dial !== "function" && !isDuplex(dial))
    throw new TypeError(`Cannot use dial: expected a function or a Duplex, got ${kindOf(dial)}`);
  if (lookup !== undefined) judgeFunction("lookup", lookup);
  if (localAddress !== undefined) {
    judgeString("localAddress", localAddress);
    if (isIP(localAddress) === 0)
      throw new TypeError(`Cannot use localAddress ${JSON.stringify(localAddress)}: expected an IP address`);
  }
  if (family !== undefined && typeof family !== "number")
    throw new TypeError(`Cannot use family: expected a number, got ${kindOf(family)}`);
  if (family !== undefined && ![0, 4, 6].includes(family))
    throw new RangeError(`Cannot use family ${family}: expected 0, 4 or 6`);
  if (socketPath !== undefined && dial === undefined) {
    for (const [name, value] of Object.entries({ lookup, family, localAddress })) {
      if (value !== undefined) throw new TypeError(`Cannot use ${name}: a unix socket has no IP address`);
    }
  }
  const own = localAddress === undefined ? 0 : (isIP(localAddress) as 4 | 6);
  if (family && own && family !== own)
    throw new TypeError(`Cannot use family ${family}: localAddress is an address of family ${own}`);
  return {
    dialer: isDuplex(dial) ? () => dial : dial,
    route: { lookup, family: family || own, localAddress },
  };
}

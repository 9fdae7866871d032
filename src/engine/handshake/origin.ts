/** Decides which origins may connect, and compares authorities and origins in the way of browsers (RFC 6454). */

/**
 * The origins that may open a connection.
 *
 * - `"same-host"`: origins with the host and port to which the request is addressed.
 * - `"any"`: all origins.
 * - A list: the listed origins, such as `https://example.org`.
 * - A function: origins for which it returns exactly `true`. `origin` is undefined if the request has no `Origin` field.
 *
 * With each form except a function, a request without an `Origin` field is allowed: every browser sends the field, and other
 * clients can send any value (RFC 6455 section 4.2.1, 7).
 */
export type OriginPolicy =
  | "same-host"
  | "any"
  | readonly string[]
  | ((origin: string | undefined, host: string) => boolean);

// The allowed characters do not include the @ of user information: RFC 9110 section 4.2.4 requires to treat it as an error.
const NOT_AUTHORITY = /[^A-Za-z0-9\-._~!$&'()*+,;=%:[\]]/;
// In characters. RFC 3986 section 3.2.2: a DNS name has at most 255 characters. The longest port is added.
const MAX_AUTHORITY = 255 + ":65535".length;
const SCHEMES: readonly string[] = ["http", "https", "ws", "wss"];

/**
 * Normalises `host[:port]` for comparisons: lower case, ASCII, without the default port of `scheme`. Returns undefined if `host`
 * is not a valid authority.
 */
export function authorityOf(host: string, scheme: string): string | undefined {
  if (last.host !== host || last.scheme !== scheme) last = { host, scheme, authority: parseAuthority(host, scheme) };
  return last.authority;
}

// A cache of one entry. Nearly all requests to a server have the same authority, and parsing a URL takes longer than all other
// checks of a request.
let last: { readonly host: string; readonly scheme: string; readonly authority: string | undefined } = {
  host: "",
  scheme: "",
  authority: undefined,
};

function parseAuthority(host: string, scheme: string): string | undefined {
  if (host === "" || host.length > MAX_AUTHORITY || NOT_AUTHORITY.test(host)) return undefined;
  try {
    return new URL(`${scheme}://${host}`).host;
  } catch {
    return undefined;
  }
}

/**
 * True if a request with this `Origin` field may become a connection (RFC 6455 section 10.2). Malformed input is refused and
 * never throws. If the policy is a function and throws, the error propagates to the caller.
 *
 * With each policy except a function, a missing origin is allowed: every browser sends one, and other clients can send any value
 * (RFC 6455 section 4.2.1, 7). `host` has no scheme: if it has no port, its port is the default port of the origin's scheme.
 */
export function originAllowed(origin: string | undefined, host: string, policy: OriginPolicy): boolean {
  // Exactly `true`, not a truthy value: an async function returns a promise, which is truthy even if it resolves with false.
  if (typeof policy === "function") return policy(origin, host) === true;
  if (policy === "any" || origin === undefined) return true;
  const given = parseOrigin(origin);
  if (policy === "same-host") return given !== undefined && given.authority === authorityOf(host, given.scheme);
  // Some origins have no authority: `null` of a sandboxed page, or the origin of a browser extension. They are allowed if the
  // list contains exactly the same text.
  return policy.some((allowed) => {
    if (allowed === origin) return true;
    const listed = parseOrigin(allowed);
    return given !== undefined && listed?.scheme === given.scheme && listed.authority === given.authority;
  });
}

function parseOrigin(origin: string): { readonly scheme: string; readonly authority: string } | undefined {
  const colon = origin.indexOf("://");
  const scheme = origin.slice(0, Math.max(colon, 0)).toLowerCase();
  if (!SCHEMES.includes(scheme)) return undefined;
  const authority = authorityOf(origin.slice(colon + 3), scheme);
  return authority === undefined ? undefined : { scheme, authority };
}

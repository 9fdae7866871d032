/** Who may connect: authorities and origins, compared as browsers mean them (RFC 6454). */

/**
 * Which origins may open a connection. `same-host`: those with the host and port that the request was made to.
 * `any`: all. A list: those in it, such as `https://example.org`. A function: as it says, with a strict `true`.
 */
export type OriginPolicy =
  | "same-host"
  | "any"
  | readonly string[]
  | ((origin: string | undefined, host: string) => boolean);

// Without the @ of user information: RFC 9110 section 4.2.4 has it treated as an error.
const NOT_AUTHORITY = /[^A-Za-z0-9\-._~!$&'()*+,;=%:[\]]/;
// RFC 3986 section 3.2.2: a name of the DNS has at most 255 characters. With the longest port behind it:
const LONGEST_AUTHORITY = 255 + ":65535".length;
const SCHEMES: readonly string[] = ["http", "https", "ws", "wss"];

/**
 * `host[:port]` as comparable text: in lower case, in ASCII, without the port that `scheme` has by itself.
 * Undefined if it is none.
 */
export function authorityOf(host: string, scheme: string): string | undefined {
  if (last.host !== host || last.scheme !== scheme) last = { host, scheme, authority: parseAuthority(host, scheme) };
  return last.authority;
}

// Nearly all requests to a server have the same one, and a URL takes longer than the rest of a request.
let last: { readonly host: string; readonly scheme: string; readonly authority: string | undefined } = {
  host: "",
  scheme: "",
  authority: undefined,
};

function parseAuthority(host: string, scheme: string): string | undefined {
  if (host === "" || host.length > LONGEST_AUTHORITY || NOT_AUTHORITY.test(host)) return undefined;
  try {
    return new URL(`${scheme}://${host}`).host;
  } catch {
    return undefined;
  }
}

/**
 * Whether a request with this `Origin` field may become a connection (RFC 6455 section 10.2). Malformed input is refused
 * and throws nothing; what a function given as the policy throws is its caller's.
 *
 * Except by a function, a missing origin is let in: each browser sends one, and everything else can send what it likes
 * (section 4.2.1, 7). `host` has no scheme, so its port, when left out, is the one that the origin's scheme has.
 */
export function originAllowed(origin: string | undefined, host: string, policy: OriginPolicy): boolean {
  // Not merely something true: a promise would be that, whatever it becomes.
  if (typeof policy === "function") return policy(origin, host) === true;
  if (policy === "any" || origin === undefined) return true;
  const given = parseOrigin(origin);
  if (policy === "same-host") return given !== undefined && given.authority === authorityOf(host, given.scheme);
  // Some have no authority: `null` of a sandboxed page, or an extension's. They are let in when listed to the letter.
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

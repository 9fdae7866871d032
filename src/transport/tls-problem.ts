/** Says in words why a TLS handshake failed. Node's errors of TLS have the text of OpenSSL, with its source file and line. */

import { isObject } from "../base/forms.ts";

/** The side that a sentence is about. */
type OtherSide = "server" | "client" | "proxy";

/** The errors of records that are not TLS: the other side speaks another protocol. */
const NO_TLS: readonly string[] = [
  ...["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "BAD_RECORD_TYPE"],
  ...["PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNEXPECTED_RECORD", "NO_PROTOCOLS_AVAILABLE"],
].map((name) => `ERR_SSL_${name}`);

/** Results of the check of the other side's certificate, by Node's code. */
const CERTIFICATES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet; compare the clocks",
  CERT_REVOKED: "was revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "is self-signed, and is not in tls.ca",
  SELF_SIGNED_CERT_IN_CHAIN: "is issued by an authority that is neither trusted by this system nor in tls.ca",
  UNABLE_TO_GET_ISSUER_CERT: "is issued by an authority that is neither trusted by this system nor in tls.ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "is issued by an authority that is neither trusted by this system nor in tls.ca",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "came without that of its issuer, which is neither trusted by this system nor in tls.ca",
};

/** Alerts of the other side (RFC 8446 section 6.2), by number. */
const ALERTS: ReadonlyMap<number, string> = new Map([
  [40, "found no cipher in common, or requires a certificate"],
  ...[42, 43, 44, 45, 46, 48].map((number) => [number, "does not accept the certificate of this side"] as const),
  [70, "has no TLS version in common with this side"],
  [71, "requires stronger ciphers"],
  [112, "has no certificate for this name"],
  [116, "requires a certificate"],
  [120, "has no application protocol (ALPN) in common with this side"],
]);

/**
 * Returns one sentence without its full stop for an error of a TLS handshake. Returns undefined if `error` is not one, or is not
 * known. `other` is the side that the sentence is about.
 */
export function tlsProblem(error: NodeJS.ErrnoException, other: OtherSide): string | undefined {
  const { code = "", message } = error;
  if (code === "ECONNRESET") return `the ${other} ended the connection during the TLS handshake`;
  if (NO_TLS.includes(code)) return `the ${other} does not speak TLS here`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return wrongName(error, other);
  if (Object.hasOwn(CERTIFICATES, code)) return `the certificate of the ${other} ${CERTIFICATES[code]}`;
  const [, alert] = /SSL alert number (\d+)/.exec(message) ?? [];
  if (alert !== undefined) return `the ${other} ${ALERTS.get(Number(alert)) ?? `ended TLS with alert ${alert}`}`;
  if (!code.startsWith("ERR_SSL_")) return undefined;
  const { reason } = error as { readonly reason?: unknown };
  return `TLS failed: ${typeof reason === "string" ? reason : code.slice("ERR_SSL_".length).toLowerCase().replaceAll("_", " ")}`;
}

/** Node's error of a wrong name has the expected name and the certificate. */
function wrongName(error: object, other: OtherSide): string {
  const { host, cert } = error as { readonly host?: unknown; readonly cert?: unknown };
  const { subjectaltname, subject } = isObject(cert) ? cert : {};
  const common = isObject(subject) ? subject["CN"] : undefined;
  const names = typeof subjectaltname === "string" ? subjectaltname.replaceAll(/\b(DNS|IP Address|URI):/g, "") : common;
  return `the certificate of the ${other} is for ${names ?? "another name"}, not for ${host}`;
}

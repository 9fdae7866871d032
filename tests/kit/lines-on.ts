/** For tests that run on addresses of every scheme: framed TCP needs a framing, and a WebSocket takes none. */

/** The framing for an address or a scheme: lines on tcp: and tls:, none on ws: and wss:. */
export function linesOn(address: string): { readonly framing?: "lines" } {
  return address.startsWith("t") ? { framing: "lines" } : {};
}

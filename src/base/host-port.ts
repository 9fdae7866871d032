/** Formats the address of a socket as text. */

/**
 * Formats host and port as in a URL: `127.0.0.1:9000`, `[::1]:9000`. Returns the host alone if there is no port: the path of a unix
 * socket, or nothing.
 */
export function joinHostPort(host: string, port: number | undefined): string {
  if (port === undefined) return host;
  // Joined, because a template string would keep its parts in memory as long as it lives.
  return [host.includes(":") ? `[${host}]` : host, port].join(":");
}

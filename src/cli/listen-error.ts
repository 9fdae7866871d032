/** The error of a command that cannot listen on an address. */

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use; choose another, or 0 for a free one",
  EACCES: "permission denied; ports below 1024 usually need privileges",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "the host name does not resolve",
};

/** `address` is `host:port`. `errno` is the system's name of the error, such as `EADDRINUSE`. */
export function cannotListen(address: string, errno: string | undefined): Error {
  return new Error(`cannot listen on ${address}: ${REASONS[errno ?? ""] ?? "the system refused"} (${errno})`);
}

/** A server of plain TCP or TLS streams, and what every listening server needs. */

import { constants } from "node:crypto";
import { createServer as createTcp, Server as NetServer, type Socket } from "node:net";
import { createServer as createTls, type TlsOptions } from "node:tls";
import { transportError } from "./socket.js";

export interface TcpServerOptions {
  readonly secure: boolean;
  readonly tls: TlsOptions;
  /** How long a peer has for TLS. */
  readonly openTimeout: number;
  /** A TCP connection was accepted; under TLS nothing else can be done with it yet. */
  readonly accepted: (socket: Socket) => void;
  /** A stream is ready for messages. */
  readonly opened: (socket: Socket) => void;
}

/** Makes the server. Its sockets end only by our own FIN, so that what is queued can follow the peer's. */
export function createTcpServer({ secure, tls, openTimeout, accepted, opened }: TcpServerOptions): NetServer {
  if (!secure) {
    return createTcp({ allowHalfOpen: true }, (socket) => {
      accepted(socket);
      opened(socket);
    });
  }
  const server = createTls({ ...serverTls(tls, openTimeout), allowHalfOpen: true }, opened);
  // Node reports the timeout and leaves the socket open.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server.on("connection", accepted);
}

/**
 * What a server tells Node of TLS. Clients may not renegotiate: they could have a server compute for them as often as they
 * like, at hardly any cost of theirs. TLS 1.3 has no such thing any more.
 */
export function serverTls(tls: TlsOptions, openTimeout: number): TlsOptions {
  const secureOptions = (tls.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION;
  return { handshakeTimeout: Math.min(openTimeout, 2 ** 31 - 1), ...tls, secureOptions };
}

/** Where a server listens. */
export interface Place {
  /** Empty for every interface. */
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
}

/** Resolves with the port once `server` listens, or rejects with a TransportError. */
export function bind(
  server: NetServer,
  { host, port, socketPath }: Place,
  backlog: number | undefined,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(transportError(error));
    server.once("error", failed);
    const place = socketPath === undefined ? { port, ...(host !== "" && { host }) } : { path: socketPath };
    server.listen({ ...place, ...(backlog !== undefined && { backlog }) }, () => {
      server.off("error", failed);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** Accepts nobody any more. Resolves when all who were accepted have gone. */
export function stopAccepting(server: NetServer): Promise<void> {
  // Not a node:http server's own way: from Node 26 on that destroys who has yet to send a request.
  // Its only error is that it does not listen any more.
  return new Promise((resolve) => void NetServer.prototype.close.call(server, () => resolve()));
}

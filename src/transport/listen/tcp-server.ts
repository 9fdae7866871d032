/** Creates servers of plain TCP or TLS streams, with the parts that every listening server needs. */

import { constants } from "node:crypto";
import { createServer as createTcp, Server as NetServer, type Socket } from "node:net";
import { createServer as createTls, type TlsOptions } from "node:tls";
import { TransportError } from "../../base/errors.ts";
import { present } from "../../base/forms.ts";
import { rawSocketOf } from "../internals/tcp.ts";
import { networkPermitted } from "../permission.ts";
import { endpointsOf, transportError } from "../socket/socket.ts";
import { tlsProblem } from "../tls-problem.ts";
import type { ListenAddress } from "./listen-address.ts";
import { EVICTED, type PendingOpenings } from "./pending-openings.ts";
import { type RefusedListener, type RefusedOpening, rawEndpointsOf } from "./refused-opening.ts";
import { removeStaleSocket } from "./stale-socket.ts";

export interface TcpServerOptions {
  readonly secure: boolean;
  readonly tls: TlsOptions;
  /** Time limit of the TLS handshake, in milliseconds. */
  readonly openTimeout: number;
  /** Called when a TCP connection is accepted. Under TLS the socket must not be read or written yet. */
  readonly accepted: (socket: Socket) => void;
  /** Called when a stream is ready for messages: after accept, under TLS after the handshake. */
  readonly opened: (socket: Socket) => void;
  /** Called when a TLS handshake has failed, and when its socket is closed because there is no room for a newer one. */
  readonly refused?: RefusedListener | undefined;
  /** Bounds the number of TLS handshakes in progress. */
  readonly pending: PendingOpenings;
}

/**
 * Creates the server. With `allowHalfOpen`, its sockets end only with this side's FIN, so that queued bytes can be sent after the
 * peer's FIN.
 */
export function createTcpServer(options: TcpServerOptions): NetServer {
  const { secure, tls, openTimeout, accepted, opened, refused, pending } = options;
  if (!secure) {
    return createTcp({ allowHalfOpen: true }, (socket) => {
      accepted(socket);
      opened(socket);
    });
  }
  /** The functions that remove the sockets of handshakes in progress from `pending`. */
  const handshakes = new WeakMap<Socket, () => void>();
  const evicted = new WeakSet<Socket>();
  const server = createTls({ ...serverTls(tls, openTimeout), allowHalfOpen: true }, (socket) => {
    handshakes.get(rawSocketOf(socket) ?? socket)?.();
    opened(socket);
  });
  server.on("tlsClientError", (error, socket) => {
    if (!evicted.has(rawSocketOf(socket) ?? socket)) {
      const failure = tlsFailure(error, socket, openTimeout);
      refused?.refused(failure.reason, () => failure);
    }
    // Node reports a handshake timeout, but leaves the socket open.
    socket.destroy();
  });
  return server.on("connection", (socket) => {
    if (refused?.observed) cacheAddresses(socket);
    accepted(socket);
    const onEvicted = (): void => {
      evicted.add(socket);
      refused?.refused("capacity", () => ({
        detail: EVICTED,
        endpoints: { ...rawEndpointsOf(socket), secure: true },
      }));
    };
    handshakes.set(socket, pending.addSocket(socket, onEvicted));
  });
}

/**
 * Returns the TLS options of a server. Renegotiation by clients is off: a client could make the server compute as often as it
 * likes, at almost no cost to itself. TLS 1.3 has no renegotiation.
 */
export function serverTls(tls: TlsOptions, openTimeout: number): TlsOptions {
  const secureOptions = (tls.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION;
  return { handshakeTimeout: Math.min(openTimeout, 2 ** 31 - 1), ...present(tls), secureOptions };
}

/** Reads the addresses of a socket, so that Node caches them. After the peer has gone, the system does not know them any more. */
export function cacheAddresses(socket: Socket): void {
  endpointsOf(socket);
}

/** Returns the facts of a TLS handshake that failed or was not complete in time. */
export function tlsFailure(error: NodeJS.ErrnoException, socket: Socket, openTimeout: number): RefusedOpening {
  const endpoints = rawEndpointsOf(socket);
  if (error.code !== "ERR_TLS_HANDSHAKE_TIMEOUT")
    return { reason: "tls", detail: tlsProblem(error, "client") ?? error.message, endpoints };
  const bound = `openTimeout (${openTimeout} ms)`;
  const silent = rawSocketOf(socket)?.bytesRead === 0;
  if (silent) return { reason: "silence", detail: `no bytes were received within ${bound}`, endpoints };
  return { reason: "tls", detail: `the TLS handshake was not complete within ${bound}`, endpoints };
}

/**
 * Starts listening. Resolves with the port (0 for a unix socket), or rejects with a TransportError. Removes the file of a unix socket
 * that a killed server has left.
 */
export async function bind(server: NetServer, address: ListenAddress, backlog: number | undefined): Promise<number> {
  try {
    return await bindOnce(server, address, backlog);
  } catch (error) {
    const { socketPath } = address;
    if (socketPath === undefined || !(error instanceof TransportError) || error.errno !== "EADDRINUSE") throw error;
    await removeStaleSocket(socketPath, error);
    return await bindOnce(server, address, backlog);
  }
}

function bindOnce(
  server: NetServer,
  { host, port, socketPath }: ListenAddress,
  backlog: number | undefined,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(transportError(error));
    if (!networkPermitted()) {
      const problem = new Error("Node forbids the use of the network: run it with --allow-net");
      failed(Object.assign(problem, { code: "ERR_ACCESS_DENIED", syscall: "listen" }));
      return;
    }
    server.once("error", failed);
    const target = socketPath === undefined ? { port, ...(host !== "" && { host }) } : { path: socketPath };
    server.listen({ ...target, ...(backlog !== undefined && { backlog }) }, () => {
      server.off("error", failed);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** Stops accepting. Resolves when all accepted connections have closed. */
export function stopAccepting(server: NetServer): Promise<void> {
  // `close` of net.Server, not of node:http: from Node 26 on, the latter destroys sockets that have not sent a request yet. The
  // only error of this call is that the server is not listening, which is ignored.
  return new Promise((resolve) => void NetServer.prototype.close.call(server, () => resolve()));
}

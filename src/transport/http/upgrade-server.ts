/** A server on its own port: it reads simple upgrade requests itself, and leaves all others to node:http. */

import { maxHeaderSize } from "node:http";
import { createServer as createTcp, type Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTls, type TlsOptions } from "node:tls";
import { NO_BYTES } from "../../base/bytes.ts";
import { type Accepted, judgeRequest, type RequestFacts } from "../../engine/handshake/request.ts";
import { readRequestHead } from "../../engine/handshake/request-head.ts";
import { type AcceptedHandle, AcceptedHandles } from "../fast/accepted-handles.ts";
import { FastTransport } from "../fast/transport.ts";
import type { LastWriteLimit } from "../listen/last-write.ts";
import { serverTls } from "../listen/tcp-server.ts";
import { endpointsOf } from "../socket/socket.ts";
import type { Endpoints, Transport } from "../transport.ts";
import type { PlainRequests } from "./plain-requests.ts";
import { createHttpReader, type HttpReaderOptions } from "./reader.ts";
import { ignoreErrors, type RefusalAnswer, type UpgradeCall, writeRefusal } from "./upgrade.ts";

export interface UpgradeServerOptions extends HttpReaderOptions {
  readonly secure: boolean;
  readonly tls: TlsOptions;
  /** Called when a TCP connection is accepted. Under TLS the socket must not be read or written yet. */
  readonly accepted: (socket: Socket) => void;
}

export interface UpgradeServer {
  readonly server: NetServer;
  /**
   * Reads connections from their handles from now on. No other object is created for a connection that begins with an upgrade
   * request. Call it only for a server that is listening on TCP, and only if the fast transport works on its handles. Undefined
   * under TLS.
   */
  readonly takeHandles: (() => AcceptedHandles) | undefined;
  readonly plainRequests: PlainRequests;
}

export function createUpgradeServer(options: UpgradeServerOptions): UpgradeServer {
  const { secure, tls, clock, openTimeout, accepted, refused, upgrade, pending } = options;
  const http = createHttpReader(options);
  // The same socket options as in node:http and node:https.
  const socketOptions = { allowHalfOpen: true, noDelay: true };
  if (secure) {
    // Not a server of node:https: in Bun that is a server of another kind, without sockets and without a limit of an opening.
    const secured = { ALPNProtocols: tls.ALPNCallback === undefined ? ["http/1.1"] : undefined };
    const server = createTls({ ...secured, ...serverTls(tls, openTimeout), ...socketOptions }, http.readSecured);
    server.on("tlsClientError", http.tlsFailed);
    server.on("connection", (socket: Socket) => {
      accepted(socket);
      http.beginTls(socket);
    });
    return { server, takeHandles: undefined, plainRequests: http.plainRequests };
  }
  let acceptedHandles: AcceptedHandles | undefined;
  const server = createTcp(socketOptions);
  server.on("connection", (socket: Socket) => {
    if (acceptedHandles?.creatingSocket) return;
    accepted(socket);
    http.read(socket, clock.now());
  });
  const readWithNodeHttp = (accepted: AcceptedHandle, bytes: Uint8Array): void => {
    const socket = accepted.toSocket();
    if (bytes.length > 0) socket.unshift(bytes);
    http.read(socket, accepted.acceptedAt, accepted);
  };
  const onFirstBytes = (accepted: AcceptedHandle, bytes: Buffer): void => {
    // Only a complete request head is read here. If the network has split the request, node:http reads all of it.
    const head = readRequestHead(bytes.toString("latin1", 0, maxHeaderSize));
    const judged = head && judgeRequest(head.facts);
    if (head === undefined || !judged?.accepted) readWithNodeHttp(accepted, bytes);
    else {
      accepted.leavePending();
      upgrade(new HandleUpgradeCall(head.facts, judged, accepted, bytes.subarray(head.length), options));
    }
  };
  const onEnded = (accepted: AcceptedHandle): void => readWithNodeHttp(accepted, NO_BYTES);
  const takeHandles = (): AcceptedHandles => {
    acceptedHandles = new AcceptedHandles(server, {
      clock,
      openTimeout,
      refused,
      pending,
      prepare: accepted,
      firstBytes: onFirstBytes,
      ended: onEnded,
    });
    return acceptedHandles;
  };
  return { server, takeHandles, plainRequests: http.plainRequests };
}

/** The call of a request that was read from a handle. A net.Socket is created only when `socket` is called. */
class HandleUpgradeCall implements UpgradeCall {
  readonly request: RequestFacts;
  readonly judged: Accepted;
  readonly raw = undefined;
  readonly #accepted: AcceptedHandle;
  readonly #head: Uint8Array;
  readonly #options: Pick<HttpReaderOptions, "transportOf" | "pending">;
  #socket: Socket | undefined;

  constructor(
    request: RequestFacts,
    judged: Accepted,
    accepted: AcceptedHandle,
    head: Uint8Array,
    options: Pick<HttpReaderOptions, "transportOf" | "pending">,
  ) {
    this.request = request;
    this.judged = judged;
    this.#accepted = accepted;
    this.#head = head;
    this.#options = options;
  }

  endpoints(): Endpoints {
    return this.#socket === undefined ? this.#accepted.endpoints() : endpointsOf(this.#socket);
  }

  socket(): Duplex {
    this.#socket ??= ignoreErrors(this.#accepted.toSocket());
    return this.#socket;
  }

  refuse(answer: RefusalAnswer, limit: LastWriteLimit): void {
    writeRefusal(this.socket(), answer, { ...limit, pending: this.#options.pending });
  }

  accept(switching: Buffer): Transport {
    if (this.#socket === undefined) return FastTransport.fromAccepted(this.#accepted, switching, this.#head);
    this.#socket.write(switching);
    return this.#options.transportOf(this.#socket, this.#head);
  }
}

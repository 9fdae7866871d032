/** How node:http(s) reads the requests of a server for upgrades only, and what it answers to all others. */

import { createServer as createHttp, type Server as HttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttps } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TlsOptions } from "node:tls";
import { after, type Clock, type Instant, type Wakeup } from "../base/time.js";
import { judgeRequest } from "../engine/handshake-request.js";
import { callOf, type RefusalAnswer, requestFacts, type UpgradeCall, writeRefusal } from "./http-upgrade.js";
import { serverTls } from "./tcp-server.js";
import type { Transport } from "./transport.js";

export interface HttpReaderOptions {
  readonly secure: boolean;
  readonly tls: TlsOptions;
  readonly clock: Clock;
  /** How long a socket has, once accepted, to send its whole request; before that as long again for TLS. */
  readonly openTimeout: number;
  readonly upgrade: (call: UpgradeCall) => void;
  readonly transportOf: (socket: Duplex, head: Uint8Array) => Transport;
}

export interface HttpReader {
  readonly server: HttpServer;
  /** Reads the requests of a socket that was accepted at the instant `since`, or is behind its TLS since then. */
  readonly read: (socket: Socket, since: Instant) => void;
}

/**
 * Makes the reader. Node's own limits count from the first byte of a request and are looked at every 30 s, which lets a
 * client that sends nothing, or one byte at a time, hold a descriptor far longer: here each socket has until its upgrade.
 * Under TLS its server listens itself, else it is given sockets.
 */
export function createHttpReader(options: HttpReaderOptions): HttpReader {
  const { secure, tls, clock, openTimeout, upgrade, transportOf } = options;
  const patience = new WeakMap<object, Patience>();
  // RFC 9112 9.6: what stands behind a request that was answered with `close` is not looked at. Its socket is being ended.
  const refused = new WeakSet<object>();
  const refuse = (request: IncomingMessage): void => {
    const { socket } = request.resume();
    if (refused.has(socket)) return;
    refused.add(socket);
    // Not by the response: behind that, node:http resets a client that still sends, which is then seldom told.
    writeRefusal(socket, plainAnswer(request), openTimeout);
  };
  const server = secure ? createHttps(serverTls(tls, openTimeout), refuse) : createHttp(refuse);
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  const bound = (socket: Socket, since: Instant): void => {
    patience.set(socket, { wakeup: clock.wakeAt(after(since, openTimeout), () => socket.destroy()) });
    socket.on("close", left);
  };
  // One for all: what is left of it here, a connection would keep for as long as it lives.
  const left = function (this: Socket): void {
    done(this);
  };
  const done = (socket: object): void => {
    const waiting = patience.get(socket);
    if (waiting === undefined) return;
    waiting.wakeup?.cancel();
    waiting.wakeup = undefined;
  };
  const asked = (request: IncomingMessage, socket: Duplex, head: Uint8Array): void => {
    // Newer Nodes wrap the socket while the request's body has not come.
    if (refused.has(request.socket)) {
      socket.on("error", () => undefined).resume();
      return;
    }
    request.socket.off("close", left);
    done(request.socket);
    upgrade(callOf(request, socket, head, transportOf));
  };
  // As above: Node's own answer is followed by a reset.
  server.on("clientError", ({ code }: NodeJS.ErrnoException, socket: Duplex) => {
    if (refused.has(socket)) return;
    refused.add(socket);
    // TLS that has failed is reported here too. And a request that ends in its middle was cut by the network or called off
    // (RFC 9112 section 8): to call it malformed would tell a client whose request was cut never to come again.
    if (!patience.has(socket) || !socket.writable || code === "HPE_INVALID_EOF_STATE") socket.destroy();
    else writeRefusal(socket, code === "HPE_HEADER_OVERFLOW" ? TOO_LARGE : MALFORMED, openTimeout);
  });
  // Without a listener node:http drops who asks for a tunnel, and gives no answer.
  server.on("upgrade", asked).on("connect", asked);
  if (secure) server.on("secureConnection", (socket: Socket) => bound(socket, clock.now()));
  const read = (socket: Socket, since: Instant): void => {
    server.emit("connection", socket);
    bound(socket, since);
  };
  return { server, read };
}

/** What a socket has until its upgrade; without a wakeup behind that. */
interface Patience {
  wakeup: Wakeup | undefined;
}

const TOO_LARGE: RefusalAnswer = { status: 431, fields: [], body: "the header fields are too large\n" };
const MALFORMED: RefusalAnswer = { status: 400, fields: [], body: "this is no HTTP request\n" };

// Node 20 does not see Upgrade in a Connection field where a tab stands behind it, as RFC 9110 5.6.3 lets it stand.
const UNSEEN = { status: 400, headers: { Connection: "close" }, problem: "the Connection field is not understood" };

/** Answers a request that node:http does not take for an upgrade with what it lacks. */
function plainAnswer(request: IncomingMessage): RefusalAnswer {
  const judged = judgeRequest(requestFacts(request));
  const { status, headers, problem } = judged.accepted ? UNSEEN : judged;
  // The answer to HEAD has no content (RFC 9110 9.3.2).
  return { status, fields: Object.entries(headers), body: request.method === "HEAD" ? "" : `${problem}\n` };
}

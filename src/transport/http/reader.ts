/** Reads the requests of a server with node:http: passes on upgrades and plain requests, and answers all others. */

import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Refusal } from "../../base/refusals.ts";
import type { Clock, Instant } from "../../base/time.ts";
import { judgeRequest } from "../../engine/handshake/request.ts";
import { rawSocketOf } from "../internals/tcp.ts";
import { OpeningLimit } from "../listen/opening-limit.ts";
import type { PendingOpening, PendingOpenings } from "../listen/pending-openings.ts";
import { type RefusedListener, type RefusedOpening, rawEndpointsOf } from "../listen/refused-opening.ts";
import { cacheAddresses, tlsFailure } from "../listen/tcp-server.ts";
import type { Transport } from "../transport.ts";
import { PlainRequests } from "./plain-requests.ts";
import {
  pathOfTarget,
  type RefusalAnswer,
  requestFacts,
  type UpgradeCall,
  upgradeCallOf,
  writeRefusal,
} from "./upgrade.ts";

export interface HttpReaderOptions {
  readonly clock: Clock;
  /** Time limit from accept to the end of the request, TLS included, in milliseconds. */
  readonly openTimeout: number;
  readonly upgrade: (call: UpgradeCall) => void;
  /** Answers the requests that ask for no upgrade. Must not throw. Undefined: they are refused. */
  readonly plain?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** True if a WebSocket may be opened at the path of a request-target. The answer to a refused request depends on it. */
  readonly serves: (target: string) => boolean;
  /** Called for each opening that ends before there is an upgrade request. Undefined if no report is wanted. */
  readonly refused?: RefusedListener | undefined;
  readonly transportOf: (socket: Duplex, head: Uint8Array) => Transport;
  /** Bounds the number of sockets without a complete request, and of those that are being ended after a refusal. */
  readonly pending?: PendingOpenings | undefined;
}

/** A reader whose server does not listen: it gets its sockets from a server of plain TCP or TLS. */
export interface HttpReader {
  /**
   * Reads the requests of a socket that was accepted at the instant `since`. `former`: its opening before the socket existed, whose
   * position it gets.
   */
  readonly read: (socket: Socket, since: Instant, former?: PendingOpening) => void;
  /** Call this when a socket is accepted on which a TLS handshake must take place first. */
  readonly beginTls: (socket: Socket) => void;
  /** Reads the requests of a socket whose TLS handshake is complete. */
  readonly readSecured: (socket: Socket) => void;
  /** Reports a failed TLS handshake, and destroys its socket. */
  readonly tlsFailed: (error: NodeJS.ErrnoException, socket: Socket) => void;
  /** The requests that `plain` answers. */
  readonly plainRequests: PlainRequests;
}

export function createHttpReader(options: HttpReaderOptions): HttpReader {
  const { clock, openTimeout, upgrade, plain, serves, refused, transportOf, pending } = options;
  // Sockets that are being ended. After an answer with `close`, further requests are not processed (RFC 9112 section 9.6).
  const ending = new WeakSet<object>();
  /** Reports a socket that ends without an upgrade. Returns false if the socket was reported before. */
  const reportOnce = (socket: Duplex, refusal: Omit<RefusedOpening, "endpoints">): boolean => {
    const raw = rawSocketOf(socket);
    if (ending.has(socket) || (raw !== undefined && ending.has(raw))) return false;
    ending.add(socket);
    if (raw !== undefined) ending.add(raw);
    refused?.refused(refusal.reason, () => ({ ...refusal, endpoints: rawEndpointsOf(socket) }));
    return true;
  };
  const limit = new OpeningLimit({
    clock,
    openTimeout: () => openTimeout,
    expired: (socket, reason, detail) => reportOnce(socket, { reason, detail }),
    disconnected: (socket) =>
      reportOnce(socket, {
        reason: "disconnected",
        detail: "the client disconnected before it sent a complete request",
      }),
    pending,
  });
  const plainRequests = new PlainRequests({ clock, openTimeout, limit });
  const answerRefusal = (socket: Duplex, answer: RefusalAnswer): void => {
    writeRefusal(socket, answer, { clock, linger: openTimeout, pending });
  };
  const refuse = (request: IncomingMessage, { reason, detail, answer }: PlainRefusal): void => {
    const { socket } = request.resume();
    // The answer would be written before or into that of an earlier request (RFC 9112 section 9.3.2).
    if (plainRequests.has(socket)) {
      socket.destroy();
      return;
    }
    const { status, fields } = answer;
    if (!reportOnce(socket, { reason, detail, request: requestFacts(request), answer: { status, fields } })) return;
    // Not through the response object: after it, node:http resets a client that is still sending, and the client then seldom
    // receives the answer.
    answerRefusal(socket, answer);
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (ending.has(request.socket)) request.resume();
    else if (plain === undefined) refuse(request, plainRefusal(request, serves));
    else if (!hasOneHost(request)) refuse(request, NO_HOST);
    else {
      reportMissingUpgrade(request);
      plainRequests.begin(request, response);
      plain(request, response);
    }
  };
  /** Reports a WebSocket request without the `Upgrade` field: proxies remove it unless they are configured to forward it. */
  const reportMissingUpgrade = (request: IncomingMessage): void => {
    if (refused === undefined || request.headers["sec-websocket-key"] === undefined || !serves(request.url ?? ""))
      return;
    const { reason, detail } = plainRefusal(request, serves);
    refused.refused(reason, () => {
      const endpoints = rawEndpointsOf(request.socket);
      return { detail: `${detail}, so the application answers`, endpoints, request: requestFacts(request) };
    });
  };
  // node:http would answer a request without Host by itself, with 400, and would then still read what is behind it. `judgeRequest`
  // refuses it, and `end` makes everything behind it ignored.
  const own = { requireHostHeader: false };
  const server = createHttp(own, onRequest);
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  // Node's own time between two requests, which it also announces to the client. `openTimeout` bounds it.
  server.keepAliveTimeout = Math.min(server.keepAliveTimeout, openTimeout);
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Uint8Array): void => {
    // Newer versions of Node wrap the socket while the body of the request has not arrived.
    if (ending.has(request.socket)) {
      socket.on("error", () => undefined).resume();
      return;
    }
    if (plainRequests.has(request.socket)) {
      const detail = "an earlier request of the same connection has not been answered (RFC 9112 9.3.2)";
      reportOnce(request.socket, { reason: "request", detail, request: requestFacts(request) });
      socket.on("error", () => undefined).destroy();
      return;
    }
    limit.done(request.socket);
    upgrade(upgradeCallOf(request, socket, head, transportOf, { pending }));
  };
  // As above: after its own answer, Node resets the connection.
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    // An answer is already being sent.
    if (ending.has(socket)) return;
    // The body of a request is malformed, or the client left: in both cases there is no answer that could be sent now. A client
    // that leaves between two requests is no event at all.
    if (plainRequests.has(socket) || (limit.awaitsNext(socket) && !socket.writable)) {
      socket.destroy();
      return;
    }
    if (!socket.writable || error.code === "HPE_INVALID_EOF_STATE") {
      // An incomplete request was cut by the network or cancelled (RFC 9112 section 8). Calling it malformed would tell a client
      // whose request was cut not to retry.
      if (socket.writable)
        reportOnce(socket, { reason: "incomplete", detail: "the client sent its FIN in the middle of its request" });
      else
        reportOnce(socket, {
          reason: "disconnected",
          detail: `the client disconnected before it sent a complete request (${error.code})`,
        });
      socket.destroy();
    } else {
      const large = error.code === "HPE_HEADER_OVERFLOW";
      const answer = large ? TOO_LARGE : MALFORMED;
      const detail = `${answer.body.trimEnd()} (${error.code})`;
      reportOnce(socket, { reason: large ? "headers" : "request", detail, answer });
      answerRefusal(socket, answer);
    }
  });
  // Without this listener, node:http closes the socket of a CONNECT request without an answer.
  server.on("upgrade", onUpgrade).on("connect", onUpgrade);
  const accepted = (socket: Socket, since: Instant, phase: "tls" | "request", former?: PendingOpening): void => {
    if (refused?.observed) cacheAddresses(socket);
    limit.begin(socket, since, phase, former);
  };
  return {
    read: (socket, since, former) => {
      accepted(socket, since, "request", former);
      server.emit("connection", socket);
    },
    beginTls: (socket) => accepted(socket, clock.now(), "tls"),
    readSecured: (socket) => {
      limit.secured(socket);
      server.emit("connection", socket);
    },
    tlsFailed: (error, socket) => {
      const { reason, detail } = tlsFailure(error, socket, openTimeout);
      reportOnce(socket, { reason, detail });
      socket.destroy();
    },
    plainRequests,
  };
}

interface PlainAnswer extends RefusalAnswer {
  readonly body: string;
}

const TOO_LARGE: PlainAnswer = { status: 431, fields: [], body: "the header fields are too large\n" };
const MALFORMED: PlainAnswer = { status: 400, fields: [], body: "this is not an HTTP request\n" };

// Node 20 does not recognise `Upgrade` in a Connection field if a tab follows it, although RFC 9110 section 5.6.3 permits the
// tab.
const NOT_RECOGNISED = {
  reason: "request",
  status: 400,
  headers: { Connection: "close" },
  problem: "the Connection field is not understood",
  clause: "RFC 9110 5.6.3",
} as const;

const NO_HOST: PlainRefusal = {
  reason: "request",
  detail: "there is not exactly one Host field (RFC 9112 3.2)",
  answer: { status: 400, fields: [], body: "there is not exactly one Host field\n" },
};

/** True if a request has one Host field, as HTTP/1.1 requires. Otherwise intermediaries could disagree about its host. */
function hasOneHost({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2)
    if ((rawHeaders[index] as string).toLowerCase() === "host") hosts += 1;
  return hosts === 1 || (hosts === 0 && httpVersion === "1.0");
}

interface PlainRefusal {
  readonly reason: Refusal;
  readonly detail: string;
  readonly answer: RefusalAnswer;
}

/**
 * Returns the reason why a request is not an upgrade, and the answer that states it. For requests that node:http does not treat
 * as upgrades.
 */
function plainRefusal(request: IncomingMessage, serves: HttpReaderOptions["serves"]): PlainRefusal {
  const facts = requestFacts(request);
  // The answer to a HEAD request has no content (RFC 9110 section 9.3.2).
  const bodyOf = (text: string): string => (request.method === "HEAD" ? "" : `${text}\n`);
  if (!serves(facts.target)) {
    const detail = `nothing serves ${pathOfTarget(facts.target)}`;
    return { reason: "path", detail, answer: { status: 404, fields: [], body: bodyOf("nothing to connect to here") } };
  }
  const judged = judgeRequest(facts);
  const { reason, status, headers, problem, clause } = judged.accepted ? NOT_RECOGNISED : judged;
  const answer = { status, fields: Object.entries(headers), body: bodyOf(problem) };
  return { reason, detail: `${problem} (${clause})`, answer };
}

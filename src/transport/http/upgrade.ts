/** The HTTP part of an upgrade on a server: the facts of a request from node:http, and the answer on its socket. */

import crypto, { createHash } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { Socket } from "node:net";
import type { HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import { type Accepted, judgeRequest, type Refused, type RequestFacts } from "../../engine/handshake/request.ts";
import { endWith, type LastWriteLimit } from "../listen/last-write.ts";
import type { PendingOpenings } from "../listen/pending-openings.ts";
import { rawEndpointsOf } from "../listen/refused-opening.ts";
import type { Duplex, IncomingMessage, NodeBuffer } from "../node-types.ts";
import type { Endpoints, Transport } from "../transport.ts";

/** The hash that the opening handshake needs (RFC 6455 section 4.2.2). */
export function sha1Base64(text: string): string {
  // `crypto.hash` exists since Node 20.12, and takes a third of the time.
  return crypto.hash?.("sha1", text, "base64") ?? createHash("sha1").update(text).digest("base64");
}

/** Returns the path of a request-target, without its query. An absolute URL must be accepted too (RFC 9112 section 3.2.2). */
export function pathOfTarget(target: string): string {
  return target.replace(/^[a-z]+:\/\/[^/?]*/i, "").replace(/\?.*/, "") || "/";
}

export function requestFacts({ method = "", httpVersion, url = "", rawHeaders }: IncomingMessage): RequestFacts {
  return { method, httpVersion, target: url, rawHeaders };
}

/** An upgrade request and its connection. */
export interface UpgradeCall {
  readonly request: RequestFacts;
  readonly judged: Accepted | Refused;
  /** The request of node:http. Undefined if the application does not own the HTTP server. */
  readonly raw: IncomingMessage | undefined;
  endpoints(): Endpoints;
  /** Returns the socket, for a refusal or a later answer. Always returns the same object. */
  socket(): Duplex;
  /** Answers with a refusal, and ends the socket within `linger`. */
  refuse(answer: RefusalAnswer, limit: LastWriteLimit): void;
  /** Writes `switching` and returns the transport, which owns the connection. The call must not be used afterwards. */
  accept(switching: NodeBuffer): Transport;
}

/**
 * Returns the call of a request that node:http has read. `head` holds bytes that were read after the request. `raw` is the request
 * if the application may see it. `pending` bounds the number of sockets that are being ended after a refusal.
 */
export function upgradeCallOf(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  transportOf: (socket: Duplex, head: Uint8Array) => Transport,
  { raw, pending }: { readonly raw?: IncomingMessage; readonly pending?: PendingOpenings | undefined } = {},
): UpgradeCall {
  // node:http has removed its error listener from the socket.
  ignoreErrors(socket);
  const facts = requestFacts(request);
  return {
    request: facts,
    judged: judgeRequest(facts),
    raw,
    endpoints: () => rawEndpointsOf(socket),
    socket: () => socket,
    refuse: (answer, limit) => writeRefusal(socket, answer, { ...limit, pending }),
    accept: (switching) => {
      // The socket caches the address. After the answer it may be too late: the system knows no address of a peer that has gone.
      if (socket instanceof Socket) void socket.remoteAddress;
      socket.write(switching);
      return transportOf(socket, head);
    },
  };
}

/** Adds an empty error listener, so that an error of a socket without another listener does not end the process. */
export function ignoreErrors<Stream extends Duplex>(socket: Stream): Stream {
  return socket.on("error", ignoreError);
}

// One function for all sockets. A function created in `callOf` would keep the request in memory for the whole life of the
// connection.
const ignoreError = (): void => undefined;

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** Returns the bytes of the 101 response. A client that expects 100 Continue gets it before the 101 (RFC 9110 section 7.8). */
export function switching(fields: HeaderFields, expectsContinue: boolean): NodeBuffer {
  const head = `HTTP/1.1 101 Switching Protocols\r\n${lines(fields)}\r\n`;
  return Buffer.from(expectsContinue ? CONTINUE + head : head, "latin1");
}

/** The answer to a refused request. */
export interface RefusalAnswer {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly body: string | Uint8Array;
}

/**
 * Answers a request that does not become a connection, and closes the socket: an intermediary that took the request for an
 * upgrade must not find its tunnel open. Further bytes of the client are discarded. The socket is destroyed after `linger`
 * milliseconds at the latest.
 */
export function writeRefusal(socket: Duplex, { status, fields, body }: RefusalAnswer, limit: LastWriteLimit): void {
  const bytes = Buffer.from(body);
  const standard: HeaderFields = [
    ...(fields.some(([name]) => name.toLowerCase() === "content-type") || bytes.length === 0
      ? []
      : [["Content-Type", "text/plain; charset=utf-8"] as const]),
    ["Content-Length", String(bytes.length)],
    ...(fields.some(([name]) => name.toLowerCase() === "connection") ? [] : [["Connection", "close"] as const]),
  ];
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}\r\n${lines([...fields, ...standard])}\r\n`;
  endWith(socket, Buffer.concat([Buffer.from(head, "latin1"), bytes]), limit);
}

function lines(fields: HeaderFields): string {
  let text = "";
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  return text;
}

/** The HTTP side of an upgrade on a server: the request's facts from node:http, and the answer on its socket. */

import crypto, { createHash } from "node:crypto";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after } from "../base/time.js";
import type { HeaderFields } from "../engine/handshake.js";
import { type Accepted, judgeRequest, type Refused, type RequestFacts } from "../engine/handshake-request.js";
import { systemClock } from "./clock.js";
import type { Transport } from "./transport.js";

/** The hash that the opening handshake needs (RFC 6455 section 4.2.2). */
export function sha1Base64(text: string): string {
  // Since Node 20.12, and a third of the time.
  return crypto.hash?.("sha1", text, "base64") ?? createHash("sha1").update(text).digest("base64");
}

/** The path of a request-target, without its query. RFC 9112 section 3.2.2: a whole URL is to be taken as well. */
export function pathOf(target: string): string {
  return target.replace(/^[a-z]+:\/\/[^/?]*/i, "").replace(/\?.*/, "") || "/";
}

export function requestFacts({ method = "", httpVersion, url = "", rawHeaders }: IncomingMessage): RequestFacts {
  return { method, httpVersion, target: url, rawHeaders };
}

/** An upgrade request, and the connection that it came by. */
export interface UpgradeCall {
  readonly request: RequestFacts;
  readonly judged: Accepted | Refused;
  /** The socket, by which the answer can be a refusal or come later. Always the same one. */
  socket(): Duplex;
  /** Answers with `switching`, and is not to be used behind that: the connection is the transport's. */
  accept(switching: Buffer): Transport;
}

/** The call of a request that node:http has read. `head` was read behind it. */
export function callOf(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  transportOf: (socket: Duplex, head: Uint8Array) => Transport,
): UpgradeCall {
  // node:http has let go of it.
  heardByNobody(socket);
  const facts = requestFacts(request);
  return {
    request: facts,
    judged: judgeRequest(facts),
    socket: () => socket,
    accept: (switching) => {
      // A socket remembers it. Behind the answer, a peer that is gone already has none.
      if (socket instanceof Socket) void socket.remoteAddress;
      socket.write(switching);
      return transportOf(socket, head);
    },
  };
}

/** Keeps a socket's error, which nobody may hear for now, from ending the process. */
export function heardByNobody<Stream extends Duplex>(socket: Stream): Stream {
  return socket.on("error", UNHEARD);
}

// Made here and not for each socket: a function made in `callOf` would keep the request for as long as the connection lives.
const UNHEARD = (): void => undefined;

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** The 101. RFC 9110 section 7.8: a client that waits for it gets 100 Continue first. */
export function switching(fields: HeaderFields, expectsContinue: boolean): Buffer {
  const head = `HTTP/1.1 101 Switching Protocols\r\n${lines(fields)}\r\n`;
  return Buffer.from(expectsContinue ? CONTINUE + head : head, "latin1");
}

/** What a refused request is answered with. */
export interface RefusalAnswer {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly body: string | Uint8Array;
}

/**
 * Answers a request that does not become a connection, and closes: an intermediary that took the request for an upgrade
 * must not find its tunnel open. What the client still sends is thrown away. The socket is freed after `linger` at the latest.
 */
export function writeRefusal(socket: Duplex, { status, fields, body }: RefusalAnswer, linger: number): void {
  // Errors of a socket that is being left have nobody to go to.
  socket.on("error", () => undefined);
  const bytes = Buffer.from(body);
  const standard: HeaderFields = [
    ...(fields.some(([name]) => name.toLowerCase() === "content-type") || bytes.length === 0
      ? []
      : [["Content-Type", "text/plain; charset=utf-8"] as const]),
    ["Content-Length", String(bytes.length)],
    ...(fields.some(([name]) => name.toLowerCase() === "connection") ? [] : [["Connection", "close"] as const]),
  ];
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}\r\n${lines([...fields, ...standard])}\r\n`;
  const timer = systemClock.wakeAt(after(systemClock.now(), linger), () => socket.destroy());
  socket.once("close", () => timer.cancel());
  socket.end(Buffer.concat([Buffer.from(head, "latin1"), bytes]));
  // To close with input unread would send a reset, which can overtake the answer (RFC 9293 3.6.1).
  socket.resume();
}

function lines(fields: HeaderFields): string {
  let text = "";
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  return text;
}

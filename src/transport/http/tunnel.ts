/** The HTTP part of a tunnel through a proxy (CONNECT, RFC 9110 section 9.3.6), on a socket that is connected to the proxy. */

import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { HandshakeError } from "../../base/errors.ts";
import type { HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import { fieldLines, receivedFields } from "../../engine/handshake/header.ts";
import { readBody } from "./body.ts";

/**
 * Requests a tunnel to `authority`. Resolves when the proxy has agreed: then `socket` is the stream to the server, with the bytes
 * that followed the response. Rejects with a HandshakeError if the proxy refuses, and with the error of the socket.
 */
export function requestTunnel(
  socket: Duplex,
  authority: string,
  fields: HeaderFields,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      method: "CONNECT",
      path: authority,
      setHost: false,
      createConnection: () => socket,
    });
    // Otherwise node:http would write `Connection: close`.
    outgoing.removeHeader("Connection");
    for (const [name, value] of fields) outgoing.appendHeader(name, value);
    outgoing.on("error", reject);
    // node:http reports every response to CONNECT by this event, also a refusal.
    outgoing.once("connect", (response, _socket, head) => {
      const { statusCode: status = 0 } = response;
      if (head.length > 0) socket.unshift(head);
      if (status >= 200 && status < 300) resolve();
      else refusal(socket, response, status, signal).then(reject, reject);
    });
    outgoing.end();
  });
}

async function refusal(
  socket: Duplex,
  { rawHeaders }: IncomingMessage,
  status: number,
  signal: AbortSignal,
): Promise<HandshakeError> {
  const { headers, setCookie } = receivedFields(fieldLines(rawHeaders) ?? new Map());
  const { "transfer-encoding": coding, "content-length": length } = headers;
  const size = length === undefined ? undefined : Number(length);
  const complete = (): boolean => size === undefined && socket.readableEnded;
  // node:http does not decode the body of an answer to CONNECT, so one in chunks is left out.
  const body = coding === undefined ? await readBody(socket, signal, complete, size) : { text: "", truncated: true };
  const hint = status === 407 ? "; it requires credentials in its URL, or others" : "";
  const problem = `the proxy answered ${status}${hint}`;
  return new HandshakeError({ problem, phase: "proxy", status, headers, setCookie, body });
}

/** The HTTP part of an upgrade on a client, on a socket that is already open. */

import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { NO_BYTES } from "../../base/bytes.ts";
import type { ResponseBody } from "../../base/errors.ts";
import type { HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import { fieldLines, type ReceivedFields, receivedFields } from "../../engine/handshake/header.ts";
import { readBody } from "./body.ts";

/** The response of the server. */
export interface UpgradeAnswer extends ReceivedFields {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  /** Bytes after the response head. They are WebSocket frames already. */
  readonly head: Uint8Array;
  /**
   * Reads the beginning of the body. Resolves at the end of the body, after 1,024 bytes, or when `signal` aborts, with what was
   * received until then. Never rejects. A 101 has no body.
   */
  readonly readBody: (signal: AbortSignal) => Promise<ResponseBody>;
}

const NO_BODY: ResponseBody = { text: "", truncated: false };

/**
 * Sends the request and waits for the head of the response. Redirects are not followed: the caller decides which server receives
 * the request's credentials, not a server.
 */
export function requestUpgrade(
  socket: Duplex,
  path: string,
  fields: HeaderFields,
  signal: AbortSignal,
): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      path,
      // From a flat list, node:http writes the fields in this order and adds no fields of its own.
      headers: fields.flat() as unknown as Record<string, string>,
      setHost: false,
      createConnection: () => socket,
    });
    const settle = (): void => {
      signal.removeEventListener("abort", abort);
    };
    const abort = (): void => {
      settle();
      reject(signal.reason);
      outgoing.destroy();
    };
    signal.addEventListener("abort", abort, { once: true });
    outgoing.on("error", (error) => {
      settle();
      reject(error);
    });
    outgoing.once("upgrade", (response, _socket, head) => {
      settle();
      resolve(answerOf(response, head, async () => NO_BODY));
    });
    outgoing.once("response", (response) => {
      settle();
      resolve(answerOf(response, NO_BYTES, (until) => readBody(response, until, () => response.complete)));
    });
    // A stream of the application may be paused.
    outgoing.once("socket", () => socket.resume());
    outgoing.end();
  });
}

/**
 * Says in words why there was no response that could be read. `secure`: the socket has TLS. `from`: the responding side, and its
 * scheme with TLS. Returns undefined for an error that is not about the response.
 */
export function answerProblem(
  error: NodeJS.ErrnoException,
  secure: boolean,
  [side, scheme]: readonly [side: string, scheme: string] = ["server", "wss:"],
): string | undefined {
  const { code = "", message } = error;
  const { rawPacket } = error as { readonly rawPacket?: Uint8Array };
  if (code === "ECONNRESET") {
    const verb = message.startsWith("read ") ? "reset" : "closed";
    // Servers of OpenSSL answer a plain request without bytes.
    const hint = secure ? "" : `; if it expects TLS, use ${scheme}`;
    return `the ${side} ${verb} the connection without a complete answer${hint}`;
  }
  if (!code.startsWith("HPE_")) return undefined;
  // A TLS record of type alert: the answer of a TLS server to a plain request (RFC 8446 section 5.1).
  if (!secure && rawPacket?.[0] === 0x15 && rawPacket[1] === 3) return `the ${side} speaks TLS here; use ${scheme}`;
  if (code === "HPE_HEADER_OVERFLOW") return `the header of the ${side}'s answer is too large`;
  return `the ${side}'s answer is not valid HTTP/1.1 (${message})`;
}

function answerOf(
  response: IncomingMessage,
  head: Uint8Array,
  readBody: (signal: AbortSignal) => Promise<ResponseBody>,
): UpgradeAnswer {
  // Not Node's own record of the fields: in older versions of Node, a field with the name of a property of every object makes it
  // throw.
  const { rawHeaders, statusCode = 0 } = response;
  return { status: statusCode, rawHeaders, ...receivedFields(fieldLines(rawHeaders) ?? new Map()), head, readBody };
}

/** The HTTP side of an upgrade on a client, on a socket that is open already. */

import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import type { HeaderFields } from "../engine/handshake.js";
import { fieldLines, fieldRecord } from "../engine/header.js";

/** What the server answered. */
export interface Answer {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes behind the head, which are frames already. */
  readonly head: Uint8Array;
}

/**
 * Sends the request and waits for the answer's head. Redirects are not followed: whoever was to get the request's
 * credentials is decided by the caller, not by a server.
 */
export function requestUpgrade(
  socket: Socket,
  path: string,
  fields: HeaderFields,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      path,
      // As a flat list node:http writes the fields in this order, and adds none of its own.
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
      resolve(answerOf(response, head));
    });
    outgoing.once("response", (response) => {
      settle();
      resolve(answerOf(response, new Uint8Array()));
    });
    outgoing.end();
  });
}

function answerOf(response: IncomingMessage, head: Uint8Array): Answer {
  // Not node's own record: in one of an older Node a field that is named like a property of every object throws.
  const { rawHeaders, statusCode = 0 } = response;
  return { status: statusCode, rawHeaders, headers: fieldRecord(fieldLines(rawHeaders) ?? new Map()), head };
}

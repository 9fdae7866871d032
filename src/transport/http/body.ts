/** Reads the beginning of the body of a refusal, for the error that reports it. */

import type { Readable } from "node:stream";
import type { ResponseBody } from "../../base/errors.ts";

/** Enough for the message of a server or a proxy, and little enough to keep with an error. */
const MAX_BODY = 1_024;

/**
 * Resolves at the end of `stream`, after `length` or 1,024 bytes, or when `signal` aborts, with what was received until then. Never
 * rejects. `isComplete` returns whether the end of the stream is the end of the body.
 */
export function readBody(
  stream: Readable,
  signal: AbortSignal,
  isComplete: () => boolean,
  length: number = Infinity,
): Promise<ResponseBody> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const settle = (): void => {
      signal.removeEventListener("abort", settle);
      stream.off("data", take);
      const bytes = Buffer.concat(chunks).subarray(0, Math.min(length, MAX_BODY));
      const truncated = (size > MAX_BODY && length > MAX_BODY) || (size < length && !isComplete());
      // With `stream`, the beginning of a character that was cut off is left out.
      resolve({ text: new TextDecoder().decode(bytes, { stream: truncated }), truncated });
    };
    const take = (chunk: Uint8Array): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_BODY || size >= length) settle();
    };
    signal.addEventListener("abort", settle, { once: true });
    if (signal.aborted || length === 0) settle();
    // `error` and `close` without `end`: the connection ended before the body did. The listener of `error` stays, because the
    // caller destroys the socket, and an error without a listener would end the process.
    stream.on("data", take).on("end", settle).on("error", settle).on("close", settle);
  });
}

/** The last message of a TCP connection, for a peer that would otherwise see only a FIN. */

import { asData, utf8Length } from "../../base/bytes.ts";
import { type ConnectionError, LimitError } from "../../base/errors.ts";
import type { Encoder } from "../../engine/protocol.ts";
import type { Connection } from "../contract.ts";
import type { SettledOptions } from "../options.ts";
import { isThenable } from "../read/dispatcher.ts";
import { writePayload } from "../write/write-buffer.ts";

/**
 * Calls `farewell` and encodes its message. Returns undefined if there is none. An error of the function, and a message that
 * cannot be sent, go to `onError`: the end takes its course without the message. `connection` is undefined if the socket was
 * refused before it became a connection.
 */
export function farewellBytes(
  { farewell, onError, maxQueuedBytes }: Pick<SettledOptions, "farewell" | "onError" | "maxQueuedBytes">,
  encoder: Encoder,
  cause: ConnectionError,
  connection: Connection | undefined,
): Uint8Array | undefined {
  if (farewell === undefined) return undefined;
  const report = (error: unknown): void => onError(error, { place: "farewell", connection });
  try {
    const given: unknown = farewell(cause);
    if (given === undefined) return undefined;
    // A rejection without a listener would end the process.
    if (isThenable(given)) given.then(undefined, report);
    const payload = encoder.payload(asData(given), "whole");
    const size = typeof payload === "string" ? utf8Length(payload) : payload.length;
    if (size > maxQueuedBytes) {
      throw new LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: maxQueuedBytes, actual: size });
    }
    const bytes = Buffer.alloc(size + encoder.overhead);
    const start = encoder.before(bytes, 0, size, typeof payload === "string", "whole");
    return bytes.subarray(0, writePayload(encoder, bytes, start, payload, size, "whole"));
  } catch (error) {
    report(error);
    return undefined;
  }
}

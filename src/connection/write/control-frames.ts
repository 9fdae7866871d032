/** Sends Pings and Pongs: those of the application, of the heartbeat, and the answers to the peer's Pings. */

import { asData, NO_BYTES, ownData } from "../../base/bytes.ts";
import { LimitError } from "../../base/errors.ts";
import { MAX_CONTROL, PING, PONG } from "../../engine/websocket/frame.ts";
import type { PingOptions } from "../contract.ts";
import { callsOf, outboxForCall, outboxOf, type PartsOwner, pingsOf, refusalOf, sendsNothing } from "../lazy-parts.ts";
import { handledRejection } from "../time/pending-calls.ts";
import { MAX_PINGS } from "../time/pings.ts";
import { passToTransport } from "./write-buffer.ts";

/** Implements `Connection.ping`. */
export function ping(owner: PartsOwner, options: PingOptions | undefined): Promise<number> {
  const { protocol } = owner;
  if (protocol.control === undefined) throw new TypeError("Cannot ping: framed TCP has no Ping");
  const calls = callsOf(owner);
  const pings = pingsOf(owner);
  const call = calls.begin<number>("ping", "none", options, () => {
    pings.remove(call);
    return true;
  });
  const payload = options?.payload === undefined ? undefined : controlPayload("ping", options.payload);
  const refusal = refusalOf(owner);
  if (refusal !== undefined) return handledRejection(refusal);
  if (call.settled) return call.promise;
  const queued =
    !pings.full &&
    outboxForCall(owner).sendControl({
      operation: "write:ping",
      frame: protocol.control(PING, pings.add(call, payload)),
    });
  if (!queued) {
    pings.remove(call);
    call.reject(new LimitError({ operation: "send", limit: "pings", maximum: MAX_PINGS, actual: MAX_PINGS + 1 }));
  } else calls.track(call);
  return call.promise;
}

/** Implements `Connection.pong`. */
export function pong(owner: PartsOwner, payload: unknown): boolean {
  if (owner.protocol.control === undefined) throw new TypeError("Cannot pong: framed TCP has no Pong");
  const bytes = controlPayload("pong", payload);
  owner.idle = false;
  return sendControl(owner, "write:pong", PONG, bytes);
}

/** The bytes of a control frame. Throws TypeError for a value of another type, and RangeError if there are too many. */
function controlPayload(call: "ping" | "pong", given: unknown): Uint8Array {
  const data = ownData(asData(given));
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  if (bytes.length <= MAX_CONTROL) return bytes;
  throw new RangeError(`Cannot ${call} with a payload of ${bytes.length} bytes: at most ${MAX_CONTROL} fit`);
}

/** Sends a Ping of the heartbeat. */
export function sendHeartbeatPing(owner: PartsOwner): void {
  const operation = "write:ping";
  if (!sendsNothing(owner)) {
    sendControl(owner, operation, PING, NO_BYTES);
    return;
  }
  // Fast path: an idle connection mostly sends the Pings of its heartbeat. If nothing is queued, no outbox is created.
  const bytes = owner.protocol.control?.(PING, NO_BYTES);
  if (bytes === undefined) return;
  try {
    if (!passToTransport(owner.transport, bytes, false)) outboxOf(owner).addPendingWrite({ bytes, operation });
  } catch (error) {
    owner.writeFailed(error);
  }
}

/** Sends a control frame. Returns false if the protocol has none, if too many are queued, or if none may follow. */
export function sendControl(
  owner: PartsOwner,
  operation: "write:ping" | "write:pong",
  opcode: number,
  payload: Uint8Array,
): boolean {
  const frame = owner.protocol.control?.(opcode, payload);
  return frame !== undefined && outboxOf(owner).sendControl({ operation, frame });
}

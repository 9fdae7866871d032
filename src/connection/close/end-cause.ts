/** The word for why a connection ended, from the result of its end. */

import type { EndCause } from "../../base/end-causes.ts";
import {
  ClosedError,
  isConnectionError,
  LimitError,
  ProtocolError,
  TimeoutError,
  TransportError,
} from "../../base/errors.ts";
import { ABNORMAL } from "../../engine/websocket/close-codes.ts";
import type { CloseInfo } from "../contract.ts";

// The limits that end a connection and have the name of their cause. Other TimeoutErrors can only come from `terminate`.
const TIME_LIMITS: Readonly<Record<string, EndCause>> = {
  "heartbeat.timeout": "heartbeat.timeout",
  idleTimeout: "idleTimeout",
  writeTimeout: "writeTimeout",
  messageTimeout: "messageTimeout",
  pauseTimeout: "pauseTimeout",
  lingerTimeout: "lingerTimeout",
  closeTimeout: "closeTimeout",
  lifetime: "lifetime",
  readDeadline: "readDeadline",
  writeDeadline: "writeDeadline",
};

const SIZE_LIMITS: Readonly<Record<string, EndCause>> = {
  maxMessageSize: "maxMessageSize",
  maxFragments: "maxFragments",
  maxInflationRatio: "maxInflationRatio",
  memoryBudget: "memoryBudget",
  maxQueuedBytes: "overflow",
  maxQueuedMessages: "overflow",
  overflow: "overflow",
};

// The system's names for a peer that the network has lost.
const LOST: readonly string[] = ["ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET"];

/** `draining`: the server of the connection was closing. */
export function endCauseOf({ cause, by }: CloseInfo, draining: boolean): EndCause {
  if (cause === undefined || cause instanceof ClosedError) return closeCause(cause, by, draining);
  // What a handler or hook threw, or a reason of the application.
  if (!isConnectionError(cause)) return "handler";
  if (cause instanceof TimeoutError) return timeCause(cause);
  if (cause instanceof LimitError) return SIZE_LIMITS[cause.limit] ?? "other";
  if (cause instanceof ProtocolError) return protocolCause(cause);
  return cause instanceof TransportError ? transportCause(cause) : "other";
}

function closeCause(error: ClosedError | undefined, by: CloseInfo["by"], draining: boolean): EndCause {
  if (error?.closeCode === ABNORMAL) {
    if (error.by === "peer") return "no-close-frame";
    // `cause` is what the encoder or the transport threw, or an argument of `terminate`.
    return "terminate";
  }
  if (by === "peer") return "peer";
  return draining ? "shutdown" : "local";
}

/** A call's own limit ends the connection if part of its message was read or written. */
function timeCause({ limit, operation }: TimeoutError): EndCause {
  if (limit === "timeout" || limit === "deadline") return operation === "receive" ? "readDeadline" : "writeDeadline";
  return TIME_LIMITS[limit] ?? "other";
}

function protocolCause({ reason }: ProtocolError): EndCause {
  if (reason === "message-type") return "messageType";
  if (reason === "undecodable") return "codec";
  return reason === "unexpected-eof" ? "unexpected-eof" : "protocol";
}

function transportCause({ errno }: TransportError): EndCause {
  if (errno === "ECONNRESET" || errno === "ECONNABORTED") return "reset";
  if (errno === "EPIPE") return "broken-pipe";
  if (LOST.includes(errno)) return "unreachable";
  return /^(ERR_SSL|ERR_TLS|CERT_|EPROTO)/.test(errno) ? "tls" : "transport";
}

/** The errors of a broker: each names what is known about the message. */

import { ClosedError, InDoubtError, LimitError, TimeoutError } from "../core.ts";

/** The close code of a producer whose place has been taken by a later attempt. */
const REPLACED = 4900;

/** The broker was closed by the application. Nothing was sent. */
export function brokerClosed(): ClosedError {
  return new ClosedError({ closeCode: 1000, reason: "the broker was closed", by: "local", wasClean: true });
}

/** There is no connection to the server. Nothing was sent. */
export function brokerUnreachable(cause: unknown): ClosedError {
  const reason = "there is no connection to the server of the broker";
  return new ClosedError({ closeCode: 1006, reason, by: "peer", wasClean: false }, { cause });
}

/** A higher attempt of the producer was claimed. Nothing was published. */
export function producerFenced(producer: string, attempt: number): ClosedError {
  const reason = `a higher attempt than ${attempt} of producer ${producer} was claimed`;
  return new ClosedError({ closeCode: REPLACED, reason, by: "peer", wasClean: true });
}

/** The server did not answer in time. The server may have a message whose publication has timed out. */
export function brokerTimedOut(
  operation: "publish" | "history",
  timeout: number,
  facts: { readonly after: number; readonly retriable: boolean },
  options?: ErrorOptions,
): TimeoutError {
  const detail = "the server of the broker has not answered";
  return new TimeoutError({ operation, limit: "timeout", bound: timeout, ...facts, detail }, options);
}

/** The connection ended, or the signal of the call aborted, after the message was sent: the server may have it. */
export function publishInDoubt(message: Uint8Array, cause: unknown): InDoubtError {
  return new InDoubtError({ returned: message }, { cause });
}

/** Too much already waits. Nothing was sent. */
export function publishRefused(limit: string, maximum: number, actual: number, message: Uint8Array): LimitError {
  return new LimitError({ operation: "publish", limit, maximum, actual, returned: message });
}

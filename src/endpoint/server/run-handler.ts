/** Runs the application's handler on a connection, and closes the connection when the handler has returned or failed. */

import { isConnectionError } from "../../base/errors.ts";
import type { TransportConnection } from "../../connection/transport-connection.ts";
import type { UpgradeRequest } from "../../connection/upgrade-request.ts";
import type { Handler } from "../options.ts";

/** Starts `connection`. If there is a handler, runs it and closes the connection after it. */
export function runHandler<UserData, Request extends UpgradeRequest | undefined>(
  connection: TransportConnection<UserData>,
  handler: Handler<UserData, Request> | undefined,
  request: Request,
): void {
  connection.start(request);
  if (handler !== undefined) run(connection, handler, request);
}

// Not an async function: it would use several hundred bytes while the handler runs.
function run<UserData, Request>(
  connection: TransportConnection<UserData>,
  handler: Handler<UserData, Request>,
  request: Request,
): void {
  const failed = (error: unknown): void => {
    // When the connection ends or the server closes, calls of the handler reject with an error of this library. That is not a
    // failure of the handler, and `closed` already reports it.
    const ending = connection.state !== "OPEN" || connection.peerEndedFor !== undefined || connection.draining.aborted;
    if (!ending || !isConnectionError(error)) connection.fault(error, "handler");
    connection.handlerEnds();
  };
  connection.handlerBegins();
  try {
    Promise.resolve(handler(connection, request)).then(() => connection.handlerEnds(), failed);
  } catch (error) {
    failed(error);
  }
}

/** Runs the application's handler for the life of a connection: however it is left, the connection ends. */

import { isConnectionError } from "../base/errors.js";
import type { Connection } from "../connection/connection.js";
import type { Handler } from "./options.js";

/** Starts `connection`, with `handler` as its scope if there is one. */
export function serve<UserData>(connection: Connection<UserData>, handler: Handler<UserData> | undefined): void {
  connection.start();
  if (handler !== undefined) run(connection, handler);
}

// No async function: that would take several hundred bytes for as long as the handler runs.
function run<UserData>(connection: Connection<UserData>, handler: Handler<UserData>): void {
  const failed = (error: unknown): void => {
    // What every handler gets when its peer goes is no fault of the handler's; `closed` tells it already.
    const over = connection.state !== "OPEN" || connection.peerEndedFor !== undefined;
    if (over && isConnectionError(error)) void connection.close();
    else connection.fault(error);
  };
  try {
    Promise.resolve(handler(connection)).then(() => void connection.close(), failed);
  } catch (error) {
    failed(error);
  }
}

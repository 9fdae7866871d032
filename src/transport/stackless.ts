/** Errors that come from the network: of the code that was running then, a stack would say nothing. */

import { getSystemErrorName } from "node:util";

/**
 * Makes an error whose `stack` is its sentence alone. What calls us when a peer has gone is the event loop: each of these errors
 * would list the same callbacks of Node and of this library, which takes longer than all else that the end of a connection does.
 */
export function stackless<Made>(make: () => Made): Made {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0;
  } catch {
    // Intrinsics can be frozen. Then it has a stack.
    return make();
  }
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** As Node makes them, of a `status` of libuv. */
export function systemError(status: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(
    stackless(() => new Error(`${syscall} ${code}`)),
    { errno: status, code, syscall },
  );
}

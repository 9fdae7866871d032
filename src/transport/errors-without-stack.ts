/** Makes errors for events of the network without a stack trace, because the stack would hold event loop code only. */

import { getSystemErrorName } from "node:util";

/**
 * Makes an error whose `stack` holds the message only. The event loop calls this library when a peer ends a connection, so each
 * of these errors would list the same callbacks of Node and of this library. Capturing that stack takes longer than everything
 * else that the end of a connection does.
 */
export function withoutStack<Made>(make: () => Made): Made {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0;
  } catch {
    // `Error` can be frozen. Then the error has a stack.
    return make();
  }
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Makes the error that Node makes for a `status` of libuv. */
export function systemError(status: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(
    withoutStack(() => new Error(`${syscall} ${code}`)),
    { errno: status, code, syscall },
  );
}

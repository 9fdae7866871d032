/** Errors that come from the network: of the code that was running then, a stack would say nothing. */

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

/** Gives the error of a time limit the stack of its caller. */

import { TimeoutError } from "../../base/errors.ts";

/**
 * Settles like `call`, and calls `settled` directly before that. The error of a time limit is created by a timer, and its stack
 * would list the timer's frames. Here, its stack is captured again where V8 knows the functions that await this promise.
 */
export async function withCallerStack<T>(call: Promise<T>, settled: () => void): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof TimeoutError) Error.captureStackTrace(error, withCallerStack);
    throw error;
  } finally {
    settled();
  }
}

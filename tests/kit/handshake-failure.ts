/** An attempt to connect that must fail. */

import assert from "node:assert/strict";
import { HandshakeError } from "../../src/index.ts";

/** The HandshakeError with which `attempt` rejects. Fails if it resolves, or rejects with another error. */
export async function failure(attempt: Promise<unknown>): Promise<HandshakeError> {
  const error = await attempt.then(
    () => assert.fail("it was to fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof HandshakeError, String(error));
  return error;
}

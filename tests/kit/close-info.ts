/** Checks what `closed` reports after a complete closing handshake, with any code. */

import assert from "node:assert/strict";
import { ClosedError, type CloseInfo } from "../../src/index.ts";

/** Ends of a conversation for which there is no cause: RFC 6455 section 7.4.1. */
const NORMAL: readonly number[] = [1000, 1001, 1005];

export function assertHandshake(info: CloseInfo, expected: Pick<CloseInfo, "code" | "reason" | "by">): void {
  const { cause, ...facts } = info;
  assert.deepEqual(facts, { ...expected, wasClean: true });
  if (NORMAL.includes(expected.code)) assert.equal(cause, undefined);
  else {
    assert.ok(cause instanceof ClosedError, String(cause));
    const { closeCode: code, reason, by, wasClean } = cause;
    assert.deepEqual({ code, reason, by, wasClean }, facts);
  }
}

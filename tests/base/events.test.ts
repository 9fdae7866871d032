/** Observers: their failures do not reach the connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ConnectionEvent, guarded } from "../../src/base/events.ts";

const event: ConnectionEvent = { type: "open", id: 7, remoteAddress: "127.0.0.1", remotePort: 9_000 };

describe("a guarded observer", () => {
  it("gets the event unchanged", () => {
    const seen: ConnectionEvent[] = [];
    guarded(
      (one) => seen.push(one),
      () => assert.fail("nothing failed"),
    )(event);
    assert.equal(seen.length, 1);
    assert.equal(seen[0], event);
  });

  it("may throw, and its error is passed to the error function", () => {
    const failure = new Error("of the guest");
    const reported: unknown[] = [];
    guarded(
      () => {
        throw failure;
      },
      (error) => reported.push(error),
    )(event);
    assert.deepEqual(reported, [failure]);
  });
});

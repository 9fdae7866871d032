import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StopSignals } from "../../src/base/stop-signals.ts";

describe("signals that request a stop", () => {
  it("within 250 ms of the first are copies of it, and later ones are second requests", () => {
    const signals = new StopSignals();
    const received = [1_000, 1_000, 1_249, 1_250, 9_000].map((now) => signals.receive(now));
    assert.deepEqual(received, ["first", "copy", "copy", "second", "second"]);
  });
});

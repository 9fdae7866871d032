import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type State, step, TRANSITIONS, type Trigger } from "../../src/engine/lifecycle.js";

const STATES: readonly State[] = ["open", "closeSent", "closeReceived", "closeExchanged", "closed"];
const TRIGGERS: readonly Trigger[] = ["closeSent", "closeReceived", "ended"];

/** What may happen, told as histories: the state that each of them leads to. */
const HISTORIES: readonly (readonly [history: string, state: State])[] = [
  ["", "open"],
  ["closeSent", "closeSent"],
  ["closeReceived", "closeReceived"],
  ["closeSent closeReceived", "closeExchanged"],
  ["closeReceived closeSent", "closeExchanged"],
  ["closeSent closeReceived ended", "closed"],
  ["closeReceived closeSent ended", "closed"],
  ["closeSent ended", "closed"],
  ["closeReceived ended", "closed"],
  ["ended", "closed"],
];

function played(history: string): State {
  let state: State = "open";
  for (const trigger of history.split(" ").filter(Boolean)) state = step(state, trigger as Trigger);
  return state;
}

describe("the lifecycle", () => {
  for (const [history, state] of HISTORIES) {
    it(`leads by ${history || "nothing"} to ${state}`, () => assert.equal(played(history), state));
  }

  it("has no way that is not among those", () => {
    const known = new Set(HISTORIES.map(([history]) => history));
    for (const [history, state] of HISTORIES) {
      for (const trigger of TRIGGERS) {
        if (known.has(`${history} ${trigger}`.trim())) continue;
        assert.throws(() => step(state, trigger), new RegExp(`Cannot apply ${trigger} in state ${state}`));
      }
    }
  });

  it("ends in closed and nowhere else", () => {
    for (const state of STATES) assert.equal(Object.keys(TRANSITIONS[state]).length === 0, state === "closed");
  });

  it("can end from everywhere but its end", () => {
    for (const state of STATES) if (state !== "closed") assert.equal(step(state, "ended"), "closed");
  });
});

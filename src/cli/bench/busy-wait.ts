/** Waits for microseconds without allocating memory: reading the clock allocates, and garbage collection would add to latencies. */

import { performance } from "node:perf_hooks";

const TRIES = 5;
const TRY_ROUNDS = 200_000;

let value = 1;

function compute(rounds: number): void {
  let result = value;
  // Each round needs the result of the one before, so that no compiler shortens it.
  for (let round = 0; round < rounds; round += 1) result = Math.imul(result, 48_271) ^ round;
  value = result;
}

/** Rounds in a millisecond, by the fastest try. V8 has not compiled the first ones yet, and others can be interrupted. */
const ROUNDS = Math.max(
  ...Array.from({ length: TRIES }, () => {
    const began = performance.now();
    compute(TRY_ROUNDS);
    return TRY_ROUNDS / (performance.now() - began);
  }),
);

/** Waits for about `length` milliseconds. */
export function busyWait(length: number): void {
  compute(length * ROUNDS);
}

/** Passes microseconds without allocating: a look at the clock makes garbage, whose collection would be among the measured latencies. */

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

/** Rounds of a millisecond. The first tries are not compiled yet, and others are interrupted: the fastest counts. */
const ROUNDS = Math.max(
  ...Array.from({ length: TRIES }, () => {
    const began = performance.now();
    compute(TRY_ROUNDS);
    return TRY_ROUNDS / (performance.now() - began);
  }),
);

/** Keeps the processor busy for about `length` milliseconds. */
export function burn(length: number): void {
  compute(length * ROUNDS);
}

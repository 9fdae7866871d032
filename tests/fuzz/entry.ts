/** What the fuzzer loads: it calls `fuzz` with one input after the other, and what that throws is a finding. */

import { TARGETS } from "./targets.ts";

const target = TARGETS[process.env["HOLDFAST_FUZZ_TARGET"] ?? ""];

export function fuzz(input: Uint8Array): void {
  if (target === undefined) throw new Error("HOLDFAST_FUZZ_TARGET names no target");
  target.run(Uint8Array.from(input));
}

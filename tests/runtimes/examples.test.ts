/** Runs the examples that end by themselves on Bun and Deno. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PRINTED } from "../examples/expected.ts";
import { RUNTIMES, runExample } from "../examples/places.ts";
import { found, wanting } from "../kit/foreign-programs.ts";

for (const { program, place } of RUNTIMES) {
  describe(`the examples on ${program.name}`, { skip: found(program) === undefined && wanting(program) }, () => {
    for (const [name, stdout] of Object.entries(PRINTED)) {
      it(name, async () => {
        assert.deepEqual(await runExample(await place(), name), { status: 0, signal: null, stdout, stderr: "" });
      });
    }
  });
}

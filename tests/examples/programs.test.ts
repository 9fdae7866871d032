/** Examples that end by themselves print what they promise, and nothing on stderr. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { PRINTED, SERVERS } from "./expected.ts";
import { inCheckout, inPackage, NAMES, runExample } from "./places.ts";

const EXAMPLE = fileURLToPath(new URL("../../../tools/example.mjs", import.meta.url));

describe("the examples", () => {
  it("are all tested, here or with clients of other projects", () => {
    assert.deepEqual([...NAMES].sort(), [...Object.keys(PRINTED), ...SERVERS].sort());
  });

  for (const [where, place] of Object.entries({ "the checkout": inCheckout, "the packed package": inPackage })) {
    it(`run in ${where}, as JavaScript`, async () => {
      await using examples = await place();
      for (const [name, stdout] of Object.entries(PRINTED)) {
        assert.deepEqual(await runExample(examples, name), { status: 0, signal: null, stdout, stderr: "" }, name);
      }
    });
  }

  it("are listed by npm run example", async () => {
    const listed = await ChildProgram.run(EXAMPLE, [], { stderr: "kept" });
    for (const name of NAMES) assert.match(listed.stdout, new RegExp(`^ {2}${name} +[A-Z].*$`, "m"));
    assert.deepEqual([listed.status, listed.stderr], [0, ""]);
    const unknown = await ChildProgram.run(EXAMPLE, ["nope"], { stderr: "kept" });
    assert.deepEqual([unknown.status, unknown.stdout], [1, ""]);
    assert.match(unknown.stderr, /there is no example "nope"/);
  });
});

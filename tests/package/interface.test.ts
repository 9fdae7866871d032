/** The public interface: that its report in `api` is current, so that each change of it shows in a review. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { ROOT, run } from "./packed.ts";

it("the reports in api are current, and each type that they name is exported (npm run api writes them)", async (t) => {
  if (!existsSync(join(ROOT, ".cache/peers/node_modules/@microsoft/api-extractor"))) {
    if (process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error("needs API Extractor: npm run peers");
    return t.skip("needs API Extractor: npm run peers");
  }
  await assert.doesNotReject(run(process.execPath, ["tools/api.mjs", "--check"], ROOT));
  return undefined;
});

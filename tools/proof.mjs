/**
 * Records what can be counted in the sources for docs/proof.md: `npm run proof`. The other results are recorded by the commands that
 * find them: `npm run simulate -- 100000 --record`, `npm run simulate -- --mutants --record`, `npm run test:conformance`. After
 * them, `npm run docs` writes the page.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { record } from "./proof-results.mjs";
import { filesIn, root } from "./ready.mjs";

const folders = new Map();
for (const path of filesIn("tests").filter((file) => file.endsWith(".test.ts"))) {
  const [, folder] = path.split("/");
  const name = folder.endsWith(".ts") ? "documents, exports, house rules" : folder;
  const text = readFileSync(join(root, path), "utf8");
  const counted = folders.get(name) ?? { files: 0, tests: 0, properties: 0 };
  counted.files += 1;
  counted.tests += [...text.matchAll(/^\s*(?:await )?(?:it|test)\(/gm)].length;
  counted.properties += [...text.matchAll(/\bfc\.assert\(/g)].length;
  folders.set(name, counted);
}
record("tests", {
  folders: Object.fromEntries([...folders].sort(([one], [other]) => (one < other ? -1 : 1))),
  corpus: filesIn("tests/fuzz/corpus").length,
});

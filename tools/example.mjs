/** Runs an example: `npm run example chat`. Without a name it lists the examples. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { filesIn, ready, root } from "./ready.mjs";

const examples = filesIn("examples").filter((path) => path.endsWith(".ts"));
const names = examples.map((path) => path.slice("examples/".length, -".ts".length));
const [name, ...args] = process.argv.slice(2);

if (names.includes(name)) {
  await ready({ examples: true });
  const program = join(root, "examples", `${name}.js`);
  process.argv.splice(1, process.argv.length, program, ...args);
  // In this process, so that a signal to it reaches the example itself.
  await import(pathToFileURL(program).href);
} else {
  if (name !== undefined) console.error(`npm run example: there is no example "${name}"\n`);
  const print = name === undefined ? console.log : console.error;
  print("usage: npm run example NAME\n");
  for (const [index, path] of examples.entries()) print(`  ${names[index].padEnd(12)} ${firstSentence(path)}`);
  process.exitCode = name === undefined ? 0 : 1;
}

function firstSentence(path) {
  const [, comment = ""] = /^\/\*\*\s+(?:\* )?(.*)/.exec(readFileSync(join(root, path), "utf8")) ?? [];
  return comment
    .replace(/\s*\*\/$/, "")
    .replace(/([.:]) .*/, "$1")
    .replace(/[.:]$/, "");
}

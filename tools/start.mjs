/** Runs the main job, `holdfast serve`, with the arguments given: `npm start -- --port 8080`. */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ready, root } from "./ready.mjs";

await ready();
const main = join(root, "dist/cli/main.js");
process.argv.splice(1, 1, main, "serve");
// In this process, so that a signal to it reaches the server itself.
await import(pathToFileURL(main).href);

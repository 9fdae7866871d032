/** Runs test files with Node's own runner, the same way for every command. */

import { setMaxListeners } from "node:events";
import { availableParallelism } from "node:os";
import { run } from "node:test";

// Node 20 hands its own flags on, later ones those that are given.
const atEnd = ["--import", new URL("test-end.mjs", import.meta.url).href];
process.execArgv.push(...atEnd);

const stopped = new AbortController();
// The runner listens once for each file.
setMaxListeners(0, stopped.signal);
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => {
    process.exitCode = status;
    stopped.abort();
  });
}

/** What happens in `files`, as a stream of events. */
export function suiteOf(files, more = {}) {
  return run({
    files,
    concurrency: availableParallelism(),
    signal: stopped.signal,
    execArgv: atEnd,
    // A file that does not end has left something alive. But a soak takes as many minutes as it is told to.
    timeout: 300_000 + 2 * 60_000 * Number.parseFloat(process.env.HOLDFAST_SOAK ?? "0"),
    ...more,
  });
}

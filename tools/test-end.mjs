/**
 * Loaded into the process of each test file, which has to end by itself: what keeps it alive behind its last test, a test
 * has left behind. It is given time, less if a test has failed already, and then ends with what is alive.
 */

import { after } from "node:test";

/** Milliseconds. Set by the test of this. */
const PATIENCE = Number(process.env.HOLDFAST_TEST_PATIENCE ?? 60_000);
const PATIENCE_AFTER_FAILURE = Math.min(PATIENCE, 5_000);

// What tests start inherits this. Only for the file itself does it matter.
if (process.env.NODE_TEST_CONTEXT !== undefined && process.argv[1]?.endsWith(".test.js")) {
  after(() => {
    // Timers that keep nothing alive, so that a process with nothing left ends before them.
    setTimeout(() => process.exitCode && process.exit(), PATIENCE_AFTER_FAILURE).unref();
    setTimeout(() => {
      console.error(`${process.argv[1]}: is kept alive by ${process.getActiveResourcesInfo().join(", ")}`);
      process.exit(1);
    }, PATIENCE).unref();
  });
}

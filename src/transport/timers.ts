/** The timers of Node, as they were when the library was loaded: fake timers of a test do not replace them. */

import * as timers from "node:timers";

// Copied, because a test framework may replace the functions of the module later. `let`, because `renewTimers` replaces them.
export let setImmediate: typeof timers.setImmediate = timers.setImmediate;
export let setTimeout: typeof timers.setTimeout = timers.setTimeout;
export let clearTimeout: typeof timers.clearTimeout = timers.clearTimeout;
export let setInterval: typeof timers.setInterval = timers.setInterval;
export let clearInterval: typeof timers.clearInterval = timers.clearInterval;

/**
 * Uses the timers that the global object has now. For a library that was loaded while the timers were fake: its callbacks were
 * lost when the test restored the real ones.
 */
export function renewTimers(): void {
  ({ setImmediate, setTimeout, clearTimeout, setInterval, clearInterval } = globalThis);
}

/**
 * Makes the library use the timers that the global object has at each call, and no real time. The library keeps the functions of
 * `node:timers` and `node:perf_hooks` that it finds when it is loaded, so `simulate.ts` imports this file before all others.
 */

import { syncBuiltinESMExports } from "node:module";
import hooks from "node:perf_hooks";
import timers from "node:timers";

Object.assign(timers, {
  setImmediate: (...given: Parameters<typeof setImmediate>) => globalThis.setImmediate(...given),
  setInterval: (...given: Parameters<typeof setInterval>) => globalThis.setInterval(...given),
});
// No time passes inside a turn. If this process were suspended for a second, the library would take its turn for a lost one.
Object.defineProperty(hooks, "performance", { value: { now: () => 0 } });
syncBuiltinESMExports();

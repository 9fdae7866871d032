/**
 * Makes the library use the timers that the global object has at each call. The library keeps the functions of `node:timers` that
 * it finds when it is loaded, so `simulate.ts` imports this file before all others.
 */

import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";

Object.assign(timers, {
  setImmediate: (...given: Parameters<typeof setImmediate>) => globalThis.setImmediate(...given),
  setInterval: (...given: Parameters<typeof setInterval>) => globalThis.setInterval(...given),
});
syncBuiltinESMExports();

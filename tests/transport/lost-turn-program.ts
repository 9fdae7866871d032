/** Loads the end of turns while `setImmediate` is fake, and prints which tasks run once it is real. */

import { syncBuiltinESMExports } from "node:module";
import { performance } from "node:perf_hooks";
import timers from "node:timers";
import type { EndOfTurnTask } from "../../src/transport/end-of-turn.ts";

const { setImmediate: real } = timers;
timers.setImmediate = (() => undefined) as unknown as typeof real;
syncBuiltinESMExports();
const { atEndOfTurn } = await import("../../src/transport/end-of-turn.ts");

const task = (name: string): EndOfTurnTask => ({ turnEnded: () => console.log(name) });
atEndOfTurn(task("lost"));
await new Promise((resolve) => real(resolve));
console.log("restored");
const later = performance.now() + 2_000;
performance.now = () => later;
atEndOfTurn(task("second"));
await new Promise((resolve) => real(resolve));
atEndOfTurn(task("third"));

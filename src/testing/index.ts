/** The second door: what tests of programs that use connections need. */

export type { Link, LinkSide } from "../transport/memory.js";
export { type ChaosCounts, type ChaosOptions, type ChaosProxy, chaosProxy } from "./chaos.js";
export type { ChaosFaults } from "./chaos-faults.js";
export { ManualClock, settled } from "./clock.js";
export { type LinkedOptions, type Pair, type PairOptions, pair, type Wired, type WiredOptions, wired } from "./pair.js";
export type { Wire } from "./wire.js";

/** The entry point `holdfast/testing`: tools for tests of programs that use connections. */

export type { Link, LinkSide } from "../transport/memory.ts";
export type { ChaosFaults, SettledFaults } from "./chaos/faults.ts";
export { type ChaosCounts, type ChaosOptions, type ChaosProxy, chaosProxy } from "./chaos/proxy.ts";
export { ManualClock, settled } from "./clock.ts";
export type { Host } from "./network/host.ts";
export type { LinkFaults, NetworkLink } from "./network/link.ts";
export { type MemoryNetwork, type NetworkOptions, network } from "./network/network.ts";
export { type LinkedOptions, type Pair, type PairOptions, pair, type Wired, type WiredOptions, wired } from "./pair.ts";
export type { RawPeer } from "./raw-peer.ts";

/** The faults of the chaos proxy, their validation, and the seeded random generator. */

import { type Complete, present } from "../../base/forms.ts";
import { judgeBoolean, judgeChoice, judgeNumber, judgeOptions } from "../../base/judge.ts";

/** Faults between client and server. Each may be changed while connections are open. Durations are in milliseconds. */
export interface ChaosFaults {
  /** The direction to which the faults apply. `refuse` and `resetRate` apply whatever it is. @default "both" */
  readonly direction?: "both" | "to-server" | "to-client" | undefined;
  /** Delay of all bytes and of the FIN. @default 0 */
  readonly latency?: number | undefined;
  /** Upper bound of a random delay in addition to `latency`. Bytes stay in order, as on TCP. @default 0 */
  readonly jitter?: number | undefined;
  /**
   * Bytes per second. Beyond it the proxy stops reading, so the sender sees a slow reader. 0: a reader that does not read at
   * all. @default Infinity
   */
  readonly bandwidth?: number | undefined;
  /**
   * The proxy forwards nothing, neither bytes nor FIN nor reset, and reports nothing: the peer seems to have vanished. When the
   * fault ends, the waiting bytes are forwarded, as TCP retransmits lost bytes. @default false
   */
  readonly blackhole?: boolean | undefined;
  /** Bytes of a connection forwarded in one direction before both sides are reset. @default Infinity */
  readonly resetAfter?: number | undefined;
  /** Resets per second of each connection: the average rate of a random process. @default 0 */
  readonly resetRate?: number | undefined;
  /** Bytes of a connection forwarded in one direction before a FIN replaces the rest, even inside a frame. @default Infinity */
  readonly truncateAfter?: number | undefined;
  /** The proxy does not listen: new connections are refused. Open connections stay open. @default false */
  readonly refuse?: boolean | undefined;
}

export type SettledFaults = Complete<ChaosFaults>;

/** No faults at all. */
export const NO_FAULTS: SettledFaults = Object.freeze({
  direction: "both",
  latency: 0,
  jitter: 0,
  bandwidth: Infinity,
  blackhole: false,
  resetAfter: Infinity,
  resetRate: 0,
  truncateAfter: Infinity,
  refuse: false,
});

// The longest delay of setTimeout(): it fires at once for a longer one.
const MAX_DELAY = 2 ** 31 - 1;

/** `before` with the changes of `given`. Throws TypeError or RangeError for an unknown fault or a value out of range. */
export function changedFaults(before: SettledFaults, faults: ChaosFaults): SettledFaults {
  judgeOptions(faults, "faults");
  const given = present(faults);
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(NO_FAULTS, name)) throw new TypeError(`Cannot use fault ${name}: there is no such fault`);
    checkFault(name as keyof ChaosFaults, value);
  }
  return Object.freeze({ ...before, ...given });
}

function checkFault(name: keyof ChaosFaults, value: unknown): void {
  if (name === "direction") judgeChoice(name, value, ["both", "to-server", "to-client"]);
  else if (typeof NO_FAULTS[name] === "boolean") judgeBoolean(name, value);
  else if (name === "latency" || name === "jitter")
    judgeNumber(name, value, { least: 0, most: MAX_DELAY / 2, unit: "ms" });
  else judgeNumber(name, value, { least: 0, infinity: "no limit" });
}

/** A generator of random numbers from 0 to 1. The same seed gives the same numbers (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The faults that the chaos proxy can make, how they are judged, and the chance that it is given. */

/** What goes wrong on the way. All may be changed while connections are open; lengths of time are in milliseconds. */
export interface ChaosFaults {
  /** Which way the faults apply that concern bytes on the way: all but `refuse` and `resetRate`. @default "both" */
  readonly direction?: "both" | "to-server" | "to-client";
  /** How long everything is under way, FIN too. @default 0 */
  readonly latency?: number;
  /** How much longer at most, by chance. The order is kept, as TCP keeps it. @default 0 */
  readonly jitter?: number;
  /**
   * Bytes that pass in a second. What is more waits with its sender, to whom this is a slow reader; 0 is one who does not
   * read at all. @default Infinity
   */
  readonly bandwidth?: number;
  /**
   * Nothing passes, no FIN and no reset either, and nobody is told: a peer that is gone without a word. What waits goes on when
   * it is lifted, as TCP sends again what was lost. @default false
   */
  readonly blackhole?: boolean;
  /** Bytes of a connection that pass one way before both sides are reset. @default Infinity */
  readonly resetAfter?: number;
  /** How many times a second a connection is reset, on average and by chance. @default 0 */
  readonly resetRate?: number;
  /** Bytes of a connection that pass one way before a FIN comes in place of the rest, be it inside a frame. @default Infinity */
  readonly truncateAfter?: number;
  /** Nobody listens: who connects is refused. Those who are connected stay. @default false */
  readonly refuse?: boolean;
}

export type SettledFaults = Readonly<Required<ChaosFaults>>;

/** No faults at all. */
export const HEALTH: SettledFaults = Object.freeze({
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

// setTimeout() fires at once beyond this.
const LONGEST = 2 ** 31 - 1;

/** `before` with what `given` changes. TypeError or RangeError for what is no fault. */
export function changedFaults(before: SettledFaults, given: ChaosFaults): SettledFaults {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(HEALTH, name)) throw new TypeError(`Cannot use fault ${name}: there is no such fault`);
    judge(name as keyof ChaosFaults, value);
  }
  return Object.freeze({ ...before, ...given });
}

function judge(name: keyof ChaosFaults, value: unknown): void {
  const expected = typeof HEALTH[name];
  if (typeof value !== expected) throw new TypeError(`Cannot use ${name} ${String(value)}: expected a ${expected}`);
  if (name === "direction" && !["both", "to-server", "to-client"].includes(value as string)) {
    throw new TypeError(`Cannot use direction ${String(value)}: expected both, to-server or to-client`);
  }
  if (typeof value !== "number") return;
  const most = name === "latency" || name === "jitter" ? LONGEST / 2 : Infinity;
  if (!(value >= 0 && value <= most)) {
    throw new RangeError(
      `Cannot use ${name} ${value}: expected a number from 0${most < Infinity ? ` to ${most}` : ""}`,
    );
  }
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

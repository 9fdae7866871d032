/** How much each connection does in a second. Measured only while there is a viewer. */

import { between, type Instant } from "../base/time.ts";
import type { Connection, Inspection } from "../core.ts";

/** What a connection has done in the last second, for each second. */
export interface ConnectionPace {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** The shortest time of a measurement, in seconds. */
const SHORTEST = 0.1;

const WAYS = ["messagesIn", "messagesOut", "bytesIn", "bytesOut"] as const;

class Progress {
  readonly before: Record<keyof ConnectionPace, number> = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
  readonly pace: Record<keyof ConnectionPace, number> = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
}

export class ConnectionPaces {
  #progress = new WeakMap<Connection, Progress>();
  /** When it was measured last. Undefined while there is no viewer. */
  #measuredAt: Instant | undefined;

  /** Measures from the last call to now. The first call only begins. */
  measure(inspections: Iterable<Inspection>, now: Instant): void {
    const seconds = this.#measuredAt === undefined ? Infinity : between(this.#measuredAt, now) / 1_000;
    // A rate needs a length of time.
    if (seconds < SHORTEST) return;
    this.#measuredAt = now;
    for (const { connection, tally } of inspections) {
      let progress = this.#progress.get(connection);
      if (progress === undefined) {
        // Most connections are idle, and need no numbers.
        if (tally.bytesIn === 0 && tally.bytesOut === 0) continue;
        progress = new Progress();
        this.#progress.set(connection, progress);
      }
      const { before, pace } = progress;
      for (const way of WAYS) {
        pace[way] = Math.round(((tally[way] - before[way]) / seconds) * 10) / 10;
        before[way] = tally[way];
      }
    }
  }

  of(connection: Connection): ConnectionPace | undefined {
    return this.#progress.get(connection)?.pace;
  }

  /** There is no viewer any more. */
  forget(): void {
    this.#measuredAt = undefined;
    this.#progress = new WeakMap();
  }
}

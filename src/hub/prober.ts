/** Verifies the topics in which nothing happens, because a broker may stop to deliver without a sign. */

import { after, type Clock, type Wakeup } from "../base/time.ts";
import type { LiveTopic } from "./live-topic.ts";

/** The topics are verified in so many portions in each interval. */
const PORTIONS = 32;

export class Prober {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #topics: ReadonlyMap<string, LiveTopic>;
  #wakeup: Wakeup | undefined;
  /** The topics that are left of this round. New ones come at its end. */
  #round: Iterator<LiveTopic> | undefined;

  constructor(clock: Clock, interval: number, topics: ReadonlyMap<string, LiveTopic>) {
    this.#clock = clock;
    this.#interval = interval;
    this.#topics = topics;
  }

  /** Called when there is a topic. Has no effect if it is running. */
  start(): void {
    if (this.#wakeup !== undefined || this.#interval === Infinity) return;
    this.#wakeup = this.#clock.wakeAt(after(this.#clock.now(), this.#interval / PORTIONS), () => {
      this.#wakeup = undefined;
      this.#probe();
      if (this.#topics.size > 0) this.start();
    });
  }

  stop(): void {
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
  }

  #probe(): void {
    for (let left = Math.ceil(this.#topics.size / PORTIONS); left > 0; left -= 1) {
      this.#round ??= this.#topics.values();
      const { value, done } = this.#round.next();
      if (done === true) {
        // The next round begins with the next portion, so that no topic is verified twice in a short time.
        this.#round = undefined;
        return;
      }
      (value as LiveTopic).log.probe();
    }
  }
}

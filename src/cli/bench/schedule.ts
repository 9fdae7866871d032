/** The times at which the messages of the open loop are due. */

export interface ScheduleOptions {
  /** When the first message of all processes is due, in milliseconds. */
  readonly start: number;
  /** Messages per second, of all processes. */
  readonly rate: number;
  readonly processes: number;
  /** The number of this process. Processes take turns, so that all together send at equal intervals. */
  readonly index: number;
}

/**
 * The messages of one process, numbered from 0. Their times depend on the rate alone, and never on answers: a server that stalls
 * does not delay the messages that show the stall (coordinated omission).
 */
export class Schedule {
  readonly #start: number;
  readonly #interval: number;

  constructor({ start, rate, processes, index }: ScheduleOptions) {
    this.#start = start + (index * 1_000) / rate;
    this.#interval = (processes * 1_000) / rate;
  }

  /** The time at which message `number` is due. */
  timeOf(number: number): number {
    // A product and no sum of intervals: the error of a sum grows with each message.
    return this.#start + number * this.#interval;
  }

  /** How many messages are due before `time`. */
  dueBefore(time: number): number {
    return Math.max(0, Math.ceil((time - this.#start) / this.#interval));
  }

  /** How many messages are due at `now`. */
  dueAt(now: number): number {
    return Math.max(0, Math.floor((now - this.#start) / this.#interval) + 1);
  }
}

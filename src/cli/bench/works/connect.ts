/** The work `connect`: connections are opened, and ended as soon as they are open. */

import { setTimeout } from "node:timers";
import { connect } from "../../../index.ts";
import { loadOptions } from "../load-connections.ts";
import type { Milliseconds } from "../plan.ts";
import { endReason, type LoadWork, type WorkSetup } from "./load-work.ts";

/** In the closed loop, the pause after a failed attempt: a server that refuses is not flooded with attempts. */
const PAUSE_AFTER_FAILURE = 100;

export class ConnectWork implements LoadWork {
  readonly #setup: WorkSetup;
  readonly published = 0;
  /** Attempts at the same time, at most, in this process. */
  readonly #most: number;
  /** The times of attempts that are due, while as many as possible are being made. */
  readonly #waiting: Milliseconds[] = [];
  #attempts = 0;
  #going = false;
  #over = false;

  constructor(setup: WorkSetup) {
    this.#setup = setup;
    const { connections, processes } = setup.plan;
    this.#most = Math.ceil((connections - setup.index) / processes);
  }

  open(): Promise<number> {
    return Promise.resolve(0);
  }

  begin(): void {
    this.#going = this.#setup.schedule === undefined;
    if (!this.#going) return;
    for (let attempt = 0; attempt < this.#most; attempt++) void this.#attempt(this.#setup.now());
  }

  due(number: number): void {
    const scheduled = this.#setup.schedule?.timeOf(number) ?? this.#setup.now();
    if (this.#attempts < this.#most) void this.#attempt(scheduled);
    else this.#waiting.push(scheduled);
  }

  end(): void {
    this.#going = false;
  }

  awaited(): number {
    return this.#attempts + this.#waiting.length;
  }

  settle(): void {
    this.#over = true;
    this.#setup.measurement.counts.unsent += this.#waiting.length;
    this.#setup.measurement.counts.lost += this.#attempts;
  }

  close(): void {
    this.#over = true;
  }

  async #attempt(scheduled: Milliseconds): Promise<void> {
    const { plan, measurement, now } = this.#setup;
    this.#attempts += 1;
    measurement.sent(scheduled, now());
    let failed = false;
    try {
      const connection = await connect(plan.url, loadOptions(plan));
      if (!this.#over) measurement.received(scheduled, now());
      // A reset leaves no socket in TIME_WAIT, of which a client has one for each of its 28,000 ports.
      connection.terminate();
    } catch (error) {
      failed = true;
      if (!this.#over) {
        measurement.counts.failed += 1;
        measurement.because(endReason(error));
      }
    }
    this.#attempts -= 1;
    this.#next(failed);
  }

  #next(failed: boolean): void {
    if (this.#over) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) void this.#attempt(waiting);
    else if (this.#going) {
      if (failed) setTimeout(() => this.#again(), PAUSE_AFTER_FAILURE);
      else this.#again();
    }
  }

  #again(): void {
    if (this.#going) void this.#attempt(this.#setup.now());
  }
}

/** The work `idle`: connections are open, and send nothing but the Pings of their heartbeat. */

import type { Connection } from "../../../index.ts";
import { loadOptions, openAll } from "../load-connections.ts";
import { endReason, type LoadWork, type WorkSetup } from "./load-work.ts";

export class IdleWork implements LoadWork {
  readonly #setup: WorkSetup;
  readonly published = 0;
  #connections: readonly Connection[] = [];
  #over = false;

  constructor(setup: WorkSetup) {
    this.#setup = setup;
  }

  async open(): Promise<number> {
    const { plan, index, measurement } = this.#setup;
    const count = Math.ceil((plan.connections - index) / plan.processes);
    const closing = (_: Connection, error: unknown): void => {
      if (this.#over) return;
      measurement.counts.ended += 1;
      measurement.because(endReason(error));
    };
    // What the server sends is discarded. The heartbeat is the default, as idle connections of an application have it.
    const options = { ...loadOptions(plan), heartbeat: undefined, message: () => undefined, closing };
    this.#connections = await openAll(plan.url, count, () => options);
    return this.#connections.length;
  }

  begin(): void {}

  due(): void {}

  end(): void {}

  awaited(): number {
    return 0;
  }

  settle(): void {
    this.#over = true;
  }

  close(): void {
    this.#over = true;
    for (const connection of this.#connections) connection.terminate();
  }
}

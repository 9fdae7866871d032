/** The connection between a node and the faulty server. */

import { after, type Clock, type Instant, instant, later, reached } from "../../src/base/time.ts";
import type { BrokerHonours, BrokerPublishOptions, Published, ReadRequest, Slice } from "../../src/broker/broker.ts";

export const FAULTY_HONOURS: BrokerHonours = {
  log: true,
  contiguous: true,
  survives: "broker",
  once: true,
  fence: true,
};

/** What a node asks of the server. */
export type FaultyCall =
  | {
      readonly ask: "publish";
      readonly topic: string;
      readonly message: Uint8Array;
      readonly options: BrokerPublishOptions;
    }
  | { readonly ask: "read"; readonly topic: string; readonly request: ReadRequest }
  | { readonly ask: "renew"; readonly topic: string; readonly epoch: string }
  | { readonly ask: "claim"; readonly topic: string; readonly producer: string; readonly attempt: number };

/** The server, as its nodes use it. */
export interface LinkedServer {
  readonly clock: Clock;
  /** How long a message takes in one direction, in milliseconds. */
  readonly delay: () => number;
  /** True if messages pass in both directions. */
  readonly passes: boolean;
  /** The number of executed commands. */
  commands: number;
  execute(call: FaultyCall): Published | Slice | string | boolean;
  remove(node: object): void;
}

/** One direction of a connection. It keeps the order. */
export class Pipe {
  readonly #server: LinkedServer;
  #queue: { readonly at: Instant; readonly run: () => void }[] = [];
  #last: Instant = instant(0);

  constructor(server: LinkedServer) {
    this.#server = server;
  }

  send(run: () => void): void {
    const { clock, delay } = this.#server;
    this.#last = later(this.#last, after(clock.now(), delay()));
    this.#queue.push({ at: this.#last, run });
    clock.wakeAt(this.#last, () => this.flush());
  }

  /** Passes what has arrived. */
  flush(): void {
    while (this.#server.passes) {
      const [next] = this.#queue;
      if (next === undefined || !reached(next.at, this.#server.clock.now())) return;
      this.#queue.shift();
      next.run();
    }
  }

  drop(): void {
    this.#queue = [];
  }
}

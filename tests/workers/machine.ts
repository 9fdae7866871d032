/** The first process of workers and its workers, in one process and without any pipe. */

import { ManualClock } from "../../src/testing/index.ts";
import { WorkerBroker } from "../../src/workers/broker.ts";
import { WorkerExchange } from "../../src/workers/exchange.ts";
import type { FromWorker, ToWorker } from "../../src/workers/messages.ts";
import { MessageRouter, type RoutedWorker, type RouterLimits } from "../../src/workers/router.ts";

export const AMPLE: RouterLimits = { maxQueuedBytes: 1e9, maxQueuedMessages: 1e9, maxLogBytes: 1e9, maxLogTopics: 1e9 };

/** A router and its workers. A closed pipe holds messages, in order. */
export class Machine {
  readonly router: MessageRouter;
  readonly exchanges: WorkerExchange[] = [];
  readonly brokers: WorkerBroker[] = [];
  readonly clock: ManualClock = new ManualClock();
  readonly missed: number[][] = [];
  readonly errors: unknown[] = [];
  /** How often each worker has announced channels. */
  readonly announced: number[] = [];
  readonly #limits: RouterLimits;
  readonly #shut = new Set<number>();
  readonly #held = new Map<number, (() => void)[]>();

  constructor(workers: number, limits: RouterLimits = AMPLE) {
    this.#limits = limits;
    this.router = new MessageRouter(limits, this.clock);
    for (let index = 0; index < workers; index += 1) this.addWorker();
  }

  /** Starts another worker. */
  addWorker(): WorkerBroker {
    const index = this.exchanges.length;
    const missed: number[] = [];
    this.missed.push(missed);
    this.announced.push(0);
    const down = (message: unknown, posted: () => void): void => {
      this.#pass(index, () => {
        const told = message as ToWorker;
        if (told.holdfast === "answers") this.brokers[index]?.handle(told);
        else if (told.holdfast === "confirmed" || told.holdfast === "mail") this.exchanges[index]?.handle(told);
        posted();
      });
    };
    const seat: RoutedWorker = this.router.add(down, (messages) => missed.push(messages));
    const up = (message: unknown, posted: () => void): void => {
      this.#pass(-1 - index, () => {
        const said = message as FromWorker;
        if (said.holdfast === "channels") this.announced[index] = (this.announced[index] ?? 0) + 1;
        if (said.holdfast === "channels" || said.holdfast === "mail" || said.holdfast === "asks") seat.handle(said);
        posted();
      });
    };
    const exchange = new WorkerExchange(up, this.#limits, (error) => this.errors.push(error));
    const broker = new WorkerBroker(exchange, this.#limits, this.clock);
    this.exchanges.push(exchange);
    this.brokers.push(broker);
    return broker;
  }

  /** The pipe to a worker; -1 - index for that from it. */
  shut(pipe: number): void {
    this.#shut.add(pipe);
  }

  open(pipe: number): void {
    this.#shut.delete(pipe);
    for (const pass of this.#held.get(pipe) ?? []) pass();
    this.#held.delete(pipe);
  }

  #pass(pipe: number, pass: () => void): void {
    if (!this.#shut.has(pipe)) queueMicrotask(pass);
    else this.#held.set(pipe, [...(this.#held.get(pipe) ?? []), pass]);
  }
}

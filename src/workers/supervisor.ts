/** The workers of one program: replaces those that end, restarts them one by one, and stops them together. */

import { performance } from "node:perf_hooks";
import { StopSignals } from "../base/stop-signals.ts";
import { after, between, type Wakeup } from "../base/time.ts";
import { Backoff } from "../engine/time/backoff.ts";
import { MetricsSnapshot } from "../metrics/snapshot.ts";
import { systemClock } from "../transport/clock.ts";
import { holdProcess, letProcessGo } from "../transport/process-hold.ts";
import { onSignals } from "./cluster.ts";
import { JoinedMetrics } from "./joined-metrics.ts";
import type { SettledWorkers } from "./options.ts";
import { WorkerProcess } from "./process.ts";
import { MessageRouter } from "./router.ts";
import { workerMetrics } from "./worker-metrics.ts";

// The pauses before the replacement of a worker that did not serve for long, in milliseconds. The first replacement starts at
// once.
const PAUSES = { base: 500, cap: 20_000 };
// A worker that has served for this time, in milliseconds, counts as stable: its pauses start again from the beginning.
const STABLE = 10_000;

/** One worker number, and the process that has it now. */
interface WorkerSlot {
  readonly id: number;
  readonly backoff: Backoff;
  process: WorkerProcess;
  /** True if a process of this worker has ended, and none was stable since. The next replacement then waits for a pause. */
  restarted: boolean;
  wakeup: Wakeup | undefined;
}

/** The running workers of a program, as `startWorkers` returns them. */
export class Workers implements AsyncDisposable {
  /** Resolves when the workers have been stopped and have ended. */
  readonly ended: Promise<void>;
  readonly #options: SettledWorkers;
  readonly #router: MessageRouter;
  readonly #metrics = new JoinedMetrics(systemClock);
  readonly #slots: readonly WorkerSlot[];
  /** The processes that were started and have not ended. */
  readonly #processes = new Set<WorkerProcess>();
  #urls: readonly string[] = [];
  readonly #removeSignalListeners: () => void;
  readonly #stopSignals = new StopSignals();
  #resolveEnded = (): void => undefined;
  #restarting: Promise<void> | undefined;
  #restartAgain: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(options: SettledWorkers) {
    // Between the end of a worker and its replacement, nothing else may keep this process alive.
    holdProcess();
    const { observe } = options;
    this.#options = {
      ...options,
      observe: (event) => {
        workerMetrics.count(event);
        observe(event);
      },
    };
    workerMetrics.begin();
    this.#router = new MessageRouter(options, systemClock);
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#slots = Array.from({ length: options.workers }, (_, index) => {
      const backoff = new Backoff(PAUSES, Math.random);
      return { id: index + 1, backoff, process: this.#start(index + 1), restarted: false, wakeup: undefined };
    });
    for (const slot of this.#slots) this.#replaceWhenEnded(slot, slot.process);
    const stop = (): void => this.#stopBySignal();
    const restart = (): void => void this.restart().catch(() => undefined);
    this.#removeSignalListeners = options.signals
      ? onSignals({ SIGTERM: stop, SIGINT: stop, SIGHUP: restart })
      : () => undefined;
  }

  /**
   * @internal Resolves when all workers serve. If one does not start to serve, all are stopped, and this rejects with its
   * WorkerError.
   */
  static async start(options: SettledWorkers): Promise<Workers> {
    const workers = new Workers(options);
    try {
      const [urls = []] = await Promise.all(workers.#slots.map(({ process }) => process.serving));
      workers.#urls = urls;
      return workers;
    } catch (error) {
      await workers.stop();
      throw error;
    }
  }

  /** The addresses at which all workers listen. */
  get urls(): readonly string[] {
    return this.#urls;
  }

  /** The ids of the current processes, in the order of the worker numbers. Undefined for a process that could not be created. */
  get pids(): readonly (number | undefined)[] {
    return this.#slots.map(({ process }) => process.pid);
  }

  /**
   * The metrics of all processes of the program, joined: counters and gauges are added up, and histograms are merged. Of a metric such
   * as the largest queue, the largest value is taken. No counter goes down when a worker ends or is replaced. What a worker has counted since its
   * last answer is lost only if it is killed or crashes.
   *
   * A worker has one second to answer. Otherwise its gauges are left out, its counters are those of its last answer, and
   * `holdfast_workers_unanswered` counts it. Calls at the same time share one result. `metrics` of a worker's scope does the same from
   * within a worker.
   */
  async metrics(): Promise<MetricsSnapshot> {
    return new MetricsSnapshot(await this.#metrics.collect());
  }

  /**
   * Replaces every process by a new one, one after the other. The new process serves before the old one is stopped, so that no
   * connection is refused. The new processes run the current content of the program's files. If one does not start to serve, this
   * rejects with its WorkerError, and the processes that have not been replaced continue. Calls during a restart cause one more
   * restart after it, and share its result.
   */
  restart(): Promise<void> {
    if (this.#restarting === undefined) {
      this.#restarting = this.#restart().finally(() => {
        this.#restarting = undefined;
      });
      return this.#restarting;
    }
    this.#restartAgain ??= this.#restarting
      .catch(() => undefined)
      .then(() => {
        this.#restartAgain = undefined;
        return this.restart();
      });
    return this.#restartAgain;
  }

  /**
   * Stops all workers: each closes its servers, and is killed if that takes longer than `stopTimeout`. Resolves when all have
   * ended.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    for (const { wakeup } of this.#slots) wakeup?.cancel();
    // Includes a process that a restart has just started.
    await Promise.all([...this.#processes].map((process) => process.stop()));
    this.#router.clear();
    letProcessGo();
    this.#removeSignalListeners();
    this.#resolveEnded();
  }

  /** The first signal stops the workers. A second signal kills them. */
  #stopBySignal(): void {
    if (this.#stopSignals.receive(performance.now()) === "second") {
      for (const process of this.#processes) process.kill("a second signal was received");
    }
    void this.stop();
  }

  async #restart(): Promise<void> {
    for (const slot of this.#slots) {
      if (this.#stopping !== undefined) return;
      const replacement = this.#start(slot.id);
      try {
        await replacement.serving;
      } catch (error) {
        await replacement.stop();
        if (this.#stopping !== undefined) return;
        throw error;
      }
      // Read only now: the process may have ended in the meantime and have been replaced.
      const old = slot.process;
      slot.wakeup?.cancel();
      slot.process = replacement;
      this.#replaceWhenEnded(slot, replacement);
      await old.stop();
    }
  }

  #start(id: number): WorkerProcess {
    const process = new WorkerProcess(id, this.#options, this.#router, this.#metrics);
    this.#processes.add(process);
    return process;
  }

  #replaceWhenEnded(slot: WorkerSlot, process: WorkerProcess): void {
    void process.ended.then(() => {
      if (slot.process !== process || this.#stopping !== undefined) return;
      const { servingSince } = process;
      if (servingSince !== undefined && between(servingSince, systemClock.now()) >= STABLE) {
        slot.backoff.reset();
        slot.restarted = false;
      }
      const pause = slot.restarted ? slot.backoff.next() : 0;
      slot.restarted = true;
      slot.wakeup = systemClock.wakeAt(after(systemClock.now(), pause), () => {
        slot.process = this.#start(slot.id);
        this.#replaceWhenEnded(slot, slot.process);
      });
    });
    void process.ended.then(() => this.#processes.delete(process));
  }
}

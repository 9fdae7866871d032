/** The workers of one program: kept at their number, restarted one by one, and stopped together. */

import { after, between, type Wakeup } from "../base/time.js";
import { Backoff } from "../engine/backoff.js";
import { systemClock } from "../transport/clock.js";
import { onSignals } from "../transport/processes.js";
import { WorkerHub } from "./worker-hub.js";
import type { SettledWorkers } from "./worker-options.js";
import { WorkerProcess } from "./worker-process.js";

// Between the ends of a worker that does not live long. The first time it is replaced at once.
const PAUSES = { base: 500, cap: 20_000 };
// Who has served for so long has not failed at its start.
const STABLE = 10_000;

// Signals closer together than this, in milliseconds, are one: nobody presses Ctrl+C twice as fast.
const SAME_WISH = 250;

// The longest that setInterval takes.
const FOR_LONG = 2 ** 31 - 1;

/** The place of one worker, whichever process has it. */
interface Place {
  readonly id: number;
  readonly backoff: Backoff;
  process: WorkerProcess;
  /** It is not the first to end before it had served for long. */
  again: boolean;
  wakeup: Wakeup | undefined;
}

export class Workers implements AsyncDisposable {
  /** Resolves when they have been stopped and have ended. */
  readonly ended: Promise<void>;
  readonly #options: SettledWorkers;
  readonly #hub: WorkerHub;
  readonly #places: readonly Place[];
  /** Those that were started and have not ended. */
  readonly #alive = new Set<WorkerProcess>();
  #urls: readonly string[] = [];
  // Between a worker's end and its replacement there may be nothing else that keeps this process.
  readonly #vigil = setInterval(() => undefined, FOR_LONG);
  readonly #deaf: () => void;
  #tellEnded = (): void => undefined;
  #restarting: Promise<void> | undefined;
  #restartAgain: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #stoppedAt: number | undefined;

  private constructor(options: SettledWorkers) {
    this.#options = options;
    this.#hub = new WorkerHub(options);
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.#places = Array.from({ length: options.workers }, (_, index) => {
      const backoff = new Backoff(PAUSES, Math.random);
      return { id: index + 1, backoff, process: this.#start(index + 1), again: false, wakeup: undefined };
    });
    for (const place of this.#places) this.#watch(place, place.process);
    const stop = (): void => this.#obey();
    const restart = (): void => void this.restart().catch(() => undefined);
    this.#deaf = options.signals ? onSignals({ SIGTERM: stop, SIGINT: stop, SIGHUP: restart }) : () => undefined;
  }

  /** @internal Resolves when all serve. If one does not come to that, all are ended, and this rejects with its WorkerError. */
  static async start(options: SettledWorkers): Promise<Workers> {
    const workers = new Workers(options);
    try {
      const [urls = []] = await Promise.all(workers.#places.map(({ process }) => process.serving));
      workers.#urls = urls;
      return workers;
    } catch (error) {
      await workers.stop();
      throw error;
    }
  }

  /** Where they all listen. */
  get urls(): readonly string[] {
    return this.#urls;
  }

  /** The processes that have the places now, in the order of their numbers. */
  get pids(): readonly (number | undefined)[] {
    return this.#places.map(({ process }) => process.pid);
  }

  /**
   * Replaces every process by a new one, one after the other: the new one serves before the old one is told to go, so that
   * nobody is refused. The new ones run what the program's files hold now. If one does not come to serve, this rejects with
   * its WorkerError, and those that have not been replaced go on. While one restart goes on, another one follows it, and
   * serves all who ask.
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

  /** Tells all to close what they serve with; kills those that take longer than `stopTimeout`. Resolves when all have ended. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    for (const { wakeup } of this.#places) wakeup?.cancel();
    // One that a restart has just begun is told as well.
    await Promise.all([...this.#alive].map((process) => process.stop()));
    clearInterval(this.#vigil);
    this.#deaf();
    this.#tellEnded();
  }

  /** The first signal stops; a second one does not wait. */
  #obey(): void {
    const now = performance.now();
    // Ctrl+C reaches npm as well, and npm passes it on: two signals, but one wish.
    if (this.#stoppedAt !== undefined && now - this.#stoppedAt < SAME_WISH) return;
    if (this.#stoppedAt !== undefined) for (const process of this.#alive) process.kill("a second signal came");
    this.#stoppedAt ??= now;
    void this.stop();
  }

  async #restart(): Promise<void> {
    for (const place of this.#places) {
      if (this.#stopping !== undefined) return;
      const fresh = this.#start(place.id);
      try {
        await fresh.serving;
      } catch (error) {
        await fresh.stop();
        if (this.#stopping !== undefined) return;
        throw error;
      }
      // Perhaps another one than before: it may have ended meanwhile, and been replaced.
      const old = place.process;
      place.wakeup?.cancel();
      place.process = fresh;
      this.#watch(place, fresh);
      await old.stop();
    }
  }

  #start(id: number): WorkerProcess {
    const process = new WorkerProcess(id, this.#options, this.#hub);
    this.#alive.add(process);
    return process;
  }

  #watch(place: Place, process: WorkerProcess): void {
    void process.ended.then(() => {
      if (place.process !== process || this.#stopping !== undefined) return;
      const { servesSince } = process;
      if (servesSince !== undefined && between(servesSince, systemClock.now()) >= STABLE) {
        place.backoff.restored();
        place.again = false;
      }
      const pause = place.again ? place.backoff.next() : 0;
      place.again = true;
      place.wakeup = systemClock.wakeAt(after(systemClock.now(), pause), () => {
        place.process = this.#start(place.id);
        this.#watch(place, place.process);
      });
    });
    void process.ended.then(() => this.#alive.delete(process));
  }
}

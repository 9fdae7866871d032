/** One process of a worker, from its start to its end. */

import { WorkerError } from "../base/errors.ts";
import type { Instant, Wakeup } from "../base/time.ts";
import { wakeAfter } from "../engine/time/stall.ts";
import { systemClock } from "../transport/clock.ts";
import { type Child, fork } from "./cluster.ts";
import type { JoinedMetrics, MeasuredWorker } from "./joined-metrics.ts";
import { type FromWorker, libraryMessage, type ToWorker } from "./messages.ts";
import type { SettledWorkers } from "./options.ts";
import type { MessageRouter, RoutedWorker } from "./router.ts";

export class WorkerProcess {
  readonly #id: number;
  readonly #options: SettledWorkers;
  readonly #child: Child;
  readonly #routed: RoutedWorker;
  readonly #metrics: JoinedMetrics;
  /** Undefined until it serves: before that it does not answer. */
  #measured: MeasuredWorker | undefined;
  #state: "starting" | "serving" | "stopping" | "ended" = "starting";
  #timer: Wakeup | undefined;
  #serving: { readonly resolve: (urls: readonly string[]) => void; readonly reject: (error: WorkerError) => void };
  #servingSince: Instant | undefined;
  /** Resolves with the addresses when the process serves. Rejects with a WorkerError if it does not start to serve. */
  readonly serving: Promise<readonly string[]>;
  readonly ended: Promise<void>;

  constructor(id: number, options: SettledWorkers, router: MessageRouter, metrics: JoinedMetrics) {
    this.#id = id;
    this.#metrics = metrics;
    this.#options = options;
    let settle = { resolve: (_: readonly string[]): void => undefined, reject: (_: WorkerError): void => undefined };
    this.serving = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    // Prevents an unhandled rejection. `observe` gets the failure in any case.
    this.serving.catch(() => undefined);
    this.#serving = settle;
    let resolveEnded = (): void => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve;
    });
    this.#child = fork(id, {
      message: (message) => this.#handle(libraryMessage<FromWorker>(message)),
      ended: (exitCode, signal) => {
        this.#processEnded(exitCode, signal);
        resolveEnded();
      },
    });
    this.#routed = router.add(this.#child.post, (messages) =>
      options.observe({ type: "missed", ...this.#identity, messages }),
    );
    this.#startTimer("startTimeout", "it did not serve");
  }

  /** When the process began to serve. Undefined until then. */
  get servingSince(): Instant | undefined {
    return this.#servingSince;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Makes the process close its servers and end. Resolves when it has ended. */
  stop(): Promise<void> {
    if (this.#state === "starting" || this.#state === "serving") {
      // A process that has just started does not listen for messages yet.
      if (this.#state === "starting") this.#child.kill("SIGTERM");
      else this.#child.post({ holdfast: "stop" } satisfies ToWorker, () => undefined);
      this.#state = "stopping";
      this.#serving.reject(new WorkerError({ worker: this.#id, problem: "it was stopped" }));
      this.#startTimer("stopTimeout", "it did not end");
    }
    return this.ended;
  }

  /** Kills the process at once. */
  kill(reason: string): void {
    if (this.#state === "ended") return;
    if (this.#state !== "starting") this.#state = "stopping";
    this.#options.observe({ type: "killed", ...this.#identity, reason });
    this.#child.kill("SIGKILL");
  }

  get #identity(): { readonly worker: number; readonly pid: number | undefined } {
    return { worker: this.#id, pid: this.#child.pid };
  }

  #handle(message: FromWorker | undefined): void {
    if (message === undefined) return;
    if (message.holdfast === "channels" || message.holdfast === "mail" || message.holdfast === "asks") {
      this.#routed.handle(message);
    } else if (message.holdfast === "measured") {
      this.#measured?.handle(message);
    } else if (message.holdfast === "join") {
      void this.#metrics.collect().then(({ series }) => {
        this.#child.post({ holdfast: "joined", series } satisfies ToWorker, () => undefined);
      });
    } else if (this.#state !== "starting") {
      // Too late: the process has already served, failed, or been stopped.
    } else if (message.holdfast === "serving") {
      this.#state = "serving";
      this.#timer?.cancel();
      this.#servingSince = systemClock.now();
      this.#measured = this.#metrics.add(this.#child.post);
      this.#options.observe({ type: "serving", ...this.#identity });
      this.#serving.resolve(message.urls);
    } else {
      this.#fail(message.problem, message);
    }
  }

  #fail(problem: string, failure?: { readonly errno: string | undefined; readonly report: string }): void {
    this.#state = "stopping";
    const facts = { worker: this.#id, problem, errno: failure?.errno };
    // The stack is that of the error in the worker process.
    const cause = failure && Object.assign(new Error(problem), { stack: failure.report });
    const error = new WorkerError(facts, cause && { cause });
    this.#options.observe({ type: "failed", ...this.#identity, error });
    this.#serving.reject(error);
  }

  #processEnded(exitCode: number | null, signal: string | null): void {
    this.#timer?.cancel();
    const by = signal ?? `status ${exitCode}`;
    if (this.#state === "starting") {
      this.#fail(exitCode === null && signal === null ? "the system has no process for it" : `it ended with ${by}`);
    }
    // Also for a process that has ended before it served: `failed` has reported it.
    const expected = this.#state === "stopping";
    this.#state = "ended";
    this.#routed.remove();
    this.#measured?.remove();
    this.#options.observe({ type: "ended", ...this.#identity, exitCode, signal, expected });
  }

  #startTimer(limit: "startTimeout" | "stopTimeout", problem: string): void {
    this.#timer?.cancel();
    const length = this.#options[limit];
    // A worker that starts or ends needs this process. While this one is stopped, the worker may have to wait for it.
    this.#timer = wakeAfter(systemClock, length, () => {
      const reason = `${problem} within ${limit} of ${length} ms`;
      if (this.#state === "starting") this.#fail(reason);
      this.kill(reason);
    });
  }
}

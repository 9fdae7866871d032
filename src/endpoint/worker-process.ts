/** One process of a worker, from its start to its end. */

import { WorkerError } from "../base/errors.js";
import { after, type Instant, type Wakeup } from "../base/time.js";
import { systemClock } from "../transport/clock.js";
import { type Child, fork } from "../transport/processes.js";
import type { Seat, WorkerHub } from "./worker-hub.js";
import { type FromWorker, heard, type ToWorker } from "./worker-messages.js";
import type { SettledWorkers } from "./worker-options.js";

export class WorkerProcess {
  readonly #id: number;
  readonly #options: SettledWorkers;
  readonly #child: Child;
  readonly #seat: Seat;
  #state: "starting" | "serving" | "stopping" | "ended" = "starting";
  #timer: Wakeup | undefined;
  #settle: { readonly serves: (urls: readonly string[]) => void; readonly fails: (error: WorkerError) => void };
  #servesSince: Instant | undefined;
  /** Resolves with the addresses when it serves; rejects with a WorkerError if it does not come to that. */
  readonly serving: Promise<readonly string[]>;
  readonly ended: Promise<void>;

  constructor(id: number, options: SettledWorkers, hub: WorkerHub) {
    this.#id = id;
    this.#options = options;
    let settle = { serves: (_: readonly string[]): void => undefined, fails: (_: WorkerError): void => undefined };
    this.serving = new Promise((serves, fails) => {
      settle = { serves, fails };
    });
    // Whoever does not wait for it hears of it by `observe`.
    this.serving.catch(() => undefined);
    this.#settle = settle;
    let tellEnded = (): void => undefined;
    this.ended = new Promise((resolve) => {
      tellEnded = resolve;
    });
    this.#child = fork(id, {
      message: (message) => this.#heard(heard<FromWorker>(message)),
      ended: (exitCode, signal) => {
        this.#end(exitCode, signal);
        tellEnded();
      },
    });
    this.#seat = hub.join(this.#child.post, (messages) => options.observe({ type: "missed", ...this.#who, messages }));
    this.#bound("startTimeout", "it did not serve");
  }

  /** Undefined until it serves. */
  get servesSince(): Instant | undefined {
    return this.#servesSince;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Tells it to close what it serves with, and to end. Resolves when it has ended. */
  stop(): Promise<void> {
    if (this.#state === "starting" || this.#state === "serving") {
      // One that has only just been made does not listen yet.
      if (this.#state === "starting") this.#child.kill("SIGTERM");
      else this.#child.post({ holdfast: "stop" } satisfies ToWorker, () => undefined);
      this.#state = "stopping";
      this.#settle.fails(new WorkerError({ worker: this.#id, problem: "it was told to stop" }));
      this.#bound("stopTimeout", "it did not end");
    }
    return this.ended;
  }

  /** Ends it without waiting for anything. */
  kill(reason: string): void {
    if (this.#state === "ended") return;
    if (this.#state !== "starting") this.#state = "stopping";
    this.#options.observe({ type: "killed", ...this.#who, reason });
    this.#child.kill("SIGKILL");
  }

  get #who(): { readonly worker: number; readonly pid: number | undefined } {
    return { worker: this.#id, pid: this.#child.pid };
  }

  #heard(message: FromWorker | undefined): void {
    if (message === undefined) return;
    if (message.holdfast === "channels" || message.holdfast === "mail") {
      this.#seat.heard(message);
    } else if (this.#state !== "starting") {
      // It serves, or fails, too late.
    } else if (message.holdfast === "serving") {
      this.#state = "serving";
      this.#timer?.cancel();
      this.#servesSince = systemClock.now();
      this.#options.observe({ type: "serving", ...this.#who });
      this.#settle.serves(message.urls);
    } else {
      this.#fail(message.problem, message.errno);
    }
  }

  #fail(problem: string, errno?: string): void {
    this.#state = "stopping";
    const error = new WorkerError({ worker: this.#id, problem, errno });
    this.#options.observe({ type: "failed", ...this.#who, error });
    this.#settle.fails(error);
  }

  #end(exitCode: number | null, signal: string | null): void {
    this.#timer?.cancel();
    const expected = this.#state === "stopping";
    const by = signal ?? `status ${exitCode}`;
    if (this.#state === "starting") {
      this.#fail(exitCode === null && signal === null ? "the system has no process for it" : `it ended with ${by}`);
    }
    this.#state = "ended";
    this.#seat.leave();
    this.#options.observe({ type: "ended", ...this.#who, exitCode, signal, expected });
  }

  #bound(limit: "startTimeout" | "stopTimeout", what: string): void {
    this.#timer?.cancel();
    const length = this.#options[limit];
    this.#timer = systemClock.wakeAt(after(systemClock.now(), length), () => {
      const reason = `${what} within ${limit} of ${length} ms`;
      if (this.#state === "starting") this.#fail(reason);
      this.kill(reason);
    });
  }
}

/** Runs a program in several processes, so that it uses all processor cores of one machine. */

import { judgeFunction } from "../base/judge.ts";
import { processMetrics } from "../core.ts";
import { systemClock } from "../transport/clock.ts";
import { printError, textOf } from "../transport/error-report.ts";
import { setImmediate } from "../transport/timers.ts";
import { WorkerBroker } from "./broker.ts";
import { exitProcess, isPrimary, onSignals, type Parent, parent, processors } from "./cluster.ts";
import { WorkerExchange } from "./exchange.ts";
import { type FromWorker, libraryMessage, type ToWorker } from "./messages.ts";
import { MetricsRequest } from "./metrics-request.ts";
import {
  type SettledWorkers,
  settleWorkers,
  type WorkerFunction,
  type WorkerServer,
  type WorkersOptions,
} from "./options.ts";
import { Workers } from "./supervisor.ts";

// The option `opening` of a worker's close, in milliseconds. Other workers continue to serve, so a client whose socket this
// worker has just accepted is not refused: its connection opens, and is closed with 1001.
const OPENING = 2_000;

/**
 * Runs this program again in each worker process, and calls `work` there. The workers share their listening addresses, and
 * connections are distributed to them in turn. In the first process, the promise resolves when all workers serve. In a worker it
 * never settles. So all processes run the code before this call, and only the first process runs the code after it.
 *
 * A worker that ends is replaced: at once, and if it ends again and again, after longer and longer pauses. When the first process
 * ends, the workers end too. Rejects with a WorkerError if one of the first workers does not start to serve. Rejects with a
 * TypeError or RangeError for invalid arguments. Rejects with a TypeError in a node:cluster worker that this library did not
 * start, and while workers of this process are running.
 */
export function startWorkers(work: WorkerFunction): Promise<Workers>;
export function startWorkers(options: WorkersOptions, work: WorkerFunction): Promise<Workers>;
export async function startWorkers(
  optionsOrWork: WorkersOptions | WorkerFunction,
  givenWork?: WorkerFunction,
): Promise<Workers> {
  const given = typeof optionsOrWork === "function" ? {} : optionsOrWork;
  const work = typeof optionsOrWork === "function" ? optionsOrWork : givenWork;
  judgeFunction("work", work);
  const options = settleWorkers(given, processors);
  const from = parent();
  if (from !== undefined) return runWorker(from, options, work);
  if (!isPrimary())
    throw new TypeError("Cannot start workers: this process is a worker of a cluster that this library did not start");
  // Each worker runs the program from its beginning. So the workers of a second call would run the `work` of the first call.
  if (workersRunning) throw new TypeError("Cannot start workers: this process has running workers already");
  workersRunning = true;
  const allEnded = (): void => {
    workersRunning = false;
  };
  try {
    const workers = await Workers.start(options);
    void workers.ended.then(allEnded);
    return workers;
  } catch (error) {
    allEnded();
    throw error;
  }
}

let workersRunning = false;

/** Never settles: the process ends instead. */
function runWorker(from: Parent, options: SettledWorkers, work: WorkerFunction): Promise<never> {
  const post = (message: FromWorker, posted: () => void = () => undefined): void => from.post(message, posted);
  const exchange = new WorkerExchange(from.post, options, (error) => {
    printError(error, { place: "exchange", connection: undefined });
  });
  const broker = new WorkerBroker(exchange, options, systemClock);
  const request = new MetricsRequest(post, systemClock);
  processMetrics.add({
    collect: (into) => into.add("holdfast_exchange_refused_total", exchange.refusedMessages),
  });
  let servers: readonly WorkerServer[] | undefined;
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // A worker that does not serve yet has no connections to close.
    if (servers === undefined) exitProcess(0);
    void Promise.all(servers.map((server) => server.close({ opening: OPENING })))
      .then(() => broker.flushed())
      .then(() => exchange.flushed())
      // The counters of this process stay in those of the program.
      .then(() => new Promise<void>((resolve) => request.report(0, resolve)))
      .then(
        () => exitProcess(0),
        // An uncaught exception, outside of promises: Node prints the error and ends with status 1.
        (error: unknown) =>
          void setImmediate(() => {
            throw error;
          }),
      );
  };
  from.listen((message) => {
    const ours = libraryMessage<ToWorker>(message);
    if (ours?.holdfast === "stop") stop();
    else if (ours?.holdfast === "answers") broker.handle(ours);
    else if (ours?.holdfast === "measure" || ours?.holdfast === "joined") request.handle(ours);
    else if (ours !== undefined) exchange.handle(ours);
  });
  // A terminal sends SIGINT and SIGHUP to all processes of the program. Workers ignore them, because the first process handles
  // them and sends `stop`.
  if (options.signals) onSignals({ SIGTERM: stop, SIGINT: () => undefined, SIGHUP: () => undefined });
  void runWork(work, { id: from.worker, exchange, broker, metrics: () => request.joined() }).then(
    (all) => {
      if (stopping) return;
      servers = all;
      post({ holdfast: "serving", urls: all.flatMap(({ url }) => url ?? []) });
    },
    (error: unknown) => {
      const { message = String(error), errno, code } = (error ?? {}) as NodeJS.ErrnoException;
      const name = [errno, code].find((one) => typeof one === "string" && /^E[A-Z]/.test(one)) as string | undefined;
      post({ holdfast: "failed", problem: message, errno: name, report: textOf(error) }, () => exitProcess(1));
    },
  );
  return new Promise(() => undefined);
}

async function runWork(work: WorkerFunction, scope: Parameters<WorkerFunction>[0]): Promise<readonly WorkerServer[]> {
  const returned = await work(scope);
  const all = Array.isArray(returned) ? (returned as readonly WorkerServer[]) : [returned as WorkerServer];
  for (const one of all) {
    if (typeof one?.close !== "function")
      throw new TypeError("Cannot use the result of work: expected an object with close(), or a list of them");
  }
  return all;
}

/** Runs a program in several processes, for the processors of one machine. */

import { leave, mayFork, onSignals, type Parent, parent, processors } from "../transport/processes.js";
import { WorkerExchange } from "./worker-exchange.js";
import { type FromWorker, heard, type ToWorker } from "./worker-messages.js";
import { type Closable, type SettledWorkers, settleWorkers, type Work, type WorkersOptions } from "./worker-options.js";
import { Workers } from "./workers.js";

// Others serve on, so nobody is to be refused for having come to this worker a moment ago.
const OPENING = 2_000;

/**
 * Runs this program once more for each worker, and there, `work`. What the workers listen on they share, and connections are
 * given to them in turn. In the process that was started first, this resolves when all of them serve; in the workers it
 * never does. So what stands before it is done by all processes, and what stands behind it by the first one alone.
 *
 * A worker that ends is replaced: at once, and if it ends again and again, after longer and longer pauses. When the first
 * process ends, so do the workers. Rejects with a WorkerError if one of the first workers does not come to serve.
 */
export function startWorkers(work: Work): Promise<Workers>;
export function startWorkers(options: WorkersOptions, work: Work): Promise<Workers>;
export async function startWorkers(optionsOrWork: WorkersOptions | Work, givenWork?: Work): Promise<Workers> {
  const given = typeof optionsOrWork === "function" ? {} : optionsOrWork;
  const work = typeof optionsOrWork === "function" ? optionsOrWork : givenWork;
  if (typeof work !== "function") throw new TypeError(`Cannot use work: expected a function, got ${typeof work}`);
  const options = settleWorkers(given, processors);
  const from = parent();
  if (from !== undefined) return runWorker(from, options, work);
  if (!mayFork())
    throw new TypeError("Cannot start workers: this process is itself a worker of somebody else's cluster");
  // The workers of a second call would run what the first one was given: they come to that first.
  if (running) throw new TypeError("Cannot start workers: those of this process are running already");
  running = true;
  const over = (): void => {
    running = false;
  };
  try {
    const workers = await Workers.start(options);
    void workers.ended.then(over);
    return workers;
  } catch (error) {
    over();
    throw error;
  }
}

let running = false;

/** Never settles: the process ends instead. */
function runWorker(from: Parent, options: SettledWorkers, work: Work): Promise<never> {
  const say = (message: FromWorker, said: () => void = () => undefined): void => from.post(message, said);
  const exchange = new WorkerExchange(from.post, options, warn);
  let served: readonly Closable[] | undefined;
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // What has not begun to serve has nobody to say goodbye to.
    if (served === undefined) leave(0);
    void Promise.all(served.map((one) => one.close({ opening: OPENING })))
      .then(() => exchange.left())
      .then(
        () => leave(0),
        // As what nobody catches: Node says what it was, and ends with status 1.
        (error: unknown) =>
          void setImmediate(() => {
            throw error;
          }),
      );
  };
  from.listen((message) => {
    const said = heard<ToWorker>(message);
    if (said?.holdfast === "stop") stop();
    else if (said !== undefined) exchange.heard(said);
  });
  // A terminal sends SIGINT and SIGHUP to all of us: then our parent says what is to be done.
  if (options.signals) onSignals({ SIGTERM: stop, SIGINT: () => undefined, SIGHUP: () => undefined });
  void begin(work, { id: from.worker, exchange }).then(
    (all) => {
      if (stopping) return;
      served = all;
      say({ holdfast: "serving", urls: all.flatMap(({ url }) => url ?? []) });
    },
    (error: unknown) => {
      const { message = String(error), errno, code } = (error ?? {}) as NodeJS.ErrnoException;
      const name = [errno, code].find((one) => typeof one === "string" && /^E[A-Z]/.test(one)) as string | undefined;
      say({ holdfast: "failed", problem: message, errno: name }, () => leave(1));
    },
  );
  return new Promise(() => undefined);
}

async function begin(work: Work, scope: Parameters<Work>[0]): Promise<readonly Closable[]> {
  const served = await work(scope);
  const all = Array.isArray(served) ? (served as readonly Closable[]) : [served as Closable];
  for (const one of all) {
    if (typeof one?.close !== "function")
      throw new TypeError("Cannot use what work returns: expected what has close()");
  }
  return all;
}

/** A group's member, or whoever else receives, has thrown. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

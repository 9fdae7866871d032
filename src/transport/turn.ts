/** Turns of the event loop: at the end of one, everything that was sent during it leaves in one write; and none is one peer's alone. */

/**
 * Bytes that a connection is given before the others have their turn. libuv reads a socket up to 32 times in a row, as long as
 * each read fills its buffer: of messages of one byte those are 300,000, for which nobody else would be heard.
 */
export const SHARE = 65_536;

/** Something that has work to do when the turn ends. */
export interface TurnTask {
  turnEnded(): void;
}

let due: TurnTask[] = [];
let hasty: TurnTask[] = [];

const DONE = Promise.resolve();

/**
 * Calls `task.turnEnded` in the check phase of this turn, after every callback and microtask of its reads.
 * A microtask would run between two steps of the handler's own loop, which costs one kernel write per message.
 */
export function atTurnEnd(task: TurnTask): void {
  if (due.push(task) === 1) setImmediate(runDue);
}

/** Calls `task.turnEnded` behind the microtasks that stand in line now: what the code that runs does without waiting. */
export function atOnce(task: TurnTask): void {
  if (hasty.push(task) === 1) void DONE.then(runHasty);
}

function runHasty(): void {
  const tasks = hasty;
  hasty = [];
  runAll(tasks);
}

function runDue(): void {
  const tasks = due;
  due = [];
  runAll(tasks);
}

function runAll(tasks: readonly TurnTask[]): void {
  let failure: { readonly error: unknown } | undefined;
  for (const task of tasks) {
    try {
      task.turnEnded();
    } catch (error) {
      // One connection's fault must not keep the others' bytes.
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

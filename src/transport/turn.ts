/** The end of a turn of the event loop: where everything that was sent during it leaves in one write. */

/** Something that has work to do when the turn ends. */
export interface TurnTask {
  turnEnded(): void;
}

let due: TurnTask[] = [];

/**
 * Calls `task.turnEnded` in the check phase of this turn, after every callback and microtask of its reads.
 * A microtask would run between two steps of the handler's own loop, which costs one kernel write per message.
 */
export function atTurnEnd(task: TurnTask): void {
  if (due.push(task) === 1) setImmediate(runDue);
}

function runDue(): void {
  const tasks = due;
  due = [];
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

/** Shares event loop turns: one write per connection and turn, and limits to the work of a turn and to the reads of a connection. */

// Imported, because the global `performance` is looked up again at each use, and may be fake.
import { performance } from "node:perf_hooks";
import { type Instant, instant } from "../base/time.ts";
import { renewTimers, setImmediate } from "./timers.ts";

/**
 * Most bytes that one connection reads before the other connections are served. libuv reads a socket up to 32 times in a row
 * while each read fills its buffer. With one-byte messages that is 300,000 messages, and all other connections would wait for
 * them.
 */
export const READ_SHARE = 65_536;

/** A task with work at the end of the turn. */
export interface EndOfTurnTask {
  turnEnded(): void;
}

/**
 * How long the work at the end of one turn may last. The rest continues at the end of the next turn, after the reads and timers
 * that are due. A unit is one task, or one of the many connections that one task writes to. Tests change the values.
 */
export const TURN_BUDGET: {
  /** In milliseconds. With 50,000 connections to write to, the writes take some 200 ms. */
  time: number;
  /** The least units in a turn. So small programs do not depend on the time, and the turns of a slow machine do not multiply. */
  units: number;
} = { time: 4, units: 256 };

/** How old the result of `workTime` may be, in units of work. */
const UNITS_PER_STAMP = 8;

/** The number of units between two looks at the time: to look costs little beside so many writes. */
const UNITS_PER_LOOK = 16;

// Milliseconds after which a turn that has not ended is considered lost. A turn that really lasts as long is ended twice, which
// does no harm.
const LOST_AFTER = 1_000;

let endOfTurnTasks: EndOfTurnTask[] = [];
let turnBegan = 0;
let afterMicrotasksTasks: EndOfTurnTask[] = [];
// The work at the end of the present turn: since when, how much, and whether the rest waits for the next turn.
let endBegan = 0;
let units = 0;
let nextLook = 0;
let budgetUsed = false;
// The result of `workTime`, and after how many units it was read.
let stamp = 0;
let stampUnits = 0;

const DONE = Promise.resolve();

/**
 * Calls `task.turnEnded` in the check phase of this turn, after all callbacks and microtasks of the turn's reads. A microtask
 * would run between two iterations of the handler's own loop, which would cost one kernel write per message.
 */
export function atEndOfTurn(task: EndOfTurnTask): void {
  const count = endOfTurnTasks.push(task);
  if (count === 1) {
    turnBegan = performance.now();
    setImmediate(runEndOfTurn);
  } else if ((count & (count - 1)) === 0) {
    // At powers of two only: reading the time for each connection of a turn would cost more than the turn itself.
    endLostTurn();
  }
}

/**
 * The time of the call of `atEndOfTurn` that was just made. To look at the clock costs some per cent of a small write, so it is read
 * only if that call has not read it.
 */
export function scheduledAt(): Instant {
  return instant(endOfTurnTasks.length === 1 ? turnBegan : performance.now());
}

/** The time, within the work at the end of a turn: exact to a few units of work, for the same reason. */
export function workTime(): Instant {
  if (units - stampUnits >= UNITS_PER_STAMP) {
    stamp = performance.now();
    stampUnits = units;
  }
  return instant(stamp);
}

/**
 * Ends a turn whose callback was lost, because the library was loaded while the timers were fake. Without it no connection of the
 * process would ever write again.
 */
function endLostTurn(): void {
  if (performance.now() - turnBegan < LOST_AFTER) return;
  turnBegan = performance.now();
  renewTimers();
  setImmediate(runEndOfTurn);
}

/**
 * Calls `task.turnEnded` after the microtasks that are queued now, so after everything that the running code does without
 * waiting.
 */
export function afterMicrotasks(task: EndOfTurnTask): void {
  if (afterMicrotasksTasks.push(task) === 1) void DONE.then(runAfterMicrotasks);
}

/**
 * Counts one unit of work at the end of this turn. Returns true if the budget of the turn is used: then a task with more units
 * calls `atEndOfTurn` and returns.
 */
export function turnBudgetUsed(): boolean {
  units += 1;
  if (units === nextLook) {
    nextLook += UNITS_PER_LOOK;
    budgetUsed ||= performance.now() - endBegan >= TURN_BUDGET.time;
  }
  return budgetUsed;
}

function runAfterMicrotasks(): void {
  const tasks = afterMicrotasksTasks;
  afterMicrotasksTasks = [];
  runAll(tasks, false);
}

function runEndOfTurn(): void {
  const tasks = endOfTurnTasks;
  endOfTurnTasks = [];
  endBegan = performance.now();
  units = 0;
  stamp = endBegan;
  stampUnits = 0;
  nextLook = TURN_BUDGET.units;
  budgetUsed = false;
  runAll(tasks, true);
}

/** `bounded`: within the budget of this turn. The tasks that are left run at the end of the next turn, before newer ones. */
function runAll(tasks: readonly EndOfTurnTask[], bounded: boolean): void {
  let failure: { readonly error: unknown } | undefined;
  let done = 0;
  for (const task of tasks) {
    try {
      task.turnEnded();
    } catch (error) {
      // An exception of one task must not stop the other tasks: their bytes still have to be written.
      failure ??= { error };
    }
    done += 1;
    if (bounded && turnBudgetUsed()) break;
  }
  if (done < tasks.length) postpone(tasks.slice(done));
  if (failure !== undefined) throw failure.error;
}

function postpone(tasks: readonly EndOfTurnTask[]): void {
  const newer = endOfTurnTasks;
  endOfTurnTasks = [...tasks, ...newer];
  if (newer.length > 0) return;
  turnBegan = performance.now();
  setImmediate(runEndOfTurn);
}

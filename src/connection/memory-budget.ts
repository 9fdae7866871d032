/** The memory that all connections of this process hold together, its limit, and what happens at the limit. */

import { LimitError } from "../base/errors.ts";
import { judgeNumber } from "../base/judge.ts";
import { heapLimit } from "../transport/heap-limit.ts";
import { setImmediate } from "../transport/timers.ts";

// Parts of the limit from which the steps apply.
const REFUSING = 0.75;
const SHORTENING = 0.9;

/** The part of the heap limit that is the default. The application, and what is garbage until the next collection, need the rest. */
const DEFAULT_SHARE = 1 / 4;

/** A connection, as the budget uses it. */
export interface MemoryHolder {
  /**
   * What the connection holds, as the budget has counted it. Undefined if the connection is not in the list of the budget. Only the
   * budget changes it.
   */
  heldBytes: number | undefined;
  /**
   * Ends the connection because of `error`, and frees what it holds. What is being written is freed a little later. Returns false if
   * the connection was ended for this reason before: then it is cut off.
   */
  endForMemory(error: LimitError): boolean;
}

/**
 * The memory that the connections of this process hold for messages: in send queues and inboxes, and as messages that are partly
 * received. A message that a group sends to many members counts once. What an idle connection takes, and what the kernel holds, is
 * not counted.
 *
 * | `heldBytes` reaches | what happens | counted in |
 * |---|---|---|
 * | 75 % of `limit` | new connections are refused: an upgrade request with 503 and `Retry-After`, TCP as for `maxConnections` | `refused` |
 * | 90 % | each connection reads no further while its inbox has a message | `paused` |
 * | 100 % | the connections that hold most end, until less than 90 % is held: Close code 1013, a LimitError with `limit: "memoryBudget"` | `ended` |
 *
 * The connections that hold most end in the next turn of the event loop. Until then, a connection that grows ends at once if it holds
 * its equal share of `limit` or more. So `heldBytes` can exceed `limit`, but not its double.
 *
 * ```ts
 * memoryBudget.limit = 64 * 1_048_576;
 * ```
 */
export interface MemoryBudget {
  /**
   * In bytes, at least 1. `Infinity` turns the limit off. Can be changed at any time.
   * @default a quarter of the heap limit: most of it is needed by the application, and by memory that is not collected yet
   */
  limit: number;
  /** What all connections hold now, in bytes. */
  readonly heldBytes: number;
  /** Connections that were refused. */
  readonly refused: number;
  /** Times that a connection stopped reading although its own limits allowed more. */
  readonly paused: number;
  /** Connections that were ended. */
  readonly ended: number;
}

function heldBy({ heldBytes = 0 }: MemoryHolder): number {
  return heldBytes;
}

class ProcessBudget implements MemoryBudget {
  #limit = Math.floor(heapLimit() * DEFAULT_SHARE);
  /** The connections that hold something, or have held something and have not ended. */
  readonly #holders = new Set<MemoryHolder>();
  /** The number of those that hold something now. */
  #holding = 0;
  #relieving = false;
  #ending = false;
  heldBytes = 0;
  refused = 0;
  paused = 0;
  ended = 0;

  get limit(): number {
    return this.#limit;
  }

  set limit(bytes: number) {
    judgeNumber("memoryBudget.limit", bytes, { least: 1, infinity: "no limit" });
    this.#limit = bytes;
    if (this.heldBytes > bytes) this.#relieveSoon();
  }

  /** True if a new connection may be accepted. If not, it counts as refused. */
  admits(): boolean {
    if (!this.refuses) return true;
    this.refused += 1;
    return false;
  }

  /** True if no new connection is accepted. */
  get refuses(): boolean {
    return this.heldBytes >= this.#limit * REFUSING;
  }

  /** True if a connection reads only while its inbox is empty. */
  get shortens(): boolean {
    return this.heldBytes >= this.#limit * SHORTENING;
  }

  /** The error for a connection that is refused. */
  refusal(): LimitError {
    return this.#error("accept", "the connections of this process hold");
  }

  /** `holder` holds `held` bytes now. */
  changed(holder: MemoryHolder, held: number): void {
    const before = holder.heldBytes ?? 0;
    if (held === before) return;
    if (holder.heldBytes === undefined) this.#holders.add(holder);
    holder.heldBytes = held;
    this.heldBytes += held - before;
    if (before === 0) this.#holding += 1;
    else if (held === 0) this.#holding -= 1;
    if (held > before && this.heldBytes > this.#limit) this.#exceededBy(holder);
  }

  /** `holder` has ended, and holds nothing. */
  forget(holder: MemoryHolder): void {
    if (holder.heldBytes !== undefined) this.#holders.delete(holder);
  }

  /** A message that several connections share is in a queue now, or in none any more. */
  sharedChanged(bytes: number): void {
    this.heldBytes += bytes;
    if (bytes > 0 && this.heldBytes > this.#limit) this.#relieveSoon();
  }

  /**
   * The largest connections end in the next turn. Until then all others could grow further, so one that holds its share or more
   * ends at once.
   */
  #exceededBy(holder: MemoryHolder): void {
    this.#relieveSoon();
    // A hook that is called for an end may send to other connections. To end those inside it could exceed the stack.
    if (!this.#ending && heldBy(holder) >= this.#limit / this.#holding) this.#end(holder);
  }

  #relieveSoon(): void {
    if (this.#relieving) return;
    this.#relieving = true;
    setImmediate(() => {
      this.#relieving = false;
      this.#relieve();
    });
  }

  #relieve(): void {
    if (this.heldBytes <= this.#limit) return;
    const largestFirst = [...this.#holders].sort((one, other) => heldBy(other) - heldBy(one));
    // Not by what is held after each end, because what is being written is freed later.
    let left = this.heldBytes;
    for (const holder of largestFirst) {
      if (left < this.#limit * SHORTENING) return;
      if (heldBy(holder) === 0) continue;
      left -= heldBy(holder);
      this.#end(holder);
    }
  }

  #end(holder: MemoryHolder): void {
    const error = this.#error("receive", `this connection holds ${heldBy(holder)} of`);
    this.#ending = true;
    try {
      if (holder.endForMemory(error)) this.ended += 1;
    } finally {
      this.#ending = false;
    }
  }

  #error(operation: "accept" | "receive", what: string): LimitError {
    const [maximum, actual] = [this.#limit, this.heldBytes];
    const problem = `${what} ${actual} bytes, and memoryBudget.limit is ${maximum}`;
    return new LimitError({ operation, problem, limit: "memoryBudget", maximum, actual });
  }
}

/** The budget of this process, with what the connections report to it. */
export const processBudget: ProcessBudget = new ProcessBudget();

/** The memory that all connections of this process may hold together. See `MemoryBudget`. */
export const memoryBudget: MemoryBudget = processBudget;

/** Limits how many WebSockets open at the same time to one address; further dials wait in order of arrival. */

import { COUNT, judgeNumber } from "../../base/judge.ts";

/** One dial in the queue. */
export interface DialPermit {
  /**
   * Resolves when the dial may connect to every one of these addresses. Never resolves after `leave`. A second call gives up the
   * place in the queues of the first.
   */
  readonly wait: (addresses: readonly string[]) => Promise<void>;
  /** What a waiting dial waits for, in words. */
  readonly reason: () => string;
  /** Lets the next dial start. Call it when the connection is open, has failed, or is no longer wanted. */
  readonly leave: () => void;
}

/** A dial that waits or is in progress, with its entry in the queue of each address that it may use. */
interface QueuedDial {
  readonly entries: readonly AddressEntry[];
  readonly most: number;
  readonly start: () => void;
  /** The dial in words, for the errors of dials that wait for it. */
  readonly describe: () => string;
  started: boolean;
}

/**
 * An entry of a queue. Queues are linked lists, because a cancelled dial leaves from the middle, and many dials leave from the
 * front.
 */
interface AddressEntry {
  readonly queue: AddressQueue;
  dial: QueuedDial | undefined;
  before: AddressEntry | undefined;
  behind: AddressEntry | undefined;
}

interface AddressQueue {
  readonly address: string;
  /** Dials in progress and waiting dials, in order of arrival. */
  first: AddressEntry | undefined;
  last: AddressEntry | undefined;
  /**
   * The largest finite `most` of all dials that this queue has ever had. A dial with at least that many dials before it cannot
   * start, unless its own `most` is `Infinity`.
   */
  widest: number;
}

/**
 * RFC 6455 section 4.1 allows at most one connection in state CONNECTING per IP address and port, also if several host names lead
 * there. A host name can have many addresses, which are tried in order. So its dial enters the queues of all its addresses at the
 * same time, and two dials never wait for each other.
 */
export class DialQueue {
  readonly #queues = new Map<string, AddressQueue>();

  /**
   * Returns the permit for one dial. `most` is the number of dials that may be in progress at the same time at one address.
   * `describe` returns the dial in words. Throws TypeError or RangeError if `most` is neither a whole number from 1 nor
   * `Infinity`.
   */
  permit(most: number, describe: () => string): DialPermit {
    judgeNumber("maxConnecting", most, COUNT);
    let dial: QueuedDial | undefined;
    let left = false;
    return {
      wait: (addresses) =>
        new Promise((start) => {
          if (left) return;
          if (dial !== undefined) this.#leave(dial);
          dial = this.#enter(addresses, { most, describe, start });
        }),
      reason: () => (dial === undefined ? "" : reasonOf(dial)),
      leave: () => {
        left = true;
        if (dial !== undefined) this.#leave(dial);
        dial = undefined;
      },
    };
  }

  #enter(addresses: readonly string[], facts: Pick<QueuedDial, "most" | "describe" | "start">): QueuedDial {
    const { most } = facts;
    const entries = Array.from(new Set(addresses), (address) => this.#append(address));
    const dial: QueuedDial = { ...facts, entries, started: false };
    for (const entry of entries) {
      entry.dial = dial;
      if (most !== Infinity) entry.queue.widest = Math.max(entry.queue.widest, most);
    }
    startIfFirst(dial);
    return dial;
  }

  /** Adds an entry at the end of the queue of `address`. */
  #append(address: string): AddressEntry {
    const queue = this.#queues.get(address) ?? { address, first: undefined, last: undefined, widest: 0 };
    this.#queues.set(address, queue);
    const entry: AddressEntry = { queue, dial: undefined, before: queue.last, behind: undefined };
    if (queue.last === undefined) queue.first = entry;
    else queue.last.behind = entry;
    queue.last = entry;
    return entry;
  }

  #leave(dial: QueuedDial): void {
    for (const { queue, before, behind } of dial.entries) {
      if (before === undefined) queue.first = behind;
      else before.behind = behind;
      if (behind === undefined) queue.last = before;
      else behind.before = before;
      if (queue.first === undefined) this.#queues.delete(queue.address);
    }
    for (const { queue } of dial.entries) {
      let entry = queue.first;
      for (let ahead = 0; entry !== undefined && ahead < queue.widest; ahead += 1) {
        if (entry.dial !== undefined) startIfFirst(entry.dial);
        entry = entry.behind;
      }
    }
  }
}

/** Starts the dial if it may start now at each of its addresses. */
function startIfFirst(dial: QueuedDial): void {
  if (dial.started || !dial.entries.every((entry) => isAmongFirst(entry, dial.most))) return;
  dial.started = true;
  dial.start();
}

/** Names the dial in progress for which a waiting dial waits, and the number of dials before it. */
function reasonOf(dial: QueuedDial): string {
  const blocked = dial.entries.find((entry) => !isAmongFirst(entry, dial.most));
  let ahead = 0;
  let holder: QueuedDial | undefined;
  for (let entry = blocked?.before; entry !== undefined; entry = entry.before) {
    ahead += 1;
    holder = entry.dial;
  }
  if (holder === undefined) return "";
  const others = ahead === 1 ? "another WebSocket" : `${ahead} other WebSockets`;
  return `${others} to the same address must open first; ${holder.describe()}`;
}

/** True if fewer than `most` dials are before this one in its queue. */
function isAmongFirst({ before }: AddressEntry, most: number): boolean {
  if (most === Infinity) return true;
  let other = before;
  for (let ahead = 0; ahead < most; ahead += 1) {
    if (other === undefined) return true;
    other = other.before;
  }
  return false;
}

/** One question to all hubs, and their answers. */

import { after, type Clock, type Wakeup } from "../base/time.ts";
import type { Answer, Listed } from "./presence-form.ts";

/** How long hubs have to answer, in milliseconds. */
const LONGEST = 2_000;
/** How long a hub that has just begun waits for answers of hubs that it does not know yet. */
const GRACE = 250;
/** Most members in all answers together. */
const MAX_MEMBERS = 1_000_000;

/** The answer of one hub. */
export interface HubAnswer {
  version: number;
  count: number;
  readonly members: Listed[];
  /** The parts that are still to come. */
  left: Set<number> | undefined;
}

export class PresenceQuestion {
  readonly done: Promise<void>;
  readonly answers: Map<string, HubAnswer> = new Map();
  readonly #waiting: Set<string>;
  readonly #resolve: () => void;
  readonly #timer: Wakeup;
  #grace: boolean;
  #size = 0;

  constructor(clock: Clock, hubs: readonly string[], grace: boolean) {
    this.#waiting = new Set(hubs);
    this.#grace = grace;
    let resolve!: () => void;
    this.done = new Promise((resolved) => {
      resolve = resolved;
    });
    this.#resolve = resolve;
    this.#timer = clock.wakeAt(after(clock.now(), LONGEST), () => resolve());
    if (grace) {
      clock.wakeAt(after(clock.now(), GRACE), () => {
        this.#grace = false;
        this.#endIfComplete();
      });
    }
  }

  /** True if all hubs that are known to live have answered. */
  get complete(): boolean {
    return this.#waiting.size === 0;
  }

  /** The number of members at all hubs. */
  get count(): number {
    let sum = 0;
    for (const { count } of this.answers.values()) sum += count;
    return sum;
  }

  answered(hub: string, { version, count, part, parts, members }: Answer): void {
    let answer = this.answers.get(hub);
    if (answer === undefined) {
      // A hub may not announce more parts than it can have members.
      const left = new Set(Array.from({ length: Math.min(parts, MAX_MEMBERS / 100) }, (_, index) => index));
      answer = { version, count, members: [], left };
      this.answers.set(hub, answer);
    }
    if (answer.left?.delete(part) !== true || this.#size + members.length > MAX_MEMBERS) return;
    this.#size += members.length;
    for (const member of members) answer.members.push(member);
    if (answer.left.size > 0) return;
    answer.left = undefined;
    this.#waiting.delete(hub);
    this.#endIfComplete();
  }

  /** The hub does not live any more. */
  gone(hub: string): void {
    this.#waiting.delete(hub);
    this.answers.delete(hub);
    this.#endIfComplete();
  }

  end(): void {
    this.#timer.cancel();
    this.#resolve();
  }

  #endIfComplete(): void {
    if (this.#waiting.size === 0 && !this.#grace && this.answers.size > 0) this.end();
  }
}

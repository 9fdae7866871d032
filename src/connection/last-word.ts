/** When the peer's last word takes effect: behind the answers to what it said before. */

import { atTurnEnd, type TurnTask } from "../transport/turn.js";
import type { Inbox } from "./inbox.js";

// Turns in which an answer is written, so that an application that waits for that takes its next message.
const PATIENCE = 4;

/**
 * A Close frame, or what breaks a rule, often comes in one chunk with messages. It takes effect at the end of the turn, so
 * that what the application says to those messages at once still leaves, as it would if the network had cut before it
 * (RFC 6455 5.5.1 lets our Close wait for a message). As long as the application goes on taking messages it is given the
 * turns that this needs; nothing new arrives meanwhile, so they are bounded by what the inbox holds.
 */
export class LastWord implements TurnTask {
  readonly #inbox: Inbox;
  readonly #done: () => void;
  #effect: (() => void) | undefined;
  /** Messages that nobody has taken. */
  #left = 0;
  /** Turns that may still pass until one more of them is taken. */
  #patience = PATIENCE;

  /** `done` is called when it has taken effect. */
  constructor(inbox: Inbox, done: () => void) {
    this.#inbox = inbox;
    this.#done = done;
  }

  /** Whether it has been said and has yet to take effect. */
  get pending(): boolean {
    return this.#effect !== undefined;
  }

  say(effect: () => void): void {
    this.#effect = effect;
    this.#left = this.#inbox.length;
    atTurnEnd(this);
  }

  turnEnded(): void {
    const left = this.#inbox.length;
    if (left < this.#left) this.#patience = PATIENCE;
    this.#left = left;
    this.#patience -= 1;
    if (left === 0 || this.#patience === 0) this.heed();
    else if (this.pending) atTurnEnd(this);
  }

  /** Lets it take effect now. */
  heed(): void {
    const effect = this.#effect;
    if (effect === undefined) return;
    this.#effect = undefined;
    effect();
    this.#done();
  }
}

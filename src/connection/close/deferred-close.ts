/** Defers the effect of the peer's Close frame or protocol violation until the answers to earlier messages are written. */

import { atEndOfTurn, type EndOfTurnTask } from "../../transport/end-of-turn.ts";
import type { Inbox } from "../read/inbox.ts";

// Event loop turns in which the application must take its next message. It needs several if it first waits for the write of its
// answer.
const TURNS_PER_MESSAGE = 4;

/**
 * A Close frame or a protocol violation often arrives in one chunk with messages. It takes effect at the end of the turn. So the
 * answers that the application sends at once still leave, as they would if the network had split the chunk before it. RFC 6455
 * 5.5.1 lets our Close wait for a message. While the application continues to take messages, it gets the turns that this needs.
 * Nothing new arrives meanwhile, so the turns are bounded by the content of the inbox.
 */
export class DeferredClose implements EndOfTurnTask {
  readonly #inbox: Inbox;
  readonly #onApplied: () => void;
  #effect: (() => void) | undefined;
  /** Messages in the inbox that the application has not taken. */
  #unread = 0;
  /** Turns that may still pass before the application takes another message. */
  #turnsLeft = TURNS_PER_MESSAGE;

  /** `onApplied` is called after the effect. */
  constructor(inbox: Inbox, onApplied: () => void) {
    this.#inbox = inbox;
    this.#onApplied = onApplied;
  }

  /** True if an effect is deferred. */
  get pending(): boolean {
    return this.#effect !== undefined;
  }

  defer(effect: () => void): void {
    this.#effect = effect;
    this.#unread = this.#inbox.length;
    atEndOfTurn(this);
  }

  turnEnded(): void {
    const unread = this.#inbox.length;
    if (unread < this.#unread) this.#turnsLeft = TURNS_PER_MESSAGE;
    this.#unread = unread;
    this.#turnsLeft -= 1;
    if (unread === 0 || this.#turnsLeft === 0) this.apply();
    else if (this.pending) atEndOfTurn(this);
  }

  /** Applies the effect now. */
  apply(): void {
    const effect = this.#effect;
    if (effect === undefined) return;
    this.#effect = undefined;
    effect();
    this.#onApplied();
  }
}

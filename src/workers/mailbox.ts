/** The messages that wait on their way to another process, bounded in bytes and in number. */

import type { Post } from "./cluster.ts";

/** What uses room: a message of a channel, or anything else with a name and a length. */
export type MailSize = readonly [channel: string, message: { readonly length: number }, ...rest: unknown[]];

export interface MailboxLimits {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
}

// Memory that a message uses in addition to its bytes, on both sides of the pipe, in bytes.
const OVERHEAD = 128;

export class Mailbox {
  readonly #post: Post;
  readonly #limits: MailboxLimits;
  #bytes = 0;
  #messages = 0;
  #emptyListeners: (() => void)[] = [];

  constructor(post: Post, limits: MailboxLimits) {
    this.#post = post;
    this.#limits = limits;
  }

  /** True if no message waits. */
  get empty(): boolean {
    return this.#messages === 0;
  }

  /**
   * Reserves room for a message that is sent afterwards. Returns false if there is no room. A message that is alone has room in
   * any case if `alone` is true.
   */
  reserve([channel, message]: MailSize, alone: boolean = false): boolean {
    const bytes = this.#bytes + sizeOf(channel, message);
    const fits = bytes <= this.#limits.maxQueuedBytes && this.#messages < this.#limits.maxQueuedMessages;
    if (!fits && !(alone && this.empty)) return false;
    this.#bytes = bytes;
    this.#messages += 1;
    return true;
  }

  /** Sends `message`, which contains `mail`. The room that was reserved for `mail` becomes free when it has left this process. */
  send(message: object, mail: readonly MailSize[]): void {
    this.#post(message, () => {
      this.#messages -= mail.length;
      for (const [channel, bytes] of mail) this.#bytes -= sizeOf(channel, bytes);
      if (!this.empty) return;
      const listeners = this.#emptyListeners;
      this.#emptyListeners = [];
      for (const listener of listeners) listener();
    });
  }

  /** Calls `listener` once, as soon as no message waits. Calls it at once if none waits now. */
  whenEmpty(listener: () => void): void {
    if (this.empty) listener();
    else this.#emptyListeners.push(listener);
  }
}

function sizeOf(channel: string, message: { readonly length: number }): number {
  return OVERHEAD + 2 * channel.length + message.length;
}

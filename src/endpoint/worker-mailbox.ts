/** What waits to go to another process: bounded in bytes and in messages. */

import type { Post } from "../transport/processes.js";
import type { Mail } from "./worker-messages.js";

export interface MailboxLimits {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
}

// What a message takes beside its bytes, on both sides of the pipe.
const OVERHEAD = 128;

export class Mailbox {
  readonly #post: Post;
  readonly #limits: MailboxLimits;
  #bytes = 0;
  #messages = 0;
  #emptied: (() => void)[] = [];

  constructor(post: Post, limits: MailboxLimits) {
    this.#post = post;
    this.#limits = limits;
  }

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#messages === 0;
  }

  /** Takes room for a message, which is then to be sent; false if there is none. */
  take([channel, message]: Mail): boolean {
    const bytes = this.#bytes + sizeOf(channel, message);
    if (bytes > this.#limits.maxQueuedBytes || this.#messages >= this.#limits.maxQueuedMessages) return false;
    this.#bytes = bytes;
    this.#messages += 1;
    return true;
  }

  /** Sends what holds `mail`, whose room was taken and is given back when it has left. */
  send(message: object, mail: readonly Mail[]): void {
    this.#post(message, () => {
      this.#messages -= mail.length;
      for (const [channel, bytes] of mail) this.#bytes -= sizeOf(channel, bytes);
      if (!this.empty) return;
      const emptied = this.#emptied;
      this.#emptied = [];
      for (const tell of emptied) tell();
    });
  }

  /** Calls `tell` once, when nothing waits any more: at once if nothing does. */
  whenEmpty(tell: () => void): void {
    if (this.empty) tell();
    else this.#emptied.push(tell);
  }
}

function sizeOf(channel: string, message: Uint8Array): number {
  return OVERHEAD + 2 * channel.length + message.length;
}

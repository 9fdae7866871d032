/** Hands what has arrived to the application, by hook or by call, and holds the peer back when it does not keep up. */

import type { Data } from "../engine/protocol.js";
import type { Inbox, Item } from "./inbox.js";
import type { Wait } from "./waits.js";

/** What delivery asks of the connection. */
export interface DeliveryOwner {
  /** The application keeps up again. */
  wantsMore(): void;
  /** The application asks for the next message, behind work of its own. */
  asked(): void;
  /** The message hook threw or rejected. */
  fault(error: unknown): void;
}

/** The message hook, bound to its connection. */
export type MessageHook = (data: Data) => void | Promise<void>;

export class Delivery {
  readonly inbox: Inbox;
  readonly #owner: DeliveryOwner;
  readonly #hook: MessageHook | undefined;
  /** The hook's promise has not settled, or something else holds messages back; for good once the hook has failed. */
  #held = false;
  #pumping = false;
  /** A message was handed over by a call, and no other call has been made since. */
  #holding = false;

  constructor(inbox: Inbox, hook: MessageHook | undefined, owner: DeliveryOwner) {
    this.inbox = inbox;
    this.#hook = hook;
    this.#owner = owner;
  }

  get hooked(): boolean {
    return this.#hook !== undefined;
  }

  /** Whether the application has what it was given in its hands. */
  get busy(): boolean {
    // Where several calls were made at once, those that still wait have asked for more.
    return this.#held || (this.#holding && !this.inbox.awaited) || !this.inbox.empty;
  }

  /** Takes one item; answers whether there is room for more. */
  offer(item: Item): boolean {
    if (this.#hook !== undefined && !this.#held && !this.#pumping && this.inbox.empty) this.#call(item as Data);
    else {
      if (this.inbox.awaited) this.#holding = true;
      this.inbox.push(item);
    }
    return !this.inbox.full;
  }

  /** The oldest item, for a call that asks for one. */
  take(): Item | undefined {
    this.#ask();
    const item = this.inbox.take();
    if (item === undefined) return undefined;
    this.#holding = true;
    if (this.inbox.hasRoom) this.#owner.wantsMore();
    return item;
  }

  wait(wait: Wait<Item>): void {
    this.#ask();
    this.inbox.wait(wait);
  }

  /** Messages stay in the inbox until `until` has settled. */
  hold(until: PromiseLike<void>): void {
    this.#held = true;
    until.then(
      () => {
        this.#held = false;
        this.#pump();
        if (!this.#held) this.#owner.asked();
      },
      (error: unknown) => this.#owner.fault(error),
    );
  }

  #ask(): void {
    if (!this.#holding) return;
    this.#holding = false;
    this.#owner.asked();
  }

  /** Gives the hook what had to wait for it. */
  #pump(): void {
    if (this.#hook === undefined || this.#pumping) return;
    this.#pumping = true;
    while (!this.#held) {
      const item = this.inbox.take();
      if (item === undefined) break;
      this.#call(item as Data);
      if (this.inbox.hasRoom) this.#owner.wantsMore();
    }
    this.#pumping = false;
  }

  #call(data: Data): void {
    try {
      const done = this.#hook?.(data);
      if (done !== undefined) this.hold(done);
    } catch (error) {
      this.#held = true;
      this.#owner.fault(error);
    }
  }
}

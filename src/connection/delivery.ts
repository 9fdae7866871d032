/** Hands what has arrived to the application, by hook or by call, and holds the peer back when it does not keep up. */

import type { Data } from "../engine/protocol.js";
import type { Connection } from "./connection.js";
import type { Inbox, Item, Taker } from "./inbox.js";
import type { Hooks } from "./options.js";

/** What delivery asks of the connection. */
export interface DeliveryOwner {
  readonly connection: Connection;
  /** The application keeps up again. */
  wantsMore(): void;
  /** The application asks for the next message, behind work of its own. */
  asked(): void;
  /** The message hook threw or rejected. */
  fault(error: unknown): void;
}

// On the shelf it has none, and is asked nothing.
const NOBODY = undefined as unknown as DeliveryOwner;

export class Delivery {
  readonly inbox: Inbox;
  #owner: DeliveryOwner;
  /** What it returns is waited for if it is a promise, and ignored if it is not. */
  readonly #hook: Hooks["message"];
  /** The hook's promise has not settled, or something else holds messages back; for good once the hook has failed. */
  #held = false;
  #pumping = false;
  /** The hook is being called. */
  #calling = false;
  /** The hook has failed, and is not called any more. */
  #failed = false;
  /** Who waits for the hook's last call. */
  #done: (() => void) | undefined;
  /** A message was handed over by a call, and no other call has been made since. */
  #holding = false;

  constructor(inbox: Inbox, hook: Hooks["message"], owner: DeliveryOwner) {
    this.inbox = inbox;
    this.#hook = hook;
    this.#owner = owner;
  }

  get hooked(): boolean {
    return this.#hook !== undefined;
  }

  /** Whether it is as it was made: another could take its place. */
  get atRest(): boolean {
    const working = this.#held || this.#pumping || this.#calling || this.#holding;
    return !working && !this.#failed && this.#done === undefined && this.inbox.atRest;
  }

  /** From now on it is the part of `owner`. */
  lend(owner: DeliveryOwner = NOBODY): void {
    this.#owner = owner;
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

  wait(taker: Taker): void {
    this.#ask();
    this.inbox.wait(taker);
  }

  /** Messages stay in the inbox until `until` has settled. */
  hold(until: PromiseLike<void>): void {
    this.#held = true;
    until.then(
      () => {
        this.#held = false;
        this.#pump();
        if (!this.#held) this.#owner.asked();
        this.#settle();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Calls `done` behind the hook's last call, and what that returned; at once if there is no hook, or nothing left for it. */
  whenDone(done: () => void): void {
    this.#done = done;
    this.#settle();
  }

  #settle(): void {
    const working = this.#held || this.#pumping || this.#calling || !this.inbox.empty;
    if (this.#hook !== undefined && working && !this.#failed) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
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
    this.#settle();
  }

  #call(data: Data): void {
    // A chunk can come within a chunk, from a transport that is called back.
    const within = this.#calling;
    this.#calling = true;
    try {
      const hook = this.#hook;
      const returned: unknown = hook?.(this.#owner.connection, data);
      if (isThenable(returned)) this.hold(returned);
    } catch (error) {
      this.#held = true;
      this.#fail(error);
    }
    this.#calling = within;
    this.#settle();
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#owner.fault(error);
    this.#settle();
  }
}

/** A program without types may return anything from its hook. */
export function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

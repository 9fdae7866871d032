/** Delivers received messages to the application, by hook or by call, and reports when reading must pause. */

import type { ErrorPlace } from "../../base/error-context.ts";
import type { Message } from "../../engine/protocol.ts";
import type { Connection } from "../contract.ts";
import type { Hooks } from "../options.ts";
import type { Inbox, InboxItem, PendingReceive } from "./inbox.ts";

/** The connection of a `Dispatcher`. */
export interface DispatcherOwner {
  readonly connection: Connection;
  /** The inbox has room again. */
  inboxHasRoom(): void;
  /** The application has finished its work on a message: its hook settled, or it calls for the next message. */
  messageRequested(): void;
  /** A hook threw or rejected. */
  fault(error: unknown, place: ErrorPlace): void;
}

// While pooled it has no owner, and no method may be called.
const NO_OWNER = undefined as unknown as DispatcherOwner;

export class Dispatcher {
  readonly inbox: Inbox;
  #owner: DispatcherOwner;
  /** If it returns a promise, the promise is awaited. Any other result is ignored. */
  readonly #hook: Hooks["message"];
  /** True if the promise of a hook is pending, so messages stay in the inbox. Stays true after a hook has failed. */
  #hookPending = false;
  #emptying = false;
  /** True while the hook is being called. */
  #calling = false;
  /** True if the hook has failed. It is not called again. */
  #failed = false;
  /** Called after the last call of the hook has settled. */
  #onDone: (() => void) | undefined;
  /** True if the application took a message by a call and has not called for the next one. Then `idleTimeout` does not run. */
  #messageInUse = false;

  constructor(inbox: Inbox, hook: Hooks["message"], owner: DispatcherOwner) {
    this.inbox = inbox;
    this.#hook = hook;
    this.#owner = owner;
  }

  get hooked(): boolean {
    return this.#hook !== undefined;
  }

  /** True if this object is in its initial state: another connection may use it. */
  get isInitial(): boolean {
    const working = this.#hookPending || this.#emptying || this.#calling || this.#messageInUse;
    return !working && !this.#failed && this.#onDone === undefined && this.inbox.isInitial;
  }

  /** Assigns this object to `owner`. Without an owner it is pooled. */
  setOwner(owner: DispatcherOwner = NO_OWNER): void {
    this.#owner = owner;
  }

  /** True if the application has received messages whose handling is not finished. */
  get busy(): boolean {
    // A pending call shows that the application has finished its work on the earlier message.
    return this.#hookPending || (this.#messageInUse && !this.inbox.awaited) || !this.inbox.empty;
  }

  /** True if the hook is running, its promise is pending, or messages wait for it. */
  get working(): boolean {
    if (this.#hook === undefined || this.#failed) return this.#hookPending && !this.#failed;
    return this.#hookPending || this.#emptying || this.#calling || !this.inbox.empty;
  }

  /** Accepts one item. Returns true if there is room for more. */
  dispatch(item: InboxItem): boolean {
    if (this.#hook !== undefined && !this.#hookPending && !this.#emptying && this.inbox.empty)
      this.#callHook(item as Message);
    else {
      if (this.inbox.awaited) this.#messageInUse = true;
      this.inbox.push(item);
    }
    return !this.inbox.full;
  }

  /** Takes the oldest item, for a call of the application. Returns undefined if the inbox is empty. */
  takeItem(): InboxItem | undefined {
    this.#reportRequest();
    const item = this.inbox.shift();
    if (item === undefined) return undefined;
    this.#messageInUse = true;
    if (this.inbox.hasRoom) this.#owner.inboxHasRoom();
    return item;
  }

  addCall(call: PendingReceive): void {
    this.#reportRequest();
    this.inbox.addCall(call);
  }

  /** Keeps messages in the inbox until `until` settles. A rejection is a failure at `place`. */
  holdUntil(until: PromiseLike<void>, place: ErrorPlace): void {
    this.#hookPending = true;
    until.then(
      () => {
        this.#hookPending = false;
        this.#emptyInbox();
        if (!this.#hookPending) this.#owner.messageRequested();
        this.#callOnDoneIfIdle();
      },
      (error: unknown) => this.#fail(error, place),
    );
  }

  /** Calls `onDone` after the last call of the hook has settled. Calls it at once if there is no hook, or no message for it. */
  whenDone(onDone: () => void): void {
    this.#onDone = onDone;
    this.#callOnDoneIfIdle();
  }

  #callOnDoneIfIdle(): void {
    if (this.#hook !== undefined && this.working) return;
    const onDone = this.#onDone;
    this.#onDone = undefined;
    onDone?.();
  }

  #reportRequest(): void {
    if (!this.#messageInUse) return;
    this.#messageInUse = false;
    this.#owner.messageRequested();
  }

  /** Calls the hook with the messages in the inbox, until its promise is pending. */
  #emptyInbox(): void {
    if (this.#hook === undefined || this.#emptying) return;
    this.#emptying = true;
    while (!this.#hookPending) {
      const item = this.inbox.shift();
      if (item === undefined) break;
      this.#callHook(item as Message);
      if (this.inbox.hasRoom) this.#owner.inboxHasRoom();
    }
    this.#emptying = false;
    this.#callOnDoneIfIdle();
  }

  #callHook(data: Message): void {
    // A transport may deliver a chunk from a callback inside another chunk, so calls can nest.
    const wasCalling = this.#calling;
    this.#calling = true;
    try {
      const hook = this.#hook;
      const returned: unknown = hook?.(this.#owner.connection, data);
      if (isThenable(returned)) this.holdUntil(returned, "message");
    } catch (error) {
      this.#hookPending = true;
      this.#fail(error, "message");
    }
    this.#calling = wasCalling;
    // Checked here: a call for each message is 2 % of an echo.
    if (this.#onDone !== undefined) this.#callOnDoneIfIdle();
  }

  #fail(error: unknown, place: ErrorPlace): void {
    this.#failed = true;
    this.#owner.fault(error, place);
    this.#callOnDoneIfIdle();
  }
}

/** Detects a promise. A program without types may return anything from its hook. */
export function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

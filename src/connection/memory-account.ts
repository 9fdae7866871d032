/** What one connection holds, as the memory budget of the process counts it, and what the budget does with the connection. */

import { LimitError } from "../base/errors.ts";
import { TRY_AGAIN_LATER } from "../engine/websocket/close-codes.ts";
import { closingOf, heldBytesOf, type PartsOwner, refusalOf } from "./lazy-parts.ts";
import { type MemoryHolder, processBudget } from "./memory-budget.ts";

// The peer learns nothing about the process.
const REASON = "not enough memory";

/** What the connection holds may have changed. */
export function heldChanged(owner: PartsOwner & MemoryHolder): void {
  // Behind the end nothing more is counted: the application may never take the messages that are left.
  const over = owner.closing?.state === "over";
  processBudget.changed(owner, over ? 0 : heldBytesOf(owner));
  if (over) processBudget.forget(owner);
}

/** True if the connection must not read, because there is little memory and its inbox has a message. */
export function inboxIsShortened({ dispatcher }: PartsOwner): boolean {
  return processBudget.shortens && dispatcher !== undefined && !dispatcher.inbox.empty && !dispatcher.inbox.full;
}

/**
 * Ends the connection, and frees what it holds: its queue, its inbox, and the message that is partly received. Returns false if it
 * was ended for this reason before.
 */
export function endForMemory(owner: PartsOwner & MemoryHolder, error: LimitError): boolean {
  const failure = owner.closing?.closeReason.failure;
  const first = !(failure instanceof LimitError && failure.limit === error.limit);
  if (refusalOf(owner) === undefined) closingOf(owner).fail(error, TRY_AGAIN_LATER, REASON);
  // The end has begun, and what is still to be written holds the memory.
  else closingOf(owner).abort(error);
  owner.readPump?.discard();
  owner.dispatcher?.inbox.discard();
  heldChanged(owner);
  return first;
}

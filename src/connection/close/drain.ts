/** Closes a connection of a server that closes, after the application has handled the received messages. */

import type { ConnectionError } from "../../base/errors.ts";
import { closingOf, inputPending, type PartsOwner, rarePartsOf, refusalOf } from "../lazy-parts.ts";

/** The connection, as far as it tells whether the application has work. */
interface DrainingOwner extends PartsOwner {
  readonly hooked: boolean;
  readonly busy: boolean;
  endInput(error: ConnectionError): void;
}

/** The server closes, with this code and reason for the later Close frame. */
export function beginDraining(owner: DrainingOwner, code: number, reason: string): void {
  const error = closingOf(owner).beginDraining(code, reason);
  // A connection that is already closing continues.
  if (error === undefined) return;
  const rare = rarePartsOf(owner);
  rare.draining = { code, reason, error };
  rare.closedPromise?.beginDraining(error);
  continueDraining(owner);
}

/** Closes if the server closes and the application has handled all received messages. */
export function continueDraining(owner: DrainingOwner): void {
  const draining = owner.rareParts?.draining;
  if (draining === undefined || refusalOf(owner) !== undefined || inputPending(owner)) return;
  const closing = closingOf(owner);
  closing.inputError ??= draining.error;
  owner.endInput(draining.error);
  // The end of an `open` hook without a message hook is reported by `messageRequested`.
  if (owner.hooked && owner.dispatcher?.working) owner.dispatcher.whenDone(() => continueDraining(owner));
  else if (owner.handler === "waits" || (owner.handler === "none" && !owner.busy))
    closing.local(draining.code, draining.reason);
}

/** Calls the functions of the application that report events of a connection. */

import type { ErrorPlace } from "../base/error-context.ts";
import type { ConnectionEvent } from "../base/events.ts";
import { isPublished, publishEvent } from "../transport/channels.ts";
import type { Connection } from "./contract.ts";
import type { SettledOptions } from "./options.ts";
import type { RareParts } from "./rare-parts.ts";
import { isThenable } from "./read/dispatcher.ts";

/** A connection whose events are reported. */
interface HookOwner {
  readonly connection: Connection;
  readonly options: SettledOptions;
  readonly rareParts: Pick<RareParts, "context"> | undefined;
  /** Calls `onError` and closes with 1011. */
  fault(error: unknown, place: ErrorPlace): void;
}

/** True if someone gets events of this type: otherwise no event is created. */
export function isObserved({ options }: Pick<HookOwner, "options">, type: ConnectionEvent["type"]): boolean {
  return options.observe !== undefined || isPublished(type);
}

/** Calls `observe`, and publishes the event. If `observe` throws, `onError` is called, and the connection continues. */
export function emit(owner: HookOwner, event: ConnectionEvent): void {
  const { observe, onError } = owner.options;
  publishEvent(event);
  try {
    observe?.(event);
  } catch (error) {
    onError(error, { place: "observe", connection: owner.connection });
  }
}

/**
 * Calls `hook` in the context of its connection. One flush writes for all connections, in the context of the first sender of the turn,
 * and one timer serves all, too.
 */
function runInContext(owner: HookOwner, hook: () => unknown): unknown {
  const context = owner.rareParts?.context;
  return context === undefined ? hook() : context.run(hook);
}

/**
 * Calls a hook whose failure ends the connection. The promise of an `async` hook is not awaited, but its rejection is a failure.
 */
export function callHook(owner: HookOwner, place: ErrorPlace, hook: () => unknown): void {
  try {
    const returned = runInContext(owner, hook);
    if (isThenable(returned)) returned.then(undefined, (error: unknown) => owner.fault(error, place));
  } catch (error) {
    owner.fault(error, place);
  }
}

/** Calls a hook after the end has begun: its failure only goes to `onError`. */
export function callHookAtEnd(owner: HookOwner, place: ErrorPlace, hook: () => unknown): void {
  const failed = (error: unknown): void => owner.options.onError(error, { place, connection: owner.connection });
  try {
    const returned = runInContext(owner, hook);
    if (isThenable(returned)) returned.then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}

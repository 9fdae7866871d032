/** Answers the FIN of a peer on TCP with the FIN of this side. */

import { after, type Instant } from "../../base/time.ts";
import { NORMAL } from "../../engine/websocket/close-codes.ts";
import { closingOf, type PartsOwner, queuedMessagesOf } from "../lazy-parts.ts";
import { setTimer, type TimersOwner } from "../time/timers.ts";

/** Answers it once the application has seen the peer's end and does not want to send more. */
export function answerFinIfShown(owner: PartsOwner & { readonly busy: boolean }): void {
  if (owner.closing?.state === "halfOpen" && !owner.options.allowHalfOpen && !owner.busy)
    owner.closing.local(NORMAL, "");
}

/** The time limit for our FIN has expired. */
export function lingerExpired(owner: PartsOwner & TimersOwner, now: Instant): void {
  const { allowHalfOpen, lingerTimeout } = owner.options;
  // While messages are being written, the application uses its half of the connection.
  if (allowHalfOpen && queuedMessagesOf(owner) > 0) setTimer(owner, "linger", after(now, lingerTimeout));
  else closingOf(owner).local(NORMAL, "");
}

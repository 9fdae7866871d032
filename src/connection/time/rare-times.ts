/** State of the time limits that most connections do not have, or have only for a short time. */

import type { Instant } from "../../base/time.ts";

export class RareTimes {
  /** Set if there is a lifetime. */
  openedAt: Instant | undefined;
  /** When bytes last arrived. Set if there is an idle limit. */
  receivedAt: Instant | undefined;
  /** When reading stopped. Undefined while the connection reads. */
  suspendedAt: Instant | undefined;
  /** When the incomplete message began to arrive. */
  messageBeganAt: Instant | undefined;
  /** When this side noticed the peer's FIN behind bytes that the pause leaves unread. */
  finSeenAt: Instant | undefined;
}

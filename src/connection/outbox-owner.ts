/** What an outbox and its connection have to say to each other. */

import type { LimitError } from "../base/errors.js";
import type { Transport } from "../transport/transport.js";
import type { Alarms } from "./alarms.js";
import type { LevelsOwner } from "./levels.js";
import type { Overflow } from "./options.js";

/** `sent`: it leaves with this turn's write. `queued`: it waits for the kernel to take more. `refused`: it was not taken. */
export type SendResult = "sent" | "queued" | "refused";

/** What an outbox needs of its connection, and tells it. */
export interface OutboxOwner extends LevelsOwner {
  readonly transport: Transport;
  readonly alarms: Alarms;
  /** A message did not fit, and this was done. */
  overflowed(policy: Exclude<Overflow, "wait">, error: () => LimitError): void;
  /** The kernel, which had no room, has some again: the peer has read something. */
  roomMade(): void;
  /** Everything was written, the Close frame too if there was one. */
  finished(): void;
}

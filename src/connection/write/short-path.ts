/** The paths that an outgoing message can take, and the way from each of them to the send queue. */

import type { OutgoingMessage } from "./outgoing-message.ts";

/**
 * Where the outgoing messages of a connection are. A connection is on one path at a time.
 *
 * | path | the messages | when |
 * |---|---|---|
 * | `idle` | there are none | |
 * | `corked` | encoded in the shared write buffer, for one write at the end of the chunk | answers to a chunk, if nothing is queued |
 * | `fanOut` | in the batch of a group, for one write at the end of this turn or of a later one | sent to a group, if nothing is queued |
 * | `deferred` | in the list of a group with many members, for the end of one of the next turns | sent to a group that has too many members for one turn |
 * | `queued` | in the send queue | always possible |
 * | `writing` | in the send queue, behind a write of which the kernel has not accepted all bytes | the kernel has no room |
 * | `finishing` | in the send queue; the Close frame or the FIN follows the last one | the end has begun |
 * | `stopped` | rejected | the transport is gone |
 *
 * `corked` and `fanOut` are short paths: they save the entry in the queue, and are only taken while nothing else is sent. From
 * both there is one way back: `outboxOf` of `lazy-parts.ts`. It is the only access to the outbox, and moves the messages of a
 * short path, and behind them the deferred ones, to the send queue first. So no operation of the outbox can come before them,
 * whatever it is.
 */
export type OutgoingPath = "idle" | "corked" | "fanOut" | "deferred" | "queued" | "writing" | "finishing" | "stopped";

/** A path without a place in the send queue. */
export interface ShortPath {
  readonly name: "corked" | "fanOut";
  /** Number of messages that are not written yet. */
  readonly length: number;
  /** Their size as the queue counts it: bytes of their payloads and the overhead of each. */
  readonly bytes: number;
  /** Writes these messages now, in one write. Never throws: an exception ends the connection. */
  flush(): void;
  /**
   * Takes the connection off this path. Returns its messages as if each had been queued individually. Only `lazy-parts.ts` calls
   * this: it queues the returned messages.
   */
  leave(): OutgoingMessage[];
}

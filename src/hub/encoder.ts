/** How the members of topics get entries, positions and gaps. */

import type { Sendable } from "../core.ts";
import type { TopicEntry } from "./entry.ts";
import type { Gap, Position } from "./position.ts";

/**
 * Why a member gets no message for some offsets, although none is missing. `except`: it is its own message. `coalesced`: under the
 * policy `latest` a newer one has replaced it. `renewed`: the same messages now belong to another epoch.
 */
export type SkipReason = "except" | "coalesced" | "renewed";

/**
 * Makes the messages that members get. Each function returns a message, or undefined if members get none. If it throws, `onError` gets
 * the error, and members get nothing.
 */
export interface TopicEncoder {
  /** For an entry. It is called once for all members. `after`: the offset of the message before it. */
  readonly message: (entry: TopicEntry, after: number) => Sendable | undefined;
  /** For a member that has joined: it gets the messages behind this position, after the gap, if there is one. */
  readonly joined?: ((topic: string, position: Position, gap: Gap | undefined) => Sendable | undefined) | undefined;
  /** For a gap, in its place among the messages. */
  readonly gap?: ((gap: Gap) => Sendable | undefined) | undefined;
  /** For a member that continues behind this position, and has missed nothing that it should get. */
  readonly skipped?: ((topic: string, position: Position, reason: SkipReason) => Sendable | undefined) | undefined;
  /** For a member that has left the topic, and stays connected. */
  readonly left?: ((topic: string) => Sendable | undefined) | undefined;
  /** Called when the topic has no members at this hub any more. */
  readonly ended?: ((topic: string) => void) | undefined;
}

/** Members get the message alone, and nothing for a position or a gap. */
export const PLAIN: TopicEncoder = Object.freeze({ message: ({ message }: TopicEntry) => message });

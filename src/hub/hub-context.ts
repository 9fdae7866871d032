/** The hub, as its topics use it. */

import type { GroupMember } from "../core.ts";
import type { TopicEncoder } from "./encoder.ts";
import type { KeptEntry } from "./entry.ts";
import type { HubCounts, HubEvent } from "./events.ts";
import type { LogSetup } from "./live-log.ts";
import type { TopicMember } from "./member-cursor.ts";

export interface HubContext {
  readonly setup: LogSetup;
  readonly encoder: TopicEncoder;
  readonly counts: HubCounts;
  readonly observe: ((event: HubEvent) => void) | undefined;
  /** Reports an error that no call returns. */
  report(error: unknown): void;
  unreadable(topic: string, offset: number | undefined, error: unknown): void;
  /** The member has left the topic. */
  memberAbsent(topic: string, member: GroupMember): void;
  newEpoch(): string;
  /** The member that does not get this entry, if this hub has published it. */
  takeExcept(topic: string, entry: KeptEntry): GroupMember | undefined;
  drained(member: TopicMember): Promise<void>;
  /** The topic has neither members nor followers any more. */
  topicEnded(topic: string): void;
}

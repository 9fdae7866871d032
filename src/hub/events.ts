/** The events of a hub, and what it counts. */

import type { Gap, GapReason, Position } from "./position.ts";

/** The log of a topic may have entries that the hub does not have. Nothing is delivered until it is verified. */
export interface HubSuspectEvent {
  readonly type: "suspect";
  readonly topic: string;
  readonly cause: unknown;
}

/** The log of a topic is verified. */
export interface HubHealedEvent {
  readonly type: "healed";
  readonly topic: string;
  /** How many entries were missing, and have been read. */
  readonly entries: number;
}

/** Members have a gap. */
export interface HubGapEvent {
  readonly type: "gap";
  readonly gap: Gap;
  /** How many members and followers have it. */
  readonly members: number;
}

/** The log of a topic had another history than before. */
export interface HubForkEvent {
  readonly type: "fork";
  readonly topic: string;
}

/** An entry of the log cannot be read, and was skipped. */
export interface HubUnreadableEvent {
  readonly type: "unreadable";
  readonly topic: string;
  readonly offset: number | undefined;
  readonly error: unknown;
}

/** It is unknown whether the broker has a message. */
export interface HubInDoubtEvent {
  readonly type: "inDoubt";
  readonly topic: string;
  readonly error: unknown;
}

/** A message of `tryPublish` was not published, or that is unknown. */
export interface HubPublishFailedEvent {
  readonly type: "publishFailed";
  readonly topic: string;
  readonly error: unknown;
}

/** A read of the broker has failed. The hub repeats it. */
export interface HubReadFailedEvent {
  readonly type: "readFailed";
  readonly topic: string;
  readonly error: unknown;
}

export type HubEvent =
  | HubSuspectEvent
  | HubHealedEvent
  | HubGapEvent
  | HubForkEvent
  | HubUnreadableEvent
  | HubInDoubtEvent
  | HubPublishFailedEvent
  | HubReadFailedEvent;

/** A topic that has members or followers in this process. */
export interface TopicFacts {
  readonly name: string;
  readonly members: number;
  /** Members behind its newest message. */
  readonly behind: number;
  readonly position: Position;
}

/** What a hub has counted since it was made, and how much it has now. */
export interface HubStats {
  /** Topics that have members or followers. */
  readonly topics: number;
  /** Members of all topics; a connection counts once in each of its topics. */
  readonly members: number;
  /** Members that are behind the newest message of their topic. */
  readonly behind: number;
  /** What the messages of all topics take in the memory of the hub, in bytes, as `maxHistoryBytes` counts them. */
  readonly historyBytes: number;
  /** Messages of `publish` and `tryPublish`. */
  readonly publishes: number;
  /** Messages that are on their way to the broker. */
  readonly publishing: number;
  /** Messages of which it is unknown whether the broker has them. */
  readonly inDoubt: number;
  /** Entries that were received from the broker, those that were read included. */
  readonly entries: number;
  /** Reads of the log. */
  readonly reads: number;
  /**
   * Holes in what the broker has delivered: runs of offsets that it has passed over, as after a lost connection. `holes` is
   * `healedHoles + toldHoles + endedHoles`, except while a log is being verified. A message that is missing at the end of a topic is no
   * hole until a later one arrives. After a new epoch the count goes on with what is published then.
   */
  readonly holes: number;
  /** Holes that were read from the log. Members have missed nothing. */
  readonly healedHoles: number;
  /** Holes of which members have a gap. */
  readonly toldHoles: number;
  /** Holes that were neither healed nor told yet when the topic lost its last member and follower in this process. */
  readonly endedHoles: number;
  /** Entries that were read from the log because they had not arrived yet: the missing ones, and those that were on their way. */
  readonly healedEntries: number;
  /** The gaps of members and followers, by their reasons. */
  readonly gaps: Readonly<Record<GapReason, number>>;
  readonly forks: number;
  /** Entries that could not be read. */
  readonly unreadable: number;
  /**
   * Milliseconds that a message of this hub took to the broker and back, when it was measured last. Undefined until then, and in a
   * hub without presence.
   */
  readonly lag: number | undefined;
}

/** The counters of a hub. */
export class HubCounts {
  topics = 0;
  publishes = 0;
  publishing = 0;
  inDoubt = 0;
  entries = 0;
  reads = 0;
  holes = 0;
  healedHoles = 0;
  toldHoles = 0;
  endedHoles = 0;
  healedEntries = 0;
  forks = 0;
  unreadable = 0;
  lag: number | undefined;
  members = 0;
  behind = 0;
  historyBytes = 0;
  readonly gaps: Record<GapReason, number> = { trimmed: 0, epoch: 0, fork: 0, lost: 0 };
}

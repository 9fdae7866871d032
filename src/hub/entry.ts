/** The entries of a topic: as the hub keeps them, and as an application gets them. */

import type { Instant } from "../base/time.ts";
import type { Message, Prepared, PreparedMessage } from "../core.ts";
import { checkOf } from "../engine/check.ts";
import type { Position } from "./position.ts";
import { decodeHubMessage, type HubMessage, payloadOf } from "./wire-form.ts";

/** A message of a topic, with its place. */
export interface TopicEntry {
  readonly type: "entry";
  readonly topic: string;
  readonly message: Message;
  /** The key with which it was published. */
  readonly key: string | undefined;
  readonly offset: number;
  /** The offset of the message before it. Equal to `offset - 1`, unless the broker counts in larger steps or a message was unreadable. */
  readonly previous: number;
  /** The position behind this message: `join({ after: entry.position })` continues with the next one. */
  readonly position: Position;
}

/** An entry in the memory of a hub. */
export class KeptEntry {
  readonly offset: number;
  /** The offset of the entry before it; for the oldest one that is known, the highest that it can have. */
  previous: number;
  /** The bytes that the broker carries. */
  readonly bytes: Uint8Array;
  /** When this hub has got it. */
  readonly at: Instant;
  /** Why it cannot be read, and nobody gets it. Undefined if it can. */
  readonly problem: Error | undefined;
  /** The hub that has published it, and its number there. */
  readonly node: string;
  readonly number: number;
  /** The form for members, while some of them catch up. `null`: they get nothing for it. */
  encoded: (Prepared & PreparedMessage) | null | undefined;

  constructor(facts: EntryFacts, problem: Error | undefined, message: HubMessage | undefined) {
    this.offset = facts.offset;
    this.previous = facts.previous;
    this.bytes = facts.bytes;
    this.at = facts.at;
    this.problem = problem;
    this.node = message?.node ?? "";
    this.number = message?.number ?? 0;
  }

  /** The content. Throws if it cannot be read. */
  get content(): HubMessage {
    return decodeHubMessage(this.bytes);
  }

  get check(): number {
    return checkOf(this.problem === undefined ? payloadOf(this.bytes) : this.bytes);
  }
}

interface EntryFacts {
  readonly offset: number;
  readonly previous: number;
  readonly bytes: Uint8Array;
  readonly at: Instant;
}

export function keptEntry(facts: EntryFacts): KeptEntry {
  try {
    return new KeptEntry(facts, undefined, decodeHubMessage(facts.bytes));
  } catch (error) {
    return new KeptEntry(facts, error as Error, undefined);
  }
}

/** The form for applications. */
class Entry implements TopicEntry {
  readonly type = "entry";
  readonly topic: string;
  readonly message: Message;
  readonly key: string | undefined;
  readonly offset: number;
  readonly previous: number;
  readonly #epoch: string;
  readonly #kept: KeptEntry;

  constructor(topic: string, epoch: string, kept: KeptEntry) {
    const { data, key } = kept.content;
    this.topic = topic;
    this.message = data;
    this.key = key;
    this.offset = kept.offset;
    this.previous = kept.previous;
    this.#epoch = epoch;
    this.#kept = kept;
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.offset, check: this.#kept.check };
  }
}

export function topicEntry(topic: string, epoch: string, kept: KeptEntry): TopicEntry {
  return new Entry(topic, epoch, kept);
}

/** True if these are the same bytes. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && Buffer.compare(one, other) === 0;
}

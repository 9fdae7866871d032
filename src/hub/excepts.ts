/** The members that do not get a message, until the message comes back from the broker. */

import type { GroupMember } from "../core.ts";
import { RecentMap } from "../engine/queue/recent-map.ts";

/** Most messages that are remembered. Beyond them old ones are forgotten, as if they never came back: their members get them. */
const MAX_EXCEPTS = 10_000;

export class Excepts {
  readonly #members = new RecentMap<string, GroupMember>(MAX_EXCEPTS);

  add(topic: string, number: number, member: GroupMember): void {
    this.#members.set(keyOf(topic, number), member);
  }

  take(topic: string, number: number): GroupMember | undefined {
    if (this.#members.size === 0) return undefined;
    const key = keyOf(topic, number);
    const member = this.#members.get(key);
    this.#members.delete(key);
    return member;
  }
}

function keyOf(topic: string, number: number): string {
  return `${number} ${topic}`;
}

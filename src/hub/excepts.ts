/** The members that do not get a message, until the message comes back from the broker. */

import type { GroupMember } from "../core.ts";

/** Most messages that are remembered. Beyond them the oldest is forgotten, as one that never came back: its member gets it. */
const MAX_EXCEPTS = 10_000;

export class Excepts {
  readonly #members = new Map<string, GroupMember>();

  add(topic: string, number: number, member: GroupMember): void {
    for (const oldest of this.#members.keys()) {
      if (this.#members.size < MAX_EXCEPTS) break;
      this.#members.delete(oldest);
    }
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

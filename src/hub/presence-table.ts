/** Who is in a topic, by hub: a table that answers and changes fill, and what has changed in it. */

import type { Change, Listed } from "./presence-form.ts";

/** A member of a topic, at any hub. */
export interface PresentMember {
  /** What the application has passed to `join`, or a random id. Several members may have the same one. */
  readonly id: string;
  /** What the application has passed to `join` or `update`. */
  readonly state: unknown;
  /** The hub of the member. */
  readonly hub: string;
}

/** A change of who is in a topic. */
export interface PresenceChange {
  readonly type: "join" | "leave" | "update";
  readonly member: PresentMember;
}

/** The members at one hub. */
interface Section {
  version: number;
  readonly members: Map<number, Listed>;
}

const MODULUS = 2 ** 32;
/** A larger step back is another series of numbers. */
const LARGEST_STEP = 2 ** 19;

export class PresenceTable {
  readonly #sections = new Map<string, Section>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get hubs(): readonly string[] {
    return [...this.#sections.keys()];
  }

  *members(): Generator<PresentMember, undefined> {
    for (const [hub, { members }] of this.#sections)
      for (const listed of members.values()) yield presentMember(hub, listed);
  }

  /** Replaces the members of a hub, unless later changes are already applied. */
  replace(hub: string, version: number, listed: readonly Listed[]): PresenceChange[] {
    const section = this.#sections.get(hub);
    if (section !== undefined && isBefore(version, section.version)) return [];
    const before = section?.members ?? new Map<number, Listed>();
    const members = new Map(listed.map((one) => [one[0], one]));
    const changes: PresenceChange[] = [];
    for (const [key, one] of before)
      if (!members.has(key)) changes.push({ type: "leave", member: presentMember(hub, one) });
    for (const [key, one] of members) {
      const known = before.get(key);
      if (known === undefined) changes.push({ type: "join", member: presentMember(hub, one) });
      else if (known[2] !== one[2]) changes.push({ type: "update", member: presentMember(hub, one) });
    }
    this.#size += members.size - before.size;
    this.#sections.set(hub, { version, members });
    return changes;
  }

  /** Removes a hub with all its members. */
  remove(hub: string): PresenceChange[] {
    const members = this.#sections.get(hub)?.members ?? new Map<number, Listed>();
    this.#size -= members.size;
    this.#sections.delete(hub);
    return Array.from(members.values(), (one) => ({ type: "leave", member: presentMember(hub, one) }));
  }

  /** Applies the changes with this number. Returns undefined if changes before them are missing. */
  apply(hub: string, number: number, changes: readonly Change[]): PresenceChange[] | undefined {
    const section = this.#sections.get(hub);
    if (section === undefined) return undefined;
    // They are included in what the hub has answered.
    if (number === section.version || isBefore(number, section.version)) return [];
    if (number !== (section.version + 1) % MODULUS) return undefined;
    section.version = number;
    return changes.flatMap((change) => this.#change(hub, section.members, change));
  }

  #change(hub: string, members: Map<number, Listed>, change: Change): PresenceChange[] {
    const known = members.get(change[1]);
    if (change[0] === "-") {
      if (known === undefined) return [];
      members.delete(change[1]);
      this.#size -= 1;
      return [{ type: "leave", member: presentMember(hub, known) }];
    }
    const [, key, id, state] = change;
    const listed: Listed = [key, id, state];
    members.set(key, listed);
    if (known === undefined) this.#size += 1;
    return [{ type: known === undefined ? "join" : "update", member: presentMember(hub, listed) }];
  }
}

function isBefore(number: number, other: number): boolean {
  const step = (other - number + MODULUS) % MODULUS;
  return step > 0 && step <= LARGEST_STEP;
}

export function presentMember(hub: string, [, id, state]: Listed): PresentMember {
  return { id, state: stateOf(state), hub };
}

/** What another hub has sent need not be JSON. */
function stateOf(text: string): unknown {
  try {
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

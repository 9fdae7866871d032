/** The messages with which hubs tell each other who is in a topic: JSON texts, in the form of `wire-form.ts`. */

import { isObject } from "../base/forms.ts";

/** The channel on which all hubs are: heartbeats and questions. */
export const HUBS = "\0hubs";
/** The channel of one hub, for the answers that it gets. */
export const channelOfHub = (node: string): string => `\0hub ${node}`;
/** The channel of the changes in one topic. */
export const channelOfTopic = (topic: string): string => `\0of ${topic}`;
/** What the name of such a channel is longer than that of its topic, in bytes. */
export const CHANNEL_BYTES = 4;

/** A member: the number that its hub has given it, its id, and the JSON text of its state. */
export type Listed = readonly [key: number, id: string, state: string];
/** A change: `+` joined, `~` has another state, `-` left. */
export type Change = readonly ["+" | "~", ...Listed] | readonly ["-", key: number];

/** On `HUBS`. `hello`: the hub is new, and wants to know the others. `bye`: it ends. `ask`: who, or how many, are in a topic? */
export type HubCall =
  | { readonly type: "alive" | "hello" | "bye" }
  | { readonly type: "ask"; readonly id: number; readonly topic: string; readonly counts: boolean };

/** A part of the answer to a question. `version`: the number of the last changes that it includes. */
export interface Answer {
  readonly id: number;
  readonly version: number;
  readonly count: number;
  readonly part: number;
  readonly parts: number;
  readonly members: readonly Listed[];
}

/** Returns undefined for a text that is no call of a hub. */
export function readCall(text: string): HubCall | undefined {
  const value = parsed(text);
  const { type, id, topic, counts } = value;
  if (type === "alive" || type === "hello" || type === "bye") return { type };
  if (type !== "ask" || typeof id !== "number" || typeof topic !== "string") return undefined;
  return { type, id, topic, counts: counts === true };
}

export function readAnswer(text: string): Answer | undefined {
  const { id, version, count, part, parts, members } = parsed(text);
  const numbers = [id, version, count, part, parts].every(
    (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  );
  if (!numbers || !Array.isArray(members) || !members.every(isListed)) return undefined;
  return { id, version, count, part, parts, members } as Answer;
}

export function readChanges(text: string): readonly Change[] | undefined {
  const { changes } = parsed(text);
  if (!Array.isArray(changes)) return undefined;
  const valid = changes.every((change: unknown) => {
    if (!Array.isArray(change)) return false;
    const [kind, ...rest] = change as unknown[];
    return kind === "-"
      ? rest.length === 1 && typeof rest[0] === "number"
      : (kind === "+" || kind === "~") && isListed(rest);
  });
  return valid ? (changes as Change[]) : undefined;
}

function isListed(value: unknown): value is Listed {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [key, id, state] = value as unknown[];
  return typeof key === "number" && typeof id === "string" && typeof state === "string";
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

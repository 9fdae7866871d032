/** Reads what the envelope of a hub has made: for clients. It uses nothing of Node, so that it can be copied into a browser. */

import type { Message } from "../core.ts";
import { checkOf, checkOfText } from "../engine/check.ts";
import type { SkipReason } from "./encoder.ts";
import { CONTROL, type ControlRecord, DIRECT, fitsOffset, readStep } from "./envelope-form.ts";
import type { Gap, GapReason, Position } from "./position.ts";

/** What a received message means. */
export type EnvelopeEvent =
  /** A message of a topic. */
  | { readonly type: "message"; readonly topic: string; readonly message: Message; readonly offset: number }
  /** The messages of the topic behind this position follow. `gap`: what is missing since the position before. */
  | { readonly type: "joined"; readonly topic: string; readonly position: Position; readonly gap: Gap | undefined }
  | Gap
  /** Messages that are not for this client: nothing is missing. */
  | { readonly type: "skipped"; readonly topic: string; readonly position: Position; readonly reason: SkipReason }
  | { readonly type: "left"; readonly topic: string }
  /** A message of no topic. */
  | { readonly type: "direct"; readonly message: Message };

/** The place in one topic. */
interface Place {
  readonly topic: string;
  epoch: string;
  offset: number;
  /** The check of the last message, or the message itself, because the check is computed only when it is asked for. */
  last: number | Message;
}

const GAPS: readonly string[] = ["trimmed", "epoch", "fork", "lost"] satisfies GapReason[];
/**
 * The state of a client that receives topics in the envelope. It outlives the connections: after a new connection, send `positions` to
 * the server, which passes them to `join({ after })`.
 */
export class EnvelopeReader {
  readonly #aliases = new Map<string, Place>();
  readonly #places = new Map<string, Place>();

  /** The position in each topic that was joined. Plain data for JSON. A topic stays in it until `forget`, also after a lost connection. */
  get positions(): Readonly<Record<string, Position>> {
    return Object.fromEntries(Array.from(this.#places, ([topic, place]) => [topic, positionOf(place)]));
  }

  /** The position in one topic. Undefined if it was never joined. */
  position(topic: string): Position | undefined {
    const place = this.#places.get(topic);
    return place && positionOf(place);
  }

  /** Removes a topic from `positions`. */
  forget(topic: string): void {
    this.#places.delete(topic);
  }

  /** Must be called for a new connection: its aliases are others. */
  connected(): void {
    this.#aliases.clear();
  }

  /** Reads one received message. Throws RangeError if it is not of an envelope, or does not follow the message before it. */
  receive(message: Message): EnvelopeEvent {
    if (typeof message === "string") {
      if (message.startsWith(CONTROL)) return this.#control(message);
      if (message.startsWith(DIRECT)) return { type: "direct", message: message.slice(DIRECT.length) };
      const alias = String.fromCodePoint(message.codePointAt(0) ?? 0);
      const step = readStep((index) => (index < message.length ? message.charCodeAt(index) : undefined), alias.length);
      return this.#message(alias, step, (end) => message.slice(end));
    }
    if (message[0] === DIRECT.charCodeAt(0)) return { type: "direct", message: message.subarray(1) };
    const length = lengthOfCharacter(message[0] ?? 0);
    const step = readStep((index) => message[index], length);
    return this.#message(characterOf(message.subarray(0, length)), step, (end) => message.subarray(end));
  }

  #message(alias: string, step: ReturnType<typeof readStep>, payload: (end: number) => Message): EnvelopeEvent {
    const place = this.#aliases.get(alias);
    if (place === undefined || step === undefined)
      throw new RangeError("Cannot read a message: it is of no joined topic");
    const offset = place.offset + step.step;
    const { topic } = place;
    if (!fitsOffset(step.check, offset))
      throw new RangeError(
        `Cannot read a message of topic ${JSON.stringify(topic)}: it does not follow offset ${place.offset}`,
      );
    const message = payload(step.end);
    place.offset = offset;
    place.last = message;
    return { type: "message", topic, message, offset };
  }

  #control(text: string): EnvelopeEvent {
    const record = recordOf(text);
    if (record.join !== undefined) return this.#joined(record.join);
    if (record.skip !== undefined) return this.#skipped(record.skip);
    const place = this.#aliases.get(record.leave ?? "");
    if (place === undefined) throw new RangeError("Cannot read a control record: it is of no joined topic");
    this.#aliases.delete(record.leave as string);
    return { type: "left", topic: place.topic };
  }

  #joined({ topic, alias, epoch, offset, check, gap }: NonNullable<ControlRecord["join"]>): EnvelopeEvent {
    const before = this.#places.get(topic);
    const position = { epoch, offset, check };
    const from = before === undefined ? position : positionOf(before);
    const place: Place = { topic, epoch, offset, last: check };
    this.#aliases.set(alias, place);
    this.#places.set(topic, place);
    const missed: Gap | undefined = gap && {
      type: "gap",
      topic,
      reason: gap.why,
      from,
      to: position,
      count: gap.count,
    };
    return { type: "joined", topic, position, gap: missed };
  }

  #skipped({ alias, to, epoch, check, why, count }: NonNullable<ControlRecord["skip"]>): EnvelopeEvent {
    const place = this.#aliases.get(alias);
    if (place === undefined) throw new RangeError("Cannot read a control record: it is of no joined topic");
    const { topic } = place;
    const from = positionOf(place);
    const position = { epoch, offset: to, check };
    place.epoch = epoch;
    place.offset = to;
    place.last = check;
    if (!GAPS.includes(why)) return { type: "skipped", topic, position, reason: why as SkipReason };
    return { type: "gap", topic, reason: why as GapReason, from, to: position, count };
  }
}

function recordOf(text: string): ControlRecord {
  try {
    return JSON.parse(text) as ControlRecord;
  } catch (error) {
    throw new RangeError("Cannot read a control record: it is no JSON", { cause: error });
  }
}

function positionOf(place: Place): Position {
  const { epoch, offset, last } = place;
  if (typeof last === "number") return { epoch, offset, check: last };
  const check = typeof last === "string" ? checkOfText(last) : checkOf(last);
  place.last = check;
  return { epoch, offset, check };
}

/** The number of bytes of a character of UTF-8, by its first one. */
function lengthOfCharacter(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

/** The character of these bytes. Not validated: a wrong one is no alias. */
function characterOf(bytes: Uint8Array): string {
  const [first = 0, ...rest] = bytes;
  let point = rest.length === 0 ? first : first & (0x3f >> rest.length);
  for (const byte of rest) point = (point << 6) | (byte & 0x3f);
  return point > 0x10ffff ? "" : String.fromCodePoint(point);
}

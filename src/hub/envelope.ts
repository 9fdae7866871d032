/** An encoder that tells members of positions and gaps, for two bytes a message. `EnvelopeReader` is its other side. */

import { asData } from "../base/bytes.ts";
import type { Message, Sendable } from "../core.ts";
import type { TopicEncoder } from "./encoder.ts";
import type { TopicEntry } from "./entry.ts";
import { aliasOf, type ControlRecord, checkCharacter, DIRECT, MAX_ALIASES, stepLetters } from "./envelope-form.ts";

/** The envelope of a hub. */
export interface Envelope extends TopicEncoder {
  /** A message of the application itself, for connections whose other messages are those of topics. */
  direct(message: Message): Sendable;
}

class HubEnvelope implements Envelope {
  readonly #aliases = new Map<string, string>();
  /** The aliases of ended topics, for further ones. */
  readonly #free: string[] = [];
  #count = 0;

  readonly message = ({ topic, message, offset }: TopicEntry, after: number): Sendable =>
    prefixed(this.#aliasOf(topic) + stepLetters(offset - after) + checkCharacter(offset), message);

  readonly joined: NonNullable<TopicEncoder["joined"]> = (topic, { epoch, offset, check }, gap) => {
    const told = gap && { why: gap.reason, ...(gap.count !== undefined && { count: gap.count }) };
    return control({ join: { topic, alias: this.#aliasOf(topic), epoch, offset, check, ...(told && { gap: told }) } });
  };

  readonly gap: NonNullable<TopicEncoder["gap"]> = ({ topic, reason, to, count }) => {
    const { epoch, offset, check } = to;
    const alias = this.#aliasOf(topic);
    return control({ skip: { alias, to: offset, epoch, check, why: reason, ...(count !== undefined && { count }) } });
  };

  readonly skipped: NonNullable<TopicEncoder["skipped"]> = (topic, { epoch, offset, check }, reason) =>
    control({ skip: { alias: this.#aliasOf(topic), to: offset, epoch, check, why: reason } });

  readonly left: NonNullable<TopicEncoder["left"]> = (topic) => control({ leave: this.#aliasOf(topic) });

  readonly ended: NonNullable<TopicEncoder["ended"]> = (topic) => {
    const alias = this.#aliases.get(topic);
    if (alias === undefined) return;
    this.#aliases.delete(topic);
    this.#free.push(alias);
  };

  direct(message: Message): Sendable {
    return prefixed(DIRECT, asData(message) as Message);
  }

  #aliasOf(topic: string): string {
    let alias = this.#aliases.get(topic);
    if (alias === undefined) {
      alias = this.#free.pop() ?? this.#next();
      this.#aliases.set(topic, alias);
    }
    return alias;
  }

  #next(): string {
    if (this.#count === MAX_ALIASES) throw new RangeError(`Cannot name a topic: there are already ${MAX_ALIASES}`);
    this.#count += 1;
    return aliasOf(this.#count - 1);
  }
}

function control(record: ControlRecord): string {
  return JSON.stringify(record);
}

function prefixed(prefix: string, message: Message): Sendable {
  if (typeof message === "string") return prefix + message;
  const start = Buffer.byteLength(prefix);
  const bytes = new Uint8Array(start + message.length);
  Buffer.from(bytes.buffer).write(prefix);
  bytes.set(message, start);
  return bytes;
}

/**
 * An encoder for the option `encoder` of one hub. Members get two bytes before each message (three from the 75th topic on), and a JSON
 * text for each join, gap and skip. With `EnvelopeReader`, a client knows its position in each topic, and what it has missed.
 */
export function envelope(): Envelope {
  return new HubEnvelope();
}

/** The messages that machines exchange under load: each is distinct, and the whole load can be compared by a digest. */

import { createHash, type Hash } from "node:crypto";
import type { Side } from "./network.ts";

/** How many messages, and the size of each. */
export interface Load {
  readonly messages: number;
  readonly size: number;
}

/** The heartbeat message on TCP. It is not part of a load. */
export const ASKS = "?";

/** The message with this number: no other message equals it, and no part of it equals another part. */
export function messageOf(from: Side, number: number, size: number): string {
  let text = `${number} `;
  for (let piece = 0; text.length < size; piece += 1) {
    text += createHash("sha256").update(`${from} ${number} ${piece}`).digest("hex");
  }
  return text.slice(0, size);
}

/** A digest of messages in order. */
export class Sum {
  readonly #hash: Hash = createHash("sha256");
  number = 0;

  add(message: string): void {
    this.number += 1;
    this.#hash.update(`${message.length} ${message}\n`);
  }

  digest(): string {
    return this.#hash.copy().digest("hex");
  }
}

/** The digest of a whole load. */
export function digestOf(from: Side, { messages, size }: Load): string {
  const sum = new Sum();
  for (let number = 0; number < messages; number += 1) sum.add(messageOf(from, number, size));
  return sum.digest();
}

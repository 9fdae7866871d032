/** What machines say to each other under load: messages that can be told from each other, and whose whole can be compared. */

import { createHash, type Hash } from "node:crypto";
import type { Side } from "./network.js";

/** How many messages, and how long each of them is. */
export interface Load {
  readonly messages: number;
  readonly size: number;
}

/** What a connection on TCP asks whether its peer is there with. It is no part of any load. */
export const ASKS = "?";

/** The message of this number: no other one is like it, and no part of it is like another part. */
export function messageOf(from: Side, number: number, size: number): string {
  let text = `${number} `;
  for (let piece = 0; text.length < size; piece += 1) {
    text += createHash("sha256").update(`${from} ${number} ${piece}`).digest("hex");
  }
  return text.slice(0, size);
}

/** The sum of messages in an order. */
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

/** What the sum of a whole load comes to. */
export function digestOf(from: Side, { messages, size }: Load): string {
  const sum = new Sum();
  for (let number = 0; number < messages; number += 1) sum.add(messageOf(from, number, size));
  return sum.digest();
}

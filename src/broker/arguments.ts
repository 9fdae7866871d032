/** Validates the arguments that all brokers have in common. */

import { kindOf } from "../base/forms.ts";
import { judgeString } from "../base/judge.ts";

/** The longest name of a topic, and the longest id of a message, in bytes of UTF-8. */
export const MAX_NAME = 255;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Throws TypeError if `topic` is no string, and RangeError if it is not 1 to 255 bytes of UTF-8. */
export function judgeTopicName(topic: unknown): asserts topic is string {
  judgeName("topic", topic);
  if (topic === "") throw new RangeError("Cannot use topic: expected at least one character");
}

/** Throws TypeError if `message` is no Uint8Array. The hub has judged all other arguments of a publication, except its id. */
export function judgePublication(topic: unknown, message: unknown, id: unknown): void {
  judgeTopicName(topic);
  if (!(message instanceof Uint8Array)) {
    throw new TypeError(`Cannot publish: expected the message as a Uint8Array, got ${kindOf(message)}`);
  }
  if (id !== undefined) judgeName("id", id);
}

function judgeName(name: string, value: unknown): asserts value is string {
  judgeString(name, value);
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_NAME) throw new RangeError(`Cannot use ${name} of ${bytes} bytes: expected at most ${MAX_NAME}`);
  if (LONE_SURROGATE.test(value)) throw new RangeError(`Cannot use ${name}: half of a surrogate pair is no text`);
}

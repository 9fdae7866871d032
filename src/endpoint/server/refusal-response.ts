/** Decides whether the value that `authorize` returned refuses the client, accepts it, or is invalid. */

import { asData } from "../../base/bytes.ts";
import { isError, isObject, kindOf } from "../../base/forms.ts";
import { type ExtraHeaders, fieldsOf } from "../../engine/handshake/fields-to-send.ts";
import type { RefusalAnswer } from "../../transport/http/upgrade.ts";

/**
 * The part of a Response that is used. Any object of this form counts as a Response: of another realm, of undici, or of a
 * framework.
 */
interface ResponseForm {
  readonly status: number;
  readonly headers: ExtraHeaders;
  arrayBuffer(): Promise<unknown>;
}

// The server sets these fields itself, because they depend on the length of the body and on the close of the socket after it.
const FRAMING_FIELDS: readonly string[] = [
  "connection",
  "content-length",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
];

// A `status` alone may belong to data of the application. An object that has one of these properties as well is a response.
const RESPONSE_PARTS: readonly string[] = ["headers", "body", "arrayBuffer", "statusText"];

const EXPECTED = "authorize refuses with a Response of status 300 to 599, and accepts with other values";

/**
 * Returns the answer to a client that `authorize` refuses, or undefined if it accepts the client. Throws TypeError for a value
 * that does neither: false, an Error, or a response that cannot be sent. Such a value never accepts the client.
 */
export async function refusalAnswerOf(answer: unknown): Promise<RefusalAnswer | undefined> {
  if (answer === false) throw new TypeError(`Cannot use false of authorize: ${EXPECTED}`);
  if (isError(answer))
    throw new TypeError(`Cannot use an Error that authorize returned: ${EXPECTED}`, { cause: answer });
  if (!isResponse(answer)) return undefined;
  const { status, headers } = answer;
  if (!(Number.isInteger(status) && status >= 300 && status <= 599)) {
    throw new TypeError(`Cannot refuse with status ${status}: expected 300 to 599`);
  }
  const fields = fieldsOf(headers).filter(([name]) => !FRAMING_FIELDS.includes(name.toLowerCase()));
  return { status, fields, body: asData(await answer.arrayBuffer()) };
}

function isResponse(answer: unknown): answer is ResponseForm {
  if (!isObject(answer)) return false;
  const named = Object.prototype.toString.call(answer) === "[object Response]";
  const formed = typeof answer["status"] === "number" && RESPONSE_PARTS.some((part) => part in answer);
  if (!named && !formed) return false;
  if (formed && isObject(answer["headers"]) && typeof answer["arrayBuffer"] === "function") return true;
  throw new TypeError(
    `Cannot use ${kindOf(answer)} of authorize, a response without headers or arrayBuffer(): ${EXPECTED}`,
  );
}

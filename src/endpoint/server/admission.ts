/** The result of `authorize` that accepts a request and adds to its response. */

import { ADMISSION } from "../../base/brand.ts";
import { isObject } from "../../base/forms.ts";
import { judgeNames, judgeOptions } from "../../base/judge.ts";
import {
  type ExtraHeaders,
  extraFields,
  type HeaderFields,
  judgeSubprotocols,
} from "../../engine/handshake/fields-to-send.ts";

/** What `admit` accepts a request with. */
export interface AdmitOptions<UserData = unknown> {
  /** Becomes `connection.data`. @default undefined */
  readonly data?: UserData | undefined;
  /**
   * Header fields of the response with status 101, such as `Set-Cookie`, in addition to the option `headers` of the server. A list as
   * a value becomes one field for each element: `{ "Set-Cookie": [first, second] }`.
   * @default {}
   */
  readonly headers?: ExtraHeaders | undefined;
  /**
   * The subprotocol of the connection. The client must have offered it; `""` is none.
   * @default the first of the server's `subprotocols` that the client offers
   */
  readonly subprotocol?: string | undefined;
}

/** The result of `admit`. `authorize` returns it; nothing else uses it. */
export interface Admission<UserData = unknown> {
  readonly [ADMISSION]: true;
  readonly data: UserData;
  readonly headers: HeaderFields;
  readonly subprotocol: string | undefined;
}

/**
 * Makes the result of an `authorize` that accepts the request with more than `connection.data`: with header fields of the response,
 * or with a subprotocol. Throws TypeError for a field or a subprotocol that a response cannot have.
 *
 * ```ts
 * authorize: async (request) => {
 *   const session = await openSession(request.headers["cookie"]);
 *   return admit({ data: session, headers: { "Set-Cookie": `sid=${session.id}; HttpOnly; Secure` } });
 * }
 * ```
 */
export function admit<UserData>(options: AdmitOptions<UserData> & { readonly data: UserData }): Admission<UserData>;
export function admit(options: AdmitOptions<undefined>): Admission<undefined>;
export function admit<UserData>(options: AdmitOptions<UserData>): Admission<UserData | undefined> {
  judgeOptions(options);
  judgeNames(Object.keys(options), (name) => ["data", "headers", "subprotocol"].includes(name));
  const { data, headers = {}, subprotocol } = options;
  if (subprotocol !== undefined && subprotocol !== "") judgeSubprotocols([subprotocol]);
  return Object.freeze({ [ADMISSION]: true as const, data, headers: extraFields(headers), subprotocol });
}

/** True for a result of `admit`, also of a second copy of this library. */
export function isAdmission(value: unknown): value is Admission {
  return isObject(value) && value[ADMISSION] === true;
}

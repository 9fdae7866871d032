/** The Sec-WebSocket-Extensions field, read and written (RFC 6455 section 9.1). What an extension means is not known here. */

import { type FieldCursor, isToken, parseList } from "./header.js";

/** One extension, offered or agreed on. A parameter without a value is `true`. */
export interface Extension {
  readonly name: string;
  readonly params: ReadonlyMap<string, string | true>;
}

/** One that the peer wrote. */
export interface ReceivedExtension extends Extension {
  /** Whether a parameter came more than once; `params` holds its first value. RFC 7692 section 7 has such an offer declined. */
  readonly repeated: boolean;
}

/** The extensions that a value lists, in its order; undefined if it breaks the grammar, or lists none. */
export function parseExtensions(value: string): ReceivedExtension[] | undefined {
  const extensions = parseList(value, extension);
  return extensions?.length === 0 ? undefined : extensions;
}

/** The field's value. TypeError for what is no token, since it would be read as something else. */
export function formatExtensions(extensions: readonly Extension[]): string {
  return extensions
    .map(({ name, params }) =>
      [
        token(name),
        ...Array.from(params, ([key, value]) => token(key) + (value === true ? "" : `=${token(value)}`)),
      ].join("; "),
    )
    .join(", ");
}

// White space is allowed around each separator: section 4.3 uses the grammar of RFC 2616, in which it is implied.
function extension(cursor: FieldCursor): ReceivedExtension | undefined {
  const name = cursor.token();
  const params = new Map<string, string | true>();
  let repeated = false;
  if (name === "") return undefined;
  for (cursor.space(); cursor.take(";"); cursor.space()) {
    cursor.space();
    const key = cursor.token();
    cursor.space();
    const value = cursor.take("=") ? parameterValue(cursor) : true;
    if (key === "" || value === undefined) return undefined;
    if (params.has(key)) repeated = true;
    else params.set(key, value);
  }
  return { name, params, repeated };
}

function parameterValue(cursor: FieldCursor): string | undefined {
  cursor.space();
  const value = cursor.take('"') ? cursor.quoted() : cursor.token();
  // Section 9.1: what a quoted-string means must be a token, too.
  return value !== undefined && isToken(value) ? value : undefined;
}

function token(text: string): string {
  if (isToken(text)) return text;
  throw new TypeError(`Cannot name an extension or its parameter ${JSON.stringify(text)}: expected a token`);
}

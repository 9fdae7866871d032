/** Parses and formats the Sec-WebSocket-Extensions field, independent of the extensions (RFC 6455 section 9.1). */

import { type FieldCursor, isToken, parseList } from "./header.ts";

/** An extension that is offered or in use. The value of a parameter without a value is `true`. */
export interface Extension {
  readonly name: string;
  readonly params: ReadonlyMap<string, string | true>;
}

/** An extension as the peer sent it. */
export interface ReceivedExtension extends Extension {
  /**
   * True if a parameter is repeated; `params` then holds its first value. Such an offer must be declined (RFC 7692 section 7).
   */
  readonly repeated: boolean;
}

/** Parses the value of the field, and keeps its order. Returns undefined if it violates the grammar or contains no extension. */
export function parseExtensions(value: string): ReceivedExtension[] | undefined {
  const extensions = parseList(value, extension);
  return extensions?.length === 0 ? undefined : extensions;
}

/**
 * Formats the value of the field. Throws TypeError if a name or a value is not a token, because the peer would parse it
 * differently.
 */
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

// White space is allowed around each separator: RFC 6455 section 4.3 uses the grammar of RFC 2616, where it is implied.
function extension(cursor: FieldCursor): ReceivedExtension | undefined {
  const name = cursor.token();
  const params = new Map<string, string | true>();
  let repeated = false;
  if (name === "") return undefined;
  for (cursor.space(); cursor.skip(";"); cursor.space()) {
    cursor.space();
    const key = cursor.token();
    cursor.space();
    const value = cursor.skip("=") ? parameterValue(cursor) : true;
    if (key === "" || value === undefined) return undefined;
    if (params.has(key)) repeated = true;
    else params.set(key, value);
  }
  return { name, params, repeated };
}

function parameterValue(cursor: FieldCursor): string | undefined {
  cursor.space();
  const value = cursor.skip('"') ? cursor.quoted() : cursor.token();
  // RFC 6455 section 9.1: the unescaped value of a quoted-string must be a token, too.
  return value !== undefined && isToken(value) ? value : undefined;
}

function token(text: string): string {
  if (isToken(text)) return text;
  throw new TypeError(`Cannot name an extension or its parameter ${JSON.stringify(text)}: expected a token`);
}

/** Parses and validates header fields: tokens, lists and values (RFC 9110 section 5). */

const NOT_TOKEN = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
// Characters that a value must not contain. RFC 9110 requires recipients to refuse only CR, LF and NUL. This is stricter: it is
// the rule that node:http applies to sent values.
const NOT_FIELD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** True if `text` is a token (RFC 9110 section 5.6.2). */
export function isToken(text: string): boolean {
  return text !== "" && !NOT_TOKEN.test(text);
}

/** True if `text` may be sent as the value of a field: no control character except the tab, and only latin1 characters. */
export function isFieldValue(text: string): boolean {
  return !NOT_FIELD_VALUE.test(text);
}

const TOKEN_CODES = Uint8Array.from({ length: 128 }, (_, code) => Number(isToken(String.fromCharCode(code))));

/** Reads the value of a field from left to right. Each character is read once, so the time is linear for any value. */
export class FieldCursor {
  readonly #value: string;
  #at = 0;

  constructor(value: string) {
    this.#value = value;
  }

  get ended(): boolean {
    return this.#at === this.#value.length;
  }

  space(): void {
    while (this.#value[this.#at] === " " || this.#value[this.#at] === "\t") this.#at += 1;
  }

  /** Reads the token at the current position. Returns an empty string if there is none. */
  token(): string {
    const from = this.#at;
    while (TOKEN_CODES[this.#value.charCodeAt(this.#at)] === 1) this.#at += 1;
    return this.#value.slice(from, this.#at);
  }

  /** If `character` is at the current position, skips it and returns true. */
  skip(character: string): boolean {
    if (this.#value[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /**
   * Reads a quoted-string after its opening quote. Returns its unescaped value, or undefined if it does not end (RFC 9110 section
   * 5.6.4).
   */
  quoted(): string | undefined {
    let text = "";
    let from = this.#at;
    while (!this.ended) {
      if (this.#value[this.#at] === '"') {
        text += this.#value.slice(from, this.#at);
        this.#at += 1;
        return text;
      }
      if (this.#value[this.#at] === "\\") {
        text += this.#value.slice(from, this.#at);
        this.#at += 1;
        from = this.#at;
        // A backslash at the end of the value escapes nothing.
        if (this.ended) return undefined;
      }
      this.#at += 1;
    }
    return undefined;
  }
}

/**
 * Parses a comma-separated list. `element` reads one element and returns undefined if it is invalid. Returns undefined if the
 * value is not such a list. Skips empty elements: RFC 9110 section 5.6.1.2 requires it, and RFC 2616 section 2.1, whose grammar
 * RFC 6455 section 4.3 uses, allows them.
 */
export function parseList<T>(value: string, element: (cursor: FieldCursor) => T | undefined): T[] | undefined {
  const cursor = new FieldCursor(value);
  const elements: T[] = [];
  for (;;) {
    cursor.space();
    if (cursor.skip(",")) continue;
    if (cursor.ended) return elements;
    const read = element(cursor);
    if (read === undefined) return undefined;
    elements.push(read);
    cursor.space();
    if (!cursor.ended && !cursor.skip(",")) return undefined;
  }
}

/** Parses a list of tokens, such as `Connection`. Returns undefined if the value is not such a list. */
export function parseTokens(value: string): string[] | undefined {
  return parseList(value, (cursor) => cursor.token() || undefined);
}

/**
 * Parses an `Upgrade` field: a list of `name` or `name/version` (RFC 9110 section 7.8). Returns undefined if it is not such a
 * list.
 */
export function parseUpgrade(value: string): string[] | undefined {
  return parseList(value, (cursor) => {
    const name = cursor.token();
    if (!cursor.skip("/")) return name || undefined;
    const version = cursor.token();
    return name && version ? `${name}/${version}` : undefined;
  });
}

/** True if the list contains `word`, without regard to case. `word` must be in lower case. */
export function includesToken(list: readonly string[], word: string): boolean {
  return list.some((element) => element.toLowerCase() === word);
}

/** The field lines of a message: for each name in lower case, its values in the received order. */
export type FieldLines = ReadonlyMap<string, readonly string[]>;

/**
 * Groups fields by name. `raw` has the form of node:http: name, value, name, value. Returns undefined if a field is malformed.
 */
export function fieldLines(raw: readonly string[]): FieldLines | undefined {
  const lines = new Map<string, string[]>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    const value = raw[index + 1] as string;
    if (!isToken(name) || !isFieldValue(value)) return undefined;
    const values = lines.get(name);
    if (values === undefined) lines.set(name, [value]);
    else values.push(value);
  }
  return lines;
}

/** The value of the field `name`, with its lines joined to one list (RFC 9110 section 5.3). Undefined if the field is missing. */
export function joinedLines(lines: FieldLines, name: string): string | undefined {
  return lines.get(name)?.join(", ");
}

/** The fields of a message, as applications get them. */
export interface ReceivedFields {
  /** All fields except Set-Cookie by name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The lines of Set-Cookie. They cannot be joined, because a value may contain a comma (RFC 9110 section 5.3). */
  readonly setCookie: readonly string[];
}

/**
 * Several lines of one field are joined to one list (RFC 9110 section 5.3). Cookie is no list: its lines are joined as RFC 6265
 * section 5.4 writes them. The record has no prototype, so that no field name conflicts with an inherited property.
 */
export function receivedFields(lines: FieldLines): ReceivedFields {
  const headers: Record<string, string> = Object.create(null);
  let setCookie: readonly string[] = NO_LINES;
  for (const [name, values] of lines) {
    if (name === "set-cookie") setCookie = values;
    else headers[name] = values.join(name === "cookie" ? "; " : ", ");
  }
  return { headers, setCookie };
}

const NO_LINES: readonly string[] = [];

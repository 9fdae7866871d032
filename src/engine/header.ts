/** Header fields: tokens, lists, and what may stand in a value (RFC 9110 section 5). */

const NOT_TOKEN = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
// Stricter than the RFC asks of recipients (CR, LF and NUL), and what node:http asks of senders.
const NOT_FIELD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Whether `text` is a token, RFC 9110 section 5.6.2. */
export function isToken(text: string): boolean {
  return text !== "" && !NOT_TOKEN.test(text);
}

/** Whether `text` may be sent as a field's value: no control character but the tab, nothing outside of latin1. */
export function isFieldValue(text: string): boolean {
  return !NOT_FIELD_VALUE.test(text);
}

const TOKEN_CODES = Uint8Array.from({ length: 128 }, (_, code) => Number(isToken(String.fromCharCode(code))));

/** Reads a field's value from left to right. Nothing is read twice, so that no value takes long. */
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

  /** The token that stands here; empty if none does. */
  token(): string {
    const from = this.#at;
    while (TOKEN_CODES[this.#value.charCodeAt(this.#at)] === 1) this.#at += 1;
    return this.#value.slice(from, this.#at);
  }

  /** Whether `character` stands here; it is then passed. */
  take(character: string): boolean {
    if (this.#value[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /** What the quoted-string means whose opening quote was taken; undefined if it does not end. RFC 9110 section 5.6.4. */
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
        // A backslash at the very end quotes nothing.
        if (this.ended) return undefined;
      }
      this.#at += 1;
    }
    return undefined;
  }
}

/**
 * The elements of a comma-separated list, each read by `element`, which answers undefined to what it cannot read;
 * undefined if the value is no such list. Empty elements are skipped: RFC 9110 section 5.6.1.2 demands it, and
 * RFC 2616 section 2.1, whose grammar RFC 6455 section 4.3 uses, allows them outright.
 */
export function parseList<T>(value: string, element: (cursor: FieldCursor) => T | undefined): T[] | undefined {
  const cursor = new FieldCursor(value);
  const elements: T[] = [];
  for (;;) {
    cursor.space();
    if (cursor.take(",")) continue;
    if (cursor.ended) return elements;
    const read = element(cursor);
    if (read === undefined) return undefined;
    elements.push(read);
    cursor.space();
    if (!cursor.ended && !cursor.take(",")) return undefined;
  }
}

/** The tokens of a list such as `Connection`; undefined if the value is none. */
export function parseTokens(value: string): string[] | undefined {
  return parseList(value, (cursor) => cursor.token() || undefined);
}

/** The protocols of an `Upgrade` field, each a name or `name/version` (RFC 9110 section 7.8); undefined if the value is no list of them. */
export function parseUpgrade(value: string): string[] | undefined {
  return parseList(value, (cursor) => {
    const name = cursor.token();
    if (!cursor.take("/")) return name || undefined;
    const version = cursor.token();
    return name && version ? `${name}/${version}` : undefined;
  });
}

/** Whether a list names `word`, in any case. */
export function names(list: readonly string[], word: string): boolean {
  return list.some((element) => element.toLowerCase() === word);
}

/** A message's field lines: for each name, in lower case, the values in the order in which they came. */
export type FieldLines = ReadonlyMap<string, readonly string[]>;

/** `raw` is a message's fields as node:http gives them: name, value, name, value. Undefined if one is malformed. */
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

/** The value of the field `name`, its lines joined as one list (RFC 9110 section 5.3); undefined if it is absent. */
export function joined(lines: FieldLines, name: string): string | undefined {
  return lines.get(name)?.join(", ");
}

/** Every field by its name in lower case, in an object without a prototype: no name means anything but itself. */
export function fieldRecord(lines: FieldLines): Readonly<Record<string, string>> {
  const record: Record<string, string> = Object.create(null);
  for (const [name, values] of lines) record[name] = values.join(", ");
  return record;
}

/** Names of topics as tokens of NATS subjects, which cannot have every character. */

const encoder = new TextEncoder();
const PLAIN = /^[\w-]+$/;
/** ASCII letters, digits, "_" and "-" stand for themselves. */
const isPlain = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  byte === 0x5f ||
  byte === 0x2d;

/**
 * Writes text as one token of a subject: every other byte of its UTF-8 becomes "=" and two hexadecimal digits. Different texts have
 * different tokens. No token contains ".", "*", ">", white space or a control character, which have a meaning in subjects.
 */
export function tokenOf(text: string): string {
  if (PLAIN.test(text)) return text;
  let token = "";
  for (const byte of encoder.encode(text)) {
    token += isPlain(byte) ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

/** The text of a token; undefined if `tokenOf` does not make this token. */
export function textOfToken(token: string): string | undefined {
  const bytes: number[] = [];
  for (let at = 0; at < token.length; at += 1) {
    if (token[at] === "=") {
      bytes.push(Number.parseInt(token.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(token.charCodeAt(at));
    }
  }
  const text = new TextDecoder().decode(Uint8Array.from(bytes));
  return tokenOf(text) === token ? text : undefined;
}

/** The subjects of one broker. */
export class Subjects {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Where messages that are kept are published: the stream has them. */
  log(topic: string): string {
    return `${this.#prefix}.log.${tokenOf(topic)}`;
  }

  /** Where subscriptions receive: the server republishes the messages of the stream here, and those that are not kept come directly. */
  live(topic: string): string {
    return `${this.#prefix}.live.${tokenOf(topic)}`;
  }

  /** Where the last change of the epoch of a topic is kept. */
  epoch(topic: string): string {
    return `${this.#prefix}.epoch.${tokenOf(topic)}`;
  }

  get everyLog(): string {
    return `${this.#prefix}.log.*`;
  }

  get everyEpoch(): string {
    return `${this.#prefix}.epoch.*`;
  }

  /** How the server makes the second subject from the first. */
  get republish(): { readonly src: string; readonly dest: string } {
    return { src: this.everyLog, dest: `${this.#prefix}.live.{{wildcard(1)}}` };
  }

  /** The topic of a subject of `epoch`; undefined for any other subject. */
  topicOfEpoch(subject: string): string | undefined {
    const start = `${this.#prefix}.epoch.`;
    return subject.startsWith(start) ? textOfToken(subject.slice(start.length)) : undefined;
  }
}

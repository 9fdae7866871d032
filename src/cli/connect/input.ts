/** The messages to send: lines of stdin or of the keyboard, as text or as encoded bytes. */

import type { Readable } from "node:stream";
import type { Message } from "../../index.ts";
import { UsageError } from "../flags.ts";

/** How a line stands for a message. */
export type Encoding = "text" | "hex" | "base64";

/** The message of a line. Throws UsageError if the line does not have this encoding. */
export function messageOfLine(line: string, encoding: Encoding): Message {
  if (encoding === "text") return line;
  const digits = line.replace(/\s/g, "");
  const valid =
    encoding === "hex" ? /^([0-9a-f]{2})*$/i.test(digits) : /^([\w+/-]{4})*([\w+/-]{2,3}={0,2})?$/.test(digits);
  if (!valid) throw new UsageError(`cannot send ${JSON.stringify(line.slice(0, 40))}: expected ${encoding}`);
  return new Uint8Array(Buffer.from(digits, encoding));
}

/**
 * The lines of a stream, without their line ends ("\n" or "\r\n"). The last line may have none. Not `node:readline`: it ends a line
 * at U+2028 too, which JSON may contain. Throws an Error for bytes that are not UTF-8, and for a line above `maxLength` characters.
 */
export async function* linesOf(stream: Readable, maxLength: number): AsyncGenerator<string, void> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let pending = "";
  for await (const chunk of stream) {
    pending += decoded(decoder, chunk as Uint8Array);
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > maxLength)
      throw new Error(`cannot send a line above ${maxLength} characters; see --max-message-size`);
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  pending += decoded(decoder, undefined);
  if (pending !== "") yield pending.replace(/\r$/, "");
}

function decoded(decoder: Pick<InstanceType<typeof TextDecoder>, "decode">, chunk: Uint8Array | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new Error("cannot read stdin: it is not UTF-8; bytes are sent with --send hex or --send base64");
  }
}

/** The messages of lines. `refused` gets the UsageError of a line without the encoding; without it the error is thrown. */
export async function* messagesOf(
  lines: AsyncIterable<string>,
  encoding: Encoding,
  refused?: (error: UsageError) => void,
): AsyncGenerator<Message, void> {
  for await (const line of lines) {
    try {
      yield messageOfLine(line, encoding);
    } catch (error) {
      if (refused === undefined || !(error instanceof UsageError)) throw error;
      refused(error);
    }
  }
}

/** The lines with a line end, for TCP without framing, where nothing else ends them. */
export async function* withLineEnds(lines: AsyncIterable<string>): AsyncGenerator<string, void> {
  for await (const line of lines) yield `${line}\n`;
}

/** The chunks of a stream as they are, for TCP without framing. */
export async function* chunksOf(stream: Readable): AsyncGenerator<Message, void> {
  for await (const chunk of stream) yield new Uint8Array(chunk as Uint8Array);
}

/**
 * The messages of a source, for one connection after another. A message stays the next one until it was sent, so nothing that was
 * read is lost with a connection.
 */
export class Feed {
  readonly #source: AsyncIterator<Message>;
  #next: Promise<IteratorResult<Message>> | undefined;

  constructor(source: AsyncIterable<Message>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next message; undefined at the end of the source. Rejects as the source does. */
  async next(): Promise<Message | undefined> {
    this.#next ??= this.#source.next();
    const { done, value } = await this.#next;
    return done === true ? undefined : value;
  }

  /** The next message was sent. */
  sent(): void {
    this.#next = undefined;
  }
}

/** The WHATWG streams of a connection. */

import type { Data } from "../engine/protocol.js";

/** What the two streams are views of. */
export interface Streamed {
  next(): Promise<IteratorResult<Data, undefined>>;
  send(data: Data): Promise<void>;
  close(): Promise<unknown>;
  terminate(cause?: unknown): void;
}

/** Both, each made when it is first asked for. */
export class Streams {
  readonly #connection: Streamed;
  #readable: ReadableStream<Data> | undefined;
  #writable: WritableStream<Data> | undefined;

  constructor(connection: Streamed) {
    this.#connection = connection;
  }

  get readable(): ReadableStream<Data> {
    this.#readable ??= readableOf(this.#connection);
    return this.#readable;
  }

  get writable(): WritableStream<Data> {
    this.#writable ??= writableOf(this.#connection);
    return this.#writable;
  }
}

/** Messages as they are pulled: nothing is read ahead of what the inbox holds. */
function readableOf(connection: Streamed): ReadableStream<Data> {
  return new ReadableStream<Data>(
    {
      pull: async (controller) => {
        const { done, value } = await connection.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await connection.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Each write is a `send`, so that the stream's backpressure is the outbox's. */
function writableOf(connection: Streamed): WritableStream<Data> {
  return new WritableStream<Data>({
    start: (controller) => {
      // WHATWG Streams 5.4.1; the types of Node 20 leave it out.
      const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal };
      // Not `abort`, which has to wait for the write that is under way, and so for a peer that may not read.
      signal.addEventListener("abort", () => connection.terminate(signal.reason), { once: true });
    },
    write: (data) => connection.send(data),
    close: async () => {
      await connection.close();
    },
  });
}

/** Implements the WHATWG streams of a connection. */

/** The calls of the connection that the two streams use. */
export interface Streamed {
  next(): Promise<IteratorResult<unknown, undefined>>;
  send(data: unknown): Promise<void>;
  close(): Promise<unknown>;
  terminate(cause?: unknown): void;
}

/** Both streams, each created on first use. */
export class Streams {
  readonly #connection: Streamed;
  #readable: ReadableStream<unknown> | undefined;
  #writable: WritableStream<unknown> | undefined;

  constructor(connection: Streamed) {
    this.#connection = connection;
  }

  get readable(): ReadableStream<unknown> {
    this.#readable ??= readableOf(this.#connection);
    return this.#readable;
  }

  get writable(): WritableStream<unknown> {
    this.#writable ??= writableOf(this.#connection);
    return this.#writable;
  }
}

/** Each pull takes one message: the stream itself buffers nothing in addition to the inbox. */
function readableOf(connection: Streamed): ReadableStream<unknown> {
  return new ReadableStream<unknown>(
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

/** Each write is a `send`, so the stream has the backpressure of the outbox. */
function writableOf(connection: Streamed): WritableStream<unknown> {
  return new WritableStream<unknown>({
    start: (controller) => {
      // WHATWG Streams 5.4.1. The types of Node 20 omit it.
      const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal };
      // Not the `abort` method: it must wait for the pending write, and so for a peer that may not read.
      signal.addEventListener("abort", () => connection.terminate(signal.reason), { once: true });
    },
    write: (data) => connection.send(data),
    close: async () => {
      await connection.close();
    },
  });
}

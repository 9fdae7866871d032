/** A program that waits for one event, and reports when it has occurred. s5-alive.test.ts runs it. */

import { type ConnectionEvent, connect, listen } from "../../src/index.ts";

const [, , scene = "", url = ""] = process.argv;

const SCENES: Readonly<Record<string, () => Promise<unknown>>> = {
  /** The peer ends, and the other direction stays open until lingerTimeout. */
  "half open": async () => {
    const connection = await connect(url, { framing: "lines", allowHalfOpen: true, lingerTimeout: 200 });
    return (await connection.closed).code;
  },
  /** The application holds a message, so the end is not visible to it. */
  "holding a message": async () => {
    const connection = await connect(url, { framing: "lines", lingerTimeout: 200 });
    await connection.receive();
    return (await connection.closed).code;
  },
  /** The application receives nothing: reading is paused until pauseTimeout. */
  paused: async () => {
    const connection = await connect(url, {
      framing: "lines",
      maxInboxMessages: 1,
      pauseTimeout: 200,
      closeTimeout: 200,
    });
    const { cause } = await connection.closed;
    return (cause as { limit?: string }).limit;
  },
  /** The same on a WebSocket server. */
  "paused server": async () => {
    const server = await listen(
      "ws://127.0.0.1:0",
      { maxInboxMessages: 1, pauseTimeout: 200, closeTimeout: 200 },
      () => {
        return new Promise(() => undefined);
      },
    );
    const client = await connect(server.url);
    // Not awaited: on a busy machine pauseTimeout may expire meanwhile.
    for (let count = 0; count < 100; count += 1) client.trySend("x".repeat(1_000));
    while (server.connections.size === 0) await new Promise(setImmediate);
    const [served] = server.connections;
    client.unref();
    server.unref();
    served?.ref();
    const { cause } = (await served?.closed) ?? {};
    return (cause as { limit?: string }).limit;
  },
  /** A handler never returns: the server ends the connection. */
  "a handler that never returns": async () => {
    const server = await listen("tcp://127.0.0.1:0", () => new Promise(() => undefined));
    const client = await connect(server.url);
    while (server.connections.size === 0) await new Promise(setImmediate);
    client.terminate();
    while (server.connections.size > 0) await new Promise(setImmediate);
    return JSON.stringify(await server.close({ drain: 200 }));
  },
  "unref of a connection": async () => {
    const connection = await connect(url, { framing: "lines" });
    connection.unref();
    return connection.closed;
  },
  "unref of a paused connection": async () => {
    let paused = (): void => undefined;
    const pause = new Promise<void>((resolve) => {
      paused = resolve;
    });
    const observe = ({ type }: ConnectionEvent): void => void (type === "pause" && paused());
    const connection = await connect(url, { framing: "lines", maxInboxMessages: 1, observe });
    await pause;
    connection.unref();
    return connection.closed;
  },
  "the option of a connection": async () => (await connect(url, { framing: "lines", ref: false })).closed,
  "unref of a server": async () => {
    const server = await listen("ws://127.0.0.1:0", () => new Promise(() => undefined));
    server.unref();
    return new Promise(() => undefined);
  },
  "the option of a server": async () => {
    const server = await listen("tcp://127.0.0.1:0", { ref: false }, () => new Promise(() => undefined));
    const client = await connect(server.url, { ref: false });
    return client.closed;
  },
};

process.stdout.write(`begins\n`);
const result = await SCENES[scene]?.();
process.stdout.write(`ends: ${String(result)}\n`);
process.exit(0);

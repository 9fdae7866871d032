/** Line ends and the unterminated last line, as a server on real sockets reads and writes them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CloseInfo,
  type Handler,
  type ListenOptions,
  listen,
  type Message,
  ProtocolError,
  type Server,
} from "../../src/index.ts";
import { deferred } from "../kit/deferred.ts";
import { portOf, RawPeer } from "../kit/raw-peer.ts";

const ADDRESS = "tcp://127.0.0.1:0";
const DELIVER = { framing: { lastLine: "deliver" } } as const;

/** A server whose handler answers each line in upper case. It notes the lines, and how the loop over them ended. */
async function answering(options: ListenOptions) {
  const lines: Message[] = [];
  const ended = deferred<unknown>();
  const closed = deferred<CloseInfo>();
  const handler: Handler = async (connection) => {
    try {
      for await (const message of connection) {
        lines.push(message);
        await connection.send(String(message).toUpperCase());
      }
      ended.resolve(undefined);
    } catch (error) {
      ended.resolve(error);
    }
    return connection.closed.then(closed.resolve);
  };

  const server = await listen(ADDRESS, { onError: () => undefined, ...options }, handler);
  return { server, lines, ended: ended.promise, closed: closed.promise, [Symbol.asyncDispose]: () => close(server) };
}

async function close(server: Server): Promise<void> {
  await server.close({ drain: 0 });
}

/** Sends `text` and a FIN, and returns everything that comes back. */
async function exchanged(server: Server, text: string | Uint8Array): Promise<string> {
  await using peer = await RawPeer.to(portOf(server));
  peer.write(text);
  peer.socket.end();
  await peer.closed;
  return peer.text;
}

describe("the line end of a framing", () => {
  it("is written as the option says, and read in both forms", async () => {
    for (const [framing, written] of [
      ["lines", "A\nB\n"],
      [{ eol: "\r\n" }, "A\r\nB\r\n"],
    ] as const) {
      await using scene = await answering({ framing });
      assert.equal(await exchanged(scene.server, "a\nb\r\n"), written);
    }
  });
});

describe("an unterminated last line", () => {
  it("is delivered before the end, which is clean, and can be answered", async () => {
    await using scene = await answering(DELIVER);
    assert.equal(await exchanged(scene.server, "one\ntwo"), "ONE\nTWO\n");
    assert.deepEqual([scene.lines, await scene.ended], [["one", "two"], undefined]);
    const { code, by, wasClean } = await scene.closed;
    assert.deepEqual({ code, by, wasClean }, { code: 1000, by: "peer", wasClean: true });
  });

  it("is a truncated message by default", async () => {
    await using scene = await answering({ framing: "lines" });
    await exchanged(scene.server, "one\ntwo");
    assert.deepEqual(scene.lines, ["one"]);
    const error = (await scene.ended) as ProtocolError;
    assert.ok(error instanceof ProtocolError);
    assert.equal(error.clause, "unexpected-eof");
  });

  it("is not delivered after a reset", async () => {
    await using scene = await answering(DELIVER);
    const peer = await RawPeer.to(portOf(scene.server));
    peer.write("one\ntwo");
    await peer.until(({ text }) => text === "ONE\n");
    peer.socket.resetAndDestroy();
    const { cause } = await scene.closed;
    assert.equal((cause as NodeJS.ErrnoException).code, "TRANSPORT");
    assert.deepEqual(scene.lines, ["one"]);
  });

  it("ends the connection with 1007 if it ends inside a character", async () => {
    await using scene = await answering(DELIVER);
    assert.equal(await exchanged(scene.server, Buffer.from([0x61, 0x0a, 0x62, 0xc3])), "A\n");
    const error = (await scene.ended) as ProtocolError;
    assert.deepEqual([error.code, error.closeCode, (await scene.closed).code], ["PROTOCOL", 1007, 1007]);
    assert.deepEqual(scene.lines, ["a"]);
  });

  it("goes to a hook, whose answer is written before our FIN", async () => {
    const closed = deferred<number>();
    const server = await listen(ADDRESS, {
      ...DELIVER,
      message: (connection, message) => void connection.trySend(`got ${message}`),
      close: (_, { code }) => closed.resolve(code),
    });
    assert.equal(await exchanged(server, "last"), "got last\n");
    assert.equal(await closed.promise, 1000);
    await close(server);
  });

  it("may be what makes a hook close the connection", async () => {
    const infos: object[] = [];
    const server = await listen(ADDRESS, {
      ...DELIVER,
      message: (connection) => void connection.close(4000, "enough"),
      close: (_, { code, by, wasClean }) => infos.push({ code, by, wasClean }),
    });
    assert.equal(await exchanged(server, "last"), "");
    await close(server);
    // The peer has ended first, so the end is the peer's.
    assert.deepEqual(infos, [{ code: 1000, by: "peer", wasClean: true }]);
  });

  it("comes behind the messages of a full inbox", async () => {
    const taken = deferred<Message[]>();
    const full = deferred<void>();
    const server = await listen(
      ADDRESS,
      {
        ...{ ...DELIVER, maxInboxMessages: 2 },
        observe: ({ type }) => type === "pause" && full.resolve(),
      },
      async (connection) => {
        await full.promise;
        const lines: Message[] = [];
        for await (const line of connection) lines.push(line);
        taken.resolve(lines);
      },
    );
    await exchanged(server, "1\n2\n3\n4\n5");
    assert.deepEqual(await taken.promise, ["1", "2", "3", "4", "5"]);
    await close(server);
  });

  it("is the last piece of a message that is read in pieces", async () => {
    const read = deferred<Message>();
    const server = await listen(ADDRESS, { ...DELIVER, streaming: true }, async (connection) => {
      const reader = await connection.reader();
      read.resolve(await reader.collect(100));
    });
    await exchanged(server, "in pieces");
    assert.equal(await read.promise, "in pieces");
    await close(server);
  });
});

/** The last message of a TCP connection that this side ends, as the peer reads it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { connect as tlsConnect } from "node:tls";
import {
  ClosedError,
  type Connection,
  type ConnectionError,
  connect,
  type ErrorContext,
  type Handler,
  LimitError,
  type ListenOptions,
  listen,
  type Message,
  ProtocolError,
  ReconnectingConnection,
  type TimeoutError,
} from "../../src/index.ts";
import { ManualClock, pair, settled, wired } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { deferred } from "../kit/deferred.ts";
import { portOf, RawPeer } from "../kit/raw-peer.ts";

const TCP = "tcp://127.0.0.1:0";

/** A server of lines whose farewell is the cause in words. It notes the causes, and what `onError` gets. */
async function scene(options: ListenOptions, handler: Handler) {
  const causes: ConnectionError[] = [];
  const errors: [unknown, ErrorContext][] = [];
  const server = await listen(
    TCP,
    {
      framing: "lines",
      farewell: (cause) => {
        causes.push(cause);
        return `bye ${cause.code}`;
      },
      onError: (...given) => errors.push(given),
      ...options,
    },
    handler,
  );
  const peer = async (): Promise<RawPeer> => RawPeer.to(portOf(server));
  const dispose = async (): Promise<void> => {
    await server.close({ drain: 100 });
  };
  return { server, causes, errors, peer, [Symbol.asyncDispose]: dispose };
}

const echo: Handler = async (connection) => {
  for await (const message of connection) await connection.send(message);
};
const stay: Handler = (connection) => connection.closed.then(() => undefined);

/** Everything that `peer` receives until the FIN. */
async function heard(peer: RawPeer): Promise<string> {
  await peer.until(({ ended }) => ended);
  peer.socket.end();
  await peer.closed;
  return peer.text;
}

describe("the farewell of a TCP connection", () => {
  it("is sent with a broken limit as its cause, before the FIN", async () => {
    await using server = await scene({ maxMessageSize: 4 }, echo);
    await using peer = await server.peer();
    peer.write("one\nlonger than four");
    assert.equal(await heard(peer), "one\nbye LIMIT\n");
    const [cause, ...more] = server.causes;
    assert.ok(cause instanceof LimitError);
    assert.deepEqual([cause.limit, more], ["maxMessageSize", []]);
  });

  it("is sent with a broken rule as its cause", async () => {
    await using server = await scene({}, echo);
    await using peer = await server.peer();
    peer.write(Buffer.from([0xff, 0x0a]));
    assert.equal(await heard(peer), "bye PROTOCOL\n");
    assert.ok(server.causes[0] instanceof ProtocolError);
  });

  it("is sent with a time limit as its cause", async () => {
    const clock = new ManualClock();
    const opened = deferred<void>();
    await using server = await scene({ clock, idleTimeout: 1_000, open: () => opened.resolve() }, stay);
    await using peer = await server.peer();
    await opened.promise;
    await clock.advance(1_000);
    assert.equal(await heard(peer), "bye TIMEOUT\n");
    assert.equal((server.causes[0] as TimeoutError).limit, "idleTimeout");
  });

  it("is sent if the handler throws, behind the queued messages, with the thrown error as the cause of its cause", async () => {
    const thrown = new Error("a bug");
    await using server = await scene({}, async (connection) => {
      for (const word of ["a", "b", "c"]) void connection.send(word);
      throw thrown;
    });
    await using peer = await server.peer();
    assert.equal(await heard(peer), "a\nb\nc\nbye CLOSED\n");
    const [cause] = server.causes;
    assert.ok(cause instanceof ClosedError);
    assert.deepEqual([cause.closeCode, cause.cause], [1011, thrown]);
  });

  it("is sent if a hook throws", async () => {
    const message = (): void => {
      throw new Error("a bug");
    };
    await using server = await scene({ message }, stay);
    await using peer = await server.peer();
    peer.write("x\n");
    assert.equal(await heard(peer), "bye CLOSED\n");
  });

  it("is sent if the handler throws after the peer's FIN, because the peer can still read", async () => {
    const ended = deferred<void>();
    const observe: ListenOptions["observe"] = ({ type }) => type === "peerEnded" && ended.resolve();
    await using server = await scene({ observe }, async () => {
      await ended.promise;
      throw new Error("a bug");
    });
    await using peer = await server.peer();
    peer.socket.end("x\n");
    assert.equal(await heard(peer), "bye CLOSED\n");
  });

  it("is sent when the server closes, with 1001", async () => {
    await using server = await scene({}, echo);
    await using peer = await server.peer();
    peer.write("x\n");
    await peer.until(({ text }) => text === "x\n");
    const closing = server.server.close();
    assert.equal(await heard(peer), "x\nbye CLOSED\n");
    assert.deepEqual(await closing, { clean: 1, cut: 0 });
    assert.equal((server.causes[0] as ClosedError).closeCode, 1001);
  });

  it("is sent when the server closes, also to a peer that has ended behind messages that are not read any more", async () => {
    const [works, goes, seen] = [deferred<void>(), deferred<void>(), deferred<void>()];
    let served: Connection | undefined;
    const observe: ListenOptions["observe"] = ({ type }) => type === "peerEnded" && seen.resolve();
    await using server = await scene({ observe }, async (connection) => {
      served = connection;
      await connection.receive();
      works.resolve();
      await goes.promise;
    });
    await using peer = await server.peer();
    peer.write("x\n");
    await works.promise;
    const closing = server.server.close();
    peer.socket.end("not read\n");
    await seen.promise;
    goes.resolve();
    assert.equal(await heard(peer), "bye CLOSED\n");
    const { code, by } = (await served?.closed) ?? {};
    assert.deepEqual([code, by], [1001, "local"]);
    await closing;
  });

  it("is sent for a close with a code of the application, and not for a normal end", async () => {
    await using server = await scene({}, async (connection) => {
      if ((await connection.receive()) === "kick") await connection.close(4000, "kicked");
    });
    for (const [word, expected] of [
      ["kick", "bye CLOSED\n"],
      ["leave", ""],
    ] as const) {
      await using peer = await server.peer();
      peer.write(`${word}\n`);
      assert.equal(await heard(peer), expected);
    }
    assert.deepEqual(
      server.causes.map((cause) => (cause as ClosedError).closeCode),
      [4000],
    );
  });

  it("is sent to a connection for which there is no place", async () => {
    const opened = deferred<void>();
    await using server = await scene({ maxConnections: 1, open: () => opened.resolve() }, stay);
    await using first = await server.peer();
    await opened.promise;
    await using second = await server.peer();
    assert.equal(await heard(second), "bye LIMIT\n");
    const [cause] = server.causes as [LimitError];
    assert.deepEqual([cause.limit, cause.maximum], ["maxConnections", 1]);
    assert.equal(first.ended, false);
    first.socket.destroy();
  });

  it("is sent by a client too", async () => {
    const lines: Message[] = [];
    await using server = await listen(TCP, { framing: "lines" }, async (connection) => {
      await connection.send("too long");
      for await (const line of connection) lines.push(line);
    });
    const client = await connect(server.url, {
      ...{ framing: "lines", maxMessageSize: 4, farewell: () => "too long for me" },
    });
    await client.closed;
    await server.close();
    assert.deepEqual(lines, ["too long for me"]);
  });

  it("is sent under TLS", async () => {
    await using server = await listen(
      "tls://127.0.0.1:0",
      { framing: { eol: "\r\n" }, tls: LOCALHOST, maxMessageSize: 4, farewell: (cause) => `bye ${cause.code}` },
      echo,
    );
    const socket = tlsConnect({ port: portOf(server), host: "127.0.0.1", rejectUnauthorized: false });
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => undefined);
    socket.write("longer than four\r\n");
    await once(socket, "end");
    socket.destroy();
    assert.equal(Buffer.concat(chunks).toString(), "bye LIMIT\r\n");
  });

  it("is in the framing of the connection", async () => {
    for (const [framing, expected] of [
      [{ lengthPrefix: 2 }, "\0\x03bye"],
      [{ lengthPrefix: "varint" }, "\x03bye"],
      [{ delimiter: "\0" }, "bye\0"],
      [{ fixed: 3 }, "bye"],
      ["raw", "bye"],
    ] as const) {
      const { connection, peer } = wired({ kind: "tcp", framing, connection: { farewell: () => Buffer.from("bye") } });
      void connection.close(4000);
      await settled();
      assert.equal(Buffer.from(peer.received).toString("latin1"), expected);
    }
  });
});

describe("no farewell is sent", () => {
  it("for an end that the peer began, in order or not", async () => {
    await using server = await scene({}, echo);
    const ends: ((peer: RawPeer) => void)[] = [
      (peer) => peer.socket.end(),
      (peer) => peer.socket.end("inside a message"),
      (peer) => peer.socket.resetAndDestroy(),
    ];
    for (const end of ends) {
      await using peer = await server.peer();
      peer.write("x\n");
      await peer.until(({ text }) => text === "x\n");
      const [connection] = [...server.server.connections];
      end(peer);
      await Promise.all([connection?.closed, peer.closed]);
      assert.equal(peer.text, "x\n");
    }
    assert.deepEqual(server.causes, []);
  });

  it("by terminate", async () => {
    await using server = await scene({}, async (connection) => {
      await connection.receive();
      connection.terminate(new Error("now"));
    });
    await using peer = await server.peer();
    peer.write("x\n");
    await peer.closed;
    assert.deepEqual([peer.text, server.causes], ["", []]);
  });

  it("inside a message in parts that has not ended, because the peer would take it for a part", async () => {
    const { connection, peer } = wired({ kind: "tcp", framing: "lines", connection: { farewell: () => "bye" } });
    const writer = connection.writer("text");
    await writer.write("half");
    void connection.close(4000);
    await settled();
    assert.equal(Buffer.from(peer.received).toString(), "half");

    const other = wired({ kind: "tcp", framing: "lines", connection: { farewell: () => "bye" } });
    const whole = other.connection.writer("text");
    await whole.write("ha");
    await whole.end("lf");
    void other.connection.close(4000);
    await settled();
    assert.equal(Buffer.from(other.peer.received).toString(), "half\nbye\n");
  });

  it("if the function returns undefined", async () => {
    await using server = await scene({ farewell: () => undefined }, (connection) =>
      connection.close(4000).then(() => undefined),
    );
    await using peer = await server.peer();
    assert.equal(await heard(peer), "");
    assert.deepEqual(server.errors, []);
  });

  it("if it fails; the error goes to onError, and the end takes its course", async () => {
    const bug = new Error("a bug");
    const farewells: readonly [() => unknown, (error: unknown) => void][] = [
      [
        () => {
          throw bug;
        },
        (error) => assert.equal(error, bug),
      ],
      [() => 5, (error) => assert.ok(error instanceof TypeError)],
      [() => "two\nlines", (error) => assert.ok(error instanceof RangeError)],
      [() => Promise.reject(bug), (error) => assert.ok(error instanceof TypeError)],
      [() => "x".repeat(2_000_000), (error) => assert.equal((error as LimitError).limit, "maxQueuedBytes")],
    ];
    for (const [farewell, judge] of farewells) {
      await using server = await scene({ farewell: farewell as () => string }, (connection) =>
        connection.close(4000).then(() => undefined),
      );
      await using peer = await server.peer();
      assert.equal(await heard(peer), "");
      const [[error, context] = []] = server.errors;
      judge(error);
      assert.equal(context?.place, "farewell");
      assert.ok(context?.connection !== undefined);
    }
  });
});

describe("the farewell does not delay the end", () => {
  it("for longer than closeTimeout, if the peer reads nothing", async () => {
    const { connection, clock } = wired({
      ...{ kind: "tcp", framing: "lines", capacity: 100 },
      connection: { farewell: () => "x".repeat(1_000), maxMessageSize: 4, closeTimeout: 500 },
    });
    void connection.close(4000);
    await settled();
    assert.equal(connection.state, "CLOSING");
    await clock.advance(500);
    const { cause } = await connection.closed;
    assert.equal((cause as TimeoutError).limit, "closeTimeout");
  });

  it("and may itself end the connection", async () => {
    const { client, server } = pair({
      ...{ kind: "tcp", framing: "lines" },
      server: {
        farewell: () => {
          server.terminate();
          return "bye";
        },
      },
    });
    void server.close(4000);
    assert.equal((await server.closed).wasClean, false);
    await client.closed;
    assert.equal(server.state, "CLOSED");
  });

  it("is a TypeError on a WebSocket, which has its Close frame", async () => {
    const farewell = (): string => "bye";
    const expected = { name: "TypeError", message: /^Cannot use farewell: a WebSocket sends a Close frame/ };
    await assert.rejects(listen("ws://127.0.0.1:0", { farewell }, stay), expected);
    await assert.rejects(connect("ws://127.0.0.1:1", { farewell }), expected);
    const client = new ReconnectingConnection("ws://127.0.0.1:1", { farewell, onError: () => undefined });
    assert.match(String((await client.closed).cause), /Cannot use farewell/);
    await assert.rejects(listen(TCP, { farewell: "bye" as never }, stay), /expected a function, got string/);
  });
});

/** The connection that keeps its identity: what it sends and receives over many, and how it ends. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import {
  type ClosedError,
  type Connection,
  type ConnectionEvent,
  type CustomFraming,
  type InDoubtError,
  isConnectionError,
  type LimitError,
  listen,
  prepare,
  type ReconnectAttempt,
  ReconnectingConnection,
  type ReconnectingOptions,
  type TimeoutError,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { charged } from "../kit/blocked-connection.ts";
import { deferred } from "../kit/deferred.ts";
import { type RawServer, rawServer, switchingTo } from "../kit/raw-peer.ts";
import { deadPort, RestartableServer, StateRecorder } from "../kit/restartable-server.ts";

/** A server that records its messages, and echoes them on request. */
async function listener(
  echoing = false,
  url?: string,
): Promise<{
  readonly server: RestartableServer;
  readonly heard: unknown[];
  readonly until: (count: number) => Promise<void>;
}> {
  const heard: unknown[] = [];
  let changed = (): void => undefined;
  const hear = (connection: Connection, data: unknown): void => {
    heard.push(data);
    if (echoing) connection.trySend(data as string);
    changed();
  };
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) {
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };
  const framing = url?.startsWith("tcp") ? ({ framing: "lines" } as const) : {};
  return { server: await RestartableServer.up({ ...framing, message: hear }, undefined, url), heard, until };
}

/** A connection that finds no server until it is closed. */
async function alone(options: ReconnectingOptions = {}): Promise<{
  readonly connection: ReconnectingConnection;
  readonly clock: ManualClock;
  readonly recorder: StateRecorder;
}> {
  const clock = new ManualClock();
  const recorder = new StateRecorder();
  const url = `ws://127.0.0.1:${await deadPort()}`;
  const connection = new ReconnectingConnection(url, { clock, state: recorder.see, ...options });
  await recorder.until("waiting");
  return { connection, clock, recorder };
}

const SOON = { initialPause: 1, maxPause: 5 };

describe("a reconnecting connection", () => {
  for (const [name, url] of [
    ["WebSocket", "ws://127.0.0.1:0/"],
    ["lines over TCP", "tcp://127.0.0.1:0"],
  ] as const) {
    it(`sends and receives over one connection after the other, in order, on ${name}`, async () => {
      const { server, heard } = await listener(true, url);
      await using _ = server;
      const framing = url.startsWith("tcp") ? ({ framing: "lines" } as const) : {};
      const recorder = new StateRecorder();
      await using connection = new ReconnectingConnection(server.url, { ...SOON, ...framing, state: recorder.see });
      const got: unknown[] = [];
      for (let round = 0; round < 5; round += 1) {
        await connection.send(`${round} a`);
        await connection.send(`${round} b`);
        got.push(await connection.receive(), await connection.receive());
        await server.crash();
        await recorder.away();
        await server.back();
      }
      const expected = Array.from({ length: 5 }, (_, round) => [`${round} a`, `${round} b`]).flat();
      assert.deepEqual(heard, expected);
      assert.deepEqual(got, expected);
      assert.equal(connection.messagesInDoubt, 0);
    });
  }

  it("calls nothing before its caller has the object", async () => {
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection("ws://127.0.0.1:1", { state: recorder.see });
    assert.deepEqual(recorder.states, []);
    assert.equal(connection.state.name, "connecting");
    await connection.close();
  });

  it("shows its state, and the connection of now", async () => {
    const { server } = await listener();
    await using _ = server;
    const recorder = new StateRecorder();
    await using connection = new ReconnectingConnection(server.url, { ...SOON, state: recorder.see });
    const now = (): Connection<undefined> | undefined => connection.connection;
    assert.equal(now(), undefined);
    await recorder.until("open");
    assert.equal(connection.state.name, "open");
    assert.equal(now()?.url, server.url);
    assert.ok(((await now()?.ping()) ?? -1) >= 0);
    await server.crash();
    await recorder.until("waiting");
    assert.equal(now(), undefined);
  });

  it("gives messages to the hook one at a time and in order, of whichever connection", async () => {
    const { server } = await listener(true);
    await using _ = server;
    const got: unknown[] = [];
    const done = deferred();
    let busy = false;
    const recorder = new StateRecorder();
    await using connection = new ReconnectingConnection(server.url, {
      ...SOON,
      state: recorder.see,
      message: async (_, data) => {
        assert.equal(busy, false);
        busy = true;
        await settled();
        busy = false;
        if (got.push(data) === 6) done.resolve();
      },
    });
    for (const message of ["1", "2", "3"]) await connection.send(message);
    while (got.length < 3) await settled();
    await server.crash();
    await recorder.away();
    await server.back();
    for (const message of ["4", "5", "6"]) await connection.send(message);
    await done.promise;
    assert.deepEqual(got, ["1", "2", "3", "4", "5", "6"]);
    await assert.rejects(connection.receive(), TypeError);
  });

  it("answers from its hook while there is no connection, without holding up the next one", async () => {
    let connections = 0;
    const answered = deferred();
    await using greeter = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        if (connections > 1) return;
        connection.trySend("one");
        connection.trySend("two");
        void connection.close(1012);
      },
      message: (_, data) => {
        if (data === "re: two") answered.resolve();
      },
    });
    const recorder = new StateRecorder();
    await using _ = new ReconnectingConnection(greeter.url, {
      ...SOON,
      state: recorder.see,
      // The answer to the first waits for the second connection, and the second message for the answer.
      message: async (connection, data) => {
        if (data === "one") await recorder.away();
        await connection.send(`re: ${data}`);
      },
    });
    await answered.promise;
    assert.equal(connections, 2);
  });

  it("runs the open hook on each connection before anything queued leaves", async () => {
    const { server, heard, until } = await listener(true);
    await using _ = server;
    let opened = 0;
    const recorder = new StateRecorder();
    await using connection = new ReconnectingConnection(server.url, {
      ...SOON,
      state: recorder.see,
      open: async (fresh) => {
        opened += 1;
        await fresh.send(`login ${opened}`);
        assert.equal(await fresh.receive(), `login ${opened}`);
      },
    });
    void connection.send("first");
    await until(2);
    assert.equal(await connection.receive(), "first");
    await server.crash();
    await recorder.away();
    void connection.send("second");
    await server.back();
    await until(4);
    assert.deepEqual(heard, ["login 1", "first", "login 2", "second"]);
    assert.equal(await connection.receive(), "second");
  });

  it("tries again when the open hook ran into an error of the connection", async () => {
    const { server, until } = await listener(true);
    await using _ = server;
    let opened = 0;
    await using connection = new ReconnectingConnection(server.url, {
      ...SOON,
      open: async (fresh) => {
        opened += 1;
        if (opened === 1) await fresh.receive({ timeout: 1 });
      },
    });
    await connection.send("hello");
    await until(1);
    assert.equal(opened, 2);
  });

  it("ends with the error of the open hook, if the policy says so", async () => {
    const ends: number[] = [];
    await using server = await RestartableServer.up({ close: (_, { code }) => void ends.push(code) });
    const bug = new Error("unknown user");
    const connection = new ReconnectingConnection(server.url, {
      onError: () => undefined,
      open: () => Promise.reject(bug),
      shouldReconnect: ({ phase }) => phase !== "open",
    });
    const waiting = assert.rejects(connection.send("hello"), (error: ClosedError) => error.cause === bug);
    const { code, wasClean, cause } = await connection.closed;
    assert.deepEqual([code, wasClean, cause], [1006, false, bug]);
    await waiting;
    await server.down();
    assert.deepEqual(ends, [1011]);
  });

  it("ends with the error of the message hook, if the policy says so", async () => {
    const { server } = await listener(true);
    await using _ = server;
    const bug = new Error("cannot parse");
    const told: unknown[] = [];
    const connection = new ReconnectingConnection(server.url, {
      onError: (error) => told.push(error),
      message: () => {
        throw bug;
      },
      shouldReconnect: ({ phase }) => phase !== "message",
    });
    await connection.send("hello");
    const { code, cause } = await connection.closed;
    assert.deepEqual([code, cause], [1006, bug]);
    assert.deepEqual(told, [bug]);
  });
});

describe("messages that wait for a connection", () => {
  it("leave in order when there is one, and their sends resolve", async () => {
    const { server, heard, until } = await listener();
    await using _ = server;
    await server.down();
    const recorder = new StateRecorder();
    await using connection = new ReconnectingConnection(server.url, { ...SOON, state: recorder.see });
    const sent = ["1", "2", "3"].map((message) => connection.send(message));
    assert.equal(connection.trySend("4"), "queued");
    await recorder.until("waiting");
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [4, charged(4, 4)]);
    await server.back();
    await Promise.all(sent);
    await until(4);
    assert.deepEqual(heard, ["1", "2", "3", "4"]);
    assert.equal(connection.trySend("5"), "sent");
  });

  it("are bounded in bytes and in number; send waits for room, trySend does not", async () => {
    const { connection } = await alone({ maxQueuedBytes: charged(10, 2), maxQueuedMessages: 3 });
    assert.equal(connection.trySend("1234"), "queued");
    assert.equal(connection.trySend(new Uint8Array(6)), "queued");
    assert.equal(connection.trySend("x"), "refused");
    assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [charged(10, 2), 2]);
    let settledYet = false;
    const waiting = connection.send("x").finally(() => {
      settledYet = true;
    });
    waiting.catch(() => undefined);
    await settled();
    assert.equal(settledYet, false);
    await connection.close();
    await assert.rejects(waiting, { code: "CLOSED" });
  });

  it("are refused at once when they would never fit, and handed back", async () => {
    const { connection } = await alone({ maxQueuedBytes: 10 });
    await assert.rejects(connection.send("12345678901"), (error: LimitError) => {
      assert.deepEqual([error.limit, error.maximum, error.actual], ["maxQueuedBytes", 10, 11]);
      assert.equal(error.returned, "12345678901");
      return true;
    });
    await connection.close();
  });

  it("do not pile up as calls that wait for room", async () => {
    const { connection } = await alone({ maxQueuedMessages: 2 });
    const waiting = ["1", "2", "3", "4"].map((message) => connection.send(message));
    for (const one of waiting) one.catch(() => undefined);
    await assert.rejects(connection.send("5"), (error: LimitError) => {
      assert.deepEqual([error.code, error.limit, error.returned], ["LIMIT", "maxQueuedMessages", "5"]);
      return true;
    });
    await connection.close();
    for (const one of waiting) await assert.rejects(one, { code: "CLOSED" });
  });

  it("are refused, dropped or replaced as overflow says, and counted", async () => {
    const { server, heard, until } = await listener();
    const { url } = server;
    await server.down();
    const recorder = new StateRecorder();
    await using _ = server;
    await using connection = new ReconnectingConnection(url, { ...SOON, maxQueuedMessages: 2, state: recorder.see });
    const fate = (sent: Promise<void>): Promise<unknown> =>
      sent.then(
        () => "sent",
        ({ returned }) => returned,
      );
    const fates = [
      fate(connection.send("1")),
      fate(connection.send("2", { key: "k" })),
      fate(connection.send("3", { overflow: "reject" })),
      fate(connection.send("4", { overflow: "drop-newest" })),
      fate(connection.send("5", { overflow: "coalesce", key: "k" })),
      fate(connection.send("6", { overflow: "drop-oldest" })),
    ];
    assert.equal(connection.droppedMessages, 3);
    await server.back();
    await until(2);
    assert.deepEqual(heard, ["5", "6"]);
    assert.deepEqual(await Promise.all(fates), ["1", "2", "3", "4", "sent", "sent"]);
  });

  it("are taken back by a timeout, a deadline and a signal", async () => {
    const { connection, clock } = await alone({ random: () => 1, initialPause: 10_000 });
    const stop = new AbortController();
    const timedOut = assert.rejects(connection.send("1", { timeout: 100 }), (error: TimeoutError) => {
      const { operation, limit, bound, after, retriable } = error;
      assert.deepEqual([operation, limit, bound, after, retriable], ["send", "timeout", 100, 100, true]);
      return true;
    });
    const deadline = clock.in(200);
    const late = assert.rejects(connection.send("2", { timeout: 300, deadline }), {
      limit: "deadline",
      bound: deadline,
    });
    const reason = new Error("never mind");
    const cancelled = assert.rejects(connection.send("3", { signal: stop.signal }), (error) => error === reason);
    assert.equal(connection.queuedMessages, 3);
    await clock.advance(100);
    await timedOut;
    assert.equal(connection.queuedMessages, 2);
    await clock.advance(100);
    await late;
    stop.abort(reason);
    await cancelled;
    assert.equal(connection.queuedMessages, 0);
    await assert.rejects(connection.send("4", { deadline: clock.in(0) }), { limit: "deadline", retriable: true });
    await assert.rejects(connection.send("5", { signal: stop.signal }), (error) => error === reason);
    assert.equal(connection.messagesInDoubt, 0);
    await connection.close();
  });

  it("are copied: the bytes may change as soon as send has returned", async () => {
    const { server, heard, until } = await listener();
    await using _ = server;
    await using connection = new ReconnectingConnection(server.url, SOON);
    const bytes = Uint8Array.of(1, 2, 3);
    void connection.send(bytes);
    bytes.fill(0);
    await until(1);
    assert.deepEqual(heard, [Uint8Array.of(1, 2, 3)]);
  });

  it("that the framing cannot encode are rejected at their turn, and delay no other", async () => {
    const { server, heard, until } = await listener(false, "tcp://127.0.0.1:0");
    await using _ = server;
    await using connection = new ReconnectingConnection(server.url, { ...SOON, framing: "lines" });
    const misfit = assert.rejects(connection.send("two\nlines"), RangeError);
    await connection.send("one line");
    await misfit;
    await until(1);
    assert.deepEqual(heard, ["one line"]);
  });
});

/** A server that reads nothing from its first client, so that messages to it stay in flight. */
async function unreading(): Promise<RawServer> {
  const server: RawServer = await rawServer(async (peer) => {
    await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
    peer.write(switchingTo(peer.text));
    if (server.peers[0] === peer) peer.socket.pause();
  });
  return server;
}

/** More than the kernels between two ends hold. */
const BIG = new Uint8Array(16 * 1_048_576);
/** Below the threshold of compression, and compressible. */
const SMALL = "x".repeat(200);
const ROOM = { maxQueuedBytes: 64 * 1_048_576, maxMessageSize: BIG.length };

describe("a message that was on its way when its connection ended", () => {
  it("is the copy that the call has made: the connection makes no other", async () => {
    const server = createServer((socket) => void socket.pause());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const encoded: unknown[] = [];
    const encode = (message: Uint8Array): Uint8Array => {
      encoded.push(message);
      server.emit("encoded");
      return message;
    };
    const accepted = once(server, "connection");
    const framing = { encode, decode: () => undefined } as CustomFraming;
    const connection = new ReconnectingConnection(`tcp://127.0.0.1:${port}`, { ...SOON, ...ROOM, framing });
    const handedBack = connection.send(BIG).then(
      () => undefined,
      (error: InDoubtError) => error.returned,
    );
    const [socket] = (await accepted) as [Socket];
    if (encoded.length === 0) await once(server, "encoded");
    socket.destroy();
    const message = await handedBack;
    assert.equal(message, encoded[0]);
    assert.notEqual(message, BIG);
    connection.terminate();
    server.close();
  });

  it("is sent as it was prepared: `prepare` has decided about compression", async () => {
    const frames: boolean[] = [];
    const watch = (event: ConnectionEvent): void => {
      if (event.type === "frame" && event.direction === "in" && event.opcode === 1) frames.push(event.rsv !== 0);
    };
    await using server = await listen(
      "ws://127.0.0.1:0",
      { compression: true, trace: true, observe: watch },
      async (peer) => {
        for await (const message of peer) await peer.send(message);
      },
    );
    await using connection = new ReconnectingConnection(server.url, { ...SOON });
    await connection.send(prepare(SMALL, { compress: true }));
    await connection.send(SMALL);
    for (let received = 0; received < 2; received += 1) assert.equal(await connection.receive(), SMALL);
    assert.deepEqual(frames, [true, false]);
  });

  it("is in doubt: its send says so and hands it back; what had not been handed over goes out on the next", async () => {
    await using server = await unreading();
    const connection = new ReconnectingConnection(`ws://127.0.0.1:${server.port}`, { ...SOON, ...ROOM });
    const first = assert.rejects(connection.send(BIG), (error: InDoubtError) => {
      assert.deepEqual([error.code, (error.returned as Uint8Array).length], ["IN_DOUBT", BIG.length]);
      assert.ok(isConnectionError(error.cause));
      return true;
    });
    const second = connection.send("small");
    while ((connection.connection?.queuedBytes ?? 0) === 0) await settled();
    assert.equal(connection.queuedMessages, 2);
    server.peers[0]?.socket.destroy();
    await first;
    await second;
    assert.equal(server.peers.length, 2);
    assert.equal(connection.messagesInDoubt, 1);
    connection.terminate();
    await connection.closed;
  });

  it("is in doubt when its caller runs out of patience, and the connection lives", async () => {
    await using server = await unreading();
    const clock = new ManualClock();
    const connection = new ReconnectingConnection(`ws://127.0.0.1:${server.port}`, { clock, ...ROOM });
    const doubted = assert.rejects(connection.send(BIG, { timeout: 100 }), (error: InDoubtError) => {
      const { limit, retriable } = error.cause as TimeoutError;
      assert.deepEqual([error.code, limit, retriable], ["IN_DOUBT", "timeout", false]);
      return true;
    });
    while ((connection.connection?.queuedBytes ?? 0) === 0) await settled();
    await clock.advance(100);
    await doubted;
    assert.equal(connection.state.name, "open");
    assert.deepEqual([connection.messagesInDoubt, connection.queuedMessages], [1, 0]);
    connection.terminate();
    await connection.closed;
  });

  it("is sent again under resend, before later messages; send resolves when the peer has it", async () => {
    const heard: string[] = [];
    let connections = 0;
    const served = deferred();
    await using server = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        if (connections === 1) connection.data = "deaf";
      },
      message: async (connection, data) => {
        if (connection.data === "deaf") {
          // It has arrived, but it is not handled, and the Ping behind it is not answered.
          connection.terminate();
          return;
        }
        heard.push(String(data));
        if (heard.length === 3) served.resolve();
        await Promise.resolve();
      },
    });
    const connection = new ReconnectingConnection(server.url, { ...SOON, delivery: "resend" });
    const sent = ["1", "2", "3"].map((message) => connection.send(message));
    await Promise.all(sent);
    await served.promise;
    assert.deepEqual(heard, ["1", "2", "3"]);
    assert.ok(connections >= 2);
    assert.deepEqual([connection.queuedMessages, connection.messagesInDoubt], [0, 0]);
    await connection.close();
  });

  it("is sent again before the messages that waited behind it", async () => {
    await using deaf = await unreading();
    const heard: number[] = [];
    await using server = await RestartableServer.up({ ...ROOM, message: (_, data) => void heard.push(data.length) });
    const target = ({ attempt }: ReconnectAttempt): string =>
      attempt === 1 ? `ws://127.0.0.1:${deaf.port}` : server.url;
    const connection = new ReconnectingConnection(target, { ...SOON, ...ROOM, delivery: "resend" });
    const sent = [connection.send(BIG), connection.send("later")];
    while ((connection.connection?.queuedBytes ?? 0) === 0) await settled();
    deaf.peers[0]?.socket.destroy();
    await Promise.all(sent);
    assert.deepEqual(heard, [BIG.length, "later".length]);
    await connection.close();
  });

  it("is neither dropped nor taken back while it waits to be sent again", async () => {
    await using deaf = await unreading();
    const heard: number[] = [];
    await using server = await RestartableServer.up({ ...ROOM, message: (_, data) => void heard.push(data.length) });
    const ready = deferred();
    const recorder = new StateRecorder();
    const target = async ({ attempt }: ReconnectAttempt): Promise<string> => {
      if (attempt === 1) return `ws://127.0.0.1:${deaf.port}`;
      await ready.promise;
      return server.url;
    };
    const options = { ...SOON, ...ROOM, delivery: "resend", maxQueuedMessages: 2, state: recorder.see } as const;
    const connection = new ReconnectingConnection(target, options);
    const stop = new AbortController();
    const tried = connection.send(BIG);
    const dropped = assert.rejects(connection.send("later"), { code: "LIMIT", returned: "later" });
    while ((connection.connection?.queuedBytes ?? 0) === 0) await settled();
    deaf.peers[0]?.socket.destroy();
    await recorder.until("waiting");
    const last = connection.send("last one", { overflow: "drop-oldest", signal: stop.signal });
    await dropped;
    stop.abort(new Error("never mind"));
    await assert.rejects(last, /never mind/);
    assert.deepEqual([connection.queuedMessages, connection.droppedMessages, connection.messagesInDoubt], [1, 1, 0]);
    ready.resolve();
    await tried;
    assert.deepEqual(heard, [BIG.length]);
    await connection.close();
  });

  it("keeps its place in the queue under resend until the peer has answered", async () => {
    const recorder = new StateRecorder();
    await using server = await rawServer(() => undefined);
    const clock = new ManualClock();
    const url = `ws://127.0.0.1:${server.port}`;
    const connection = new ReconnectingConnection(url, {
      clock,
      delivery: "resend",
      maxQueuedMessages: 1,
      state: recorder.see,
    });
    while (server.peers[0] === undefined) await settled();
    const [peer] = server.peers;
    await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
    peer.write(switchingTo(peer.text));
    await recorder.until("open");
    const before = peer.bytes.length;
    const waiting = assert.rejects(connection.send("order"), { code: "IN_DOUBT" });
    await peer.until(({ bytes }) => bytes.length > before + 11);
    assert.equal(connection.trySend("next"), "refused");
    assert.equal(connection.queuedMessages, 1);
    // It was tried: it cannot be taken back, nor dropped for another.
    await assert.rejects(connection.send("other", { overflow: "drop-oldest" }), { code: "LIMIT" });
    connection.terminate(new Error("enough"));
    await waiting;
    assert.equal(connection.messagesInDoubt, 1);
    await connection.closed;
  });

  it("cannot be sent again on TCP, where nothing shows what the peer has", async () => {
    const { server } = await listener(false, "tcp://127.0.0.1:0");
    await using _ = server;
    const connection = new ReconnectingConnection(server.url, { framing: "lines", delivery: "resend" });
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TypeError);
    assert.match(cause.message, /framed TCP has no Ping/);
  });
});

describe("receiving over many connections", () => {
  it("waits for a message of the next one, within its own bounds", async () => {
    const { connection, clock } = await alone({ random: () => 1, initialPause: 10_000 });
    const stop = new AbortController();
    const timedOut = assert.rejects(connection.receive({ timeout: 50 }), {
      ...{ code: "TIMEOUT", operation: "receive", limit: "timeout", retriable: true, partial: 0 },
    });
    const cancelled = assert.rejects(connection.receive({ signal: stop.signal }), /never mind/);
    await clock.advance(50);
    await timedOut;
    stop.abort(new Error("never mind"));
    await cancelled;
    await connection.close();
  });

  it("keeps what one has brought when it has ended, before what the next brings", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({}, async (connection) => {
      connections += 1;
      for (const n of [1, 2, 3]) await connection.send(`${connections}.${n}`);
      await connection.close(connections === 3 ? 1000 : 1012);
    });
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection(server.url, { ...SOON, state: recorder.see });
    await recorder.until("open", 2);
    const got: unknown[] = [];
    for await (const message of connection) got.push(message);
    assert.deepEqual(got, ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "3.3"]);
    assert.equal(connection.state.name, "ended");
  });

  it("does not accumulate: messages that are not taken wait over two connections, and then it ends", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        for (let n = 0; n < 10; n += 1) connection.trySend(`${connections}.${n}`);
        void connection.close(1012);
      },
    });
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const options = { clock, random: () => 0, pauseTimeout: 1_000, state: recorder.see };
    const connection = new ReconnectingConnection(server.url, options);
    await recorder.until("waiting");
    await clock.advance(0);
    await recorder.until("open", 2);
    while (connection.connection !== undefined) await settled();
    await clock.advance(999);
    assert.equal(connections, 2);
    await clock.advance(1);
    const { cause } = await connection.closed;
    assert.deepEqual([(cause as TimeoutError).limit, (cause as TimeoutError).operation], ["pauseTimeout", "receive"]);
    const got: unknown[] = [];
    await assert.rejects(
      (async () => {
        for await (const message of connection) got.push(message);
      })(),
      { code: "CLOSED", cause },
    );
    assert.deepEqual([got.length, got[0], got.at(-1), connections], [20, "1.0", "2.9", 2]);
  });

  it("continues if the messages of the last connection are taken in time", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        connection.trySend(`${connections}.1`);
        connection.trySend(`${connections}.2`);
        if (connections < 3) void connection.close(1012);
      },
    });
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection(server.url, { clock, random: () => 0, state: recorder.see });
    await recorder.until("waiting");
    await clock.advance(0);
    await recorder.until("open", 2);
    while (connection.connection !== undefined) await settled();
    await settled();
    assert.equal(recorder.names, "connecting open waiting connecting open");
    assert.equal(await connection.receive(), "1.1");
    assert.equal(await connection.receive(), "1.2");
    await recorder.until("waiting", 2);
    await clock.advance(0);
    assert.equal(await connection.receive(), "2.1");
    assert.equal(await connection.receive(), "2.2");
    assert.equal(await connection.receive(), "3.1");
    connection.terminate();
    await connection.closed;
  });
});

describe("its end", () => {
  it("by close while open: queued messages are sent first, then 1000 or the given code", async () => {
    const ends: unknown[] = [];
    const heard: unknown[] = [];
    await using server = await RestartableServer.up({
      message: (_, data) => void heard.push(data),
      close: (_, { code, reason, wasClean }) => void ends.push([code, reason, wasClean]),
    });
    const closes: unknown[] = [];
    const connection = new ReconnectingConnection(server.url, { close: (_, info) => void closes.push(info) });
    await connection.send("first");
    const sent = Array.from({ length: 500 }, (_, n) => connection.send(`${n} ${"x".repeat(1_000)}`));
    const info = await connection.close(4000, "done");
    assert.deepEqual({ ...info, cause: 0 }, { code: 4000, reason: "done", wasClean: true, by: "local", cause: 0 });
    await Promise.all(sent);
    assert.deepEqual(closes, [info]);
    assert.equal(connection.state.name, "ended");
    await server.down();
    assert.equal(heard.length, 501);
    assert.deepEqual(ends, [[4000, "done", true]]);
    assert.ok(connection.signal.aborted);
    await assert.rejects(connection.send("late"), (error) => error === connection.signal.reason);
    await assert.rejects(connection.receive(), { code: "CLOSED", closeCode: 4000, wasClean: true });
    assert.equal(connection.trySend("late"), "refused");
    assert.equal(await connection.close(), info);
  });

  it("by close while open is bounded by closeTimeout, even if the peer reads nothing", async () => {
    await using server = await unreading();
    const clock = new ManualClock();
    const connection = new ReconnectingConnection(`ws://127.0.0.1:${server.port}`, {
      clock,
      ...ROOM,
      writeTimeout: 60_000,
    });
    const sent = assert.rejects(connection.send(BIG), { code: "IN_DOUBT" });
    while ((connection.connection?.queuedBytes ?? 0) === 0) await settled();
    const closed = connection.close();
    await clock.advance(5_000);
    await clock.advance(5_000);
    const { wasClean } = await closed;
    assert.equal(wasClean, false);
    await sent;
  });

  it("by close without a connection: queued messages are returned, and no attempt follows", async () => {
    const { connection, recorder } = await alone();
    const sent = assert.rejects(connection.send("order"), { code: "CLOSED", closeCode: 1000, wasClean: true });
    const looped = (async () => {
      for await (const _ of connection) assert.fail("nothing was to come");
    })();
    const info = await connection.close();
    assert.deepEqual(info, { code: 1000, reason: "", wasClean: true, by: "local", cause: undefined });
    await sent;
    await looped;
    assert.equal(recorder.states.at(-1)?.name, "ended");
  });

  it("by terminate: at once, with the given cause", async () => {
    const { server } = await listener();
    await using _ = server;
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection(server.url, { state: recorder.see });
    await recorder.until("open");
    const reason = new Error("enough");
    const waiting = assert.rejects(connection.receive(), (error: ClosedError) => error.cause === reason);
    connection.terminate(reason);
    const { code, by, wasClean, cause } = await connection.closed;
    assert.deepEqual([code, by, wasClean], [1006, "local", false]);
    assert.equal((cause as ClosedError).cause, reason);
    await waiting;
  });

  it("by the signal: 1001 to the peer, its reason to everyone else", async () => {
    const ends: number[] = [];
    await using server = await RestartableServer.up({ close: (_, { code }) => void ends.push(code) });
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection(server.url, { signal: stop.signal, state: recorder.see });
    await recorder.until("open");
    const reason = new Error("shutting down");
    const waiting = assert.rejects(connection.receive(), (error: ClosedError) => error.cause === reason);
    stop.abort(reason);
    const { cause } = await connection.closed;
    assert.equal(cause, reason);
    await waiting;
    await server.down();
    assert.deepEqual(ends, [1001]);
  });

  for (const [what, give] of [
    ["1000", undefined],
    ["1008", "policy"],
  ] as const) {
    it(`by the server's ${what}`, async () => {
      const code = Number(what);
      await using server = await RestartableServer.up({ open: (one) => void one.close(code, give ?? "") });
      const connection = new ReconnectingConnection(server.url);
      const looped = (async () => {
        for await (const _ of connection) assert.fail("nothing was to come");
        return "ended";
      })().catch((error: ClosedError) => error.closeCode);
      const info = await connection.closed;
      assert.deepEqual([info.code, info.by, info.wasClean], [code, "peer", true]);
      assert.equal(await looped, give === undefined ? "ended" : 1008);
      assert.equal((info.cause as ClosedError | undefined)?.closeCode, give === undefined ? undefined : 1008);
    });
  }

  it("by a limit: every call rejects, with the limit as the cause", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const connection = new ReconnectingConnection(url, { ...SOON, maxAttempts: 2 });
    const sent = assert.rejects(connection.send("order"), (error: ClosedError) => {
      assert.equal((error.cause as LimitError).limit, "maxAttempts");
      return error.code === "CLOSED";
    });
    const { code, cause } = await connection.closed;
    assert.deepEqual([code, (cause as LimitError).limit], [1006, "maxAttempts"]);
    await sent;
  });

  it("by misuse that only connect sees", async () => {
    const connection = new ReconnectingConnection("http://127.0.0.1");
    assert.ok((await connection.closed).cause instanceof TypeError);
  });
});

describe("misuse of a reconnecting connection", () => {
  const wrong: readonly [options: object, name: string][] = [
    [{ delivery: "twice" }, "RangeError"],
    [{ overflow: "close" }, "RangeError"],
    [{ delivery: 2 }, "TypeError"],
    [{ message: 1 }, "TypeError"],
    [{ streaming: true }, "TypeError"],
    [{ highWater: () => undefined }, "TypeError"],
    [{ signal: {} }, "TypeError"],
    [{ state: "open" }, "TypeError"],
  ];
  for (const [options, name] of wrong) {
    it(`is thrown by the constructor: ${inspect(options)}`, () => {
      assert.throws(() => new ReconnectingConnection("ws://127.0.0.1:1", options as never), {
        name,
        message: /^Cannot use /,
      });
    });
  }

  it("rejects the call if that returns a promise, and is thrown otherwise", async () => {
    const { connection } = await alone();
    await assert.rejects(connection.send(1 as never), TypeError);
    await assert.rejects(connection.send("x", { overflow: "close" } as never), RangeError);
    await assert.rejects(connection.send("x", { timeout: "1" } as never), TypeError);
    await assert.rejects(connection.send("x", { timeout: -1 }), RangeError);
    await assert.rejects(connection.send("x", { deadline: 5_000 } as never), TypeError);
    await assert.rejects(connection.send("x", { deadline: new Date(Number.NaN) }), RangeError);
    await assert.rejects(connection.send("x", { signal: {} } as never), TypeError);
    await assert.rejects(connection.send("x", { key: 1 } as never), TypeError);
    await assert.rejects(connection.send("x", null as never), TypeError);
    assert.throws(() => connection.trySend(undefined as never), TypeError);
    await assert.rejects(connection.close(1006), RangeError);
    await assert.rejects(connection.close("1000" as never), TypeError);
    await assert.rejects(connection.close(1000, 1 as never), TypeError);
    await assert.rejects(connection.close(1000, "x".repeat(124)), RangeError);
    await assert.rejects(connection.receive({ timeout: -1 }), RangeError);
    await assert.rejects(connection.receive({ signal: {} } as never), TypeError);
    assert.equal(connection.queuedMessages, 0);
    assert.equal(connection.state.name, "waiting");
    await connection.close();
  });
});

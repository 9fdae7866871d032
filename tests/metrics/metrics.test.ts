/** What `metrics` reads of servers, clients and the process, on real sockets. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import {
  accept,
  attach,
  type Connection,
  connect,
  Group,
  type ListenOptions,
  listen,
  type MetricName,
  type Metrics,
  metrics,
  type Server,
} from "../../src/index.ts";
import { deferred } from "../kit/deferred.ts";
import { portOf, RawPeer } from "../kit/raw-peer.ts";

const echo = (connection: Connection, message: string | Uint8Array): void => void connection.trySend(message);

type Way = "hook" | "loop";

const serve = (way: Way, options: ListenOptions = {}, url = "ws://127.0.0.1:0"): Promise<Server> =>
  way === "hook"
    ? listen(url, { ...options, message: echo })
    : listen(url, options, async (connection) => {
        for await (const message of connection) await connection.send(message);
      });

/** The difference of a value of the process since `before`: other tests of this file have counted, too. */
function since(before: ReturnType<Metrics["snapshot"]>, name: MetricName, labels: Record<string, string>): number {
  return metrics(process).snapshot().value(name, labels) - before.value(name, labels);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

describe("metrics(server)", () => {
  for (const way of ["hook", "loop"] as const) {
    it(`counts messages, bytes and writes in both directions, with a ${way}`, async () => {
      await using server = await serve(way);
      await using client = await connect(server.url);
      for (let sent = 0; sent < 10; sent += 1) {
        await client.send("0123456789");
        await client.receive();
      }
      const snapshot = metrics(server).snapshot();
      const of = { role: "server", protocol: "websocket" };
      for (const direction of ["in", "out"]) {
        assert.equal(snapshot.value("holdfast_messages_total", { ...of, direction }), 10);
      }
      assert.equal(snapshot.value("holdfast_bytes_total", { ...of, direction: "in" }), 10 * 16);
      assert.equal(snapshot.value("holdfast_bytes_total", { ...of, direction: "out" }), 10 * 12);
      assert.equal(snapshot.value("holdfast_writes_total", { role: "server" }), 10);
      assert.equal(snapshot.value("holdfast_connections_opened_total"), 1);
      assert.equal(snapshot.histogram("holdfast_write_wait_seconds").count, 10);
    });
  }

  it("counts many messages of one chunk, which leave in one write, and a message in parts as one", async () => {
    await using server = await serve("hook");
    await using client = await connect(server.url);
    for (let sent = 0; sent < 100; sent += 1) void client.send("x");
    for (let got = 0; got < 100; got += 1) await client.receive();
    const writer = client.writer("text");
    await writer.write("one ");
    await writer.end("message");
    await client.receive();
    const snapshot = metrics(server).snapshot();
    assert.equal(snapshot.value("holdfast_messages_total", { direction: "in" }), 101);
    assert.equal(snapshot.value("holdfast_messages_total", { direction: "out" }), 101);
    assert.ok(snapshot.value("holdfast_writes_total") <= 10);
    const ofClients = metrics(process)
      .snapshot()
      .value("holdfast_messages_total", { role: "client", direction: "out" });
    assert.ok(ofClients >= 101);
  });

  it("counts the messages of a group for each member", async () => {
    const room = new Group();
    await using server = await listen("ws://127.0.0.1:0", { open: (connection) => room.join(connection) });
    const clients = await Promise.all([1, 2, 3].map(() => connect(server.url)));
    await until(() => room.size === 3);
    for (let sent = 0; sent < 4; sent += 1) {
      room.send("to all");
      for (const client of clients) await client.receive();
    }
    assert.equal(metrics(server).snapshot().value("holdfast_messages_total", { direction: "out" }), 12);
    await Promise.all(clients.map((client) => client.close()));
  });

  it("counts framed TCP under its own protocol", async () => {
    await using server = await serve("loop", { framing: "lines" }, "tcp://127.0.0.1:0");
    await using client = await connect(server.url, { framing: "lines" });
    await client.send("line");
    await client.receive();
    const snapshot = metrics(server).snapshot();
    assert.equal(snapshot.value("holdfast_messages_total", { protocol: "tcp", direction: "in" }), 1);
    assert.equal(snapshot.value("holdfast_messages_total", { protocol: "websocket" }), 0);
    assert.equal(snapshot.value("holdfast_bytes_total", { protocol: "tcp", direction: "in" }), 5);
  });

  it("counts connections by state, and ends by cause", async () => {
    await using server = await serve("hook", { maxConnections: 7 });
    const measured = metrics(server);
    const client = await connect(server.url);
    assert.equal(measured.snapshot().value("holdfast_connections", { state: "open" }), 1);
    assert.equal(measured.snapshot().value("holdfast_connections_limit"), 7);
    await client.close(4_001, "bye");
    await until(() => measured.snapshot().value("holdfast_connections") === 0);
    const snapshot = measured.snapshot();
    assert.equal(snapshot.value("holdfast_connections_closed_total", { cause: "peer", by: "peer" }), 1);
    assert.equal(snapshot.value("holdfast_connections_closed_total"), 1);
    assert.equal(snapshot.value("holdfast_close_codes_sent_total", { code: "4xxx" }), 1);
    assert.equal(snapshot.histogram("holdfast_connection_duration_seconds").count, 1);
  });

  it("counts refused openings by reason, without an observer", async () => {
    await using server = await serve("hook", { origin: ["https://a.example"] });
    await assert.rejects(connect(server.url, { origin: "https://b.example" }));
    await assert.rejects(connect(`${server.url}/nowhere`, { origin: "https://b.example" }));
    const snapshot = metrics(server).snapshot();
    assert.equal(snapshot.value("holdfast_handshakes_refused_total", { reason: "origin" }), 2);
    assert.equal(snapshot.value("holdfast_handshakes_refused_total"), 2);
  });

  it("counts sockets that send no request", async () => {
    await using server = await serve("hook", { openTimeout: 20 });
    await using _peer = await RawPeer.to(portOf(server));
    const measured = metrics(server);
    await until(() => measured.snapshot().value("holdfast_handshakes_refused_total", { reason: "silence" }) === 1);
  });

  it("has the time of authorize, and connections that wait for it", async () => {
    const decided = deferred();
    await using server = await serve("hook", { authorize: () => decided.promise.then(() => undefined) });
    const connecting = connect(server.url);
    const measured = metrics(server);
    await until(() => measured.snapshot().value("holdfast_connections", { state: "opening" }) === 1);
    decided.resolve();
    await using _client = await connecting;
    const { count, min } = measured.snapshot().histogram("holdfast_handshake_duration_seconds");
    assert.equal(count, 1);
    assert.ok(min > 0);
  });

  it("has what waits for a slow peer, and for a slow application", async () => {
    const opened = deferred<Connection>();
    await using server = await listen("ws://127.0.0.1:0", { maxInboxMessages: 2 }, async (connection) => {
      opened.resolve(connection);
      await connection.closed;
    });
    await using client = await connect(server.url, { maxInboxMessages: 1 });
    const connection = await opened.promise;
    for (let sent = 0; sent < 5; sent += 1) void client.send("not taken");
    // More than the kernel holds for a client that does not read.
    while (connection.droppedMessages === 0 || connection.queuedBytes < 900_000) {
      connection.trySend("x".repeat(60_000), { overflow: "drop-newest" });
      await new Promise(setImmediate);
    }
    const measured = metrics(server);
    await until(() => measured.snapshot().value("holdfast_connections_paused") === 1);
    const snapshot = measured.snapshot();
    assert.ok(snapshot.value("holdfast_inbox_bytes") > 0);
    assert.equal(snapshot.value("holdfast_queued_bytes"), connection.queuedBytes);
    assert.equal(snapshot.value("holdfast_queue_largest_bytes"), connection.queuedBytes);
    assert.equal(snapshot.value("holdfast_queued_messages"), connection.queuedMessages);
    assert.equal(snapshot.value("holdfast_connections_slow"), 1);
    assert.equal(snapshot.value("holdfast_overflow_total", { policy: "drop-newest" }), connection.droppedMessages);
    assert.equal(snapshot.value("holdfast_pauses_total"), 1);
    client.terminate();
  });

  it("has the time for which connections did not read, also while they still do not", async () => {
    const opened = deferred<Connection>();
    await using server = await listen("ws://127.0.0.1:0", { maxInboxMessages: 1, open: (one) => opened.resolve(one) });
    await using client = await connect(server.url);
    const connection = await opened.promise;
    const seconds = (): number => metrics(server).snapshot().value("holdfast_paused_seconds_total", { role: "server" });
    assert.equal(seconds(), 0);
    for (let sent = 0; sent < 3; sent += 1) void client.send("not taken");
    await until(() => seconds() > 0.005);
    for (let got = 0; got < 3; got += 1) await connection.receive();
    const resumed = seconds();
    assert.ok(resumed > 0.005);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(seconds(), resumed);
    for (let sent = 0; sent < 3; sent += 1) void client.send("not taken");
    await until(() => seconds() > resumed);
    const paused = seconds();
    connection.terminate();
    await connection.closed;
    assert.ok(seconds() >= paused);
  });

  it("counts calls that reach their own limit, and calls of onError by place", async () => {
    const opened = deferred<Connection>();
    const onError = (): void => undefined;
    await using server = await listen("ws://127.0.0.1:0", { onError, open: (one) => opened.resolve(one) });
    const client = await connect(server.url);
    const connection = await opened.promise;
    await assert.rejects(connection.receive({ timeout: 1 }));
    await client.close();
    await using failing = await listen("ws://127.0.0.1:0", {
      onError,
      message: () => {
        throw new Error("of the application");
      },
    });
    const other = await connect(failing.url);
    await other.send("go");
    await other.closed;
    assert.equal(metrics(server).snapshot().value("holdfast_call_timeouts_total", { limit: "timeout" }), 1);
    await until(
      () => metrics(failing).snapshot().value("holdfast_connections_closed_total", { cause: "handler" }) === 1,
    );
    assert.equal(metrics(failing).snapshot().value("holdfast_errors_total", { place: "message" }), 1);
  });

  it("has round trips of the heartbeat, shorter than a millisecond if they are", async () => {
    await using server = await serve("hook", { heartbeat: { interval: 10, timeout: 5_000 } });
    await using _client = await connect(server.url);
    const measured = metrics(server);
    await until(() => measured.snapshot().histogram("holdfast_ping_rtt_seconds").count >= 3);
    const { min } = measured.snapshot().histogram("holdfast_ping_rtt_seconds");
    assert.ok(min > 0 && min < 5, `${min} s`);
  });

  it("works for attach, and for a server that has closed", async () => {
    const http = createServer();
    const server = attach(http, { message: echo });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const client = await connect(server.url);
    await client.close();
    await server.close();
    http.close();
    const snapshot = metrics(server).snapshot();
    assert.equal(snapshot.value("holdfast_connections_opened_total"), 1);
    assert.equal(snapshot.value("holdfast_connections"), 0);
  });

  it("has text that begins with a comment and ends with a line break, and no series twice", async () => {
    await using server = await serve("hook");
    const measured = metrics(server);
    const text = measured.text();
    assert.equal(measured.contentType, "text/plain; version=0.0.4; charset=utf-8");
    assert.match(text, /^# HELP holdfast_connections /);
    assert.match(text, /[^\n]\n$/);
    const names = text.split("\n").flatMap((line) => (line.startsWith("#") ? [] : [line.split(" ")[0]]));
    assert.equal(new Set(names).size, names.length);
  });

  it("refuses what is no server", () => {
    for (const wrong of [undefined, {}, 5, "server"]) assert.throws(() => metrics(wrong as never), TypeError);
  });
});

describe("metrics(process)", () => {
  it("adds up servers, and keeps what a closed one has counted", async () => {
    const before = metrics(process).snapshot();
    const ways = { role: "server", protocol: "websocket", direction: "in" };
    for (let round = 0; round < 2; round += 1) {
      await using server = await serve("hook");
      await using client = await connect(server.url);
      await client.send("one");
      await client.receive();
    }
    assert.equal(since(before, "holdfast_messages_total", ways), 2);
    assert.equal(since(before, "holdfast_connections_opened_total", { role: "server" }), 2);
    assert.equal(since(before, "holdfast_connections_opened_total", { role: "client" }), 2);
  });

  it("has clients while they are open and while they are opening", async () => {
    const before = metrics(process).snapshot();
    await using server = await serve("hook");
    const connecting = connect(server.url);
    assert.equal(since(before, "holdfast_connections", { role: "client", state: "opening" }), 1);
    const client = await connecting;
    assert.equal(since(before, "holdfast_connections", { role: "client", state: "opening" }), 0);
    assert.equal(since(before, "holdfast_connections", { role: "client", state: "open" }), 1);
    await client.close();
    await until(() => since(before, "holdfast_connections", { role: "client" }) === 0);
    assert.equal(since(before, "holdfast_connections_closed_total", { role: "client", cause: "local" }), 1);
    await assert.rejects(connect("ws://127.0.0.1:1"));
    assert.equal(since(before, "holdfast_connections", { role: "client", state: "opening" }), 0);
  });

  it("has connections of accept", async () => {
    const before = metrics(process).snapshot();
    const http = createServer();
    http.on("upgrade", (request, socket, head) => {
      void accept(request, socket, head, { message: echo }).catch(() => undefined);
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const { port } = http.address() as { port: number };
    const client = await connect(`ws://127.0.0.1:${port}`);
    await client.send("one");
    await client.receive();
    assert.equal(since(before, "holdfast_connections", { role: "server", state: "open" }), 1);
    assert.equal(since(before, "holdfast_messages_total", { role: "server", direction: "in" }), 1);
    await client.close();
    await until(() => since(before, "holdfast_connections", { role: "server" }) === 0);
    http.close();
  });

  it("has what compression cost and saved, in both directions, on this thread and on others", async () => {
    const before = metrics(process).snapshot();
    await using server = await listen("ws://127.0.0.1:0", {
      message: echo,
      compression: true,
      maxMessageSize: 200_000,
    });
    await using client = await connect(server.url, { compression: true, maxMessageSize: 200_000 });
    const sizes = [2_000, 100_000];
    for (const size of sizes) {
      await client.send("a compressible text ".repeat(size / 20));
      await client.receive();
    }
    const plain = 2 * (2_000 + 100_000);
    assert.equal(since(before, "holdfast_compression_in_bytes_total", { direction: "out" }), plain);
    assert.equal(since(before, "holdfast_compression_out_bytes_total", { direction: "in" }), plain);
    const packed = since(before, "holdfast_compression_out_bytes_total", { direction: "out" });
    assert.ok(packed > 0 && packed < plain / 10);
    assert.equal(since(before, "holdfast_compression_in_bytes_total", { direction: "in" }), packed);
    for (const direction of ["in", "out"])
      assert.ok(since(before, "holdfast_compression_seconds_total", { direction }) > 0);
  });

  it("has the version, the memory for messages and the delay of the loop", async () => {
    metrics(process);
    await until(() => metrics(process).snapshot().histogram("holdfast_loop_blocked_seconds").count > 3);
    const snapshot = metrics(process).snapshot();
    assert.equal(snapshot.value("holdfast_build_info"), 1);
    assert.ok(snapshot.value("holdfast_memory_limit_bytes") > 0);
    assert.ok(JSON.stringify(snapshot).includes('"holdfast_loop_blocked_seconds"'));
  });
});

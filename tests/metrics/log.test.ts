/** The line in the log for each connection that has ended, on real sockets. */

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import { pino } from "pino";
import {
  type Connection,
  connect,
  Group,
  type ListenOptions,
  type Logger,
  listen,
  type Server,
} from "../../src/index.ts";
import { ManualClock, pair } from "../../src/testing/index.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { portOf, RawPeer } from "../kit/raw-peer.ts";

class Lines implements Logger {
  readonly lines: string[] = [];
  #arrived: () => void = () => undefined;

  readonly info = (line: string): void => {
    this.lines.push(line);
    this.#arrived();
  };

  async first(): Promise<string> {
    while (this.lines.length === 0) await new Promise<void>((resolve) => (this.#arrived = resolve));
    return this.lines[0] ?? "";
  }
}

/** The fields of a line. */
function fieldsOf(line: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(line.matchAll(/(\w+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)/g), ([, name, value]) => [name, value]),
  );
}

const echo = (connection: Connection, message: string | Uint8Array): void => void connection.trySend(message);

const serve = (log: Logger, options: ListenOptions = {}): Promise<Server> =>
  listen("ws://127.0.0.1:0/", { log, message: echo, ...options });

describe("the log of connections", () => {
  it("has no negative age: the opening is kept rounded up to a millisecond", async () => {
    const log = new Lines();
    const clock = new ManualClock();
    await clock.advance(0.25);
    const { server } = pair({ clock, server: { log } });
    server.terminate();
    assert.equal(fieldsOf(await log.first())["age"], "0.000");
  });

  it("has one line for each connection, with all facts", async () => {
    const log = new Lines();
    await using server = await serve(log, { heartbeat: { interval: 10, timeout: 1_000 } });
    const client = await connect(`${server.url}/rooms/a?token=secret`);
    for (let sent = 0; sent < 3; sent += 1) {
      await client.send("hello");
      await client.receive();
    }
    await client.ping();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const port = client.localPort;
    await client.close(4_001, "done here");
    const line = await log.first();
    const { connection, age, bytes_in, bytes_out, rtt, ...rest } = fieldsOf(line);
    assert.deepEqual(rest, {
      remote: `127.0.0.1:${port}`,
      protocol: "websocket",
      path: "/rooms/a",
      messages_in: "3",
      messages_out: "3",
      queue_max: "0",
      ...{ by: "peer", cause: "peer", code: "4001", reason: '"done here"' },
    });
    assert.match(`${connection} ${age} ${rtt}`, /^\d+ \d\.\d{3} 0\.\d{6}$/);
    // Three messages of 11 bytes, a Ping or a Pong at least, and the Close frame.
    assert.ok(Number(bytes_in) >= 3 * 11 + 10 + 17 && Number(bytes_out) >= 3 * 7 + 6 + 4);
    assert.equal(log.lines.length, 1);
    assert.ok(!line.includes("secret"));
  });

  it("has the largest queue, and the cause of an end by this side", async () => {
    const log = new Lines();
    const clock = new ManualClock();
    const { server, link } = pair({ clock, capacity: 100, server: { log, writeTimeout: 1_000 } });
    link.freeze("client");
    for (let sent = 0; sent < 3; sent += 1) server.trySend("x".repeat(1_000));
    void server.closed;
    server.terminate();
    await clock.advance(10);
    const { queue_max, cause, by, messages_out } = fieldsOf(await log.first());
    assert.deepEqual([queue_max, cause, by, messages_out], [String(3 * 1_512), "terminate", "local", "0"]);
  });

  it("has the messages of a group", async () => {
    const log = new Lines();
    const room = new Group();
    await using server = await listen("ws://127.0.0.1:0", { log, open: (connection) => room.join(connection) });
    const client = await connect(server.url);
    while (room.size === 0) await new Promise(setImmediate);
    for (let sent = 0; sent < 3; sent += 1) {
      room.send("to all");
      await client.receive();
    }
    await client.close();
    assert.equal(fieldsOf(await log.first())["messages_out"], "3");
  });

  it("has no path on TCP, and counts messages in parts as one", async () => {
    const log = new Lines();
    await using server = await listen("tcp://127.0.0.1:0", { log, framing: "lines", message: echo });
    const client = await connect(server.url, { framing: "lines" });
    await client.send("line");
    await client.receive();
    await client.close();
    const { path, protocol, messages_in, bytes_in } = fieldsOf(await log.first());
    assert.deepEqual([path, protocol, messages_in, bytes_in], ["-", "tcp", "1", "5"]);
  });

  it("has no line that a peer could forge", async () => {
    const log = new Lines();
    await using server = await serve(log);
    await using peer = await RawPeer.to(portOf(server));
    const target = "/a%0Ab'connection=1";
    peer.socket.write(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    while (!peer.bytes.toString("latin1").includes("\r\n\r\n")) await new Promise(setImmediate);
    const reason = 'bye"\nconnection=2 cause=local\u001b[2J\u2028';
    const payload = Buffer.concat([Buffer.from([0x0f, 0xa1]), Buffer.from(reason)]);
    peer.socket.write(peerFrame({ opcode: 8, payload, key: KEY }));
    const line = await log.first();
    assert.doesNotMatch(line, /[\p{Cc}\u2028]/u);
    const fields = fieldsOf(line);
    assert.equal(JSON.parse(fields["reason"] ?? ""), reason);
    assert.equal(JSON.parse(fields["path"] ?? ""), target);
    assert.equal(fields["cause"], "peer");
  });

  it("goes through pino", async () => {
    let written = "";
    const sink = new Writable({
      write: (chunk, _, done) => {
        written += chunk;
        done();
      },
    });
    await using server = await serve(pino(sink));
    const client = await connect(server.url);
    await client.close();
    while (written === "") await new Promise(setImmediate);
    const { level, msg } = JSON.parse(written);
    assert.equal(level, 30);
    assert.equal(fieldsOf(msg)["cause"], "peer");
  });

  it("passes what the logger throws to onError, and the connection ends as without a log", async () => {
    const errors: string[] = [];
    const log = {
      info: () => {
        throw new Error("the disk is full");
      },
    };
    await using server = await serve(log, { onError: (error, { place }) => errors.push(`${place}: ${error}`) });
    const client = await connect(server.url);
    const { wasClean } = await client.close();
    assert.ok(wasClean);
    while (errors.length === 0) await new Promise(setImmediate);
    assert.deepEqual(errors, ["log: Error: the disk is full"]);
  });

  it("refuses what is no logger", async () => {
    for (const log of [5, {}, { warn: () => undefined }, null])
      await assert.rejects(listen("ws://127.0.0.1:0", { message: echo, log: log as never }), TypeError);
  });
});

/** The WHATWG streams of a connection: messages at the pace of the reader, sends at the pace of the peer. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, listen, type Message } from "../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { stateOf } from "../kit/blocked-connection.ts";
import { joined } from "../kit/frames.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const scene = ({ protocol, options }: WireProtocol, more: Parameters<typeof wired>[0] = {}): Wired =>
  wired({ kind: protocol, ...options, ...more });

async function all(readable: ReadableStream<Message>): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of readable) messages.push(message);
  return messages;
}

/** Reads to the end and closes, as a handler does. On TCP its peer waits for that. */
async function handled(connection: Connection): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of connection) messages.push(message);
  await connection.close();
  return messages;
}

for (const wire of WIRE_PROTOCOLS) {
  const { name, protocol, options, message } = wire;

  describe(`the readable of ${name}`, () => {
    it("delivers messages in order, and closes at a clean end", async () => {
      const { client, server } = pair({ kind: protocol, ...options });
      const reading = all(client.readable);
      await Promise.all(["one", "two", "three"].map((text) => server.send(text)));
      void server.close();
      assert.deepEqual(await reading, ["one", "two", "three"]);
      await client.close();
    });

    it("fails with the reason of any other end, after the messages before it", async () => {
      const { connection, peer } = scene(wire);
      peer.write(message("before"));
      await settled();
      peer.reset();
      await settled();
      const reader = connection.readable.getReader();
      assert.deepEqual(await reader.read(), { done: false, value: "before" });
      await assert.rejects(reader.read(), { code: "TRANSPORT", errno: "ECONNRESET" });
      await assert.rejects(reader.closed, { code: "TRANSPORT" });
    });

    it("is the same object at each access", () => {
      const { connection } = scene(wire);
      assert.equal(connection.readable, connection.readable);
      assert.equal(connection.writable, connection.writable);
    });

    it("takes no message that was not pulled", async () => {
      const { connection, peer } = scene(wire, { connection: { maxInboxMessages: 4 } });
      const { readable } = connection;
      peer.write(joined(message("one"), message("two")));
      await settled();
      assert.equal(await connection.receive(), "one");
      const reader = readable.getReader();
      assert.equal((await reader.read()).value, "two");
      peer.write(message("three"));
      await settled();
      assert.equal(await connection.receive(), "three");
    });

    it("pauses the peer while it is not pulled, and loses nothing", async () => {
      const { client, server } = pair({
        ...{ kind: protocol, ...options, capacity: 1_000 },
        client: { maxQueuedBytes: 1_000 },
        server: { maxInboxBytes: 1_000 },
      });
      const reader = server.readable.getReader();
      const text = "x".repeat(100);
      let sent = 0;
      const sending = (async () => {
        for (; sent < 100; sent += 1) await client.send(text);
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      assert.ok(sent < 40, `${sent} messages of 100 bytes`);
      for (let read = 0; read < 100; read += 1) assert.equal((await reader.read()).value, text);
      await sending;
    });

    it("closes the connection when it is cancelled, also during a pull", async () => {
      const { client, server } = pair({ kind: protocol, ...options });
      const other = handled(client);
      const reader = server.readable.getReader();
      const pulled = reader.read();
      await settled();
      await reader.cancel("enough");
      assert.equal((await pulled).done, true);
      assert.deepEqual(await other, []);
      const { wasClean, by } = await server.closed;
      assert.deepEqual([wasClean, by], [true, "local"]);
    });
  });

  describe(`the writable of ${name}`, () => {
    it("sends the written messages, and closes the connection after them", async () => {
      const { client, server } = pair({ kind: protocol, ...options });
      const received = handled(server);
      const writer = client.writable.getWriter();
      void writer.write("one");
      void writer.write("two");
      await writer.close();
      assert.deepEqual(await received, ["one", "two"]);
      assert.equal((await client.closed).wasClean, true);
    });

    it("has a pending write until the kernel has accepted it, and signals backpressure meanwhile", async () => {
      const { connection, peer } = scene(wire, { capacity: 64 });
      peer.pause();
      const writer = connection.writable.getWriter();
      await writer.ready;
      const writing = stateOf(writer.write("x".repeat(100)));
      const ready = stateOf(writer.ready);
      await settled();
      assert.deepEqual([writing.state, ready.state, writer.desiredSize], ["pending", "pending", 0]);
      peer.resume();
      await settled();
      assert.deepEqual([writing.state, ready.state, writer.desiredSize], ["resolved", "resolved", 1]);
    });

    it("passes on one message at a time", async () => {
      const { connection, peer } = scene(wire, { capacity: 64 });
      peer.pause();
      const writer = connection.writable.getWriter();
      const writes = Array.from({ length: 50 }, () => writer.write("x".repeat(100)));
      await settled();
      assert.equal(connection.queuedMessages, 1);
      peer.resume();
      await Promise.all(writes);
    });

    it("fails with the reason of the connection's end", async () => {
      const { connection, peer } = scene(wire, { capacity: 64 });
      peer.pause();
      const writer = connection.writable.getWriter();
      const failed = assert.rejects(writer.write("x".repeat(100)), { errno: "ECONNRESET" });
      const ended = assert.rejects(writer.closed, { errno: "ECONNRESET" });
      await settled();
      peer.reset();
      await Promise.all([failed, ended]);
      await assert.rejects(writer.write("y"), { errno: "ECONNRESET" });
    });

    it("rejects an invalid message, and is errored after it, as the Streams standard demands", async () => {
      const { connection } = scene(wire);
      const writer = connection.writable.getWriter();
      const ended = assert.rejects(writer.closed, TypeError);
      await assert.rejects(writer.write(5 as unknown as string), TypeError);
      await ended;
      assert.equal(connection.state, "OPEN");
      await connection.send("by other ways");
    });

    it("terminates the connection when it is aborted", async () => {
      const { client, server } = pair({ kind: protocol, ...options });
      const reason = new Error("given up");
      await client.writable.abort(reason);
      const { wasClean, cause } = await client.closed;
      assert.deepEqual([wasClean, (cause as Error).cause], [false, reason]);
      assert.equal((await server.closed).wasClean, false);
    });

    it("terminates the connection when it is aborted, also while the peer does not read", async () => {
      const { connection, peer } = scene(wire, { capacity: 64 });
      peer.pause();
      const writer = connection.writable.getWriter();
      const reason = new Error("given up");
      const writing = writer.write("x".repeat(100)).catch((error: unknown) => error);
      const ended = writer.closed.catch((error: unknown) => error);
      await settled();
      // No time passes: the abort method of a stream would wait for the pending write.
      await writer.abort(reason);
      assert.equal(((await connection.closed).cause as Error).cause, reason);
      assert.ok((await writing) instanceof Error);
      assert.equal(await ended, reason);
    });
  });

  it(`both streams of ${name} form a pipe: an echo over sockets, with backpressure at both ends`, async () => {
    await using server = await listen(wire.url, options, async ({ readable, writable }) => {
      await readable.pipeTo(writable);
    });
    const client = await connect(server.url, options);
    const COUNT = 2_000;
    const text = "x".repeat(1_000);
    const writer = client.writable.getWriter();
    const writing = (async () => {
      for (let count = 0; count < COUNT; count += 1) {
        await writer.ready;
        void writer.write(`${count} ${text}`);
      }
    })();
    let count = 0;
    for await (const message of client.readable) {
      assert.equal(message, `${count} ${text}`);
      count += 1;
      if (count === COUNT) break;
    }
    await writing;
    const { wasClean } = await client.closed;
    assert.equal(wasClean, true);
  });
}

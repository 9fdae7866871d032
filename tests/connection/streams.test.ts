/** The WHATWG streams of a connection: messages at the pace of whoever pulls, sends at the pace of the peer. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, type Data, listen } from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { joined } from "../engine/peer-frames.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { outcomeOf } from "./blocked.js";

const scene = ({ protocol, options }: Speech, more: Parameters<typeof wired>[0] = {}): Wired =>
  wired({ protocol, ...options, ...more });

async function all(readable: ReadableStream<Data>): Promise<Data[]> {
  const messages: Data[] = [];
  for await (const message of readable) messages.push(message);
  return messages;
}

/** Reads to the end and closes, as a handler does. On TCP its peer waits for that. */
async function handled(connection: Connection): Promise<Data[]> {
  const messages: Data[] = [];
  for await (const message of connection) messages.push(message);
  await connection.close();
  return messages;
}

for (const speech of SPEECHES) {
  const { name, protocol, options, message } = speech;

  describe(`the readable of ${name}`, () => {
    it("gives messages in order, and closes at a clean end", async () => {
      const { client, server } = pair({ protocol, ...options });
      const reading = all(client.readable);
      await Promise.all(["one", "two", "three"].map((text) => server.send(text)));
      void server.close();
      assert.deepEqual(await reading, ["one", "two", "three"]);
      await client.close();
    });

    it("fails with the reason of any other end, behind what came before it", async () => {
      const { connection, wire } = scene(speech);
      wire.write(message("before"));
      await settled();
      wire.reset();
      await settled();
      const reader = connection.readable.getReader();
      assert.deepEqual(await reader.read(), { done: false, value: "before" });
      await assert.rejects(reader.read(), { code: "TRANSPORT", errno: "ECONNRESET" });
      await assert.rejects(reader.closed, { code: "TRANSPORT" });
    });

    it("is the same each time that it is asked for", () => {
      const { connection } = scene(speech);
      assert.equal(connection.readable, connection.readable);
      assert.equal(connection.writable, connection.writable);
    });

    it("takes nothing that nobody has pulled", async () => {
      const { connection, wire } = scene(speech, { connection: { maxInboxMessages: 4 } });
      const { readable } = connection;
      wire.write(joined(message("one"), message("two")));
      await settled();
      assert.equal(await connection.receive(), "one");
      const reader = readable.getReader();
      assert.equal((await reader.read()).value, "two");
      wire.write(message("three"));
      await settled();
      assert.equal(await connection.receive(), "three");
    });

    it("holds the peer back while it is not pulled, and loses nothing", async () => {
      const { client, server } = pair({
        ...{ protocol, ...options, capacity: 1_000 },
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

    it("closes the connection when it is cancelled, also while somebody pulls", async () => {
      const { client, server } = pair({ protocol, ...options });
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
    it("sends what is written to it, and closes the connection behind it", async () => {
      const { client, server } = pair({ protocol, ...options });
      const received = handled(server);
      const writer = client.writable.getWriter();
      void writer.write("one");
      void writer.write("two");
      await writer.close();
      assert.deepEqual(await received, ["one", "two"]);
      assert.equal((await client.closed).wasClean, true);
    });

    it("has a write pending until the kernel has it, and wants no more meanwhile", async () => {
      const { connection, wire } = scene(speech, { capacity: 64 });
      wire.pause();
      const writer = connection.writable.getWriter();
      await writer.ready;
      const writing = outcomeOf(writer.write("x".repeat(100)));
      const ready = outcomeOf(writer.ready);
      await settled();
      assert.deepEqual([writing.state, ready.state, writer.desiredSize], ["pending", "pending", 0]);
      wire.resume();
      await settled();
      assert.deepEqual([writing.state, ready.state, writer.desiredSize], ["resolved", "resolved", 1]);
    });

    it("passes only one message at a time on, whatever is written", async () => {
      const { connection, wire } = scene(speech, { capacity: 64 });
      wire.pause();
      const writer = connection.writable.getWriter();
      const writes = Array.from({ length: 50 }, () => writer.write("x".repeat(100)));
      await settled();
      assert.equal(connection.queuedMessages, 1);
      wire.resume();
      await Promise.all(writes);
    });

    it("fails with the reason of the connection's end", async () => {
      const { connection, wire } = scene(speech, { capacity: 64 });
      wire.pause();
      const writer = connection.writable.getWriter();
      const failed = assert.rejects(writer.write("x".repeat(100)), { errno: "ECONNRESET" });
      const ended = assert.rejects(writer.closed, { errno: "ECONNRESET" });
      await settled();
      wire.reset();
      await Promise.all([failed, ended]);
      await assert.rejects(writer.write("y"), { errno: "ECONNRESET" });
    });

    it("refuses what is no message, and is then at its end, as streams are", async () => {
      const { connection } = scene(speech);
      const writer = connection.writable.getWriter();
      const ended = assert.rejects(writer.closed, TypeError);
      await assert.rejects(writer.write(5 as unknown as string), TypeError);
      await ended;
      assert.equal(connection.state, "OPEN");
      await connection.send("by other ways");
    });

    it("ends the connection at once when it is aborted", async () => {
      const { client, server } = pair({ protocol, ...options });
      const reason = new Error("given up");
      await client.writable.abort(reason);
      const { wasClean, cause } = await client.closed;
      assert.deepEqual([wasClean, (cause as Error).cause], [false, reason]);
      assert.equal((await server.closed).wasClean, false);
    });

    it("ends the connection at once when it is aborted, also while the peer does not read", async () => {
      const { connection, wire } = scene(speech, { capacity: 64 });
      wire.pause();
      const writer = connection.writable.getWriter();
      const reason = new Error("given up");
      const writing = writer.write("x".repeat(100)).catch((error: unknown) => error);
      const ended = writer.closed.catch((error: unknown) => error);
      await settled();
      // Without any time passing: a stream waits for its write that is under way before it tells of its abort.
      await writer.abort(reason);
      assert.equal(((await connection.closed).cause as Error).cause, reason);
      assert.ok((await writing) instanceof Error);
      assert.equal(await ended, reason);
    });
  });

  it(`the two of ${name} are a pipe: an echo over sockets, held back at both ends`, async () => {
    await using server = await listen(speech.url, options, async ({ readable, writable }) => {
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

/** S4: reading and writing are independent while both live, and end together. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CloseInfo, Connection, Data } from "../../src/index.js";
import { type Pair, pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { SPEECHES, type Speech } from "./speech.js";

const both = ({ protocol, options }: Speech): Pair => pair({ protocol, ...options });
const raw = ({ protocol, options }: Speech, more: object = {}): Wired => wired({ protocol, ...options, ...more });

async function drained(connection: Connection): Promise<Data[]> {
  const messages: Data[] = [];
  for await (const message of connection) messages.push(message);
  return messages;
}

/** Reads to the end and closes, as a handler does. On TCP its peer waits for that. */
async function handled(connection: Connection): Promise<CloseInfo> {
  await drained(connection);
  return connection.close();
}

describe("S4-7 reading and writing are independent of each other", () => {
  for (const speech of SPEECHES) {
    it(`S4-7 one task reads while another writes, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      const echo = (async () => {
        for await (const message of server) await server.send(message);
        return server.close();
      })();
      const sent = Array.from({ length: 100 }, (_, index) => `message ${index}`);
      const writing = (async () => {
        for (const message of sent) await client.send(message);
      })();
      const received: Data[] = [];
      const reading = (async () => {
        for await (const message of client) if (received.push(message) === sent.length) break;
      })();
      await Promise.all([writing, reading]);
      assert.deepEqual(received, sent);
      const [mine, theirs] = await Promise.all([client.close(), echo]);
      assert.deepEqual([mine.wasClean, theirs.wasClean], [true, true]);
    });

    it(`S4-7 the two streams are halves that can be handed to different owners, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      const { readable, writable } = server;
      const echo = readable.pipeTo(writable);
      await client.send("through");
      const back = await client.receive();
      assert.equal(back instanceof Uint8Array ? Buffer.from(back).toString() : back, "through");
      await client.close();
      await echo.catch(() => undefined);
      assert.equal((await server.closed).wasClean, true);
    });

    it(`S4-7 leaving the reading loop leaves the writing half and the rest to be read, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      await Promise.all(["first", "second", "third"].map((message) => client.send(message)));
      for await (const message of server) {
        assert.equal(message, "first");
        break;
      }
      await server.send("still writing");
      assert.equal(await client.receive(), "still writing");
      assert.equal(await server.receive(), "second");
      for await (const message of server) {
        assert.equal(message, "third");
        break;
      }
      assert.equal(server.state, "OPEN");
    });

    it(`S4-7 cancelling the readable closes the connection in order, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      const ended = handled(client);
      await server.readable.cancel();
      assert.equal((await ended).wasClean, true);
    });

    it(`S4-7 closing the writable sends what was written, and then closes, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      const writer = server.writable.getWriter();
      void writer.write("last words");
      const reading = drained(client);
      const closed = writer.close();
      assert.deepEqual(await reading, ["last words"]);
      assert.equal((await client.close()).wasClean, true);
      await closed;
    });

    it(`S4-7 aborting the writable ends the connection at once, on ${speech.name}`, async () => {
      const { client, server } = both(speech);
      const reading = assert.rejects(server.receive(), { code: "CLOSED", wasClean: false });
      const reason = new Error("given up");
      await server.writable.abort(reason);
      await reading;
      assert.equal(((await server.closed).cause as Error).cause, reason);
      assert.equal((await client.closed).wasClean, false);
    });
  }

  it("S4-7 on TCP the peer may end its half while ours goes on", async () => {
    const { connection, wire } = raw(SPEECHES[1] as Speech);
    wire.end();
    assert.deepEqual(await drained(connection), []);
    await connection.send("a late answer");
    await settled();
    assert.equal(Buffer.from(wire.received).toString(), "a late answer\n");
  });
});

describe("S4-8 when one half fails the other ends with it", () => {
  for (const speech of SPEECHES) {
    const failures: Record<string, (wired: Wired) => void> = {
      "a reset": ({ wire }) => wire.reset(),
      "a message that is too large": ({ wire }) => wire.write(speech.message("x".repeat(99))),
    };
    for (const [what, fail] of Object.entries(failures)) {
      it(`S4-8 sends that wait are rejected when reading fails by ${what}, on ${speech.name}`, async () => {
        const scene = raw(speech, { capacity: 64, connection: { maxMessageSize: 50, maxQueuedMessages: 2 } });
        const { connection, wire } = scene;
        wire.pause();
        const halfWritten = connection.send("p".repeat(100)).catch((error: unknown) => error);
        await settled();
        const waiting = [connection.send("queued"), connection.send("for room"), connection.drain()];
        const rejected = Promise.all(waiting.map((one) => one.catch((error: unknown) => error)));
        const reading = connection.receive().catch((error: unknown) => error);
        // No time passes: they are told when it happens, and not when some timeout ends.
        fail(scene);
        const error = await reading;
        const all = await rejected;
        assert.deepEqual(new Set(all.slice(0, 2)), new Set([error]), "and with the same error");
        await scene.clock.advance(5_000);
        await connection.closed;
        assert.equal(await halfWritten, error);
      });
    }

    it(`S4-8 reading ends when the kernel takes no more, on ${speech.name}`, async () => {
      const { connection, wire, clock } = raw(speech, { capacity: 64, connection: { writeTimeout: 1_000 } });
      wire.pause();
      const reading = drained(connection).catch((error: unknown) => error);
      const sending = connection.send("p".repeat(100)).catch((error: unknown) => error);
      await clock.advance(1_000);
      const error = await reading;
      assert.equal(await sending, error);
      assert.deepEqual([(error as Error).name, (error as { limit: string }).limit], ["TimeoutError", "writeTimeout"]);
    });

    it(`S4-8 reading ends when a send dies half on the wire, on ${speech.name}`, async () => {
      const { connection, wire, clock } = raw(speech, { capacity: 64 });
      wire.pause();
      const reading = drained(connection).catch((error: unknown) => error);
      const sending = connection.send("p".repeat(100), { timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      assert.equal(await sending, await reading);
    });
  }
});

describe("S4-9 send is a promise, and to await it is backpressure", () => {
  for (const speech of SPEECHES) {
    it(`S4-9 a loop that awaits stands still while the peer does not read, on ${speech.name}`, async () => {
      const { connection, wire } = raw(speech, { capacity: 1_000 });
      wire.pause();
      let sent = 0;
      const producer = (async () => {
        for (; sent < 100; sent += 1) await connection.send("x".repeat(100));
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      // Nine fit, with what stands around each; the kernel has not taken the whole of the tenth.
      assert.deepEqual([sent, connection.queuedMessages], [9, 1]);
      wire.resume();
      await producer;
      await settled();
      assert.equal(wire.received.length, 100 * speech.message("x".repeat(100), "server").length);
    });
  }
});

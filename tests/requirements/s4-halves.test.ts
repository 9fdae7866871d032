/** S4: reading and writing are independent while both work, and end together. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CloseInfo, Connection, Message } from "../../src/index.ts";
import { type Pair, pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const both = ({ protocol, options }: WireProtocol): Pair => pair({ kind: protocol, ...options });
const raw = ({ protocol, options }: WireProtocol, more: object = {}): Wired =>
  wired({ kind: protocol, ...options, ...more });

async function drained(connection: Connection): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of connection) messages.push(message);
  return messages;
}

/** Reads to the end and closes, as a handler does. On TCP the peer waits for that. */
async function handled(connection: Connection): Promise<CloseInfo> {
  await drained(connection);
  return connection.close();
}

describe("S4-7 reading and writing are independent of each other", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S4-7 one task reads while another writes, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
      const echo = (async () => {
        for await (const message of server) await server.send(message);
        return server.close();
      })();
      const sent = Array.from({ length: 100 }, (_, index) => `message ${index}`);
      const writing = (async () => {
        for (const message of sent) await client.send(message);
      })();
      const received: Message[] = [];
      const reading = (async () => {
        for await (const message of client) if (received.push(message) === sent.length) break;
      })();
      await Promise.all([writing, reading]);
      assert.deepEqual(received, sent);
      const [mine, theirs] = await Promise.all([client.close(), echo]);
      assert.deepEqual([mine.wasClean, theirs.wasClean], [true, true]);
    });

    it(`S4-7 the two streams are halves that can have different owners, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
      const { readable, writable } = server;
      const echo = readable.pipeTo(writable);
      await client.send("through");
      const back = await client.receive();
      assert.equal(back instanceof Uint8Array ? Buffer.from(back).toString() : back, "through");
      await client.close();
      await echo.catch(() => undefined);
      assert.equal((await server.closed).wasClean, true);
    });

    it(`S4-7 to leave the reading loop keeps the writing half, and the unread messages, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
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

    it(`S4-7 cancelling the readable closes the connection cleanly, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
      const ended = handled(client);
      await server.readable.cancel();
      assert.equal((await ended).wasClean, true);
    });

    it(`S4-7 closing the writable sends what was written, and then closes, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
      const writer = server.writable.getWriter();
      void writer.write("last words");
      const reading = drained(client);
      const closed = writer.close();
      assert.deepEqual(await reading, ["last words"]);
      assert.equal((await client.close()).wasClean, true);
      await closed;
    });

    it(`S4-7 aborting the writable ends the connection at once, on ${wire.name}`, async () => {
      const { client, server } = both(wire);
      const reading = assert.rejects(server.receive(), { code: "CLOSED", wasClean: false });
      const reason = new Error("given up");
      await server.writable.abort(reason);
      await reading;
      assert.equal(((await server.closed).cause as Error).cause, reason);
      assert.equal((await client.closed).wasClean, false);
    });
  }

  it("S4-7 on TCP the peer may end its half while ours continues", async () => {
    const { connection, peer } = raw(WIRE_PROTOCOLS[1] as WireProtocol, { connection: { allowHalfOpen: true } });
    peer.end();
    assert.deepEqual(await drained(connection), []);
    await connection.send("a late answer");
    await settled();
    assert.equal(Buffer.from(peer.received).toString(), "a late answer\n");
  });
});

describe("S4-8 when one half fails the other ends with it", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const failures: Record<string, (wired: Wired) => void> = {
      "a reset": ({ peer }) => peer.reset(),
      "a message that is too large": ({ peer }) => peer.write(wire.message("x".repeat(99))),
    };
    for (const [what, fail] of Object.entries(failures)) {
      it(`S4-8 waiting sends reject when reading fails by ${what}, on ${wire.name}`, async () => {
        const scene = raw(wire, { capacity: 64, connection: { maxMessageSize: 50, maxQueuedMessages: 2 } });
        const { connection, peer } = scene;
        peer.pause();
        const halfWritten = connection.send("p".repeat(100)).catch((error: unknown) => error);
        await settled();
        const waiting = [connection.send("queued"), connection.send("for room"), connection.drain()];
        const rejected = Promise.all(waiting.map((one) => one.catch((error: unknown) => error)));
        const reading = connection.receive().catch((error: unknown) => error);
        // No time passes: they reject when it happens, not by a timeout.
        fail(scene);
        const error = await reading;
        const all = await rejected;
        assert.deepEqual(new Set(all.slice(0, 2)), new Set([error]), "and with the same error");
        await scene.clock.advance(5_000);
        await connection.closed;
        assert.equal(await halfWritten, error);
      });
    }

    it(`S4-8 reading ends when the kernel accepts no more, on ${wire.name}`, async () => {
      const { connection, peer, clock } = raw(wire, { capacity: 64, connection: { writeTimeout: 1_000 } });
      peer.pause();
      const reading = drained(connection).catch((error: unknown) => error);
      const sending = connection.send("p".repeat(100)).catch((error: unknown) => error);
      await clock.advance(1_000);
      const error = await reading;
      assert.equal(await sending, error);
      assert.deepEqual([(error as Error).name, (error as { limit: string }).limit], ["TimeoutError", "writeTimeout"]);
    });

    it(`S4-8 reading ends when a send fails half written, on ${wire.name}`, async () => {
      const { connection, peer, clock } = raw(wire, { capacity: 64 });
      peer.pause();
      const reading = drained(connection).catch((error: unknown) => error);
      const sending = connection.send("p".repeat(100), { timeout: 10 }).catch((error: unknown) => error);
      await clock.advance(10);
      assert.equal(await sending, await reading);
    });
  }
});

describe("S4-9 send is a promise, and to await it is backpressure", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S4-9 a loop that awaits stops while the peer does not read, on ${wire.name}`, async () => {
      const { connection, peer } = raw(wire, { capacity: 1_000 });
      peer.pause();
      let sent = 0;
      const producer = (async () => {
        for (; sent < 100; sent += 1) await connection.send("x".repeat(100));
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      // Nine fit with their overhead. The kernel has not accepted the whole tenth.
      assert.deepEqual([sent, connection.queuedMessages], [9, 1]);
      peer.resume();
      await producer;
      await settled();
      assert.equal(peer.received.length, 100 * wire.message("x".repeat(100), "server").length);
    });
  }
});

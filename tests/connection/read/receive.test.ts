/** `receive` on a connection that streams: it assembles messages within the limits of one call. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { joined } from "../../kit/frames.ts";
import { begun, part, textOf } from "../message-parts.ts";

describe("receive on a connection that streams", () => {
  it("assembles messages, as do the other ways to receive", async () => {
    const { connection, peer, rest } = begun();
    rest();
    peer.write(joined(part(1, "next"), part(2, Uint8Array.of(7)), part(1, "last")));
    assert.equal(await connection.receive(), "one two three");
    assert.deepEqual(await connection[Symbol.asyncIterator]().next(), { done: false, value: "next" });
    assert.deepEqual((await connection.readable.getReader().read()).value, Uint8Array.of(7));
    assert.equal(await connection.receive(), "last");
  });

  it("is limited by maxMessageSize, and continues with the next message", async () => {
    const { connection, peer, rest } = begun({ connection: { maxMessageSize: 7 } });
    rest();
    peer.write(part(1, "next"));
    await assert.rejects(connection.receive(), { code: "LIMIT", limit: "maxMessageSize", maximum: 7, actual: 8 });
    assert.equal(connection.state, "OPEN");
    assert.equal(await connection.receive(), "next");
    peer.write(joined(part(2, new Uint8Array(8)), part(1, "again")));
    await assert.rejects(connection.receive(), { code: "LIMIT", actual: 8 });
    assert.equal(await connection.receive(), "again");
    peer.write(joined(part(2, new Uint8Array(8), false), part(0, ""), part(1, "and read")));
    await assert.rejects(connection.receive(), { code: "LIMIT", actual: 8 });
    assert.equal(await textOf(await connection.reader()), "and read");
  });

  for (const [bound, bounds] of Object.entries({ timeout: { timeout: 10 }, signal: {} })) {
    it(`has one ${bound} for the whole message, and keeps the received pieces`, async () => {
      const { connection, peer, clock, rest } = begun();
      const exit = new AbortController();
      const failed = assert.rejects(
        connection.receive({ ...bounds, signal: exit.signal }),
        bound === "timeout"
          ? { ...{ code: "TIMEOUT", limit: "timeout", bound: 10, after: 10 } }
          : { name: "AbortError" },
      );
      await clock.advance(6);
      peer.write(part(0, "and a half ", false));
      await clock.advance(4);
      if (bound === "signal") exit.abort();
      await failed;
      assert.equal(connection.state, "OPEN");
      const again = connection.receive();
      rest();
      assert.equal(await again, "one and a half two three");
    });
  }

  it("keeps the assembled part for the next reader, also for a reader in pieces", async () => {
    const { connection, peer, clock, rest } = begun();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const timedOut = assert.rejects(connection.receive({ timeout: 10 }), { code: "TIMEOUT", retriable: true });
      await clock.advance(10);
      await timedOut;
      peer.write(part(0, `${attempt} `, false));
    }
    const reader = await connection.reader();
    rest();
    assert.equal(await textOf(reader), "one 0 1 2 two three");
  });
});

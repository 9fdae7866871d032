/** Messages read in pieces: larger than the inbox, at the pace of the reader, one after another. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { connect, listen } from "../../../src/index.ts";
import { type LinkedOptions, pair, settled, wired } from "../../../src/testing/index.ts";
import { joined } from "../../kit/frames.ts";
import { begun, part, STREAMING, textOf } from "../message-parts.ts";

describe("a message that is read in pieces", () => {
  it("is available before its last byte has arrived", async () => {
    const { connection, rest } = begun();
    const reader = await connection.reader();
    assert.equal(reader.type, "text");
    assert.equal(Buffer.from((await reader.read()) as Uint8Array).toString(), "one ");
    rest();
    assert.equal(await textOf(reader), "two three");
    assert.equal(await reader.read(), undefined);
    assert.equal(await reader.read(), undefined, "and its end stays its end");
  });

  it("may be split inside a character, and is valid UTF-8 as a whole", async () => {
    const { connection, peer } = wired({ connection: STREAMING });
    const bytes = Buffer.from("\u{1f600}");
    peer.write(joined(part(1, bytes.subarray(0, 1), false), part(0, bytes.subarray(1))));
    const reader = await connection.reader();
    const [first, second] = [await reader.read(), await reader.read()];
    assert.deepEqual([first?.length, second?.length], [1, 3]);
    assert.equal(Buffer.concat([first as Uint8Array, second as Uint8Array]).toString(), "\u{1f600}");
  });

  it("may be empty, of either type", async () => {
    const { connection, peer } = wired({ connection: STREAMING });
    peer.write(joined(part(1, ""), part(2, ""), part(2, "", false), part(0, "", false), part(0, "")));
    for (const type of ["text", "binary", "binary"]) {
      const reader = await connection.reader();
      assert.equal(reader.type, type);
      assert.equal(await reader.read(), undefined);
    }
  });

  it("is one piece without streaming, and text is its UTF-8", async () => {
    const { connection, peer } = wired();
    peer.write(joined(part(1, "h\u{e9}", false), part(0, "llo"), part(2, Uint8Array.of(1, 2, 3))));
    const text = await connection.reader();
    assert.deepEqual(Buffer.from((await text.read()) as Uint8Array).toString(), "h\u{e9}llo");
    assert.equal(await text.read(), undefined);
    const binary = await connection.reader();
    assert.deepEqual([binary.type, await binary.read()], ["binary", Uint8Array.of(1, 2, 3)]);
  });

  it("must be read to its end before the next message", async () => {
    const { connection, peer, rest } = begun();
    const reader = await connection.reader();
    await assert.rejects(connection.reader(), { name: "TypeError", message: /not been read to its end/ });
    await assert.rejects(connection.receive(), { name: "TypeError", message: /not been read to its end/ });
    rest();
    assert.equal(await textOf(reader), "one two three");
    peer.write(part(1, "next"));
    assert.equal(await textOf(await connection.reader()), "next");
  });

  for (const [kind, framing, bytes] of [
    ["lines", "lines", "a line\n"],
    ["a length prefix", { lengthPrefix: 2, text: true }, "\u0000\u0006a line"],
    ["a delimiter", { delimiter: "--", text: true }, "a line--"],
  ] as const) {
    it(`works on TCP too, with ${kind}`, async () => {
      const framed: LinkedOptions = { kind: "tcp", framing };
      const { connection, peer } = wired({ ...framed, connection: STREAMING });
      for (let message = 0; message < 2; message += 1) {
        for (const byte of Buffer.from(bytes)) {
          peer.write([byte]);
          await settled();
        }
        const reader = await connection.reader();
        assert.equal(reader.type, "text");
        assert.equal(await textOf(reader), "a line");
      }
    });
  }
});

describe("a message of 64 MiB", () => {
  const SIZE = 64 * 1_048_576;
  const CHUNK = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 31) % 251));
  // The limit of the inbox, the buffers of the kernels, one write, and the part that is being written.
  const UNDER_WAY = 262_144 + 65_536 + 65_536 + CHUNK.length;

  it("passes through a bounded inbox at the pace of its reader, and arrives byte for byte", async () => {
    const { client, server } = pair({ server: STREAMING });
    const [sent, received] = [createHash("sha1"), createHash("sha1")];
    let [written, read, most] = [0, 0, 0];
    const writing = (async () => {
      await using writer = client.writer();
      for (; written < SIZE; written += CHUNK.length) {
        sent.update(CHUNK);
        await writer.write(CHUNK);
      }
      await writer.end();
    })();
    const reader = await server.reader();
    for await (const piece of reader) {
      received.update(piece);
      read += piece.length;
      most = Math.max(most, written - read);
      // Sometimes slower than the writer, so that the inbox becomes full.
      if (read % 7 === 0) for (let turn = 0; turn < 8; turn += 1) await new Promise(setImmediate);
    }
    await writing;
    assert.equal(read, written);
    assert.equal(received.digest("hex"), sent.digest("hex"));
    assert.ok(most > 65_536, `${most} bytes: the writer ran ahead`);
    assert.ok(most <= UNDER_WAY, `${most} bytes were under way`);
    await client.send("and then");
    assert.equal(await server.receive(), "and then");
  });

  it("pauses the sender while it is not read", async () => {
    const { client, server } = pair({ server: STREAMING });
    let written = 0;
    const writing = (async () => {
      await using writer = client.writer();
      for (; written < SIZE; written += CHUNK.length) await writer.write(CHUNK);
      await writer.end();
    })();
    for (let before = -1; before !== written; await settled()) before = written;
    assert.ok(written <= UNDER_WAY, `${written} bytes`);
    const stopped = assert.rejects(writing, { code: "CLOSED" });
    server.terminate();
    client.terminate();
    await stopped;
  });

  it("passes on real sockets, too", async () => {
    let size = 0;
    await using server = await listen("ws://127.0.0.1:0", STREAMING, async (connection) => {
      for await (const piece of await connection.reader()) size += piece.length;
      await connection.send(`${size}`);
    });
    await using client = await connect(server.url);
    const writer = client.writer();
    for (let written = 0; written < SIZE; written += 1_048_576) await writer.write(new Uint8Array(1_048_576));
    await writer.end();
    assert.equal(await client.receive(), `${SIZE}`);
  });
});

describe("a reader that stops early", () => {
  it("by break discards the rest, so that the next message can be read", async () => {
    const { connection, peer, rest } = begun();
    const reading = (async () => {
      for await (const piece of await connection.reader()) return Buffer.from(piece).toString();
      return undefined;
    })();
    await settled();
    rest();
    peer.write(part(1, "next"));
    assert.equal(await reading, "one ");
    assert.equal(await connection.receive(), "next");
  });

  it("by cancelling its stream discards the rest, also the piece of a pending read", async () => {
    const { connection, peer, rest } = begun();
    const stream = (await connection.reader()).stream().getReader();
    assert.equal(Buffer.from((await stream.read()).value as Uint8Array).toString(), "one ");
    const waiting = stream.read();
    await settled();
    const cancelled = stream.cancel();
    rest();
    peer.write(part(1, "next"));
    await cancelled;
    assert.equal((await waiting).done, true);
    assert.equal(await connection.receive(), "next");
  });

  it("by a time limit can continue from the same position", async () => {
    const { connection, clock, rest } = begun();
    const reader = await connection.reader();
    await reader.read();
    const timedOut = assert.rejects(reader.read({ timeout: 10 }), { code: "TIMEOUT", partial: 10, retriable: true });
    await clock.advance(10);
    await timedOut;
    rest();
    assert.equal(await textOf(reader), "two three");
  });

  it("by a time limit before the message has begun has read nothing", async () => {
    const { connection, peer, clock } = wired({ connection: STREAMING });
    const timedOut = assert.rejects(connection.reader({ timeout: 10 }), { code: "TIMEOUT", partial: 0 });
    await clock.advance(10);
    await timedOut;
    peer.write(part(1, "late"));
    assert.equal(await textOf(await connection.reader()), "late");
  });

  it("by the end of the connection rejects with the reason of the end, as do all later reads", async () => {
    const { connection, link } = begun();
    const reader = await connection.reader();
    await reader.read();
    const waiting = reader.read().catch((error: unknown) => error);
    await settled();
    link.reset();
    const error = await waiting;
    assert.equal((error as { errno?: string }).errno, "ECONNRESET");
    for (const call of [() => reader.read(), () => connection.receive(), () => connection.reader()]) {
      assert.equal(await call().catch((again: unknown) => again), error);
    }
  });

  it("must be the only one: a second concurrent read of the same message is a TypeError", async () => {
    const { connection, peer, rest } = begun();
    const reader = await connection.reader();
    await reader.read();
    const waiting = reader.read();
    await assert.rejects(reader.read(), { name: "TypeError", message: /another read/ });
    rest();
    assert.equal(Buffer.from((await waiting) as Uint8Array).toString(), "two ");
    peer.write(part(1, "next"));
    assert.equal(await textOf(reader), "three");
    assert.equal(await connection.receive(), "next");
  });
});

describe("the stream of a message", () => {
  it("takes from the connection only the pieces that are pulled", async () => {
    const { client, server } = pair({ server: { ...STREAMING, maxInboxBytes: 1_000 }, capacity: 1_000 });
    let written = 0;
    const writing = (async () => {
      await using writer = client.writer();
      for (; written < 100_000; written += 1_000) await writer.write(new Uint8Array(1_000).fill(written % 251));
      await writer.end();
    })();
    const stream = (await server.reader()).stream();
    for (let before = -1; before !== written; await settled()) before = written;
    assert.ok(written < 10_000, `${written} bytes`);
    const pieces: Uint8Array[] = [];
    for await (const piece of stream) pieces.push(piece);
    await writing;
    const whole = Buffer.concat(pieces);
    assert.equal(whole.length, 100_000);
    for (let at = 0; at < whole.length; at += 1_000) assert.equal(whole[at], at % 251);
  });

  it("fails when the connection fails", async () => {
    const { connection, link } = begun();
    const stream = (await connection.reader()).stream().getReader();
    await stream.read();
    const failed = assert.rejects(stream.read(), { errno: "ECONNRESET" });
    await settled();
    link.reset();
    await failed;
  });
});

describe("collect", () => {
  it("returns the whole message with its type", async () => {
    const { connection, peer, rest } = begun();
    rest();
    peer.write(joined(part(2, Uint8Array.of(1), false), part(0, Uint8Array.of(2)), part(1, "\u{feff}mark")));
    assert.equal(await (await connection.reader()).collect(13), "one two three");
    assert.deepEqual(await (await connection.reader()).collect(2), Uint8Array.of(1, 2));
    assert.equal(await (await connection.reader()).collect(10), "\u{feff}mark", "with its byte order mark");
  });

  it("rejects a message above the maximum, and the rest can still be read", async () => {
    const { connection, peer, rest } = begun();
    rest();
    peer.write(part(1, "next"));
    const reader = await connection.reader();
    const limit = { code: "LIMIT", limit: "maximum", maximum: 7, actual: 8 };
    for (const wrong of [undefined, null, "7", {}]) await assert.rejects(reader.collect(wrong as never), TypeError);
    for (const wrong of [Number.NaN, -1]) await assert.rejects(reader.collect(wrong), RangeError);
    await assert.rejects(reader.collect(7), limit);
    assert.equal(await textOf(reader), "three");
    assert.equal(await connection.receive(), "next");
  });

  it("that timed out continues from the same position", async () => {
    const { connection, clock, rest } = begun();
    const reader = await connection.reader();
    connection.setReadDeadline(clock.in(10));
    const timedOut = assert.rejects(reader.collect(100), { limit: "readDeadline" });
    await clock.advance(10);
    await timedOut;
    connection.setReadDeadline(undefined);
    rest();
    assert.equal(await reader.collect(100), "one two three");
  });
});

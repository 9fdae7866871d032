/** Messages read in pieces: larger than what may be stored, at the reader's pace, and one behind the other. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { connect, listen } from "../../src/index.js";
import { type LinkedOptions, pair, settled, wired } from "../../src/testing/index.js";
import { joined } from "../engine/peer-frames.js";
import { begun, part, STREAMING, textOf } from "./pieces.js";

describe("a message that is read in pieces", () => {
  it("is given as it comes, before its end has", async () => {
    const { connection, rest } = begun();
    const reader = await connection.reader();
    assert.equal(reader.type, "text");
    assert.equal(Buffer.from((await reader.read()) as Uint8Array).toString(), "one ");
    rest();
    assert.equal(await textOf(reader), "two three");
    assert.equal(await reader.read(), undefined);
    assert.equal(await reader.read(), undefined, "and its end stays its end");
  });

  it("may be cut inside a character, and is valid as a whole", async () => {
    const { connection, wire } = wired({ connection: STREAMING });
    const bytes = Buffer.from("\u{1f600}");
    wire.write(joined(part(1, bytes.subarray(0, 1), false), part(0, bytes.subarray(1))));
    const reader = await connection.reader();
    const [first, second] = [await reader.read(), await reader.read()];
    assert.deepEqual([first?.length, second?.length], [1, 3]);
    assert.equal(Buffer.concat([first as Uint8Array, second as Uint8Array]).toString(), "\u{1f600}");
  });

  it("may be empty, of either type", async () => {
    const { connection, wire } = wired({ connection: STREAMING });
    wire.write(joined(part(1, ""), part(2, ""), part(2, "", false), part(0, "", false), part(0, "")));
    for (const type of ["text", "binary", "binary"]) {
      const reader = await connection.reader();
      assert.equal(reader.type, type);
      assert.equal(await reader.read(), undefined);
    }
  });

  it("is one piece without streaming, text as its UTF-8", async () => {
    const { connection, wire } = wired();
    wire.write(joined(part(1, "h\u{e9}", false), part(0, "llo"), part(2, Uint8Array.of(1, 2, 3))));
    const text = await connection.reader();
    assert.deepEqual(Buffer.from((await text.read()) as Uint8Array).toString(), "h\u{e9}llo");
    assert.equal(await text.read(), undefined);
    const binary = await connection.reader();
    assert.deepEqual([binary.type, await binary.read()], ["binary", Uint8Array.of(1, 2, 3)]);
  });

  it("has to be read to its end before the next", async () => {
    const { connection, wire, rest } = begun();
    const reader = await connection.reader();
    await assert.rejects(connection.reader(), { name: "TypeError", message: /not been read to its end/ });
    await assert.rejects(connection.receive(), { name: "TypeError", message: /not been read to its end/ });
    rest();
    assert.equal(await textOf(reader), "one two three");
    wire.write(part(1, "next"));
    assert.equal(await textOf(await connection.reader()), "next");
  });

  for (const [how, framing, bytes] of [
    ["lines", "lines", "a line\n"],
    ["a length before it", { lengthPrefix: 2, text: true }, "\u0000\u0006a line"],
    ["a delimiter", { delimiter: "--", text: true }, "a line--"],
  ] as const) {
    it(`is so on TCP too, with ${how}`, async () => {
      const framed: LinkedOptions = { protocol: "tcp", framing };
      const { connection, wire } = wired({ ...framed, connection: STREAMING });
      for (let message = 0; message < 2; message += 1) {
        for (const byte of Buffer.from(bytes)) {
          wire.write([byte]);
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
  // What the inbox holds, what the kernels hold, one write, and the part that is being written.
  const UNDER_WAY = 262_144 + 65_536 + 65_536 + CHUNK.length;

  it("goes through a bounded inbox at the pace of its reader, and arrives byte for byte", async () => {
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
      // Slower than the writer at times, so that the inbox is full.
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

  it("is held back as long as it is not read", async () => {
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

  it("does so on sockets", async () => {
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
    const { connection, wire, rest } = begun();
    const reading = (async () => {
      for await (const piece of await connection.reader()) return Buffer.from(piece).toString();
      return undefined;
    })();
    await settled();
    rest();
    wire.write(part(1, "next"));
    assert.equal(await reading, "one ");
    assert.equal(await connection.receive(), "next");
  });

  it("by cancelling its stream discards the rest too, also what it was waiting for", async () => {
    const { connection, wire, rest } = begun();
    const stream = (await connection.reader()).stream().getReader();
    assert.equal(Buffer.from((await stream.read()).value as Uint8Array).toString(), "one ");
    const waiting = stream.read();
    await settled();
    const cancelled = stream.cancel();
    rest();
    wire.write(part(1, "next"));
    await cancelled;
    assert.equal((await waiting).done, true);
    assert.equal(await connection.receive(), "next");
  });

  it("by a bound in time goes on where it was", async () => {
    const { connection, clock, rest } = begun();
    const reader = await connection.reader();
    await reader.read();
    const timedOut = assert.rejects(reader.read({ timeout: 10 }), { code: "TIMEOUT", partial: 10, retriable: true });
    await clock.advance(10);
    await timedOut;
    rest();
    assert.equal(await textOf(reader), "two three");
  });

  it("by a bound before its message has begun has none", async () => {
    const { connection, wire, clock } = wired({ connection: STREAMING });
    const timedOut = assert.rejects(connection.reader({ timeout: 10 }), { code: "TIMEOUT", partial: 0 });
    await clock.advance(10);
    await timedOut;
    wire.write(part(1, "late"));
    assert.equal(await textOf(await connection.reader()), "late");
  });

  it("by the connection's end has the reason of it, as has everybody after it", async () => {
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

  it("is one: a second read of the same message beside it is a mistake", async () => {
    const { connection, wire, rest } = begun();
    const reader = await connection.reader();
    await reader.read();
    const waiting = reader.read();
    await assert.rejects(reader.read(), { name: "TypeError", message: /another read/ });
    rest();
    assert.equal(Buffer.from((await waiting) as Uint8Array).toString(), "two ");
    wire.write(part(1, "next"));
    assert.equal(await textOf(reader), "three");
    assert.equal(await connection.receive(), "next");
  });
});

describe("the stream of a message", () => {
  it("takes from the connection only what is pulled from it", async () => {
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

  it("fails with the connection", async () => {
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
  it("puts a message together as what it is", async () => {
    const { connection, wire, rest } = begun();
    rest();
    wire.write(joined(part(2, Uint8Array.of(1), false), part(0, Uint8Array.of(2)), part(1, "\u{feff}mark")));
    assert.equal(await (await connection.reader()).collect(13), "one two three");
    assert.deepEqual(await (await connection.reader()).collect(2), Uint8Array.of(1, 2));
    assert.equal(await (await connection.reader()).collect(10), "\u{feff}mark", "with its byte order mark");
  });

  it("refuses more than it may have, with the rest still to be read", async () => {
    const { connection, wire, rest } = begun();
    rest();
    wire.write(part(1, "next"));
    const reader = await connection.reader();
    const limit = { code: "LIMIT", limit: "maximum", maximum: 7, actual: 8 };
    await assert.rejects(reader.collect(7), limit);
    assert.equal(await textOf(reader), "three");
    assert.equal(await connection.receive(), "next");
  });

  it("that ran out of time goes on where it was", async () => {
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

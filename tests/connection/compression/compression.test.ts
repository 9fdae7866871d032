/** Compressed messages, sent and received: order, context takeover, limits, and the end of the connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CompressionOptions, type ConnectionOptions, Group, LimitError, prepare } from "../../../src/index.ts";
import { ManualClock, pair, settled, type Wired, wired } from "../../../src/testing/index.ts";
import { deflateLater, inflateLater, MAX_SYNCHRONOUS } from "../../../src/transport/zlib/zlib.ts";
import { FrameReader, KEY, peerFrame } from "../../kit/frames.ts";
import { PackedPeer, type Unpacked } from "./compressing-peer.ts";

const CAPACITY = 2 ** 24;

/** A text that compresses well, but not so well that it exceeds `maxInflationRatio`. */
function prose(size: number, seed = 1): string {
  let text = "";
  for (let index = seed; text.length < size; index += 1) text += `${(index * 7919) % 104729} words of text, `;
  return text.slice(0, size);
}

const SMALL: string = prose(2_000);
const GREETING =
  "A quick brown fox, jumping over one hundred and twenty-three lazy dogs, greets you with \u00e9lan; and you?";
const LARGE: string = prose(300_000, 5);
assert.ok(LARGE.length > MAX_SYNCHRONOUS);

function scene(compression: boolean | CompressionOptions, connection: ConnectionOptions = {}): Wired {
  return wired({ compression, connection, capacity: CAPACITY });
}

async function messagesOf({ peer }: Wired, count: number, inflater: PackedPeer): Promise<Unpacked[]> {
  const done = (): boolean =>
    new FrameReader().push(peer.received).filter(({ opcode, fin }) => opcode < 8 && fin).length >= count;
  await peer.until(done);
  return inflater.read(peer.received);
}

describe("messages sent on a connection with compression", () => {
  it("are compressed from the threshold on, if that makes them smaller", async () => {
    const made = scene({ threshold: 100 });
    const random = Array.from({ length: 300 }, (_, index) =>
      String.fromCharCode(32 + ((index * index * 31) % 94)),
    ).join("");
    const texts = [prose(99), prose(100), random];
    for (const text of texts) void made.connection.send(text);
    void made.connection.send(Buffer.from(SMALL));
    const messages = await messagesOf(made, 4, new PackedPeer());
    assert.deepEqual(
      messages.map(({ text, opcode }) => [text, opcode]),
      [...texts.map((text) => [text, 1]), [SMALL, 2]],
    );
    assert.deepEqual(messages.map(({ packed }) => packed).slice(0, 2), [false, true]);
    for (const { packed, size, text } of messages) assert.equal(size < text.length, packed);
  });

  it("are compressed or not as `compress` says: one message, a prepared one, one in parts, and one to a group", async () => {
    const made = scene({ threshold: 1_000 });
    const { connection } = made;
    const group = new Group();
    group.join(connection);
    const short = "abc ".repeat(20);
    const sends: readonly ((compress: boolean, text: string) => unknown)[] = [
      (compress, text) => connection.send(text, { compress }),
      (compress, text) => connection.trySend(text, { compress }),
      (compress, text) => connection.send(prepare(text, { compress })),
      (compress, text) => connection.send(prepare(text), { compress }),
      (compress, text) => connection.send(prepare(text, { compress: !compress }), { compress }),
      (compress, text) => connection.writer("text", { compress }).end(text),
      (compress, text) => group.send(text, { compress }),
    ];
    for (const send of sends) {
      void send(true, short);
      void send(false, SMALL);
    }
    const messages = await messagesOf(made, 2 * sends.length, new PackedPeer());
    assert.deepEqual(
      messages.map(({ text, packed }) => [text, packed]),
      sends.flatMap(() => [
        [short, true],
        [SMALL, false],
      ]),
    );
    for (const misuse of [1, "yes", null]) {
      await assert.rejects(connection.send("", { compress: misuse as never }), /Cannot use compress/);
      assert.throws(() => connection.writer("text", { compress: misuse as never }), /Cannot use compress/);
    }
  });

  it("keep their order, large or small, compressed or not", async () => {
    const made = scene({ threshold: 1_000 });
    const texts = [LARGE, "small", SMALL, LARGE.slice(1), LARGE.slice(2), "end"];
    const sent = texts.map((text, index) => made.connection.send(text, { compress: index !== 3 }));
    assert.deepEqual(
      (await messagesOf(made, texts.length, new PackedPeer())).map(({ text }) => text),
      texts,
    );
    await Promise.all(sent);
  });

  for (const windowBits of [8, 9, 12, 15]) {
    it(`refer to earlier ones if that was negotiated, in a window of ${windowBits} bits`, async () => {
      const made = scene({ serverContextTakeover: true, serverWindowBits: windowBits, threshold: 0 });
      const { connection } = made;
      const texts = [GREETING, GREETING, LARGE, GREETING, SMALL, SMALL];
      for (const text of texts) void connection.send(text);
      void connection.send(GREETING, { compress: false });
      void connection.send(prepare(SMALL));
      void connection.send(SMALL);
      const writer = connection.writer("text");
      for (const part of ["hello ", "there, ", LARGE]) void writer.write(part);
      void writer.end("stranger");
      void connection.send(GREETING);
      const all = [...texts, GREETING, SMALL, SMALL, `hello there, ${LARGE}stranger`, GREETING];
      // For 2^8, zlib itself uses 2^9.
      const messages = await messagesOf(
        made,
        all.length,
        new PackedPeer({ takeover: true, windowBits: Math.max(9, windowBits) }),
      );
      assert.deepEqual(
        messages.map(({ text }) => text),
        all,
      );
      assert.ok((messages[1] as Unpacked).size < (messages[0] as Unpacked).size / 2, "the second refers to the first");
    });
  }

  it("in parts have RSV1 on the first frame only, and leave as they are written", async () => {
    const made = scene({ threshold: 10 });
    const writer = made.connection.writer("text");
    const parts = [SMALL, "", "short", LARGE, prose(70_000, 9)];
    for (const part of parts) await writer.write(part);
    await writer.end();
    const frames = new FrameReader().push(made.peer.received);
    assert.deepEqual(
      frames.map(({ opcode, rsv, fin }) => [opcode, rsv, fin]),
      [[1, 4, false], ...parts.slice(1).map(() => [0, 0, false]), [0, 0, true]],
    );
    assert.deepEqual((await new PackedPeer().read(made.peer.received))[0]?.text, parts.join(""));
  });

  it("in parts are not compressed if the first part is below the threshold", async () => {
    const made = scene({ threshold: 100 });
    const writer = made.connection.writer("text");
    await writer.write("a");
    await writer.end(SMALL);
    const [message] = await messagesOf(made, 1, new PackedPeer());
    assert.deepEqual([message?.text, message?.packed], [`a${SMALL}`, false]);
  });

  it("can be withdrawn while another thread compresses them, and do not affect later messages", async () => {
    const made = scene({ serverContextTakeover: true, threshold: 0 });
    const { connection } = made;
    const gone = new AbortController();
    const pool = occupied();
    const first = connection.send(SMALL);
    const taken = connection.send(LARGE, { signal: gone.signal });
    const last = connection.send(SMALL);
    await settled();
    gone.abort(new Error("never mind"));
    await assert.rejects(taken, /never mind/);
    await Promise.all([first, last, pool]);
    const messages = await messagesOf(made, 2, new PackedPeer({ takeover: true }));
    assert.deepEqual(
      messages.map(({ text }) => text),
      [SMALL, SMALL],
    );
    assert.equal(connection.queuedBytes, 0);
  });

  it("have the content of the time of the call, although the caller transfers the buffer before they are written", async () => {
    const made = scene(true);
    const pool = occupied();
    const bytes = Uint8Array.from(Buffer.from(LARGE));
    const sent = made.connection.send(bytes);
    await settled();
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.equal(bytes.length, 0);
    const [message] = await messagesOf(made, 1, new PackedPeer());
    assert.deepEqual([message?.packed, message?.text], [true, LARGE]);
    await Promise.all([sent, pool]);
  });

  it("that are dropped do not affect later messages", async () => {
    const made = wired({
      compression: { serverContextTakeover: true, threshold: 0 },
      connection: { overflow: "drop-oldest", maxQueuedMessages: 3 },
      capacity: CAPACITY,
    });
    for (let count = 0; count < 20; count += 1) made.connection.trySend(`${count} ${SMALL}`);
    const messages = await messagesOf(made, 3, new PackedPeer({ takeover: true }));
    assert.deepEqual(
      messages.map(({ text }) => text),
      [17, 18, 19].map((count) => `${count} ${SMALL}`),
    );
    assert.equal(made.connection.droppedMessages, 17);
  });

  it("are all sent before a Close, however long the compression takes", async () => {
    const made = scene({ threshold: 0 });
    const sent = made.connection.send(LARGE);
    void made.connection.close(1000, "done");
    await sent;
    await made.peer.until(({ received }) => new FrameReader().push(received).some(({ opcode }) => opcode === 8));
    assert.equal((await new PackedPeer().read(made.peer.received))[0]?.text, LARGE);
  });

  it("to a group are compressed once, and have the same bytes for every member", async () => {
    const compression = { threshold: 100 };
    const members = [scene(compression), scene({ ...compression, serverContextTakeover: true }), scene(false)];
    const group = new Group();
    for (const { connection } of members) group.join(connection);
    const shared = prepare(SMALL);
    group.send(shared);
    group.send(shared);
    for (const [index, made] of members.entries()) {
      const messages = await messagesOf(made, 2, new PackedPeer({ takeover: index === 1 }));
      assert.deepEqual(
        messages.map(({ text, packed }) => [text, packed]),
        [
          [SMALL, index < 2],
          [SMALL, index < 2],
        ],
      );
    }
    const [one, other] = members as [Wired, Wired];
    assert.deepEqual(one.peer.received, other.peer.received);
  });

  it("are not so small that a peer with the default limits would reject them as a decompression bomb", async () => {
    const { client, server } = pair({ compression: true, capacity: CAPACITY });
    for (const size of [65_536, 200_000, 1_048_576]) {
      void server.send(new Uint8Array(size));
      assert.equal((await client.receive()).length, size);
    }
  });
});

describe("compressed messages received on a connection", () => {
  it("are delivered decompressed, in order, at any size", async () => {
    const made = scene(true);
    const peer = new PackedPeer();
    const texts = ["", "small", SMALL, LARGE, "after", LARGE.slice(3)];
    for (const text of texts) made.peer.write(await peer.write(text));
    made.peer.write(await peer.write("bytes", 2));
    for (const text of texts) assert.equal(await made.connection.receive(), text);
    assert.deepEqual(await made.connection.receive(), new TextEncoder().encode("bytes"));
  });

  it("may refer to earlier ones if that was negotiated, as far back as the window", async () => {
    for (const windowBits of [9, 15]) {
      const made = scene({ clientContextTakeover: true, clientWindowBits: windowBits });
      const peer = new PackedPeer({ takeover: true, windowBits });
      const texts = [SMALL, SMALL, LARGE, SMALL, "x", LARGE];
      for (const text of texts) made.peer.write(await peer.write(text));
      for (const text of texts) assert.equal(await made.connection.receive(), text);
    }
  });

  it("go to the hook in order and one at a time, and a ping behind them is answered after them", async () => {
    const got: string[] = [];
    const made = scene(true, {
      message: (_, data) => void got.push(String(data).slice(0, 6)),
      ping: () => void got.push("ping"),
    });
    const peer = new PackedPeer();
    for (const text of ["1", `2 ${LARGE}`, "3", `4 ${LARGE}`]) {
      made.peer.write(await peer.write(text));
      made.peer.write(peerFrame({ opcode: 9, key: KEY }));
    }
    await made.peer.until(({ received }) => new FrameReader().push(received).length === 4);
    assert.deepEqual(got, [
      "1",
      "ping",
      `2 ${LARGE}`.slice(0, 6),
      "ping",
      "3",
      "ping",
      `4 ${LARGE}`.slice(0, 6),
      "ping",
    ]);
  });

  it("pause reading as uncompressed ones do if the application does not take them", async () => {
    const made = scene(true, { maxInboxMessages: 2, maxInboxBytes: 1_000 });
    const peer = new PackedPeer();
    const texts = Array.from({ length: 12 }, (_, index) => (index % 3 === 0 ? `${index} ${LARGE}` : `${index}`));
    for (const text of texts) made.peer.write(await peer.write(text));
    await settled();
    for (const text of texts) assert.equal(await made.connection.receive(), text);
  });

  it("are delivered before the peer's Close and its FIN take effect", async () => {
    for (const end of ["close", "fin"]) {
      const made = scene(true);
      made.peer.write(await new PackedPeer().write(LARGE));
      if (end === "close") made.peer.write(peerFrame({ opcode: 8, key: KEY, payload: Uint8Array.of(3, 232) }));
      made.peer.end();
      assert.equal(await made.connection.receive(), LARGE);
      const { code } = await made.connection.closed;
      assert.equal(code, end === "close" ? 1000 : 1006);
    }
  });

  it("that arrive after the Close of this side are discarded, and the peer's answer to it still counts", async () => {
    const made = scene(true);
    const peer = new PackedPeer();
    const closed = made.connection.close();
    made.peer.write(await peer.write(LARGE));
    made.peer.write(peerFrame({ opcode: 8, key: KEY, payload: Uint8Array.of(3, 232) }));
    made.peer.end();
    assert.equal((await closed).wasClean, true);
  });

  it("that are being decompressed when the connection ends are discarded", async () => {
    const made = scene(true);
    const packed = await new PackedPeer().write(LARGE);
    const pool = occupied();
    made.peer.write(packed);
    await settled();
    made.connection.terminate();
    await assert.rejects(made.connection.receive(), { code: "CLOSED" });
    // The result of the other thread arrives after the end of the connection.
    await pool;
    await new Promise((resolve) => inflateLater(packed.subarray(8), undefined, 1, resolve));
  });

  it("are delivered as whole messages to a connection that streams", async () => {
    const made = scene(true, { streaming: true });
    const peer = new PackedPeer();
    made.peer.write(await peer.write(LARGE));
    made.peer.write(await peer.write("next"));
    const reader = await made.connection.reader();
    assert.equal(await reader.collect(1_000_000), LARGE);
    assert.equal(await made.connection.receive(), "next");
  });

  const LIMITS = { maxMessageSize: 200_000 };
  it("inflate to at most maxMessageSize: otherwise 1009", async () => {
    const made = scene({ maxInflationRatio: 2_000 }, LIMITS);
    made.peer.write(await new PackedPeer().write("a".repeat(200_000)));
    assert.equal((await made.connection.receive()).length, 200_000);
    made.peer.write(await new PackedPeer().write("a".repeat(200_001)));
    const { code, cause } = await ended(made);
    assert.equal(code, 1009);
    assert.ok(cause instanceof LimitError);
    assert.deepEqual([cause.limit, cause.maximum, cause.actual], ["maxMessageSize", 200_000, 200_001]);
  });

  it("inflate to at most a hundred times as many bytes, beyond the first 64 KiB: otherwise 1009", async () => {
    const made = scene(true, LIMITS);
    made.peer.write(await new PackedPeer().write("a".repeat(65_536)));
    assert.equal((await made.connection.receive()).length, 65_536);
    made.peer.write(await new PackedPeer().write("a".repeat(150_000)));
    const { code, cause } = await ended(made);
    assert.equal(code, 1009);
    assert.ok(cause instanceof LimitError);
    assert.deepEqual([cause.limit, cause.maximum], ["maxInflationRatio", 100]);
  });

  const wrong: readonly (readonly [name: string, payload: Uint8Array, clause: string])[] = [
    ["a payload that is not compressed data", Uint8Array.of(0xff, 0xff), "RFC 7692 7.2.2"],
    ["a large payload that is not compressed data", new Uint8Array(MAX_SYNCHRONOUS + 1).fill(0xff), "RFC 7692 7.2.2"],
    ["text that is not UTF-8", Uint8Array.of(0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00), "RFC 6455 8.1"],
  ];
  for (const [name, payload, clause] of wrong) {
    it(`with ${name} end the connection with 1007`, async () => {
      const made = scene(true);
      made.peer.write(peerFrame({ opcode: 1, rsv: 4, key: KEY, payload }));
      const { code, cause } = await ended(made);
      assert.equal(code, 1007);
      assert.deepEqual((cause as { clause?: string }).clause, clause);
    });
  }

  it("are refused with 1002 if no compression was negotiated", async () => {
    const made = scene(false);
    made.peer.write(await new PackedPeer().write("x"));
    assert.equal((await ended(made)).code, 1002);
  });
});

describe("two connections with compression", () => {
  it("exchange messages with every combination of parameters", async () => {
    for (const serverContextTakeover of [true, false]) {
      for (const clientContextTakeover of [true, false]) {
        for (const bits of [8, 11, 15]) {
          const { client, server } = pair({
            compression: {
              serverContextTakeover,
              clientContextTakeover,
              serverWindowBits: bits,
              clientWindowBits: 23 - bits,
              threshold: 0,
            },
            capacity: CAPACITY,
            clock: new ManualClock(),
          });
          for (const text of [SMALL, "", "x", SMALL, LARGE, SMALL, "x"]) {
            void client.send(text);
            const echoed = await server.receive();
            assert.equal(echoed, text);
            void server.send(echoed);
            assert.equal(await client.receive(), text);
          }
        }
      }
    }
  });
});

/** Occupies the other threads, so that further work has to wait for them. */
async function occupied(): Promise<void> {
  const data = Buffer.from(prose(2_000_000));
  const job = (): Promise<unknown> =>
    new Promise((resolve) => deflateLater(data, { level: 9, windowBits: 15, dictionary: undefined }, true, resolve));
  await Promise.all(Array.from({ length: 4 }, job));
}

/** The close info of a connection whose peer answers its Close. */
async function ended({ connection, peer }: Wired) {
  await peer.until(({ received }) => new FrameReader().push(received).some(({ opcode }) => opcode === 8));
  peer.write(peerFrame({ opcode: 8, key: KEY, payload: Uint8Array.of(3, 232) }));
  peer.end();
  return connection.closed;
}

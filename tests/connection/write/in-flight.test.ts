/** `maxInFlightBytes`: messages wait in the send queue until the peer has acknowledged those before them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, Group, listen, TimeoutError } from "../../../src/index.ts";
import { pair, settled, type Wired, type WiredOptions, wired } from "../../../src/testing/index.ts";
import { stateOf } from "../../kit/blocked-connection.ts";
import { ConnectedPair, KINDS } from "../../kit/connected-pair.ts";
import { type Frame, FrameReader, KEY, messagesIn, peerFrame } from "../../kit/frames.ts";
import { portOf, upgraded } from "../../kit/raw-peer.ts";

const LIMIT = 4_000;

/** Four of these texts fit into the limit with their frames, of 984 bytes each. */
const text = (name: string, size = 980): string => name.padEnd(size, ".");

interface Scene extends Wired {
  /** The frames that arrived since the last call. */
  frames(): Promise<Frame[]>;
  /** The first characters of the messages that arrived since the last call. */
  names(): Promise<string[]>;
  /** Answers this Ping. */
  answer(ping: Frame | undefined): void;
}

function scene({ connection = {}, ...options }: WiredOptions = {}): Scene {
  const made = wired({ ...options, connection: { maxInFlightBytes: LIMIT, ...connection } });
  const reader = new FrameReader();
  const key = options.role === "client" ? undefined : KEY;
  const frames = async (): Promise<Frame[]> => {
    await settled();
    return reader.push(made.peer.take());
  };
  return {
    ...made,
    frames,
    names: async () => messagesIn(await frames()).map((message) => String(message).slice(0, 2)),
    answer: (ping) => made.peer.write(peerFrame({ opcode: 10, payload: ping?.payload ?? "", key })),
  };
}

const pingsIn = (frames: readonly Frame[]): Frame[] => frames.filter(({ opcode }) => opcode === 9);
const namesIn = (frames: readonly Frame[]): string[] =>
  messagesIn(frames).map((message) => String(message).slice(0, 2));

describe("with maxInFlightBytes", () => {
  for (const role of ["server", "client"] as const) {
    it(`a ${role} holds messages back until Pongs acknowledge earlier ones`, async () => {
      const { connection, frames, answer } = scene({ role });
      const results = Array.from({ length: 9 }, (_, index) => connection.trySend(text(`m${index}`)));
      assert.deepEqual(results.slice(0, 5), ["sent", "sent", "sent", "sent", "queued"]);
      const first = await frames();
      assert.deepEqual(namesIn(first), ["m0", "m1", "m2", "m3"]);
      assert.equal(connection.queuedMessages, 5);
      const [ping] = pingsIn(first);
      answer(ping);
      const second = await frames();
      assert.deepEqual(namesIn(second), ["m4", "m5", "m6", "m7"]);
      answer(pingsIn(second).at(-1));
      assert.deepEqual(namesIn(await frames()), ["m8"]);
      assert.equal(connection.queuedMessages, 0);
    });
  }

  it("a fence follows after each quarter of the limit, so that messages leave in such steps", async () => {
    const { connection, frames, answer } = scene();
    const sent: Frame[] = [];
    for (let index = 0; index < 50; index += 1) {
      connection.trySend(text(`${index}`, 196));
      sent.push(...(await frames()));
    }
    // Frames of 200 bytes: every fifth ends a quarter.
    assert.deepEqual(
      sent.flatMap(({ opcode }, index) => (opcode === 9 ? [index] : [])),
      [5, 11, 17],
    );
    assert.equal(namesIn(sent).length, 19);
    assert.equal(connection.inFlightBytes, 19 * 200);
    const pings = pingsIn(sent);
    answer(pings[0]);
    assert.equal(namesIn(await frames()).length, 5);
    // RFC 6455 5.5.3: a peer may answer only the newest Ping.
    answer(pings[2]);
    assert.equal(namesIn(await frames()).length, 10);
  });

  it("a message that is held back can still be replaced, and the peer gets the latest value", async () => {
    const { connection, frames, names, answer } = scene({ connection: { overflow: "coalesce" } });
    for (let index = 0; index < 4; index += 1) connection.trySend(text(`m${index}`));
    const sent = await frames();
    for (let value = 0; value < 10; value += 1) {
      for (const key of ["a", "b"]) connection.trySend(text(`${key}${value}`), { key });
      await settled();
    }
    assert.deepEqual([connection.queuedMessages, connection.droppedMessages], [2, 18]);
    answer(pingsIn(sent).at(-1));
    assert.deepEqual(await names(), ["a9", "b9"]);
  });

  it("members of a group are bounded one by one", async () => {
    const slow = scene();
    const fast = scene({ connection: { maxInFlightBytes: Infinity } });
    const group = new Group();
    for (const { connection } of [slow, fast]) group.join(connection);
    for (let value = 0; value < 9; value += 1) group.send(text(`a${value}`), { overflow: "coalesce", key: "a" });
    for (let value = 0; value < 9; value += 1) group.send(text(`b${value}`));
    const sent = await slow.frames();
    assert.deepEqual(namesIn(sent), ["a8", "b0", "b1", "b2"]);
    assert.equal((await fast.names()).length, 10);
    slow.answer(pingsIn(sent).at(-1));
    assert.deepEqual(await slow.names(), ["b3", "b4", "b5", "b6"]);
  });

  it("a message larger than the limit leaves when nothing else is in flight", async () => {
    for (const size of [5_000, 65_530, 65_536, 300_000]) {
      const { connection, frames, answer } = scene({
        connection: { maxQueuedBytes: 1_000_000 },
        capacity: 1_000_000,
      });
      connection.trySend("small");
      connection.trySend(text("L1", size));
      connection.trySend(text("L2", size));
      const first = await frames();
      assert.deepEqual(namesIn(first), ["sm"]);
      answer(pingsIn(first)[0]);
      const second = await frames();
      assert.deepEqual(namesIn(second), ["L1"]);
      assert.equal(pingsIn(second).length, 1);
      answer(pingsIn(second)[0]);
      assert.deepEqual(namesIn(await frames()), ["L2"]);
    }
  });

  it("parts of a message are bounded too", async () => {
    const { connection, frames, answer } = scene();
    const writer = connection.writer("text");
    for (let part = 0; part < 6; part += 1) void writer.write(text(`p${part}`));
    void writer.end();
    const first = await frames();
    assert.deepEqual(
      first.filter(({ opcode }) => opcode < 8).map(({ payload }) => payload.toString().slice(0, 2)),
      ["p0", "p1", "p2", "p3"],
    );
    answer(pingsIn(first).at(-1));
    const second = await frames();
    assert.equal(second.filter(({ opcode }) => opcode < 8).length, 3);
  });

  it("compressed messages count their compressed bytes", async () => {
    const { connection, names } = scene({ compression: { threshold: 1 } });
    for (let index = 0; index < 30; index += 1) connection.trySend(text(`m${index}`));
    await settled();
    assert.equal(connection.queuedMessages, 0);
    assert.ok((connection.inFlightBytes ?? LIMIT) < LIMIT / 2, `${connection.inFlightBytes}`);
    void names;
  });

  it("Pongs to the peer are not held back", async () => {
    const { connection, peer, frames } = scene();
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
    await frames();
    peer.write(peerFrame({ opcode: 9, payload: "hello", key: KEY }));
    assert.deepEqual(
      (await frames()).map(({ opcode, payload }) => [opcode, payload.toString()]),
      [[10, "hello"]],
    );
  });

  it("a Pong that answers no fence acknowledges nothing", async () => {
    const { connection, peer, frames } = scene();
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
    const [ping] = pingsIn(await frames());
    for (const payload of ["", "ab", "abcd", Uint8Array.of(0, (ping?.payload[1] ?? 0) + 1)])
      peer.write(peerFrame({ opcode: 10, payload, key: KEY }));
    assert.deepEqual(await frames(), []);
    assert.equal(connection.inFlightBytes, 4 * 984);
  });

  it("a peer that reads and acknowledges nothing ends the connection after writeTimeout", async () => {
    const { connection, clock, frames } = scene({ connection: { writeTimeout: 3_000, heartbeat: false } });
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
    await frames();
    await clock.advance(2_999);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError, String(cause));
    assert.deepEqual([cause.limit, cause.bound, cause.after], ["writeTimeout", 3_000, 3_000]);
  });

  it("a peer that acknowledges slowly keeps the connection, however long its messages are held back", async () => {
    const { connection, clock, frames, answer } = scene({ connection: { writeTimeout: 3_000, heartbeat: false } });
    for (let index = 0; index < 40; index += 1) connection.trySend(text(`m${index}`));
    let left = 40;
    while (left > 0) {
      const seen = await frames();
      left -= namesIn(seen).length;
      await clock.advance(2_900);
      for (const ping of pingsIn(seen).slice(0, 1)) answer(ping);
    }
    assert.equal(connection.state, "OPEN");
    await clock.advance(10_000);
    assert.equal(connection.state, "OPEN", "nothing is held back any more");
  });

  it("a large message has writeTimeout for each 64 KiB in flight", async () => {
    const { connection, clock, frames, answer } = scene({
      connection: { writeTimeout: 1_000, heartbeat: false },
      capacity: 1_000_000,
    });
    connection.trySend(text("L", 200_000));
    connection.trySend("next");
    const [ping] = pingsIn(await frames());
    await clock.advance(3_500);
    answer(ping);
    assert.deepEqual(namesIn(await frames()), ["ne"]);
    assert.equal(connection.state, "OPEN");
  });

  it("a message that is withdrawn while it is held back leaves no time limit behind", async () => {
    const { connection, clock, frames } = scene({ connection: { writeTimeout: 3_000, heartbeat: false } });
    for (let index = 0; index < 4; index += 1) connection.trySend(text(`m${index}`));
    const call = stateOf(connection.send(text("m4"), { timeout: 500 }));
    await frames();
    assert.equal(call.state, "pending");
    await clock.advance(500);
    assert.equal(call.state, "rejected");
    await clock.advance(20_000);
    assert.equal(connection.state, "OPEN");
  });

  it("send and drain resolve when the message is written, not before", async () => {
    const { connection, frames, answer } = scene();
    for (let index = 0; index < 4; index += 1) connection.trySend(text(`m${index}`));
    const calls = [connection.send(text("m4")), connection.drain()].map(stateOf);
    const [ping] = pingsIn(await frames());
    assert.deepEqual(
      calls.map(({ state }) => state),
      ["pending", "pending"],
    );
    answer(ping);
    await frames();
    assert.deepEqual(
      calls.map(({ state }) => state),
      ["resolved", "resolved"],
    );
  });

  it("close sends the messages that are held back before the Close frame", async () => {
    const { connection, frames } = scene({ capacity: 100_000 });
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
    await frames();
    void connection.close();
    const rest = await frames();
    assert.deepEqual(namesIn(rest), ["m4", "m5", "m6", "m7", "m8"]);
    assert.equal(rest.at(-1)?.opcode, 8);
  });

  it("two echoing ends with full inboxes do not wait for each other's Pongs", async () => {
    const options = { maxInFlightBytes: 2_000, maxInboxMessages: 4, overflow: "wait" } as const;
    const { client, server, clock } = pair({ server: options, client: options });
    const echoed = (async () => {
      for await (const message of server) await server.send(message);
    })();
    const sent = (async () => {
      for (let index = 0; index < 500; index += 1) await client.send(text(`${index}`, 400));
    })();
    let received = 0;
    const read = (async () => {
      for await (const _ of client) {
        received += 1;
        if (received === 500) return;
      }
    })();
    while (received < 500 && client.state === "OPEN") await clock.advance(1);
    await Promise.all([sent, read]);
    await client.close();
    await echoed;
    assert.equal(received, 500);
  });

  it("while reading is paused nothing is held back, because no Pong can arrive", async () => {
    const { connection, peer, names } = scene({ connection: { maxInboxMessages: 1 }, capacity: 100_000 });
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
    assert.equal((await names()).length, 4);
    peer.write(peerFrame({ opcode: 1, payload: "fills the inbox", key: KEY }));
    assert.deepEqual(await names(), ["m4", "m5", "m6", "m7", "m8"]);
  });

  it("framed TCP is held back until the peer's kernel has acknowledged half of the limit", async () => {
    const { connection, peer, link } = scene({ kind: "tcp", framing: "lines" });
    const lines = (): string[] =>
      Buffer.from(peer.received)
        .toString()
        .split("\n")
        .slice(0, -1)
        .map((line) => line.slice(0, 2));
    link.freeze("client");
    for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`, 999));
    await settled();
    assert.deepEqual([connection.queuedMessages, connection.inFlightBytes], [5, 4_000]);
    link.thaw("client");
    await settled();
    await settled();
    assert.deepEqual(lines(), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"]);
  });

  it("framed TCP whose peer acknowledges nothing ends after writeTimeout, also for a message larger than the rest", async () => {
    for (const size of [999, 3_900]) {
      const { connection, clock, link } = scene({
        kind: "tcp",
        framing: "lines",
        connection: { writeTimeout: 3_000, idleTimeout: Infinity },
      });
      link.freeze("client");
      for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`, size));
      await clock.advance(2_999);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      const { cause } = await connection.closed;
      assert.equal((cause as TimeoutError).limit, "writeTimeout");
    }
  });
});

describe("on real sockets, with maxInFlightBytes", { timeout: 60_000 }, () => {
  for (const kind of KINDS) {
    it(`messages of any size arrive in order over ${kind.name}, in both directions at once`, async () => {
      const options = { maxInFlightBytes: 4_096, maxQueuedBytes: 4_000_000, maxMessageSize: 1_000_000 };
      await using ends = await ConnectedPair.open(kind, { server: options, client: options });
      const sizes = [1, 100, 4_000, 5_000, 150_000, ...Array.from({ length: 60 }, () => 300)];
      const messages = sizes.map((size, index) => `${index}:`.padEnd(size, "x"));
      const pour = async (from: Connection): Promise<void> => {
        await Promise.all(messages.map((message) => from.send(message)));
      };
      const take = async (at: Connection): Promise<void> => {
        for (const message of messages) assert.equal(await at.receive(), message);
      };
      await Promise.all([ends.server, ends.client].flatMap((end) => [pour(end), take(end)]));
    });
  }

  it("a peer that answers no Ping gets no more than the limit, and is ended after writeTimeout", async () => {
    const writeTimeout = 100;
    let opened!: (connection: Connection) => void;
    const accepted = new Promise<Connection>((resolve) => {
      opened = resolve;
    });
    const options = { maxInFlightBytes: 4_096, writeTimeout, open: (one: Connection) => opened(one) };
    await using server = await listen("ws://127.0.0.1:0", options);
    await using peer = await upgraded(portOf(server));
    const connection = await accepted;
    for (let index = 0; index < 9; index += 1) connection.trySend("x".repeat(1_000));
    const { cause } = await connection.closed;
    assert.equal((cause as TimeoutError).limit, "writeTimeout");
    await peer.closed;
    const { length } = messagesIn(new FrameReader().push(peer.bytes.subarray(peer.text.indexOf("\r\n\r\n") + 4)));
    assert.equal(length, 4);
  });
});

it("without maxInFlightBytes nothing is counted and no fence is sent", async () => {
  const { connection, frames } = scene({ connection: { maxInFlightBytes: Infinity } });
  for (let index = 0; index < 9; index += 1) connection.trySend(text(`m${index}`));
  assert.equal(connection.inFlightBytes, undefined);
  assert.deepEqual(pingsIn(await frames()), []);
});

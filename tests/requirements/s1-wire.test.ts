/** S1: the bytes on the wire when messages in parts, control frames and the end coincide. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ClosedError, type Connection, isConnectionError } from "../../src/index.ts";
import { pair, type RawPeer, settled, wired } from "../../src/testing/index.ts";
import { type CallState, stateOf } from "../kit/blocked-connection.ts";
import { ConnectedPair, KINDS } from "../kit/connected-pair.ts";
import { type Frame, FrameReader, KEY, messagesIn, peerFrame } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

const act = fc.constantFrom(
  ...(["write", "write", "write", "end", "open", "send", "send large", "ping", "peer pings", "turn", "turn"] as const),
);
const end = fc.constantFrom("close" as const, "peer closes" as const, "end and close" as const);

describe("S1-8 a writer of parts, pings and a close at the same time", () => {
  it("S1-8 in any order: frames stay complete, each call settles, and the end is clean and waits for nothing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { maxLength: 30 }),
        end,
        fc.constantFrom(200, 65_536),
        async (acts, end, capacity) => {
          const got: string[] = [];
          const message = (_: Connection, data: unknown): void => void got.push(String(data));
          const { client, server } = pair({ capacity, server: { message } });
          const outcomes: CallState[] = [];
          const sent = new Map<string, CallState>();
          const watch = (promise: Promise<unknown>): CallState => {
            const outcome = stateOf(promise);
            outcomes.push(outcome);
            return outcome;
          };
          let writer = client.writer("text");
          let parts = "";
          const finish = (index: number): void => {
            sent.set(`${parts}.${index}`, watch(writer.end(`.${index}`)));
            writer = client.writer("text");
            parts = "";
          };
          for (const [index, one] of acts.entries()) {
            if (one === "write") {
              const part = `${index}`.padEnd(index * 40, "w");
              watch(writer.write(part));
              parts += part;
            } else if (one === "end") finish(index);
            else if (one === "open") watch(client.writer("text").end(`whole ${index}`));
            else if (one === "send") sent.set(`sent ${index}`, watch(client.send(`sent ${index}`)));
            else if (one === "send large") {
              const text = `large ${index}`.padEnd(70_000);
              sent.set(text, watch(client.send(text)));
            } else if (one === "ping") watch(client.ping());
            else if (one === "peer pings") watch(server.ping());
            else await new Promise(setImmediate);
          }
          if (end === "end and close") {
            finish(99);
            writer.abort();
          }
          const closed = end === "peer closes" ? server.close(3_000) : client.close(3_000);
          // No time passes: nothing waits for a part that cannot follow.
          const ends = await Promise.all([closed, client.closed, server.closed]);
          await settled();
          for (const { code, wasClean, cause } of ends)
            assert.deepEqual([code, wasClean, cause instanceof ClosedError], [3_000, true, true]);
          assert.deepEqual(
            outcomes.filter(
              ({ state, error }) => state === "pending" || (state === "rejected" && !isConnectionError(error)),
            ),
            [],
          );
          if (end === "peer closes") return;
          for (const [text, { state }] of sent)
            assert.equal(got.includes(text), state === "resolved", text.slice(0, 20));
          if (end === "end and close") for (const { state } of sent.values()) assert.equal(state, "resolved");
        },
      ),
      runs(150),
    );
  });

  for (const kind of KINDS) {
    for (const moment of ["between two parts", "inside a part"] as const) {
      it(`S1-8 on real ${kind.name} sockets, with the close ${moment}`, async () => {
        await using ends = await ConnectedPair.open(kind, { server: { message: () => undefined, streaming: false } });
        const { client } = ends;
        const outcomes: Promise<unknown>[] = [];
        outcomes.push(client.send("before"));
        const writer = client.writer("text");
        const part = "x".repeat(200_000);
        for (let index = 0; index < 3; index += 1) {
          const written = writer.write(part);
          if (kind.protocol === "websocket") outcomes.push(client.ping());
          if (index < 2 || moment === "between two parts") await written;
          else outcomes.push(written);
        }
        outcomes.push(client.send("behind"));
        if (moment === "inside a part") await new Promise(setImmediate);
        const closed = client.close();
        outcomes.push(writer.write("late"), writer.end());
        const results = await Promise.allSettled(outcomes);
        assert.equal(results[0]?.status, "fulfilled");
        for (const result of results) assert.ok(result.status === "fulfilled" || isConnectionError(result.reason));
        assert.deepEqual(
          results.slice(-3).map(({ status }) => status),
          ["rejected", "rejected", "rejected"],
        );
        const { cause } = await closed;
        assert.equal(cause, undefined, "no timeout was waited for");
      });
    }
  }
});

/** Every received frame, as it arrives. */
async function follow(wire: RawPeer, tell: (frame: Frame) => void, until: () => boolean): Promise<void> {
  const reader = new FrameReader();
  await wire.until(() => {
    for (const frame of reader.push(wire.take())) tell(frame);
    return until();
  });
  assert.equal(reader.pending, 0);
}

describe("S1-10 control frames go between the fragments of a message, and never inside a frame", () => {
  const PART = 2 ** 20;
  const PARTS = 64;

  for (const role of ["server", "client"] as const) {
    it(`S1-10 of a ${role} in memory: Ping, Pong and Close`, async () => {
      const { connection, peer } = wired({ role, capacity: 30_000 });
      const key = role === "server" ? { key: KEY } : {};
      const writer = connection.writer();
      const part = new Uint8Array(150_000).fill(7);
      const parts = Array.from({ length: 6 }, () => stateOf(writer.write(part)));
      // Half of the first part is written.
      await new Promise(setImmediate);
      const rtt = stateOf(connection.ping());
      const frames: (string | number)[] = [];
      await follow(
        peer,
        ({ opcode, payload }) => {
          frames.push(opcode >= 8 ? opcode : payload.length);
          if (opcode >= 8) return;
          assert.ok(payload.every((byte) => byte === 7));
          const data = frames.filter((frame) => frame === part.length).length;
          if (data === 2) peer.write(peerFrame({ opcode: 9, ...key }));
          if (data === 4) void connection.close();
        },
        () => frames.at(-1) === 8,
      );
      assert.equal(frames[0], part.length);
      assert.equal(frames[1], 9, "the Ping is on the wire when the frame has ended that was being written");
      assert.ok(frames.indexOf(10) > 2 && frames.indexOf(10) < frames.length - 1);
      assert.ok(
        frames.filter((frame) => frame === part.length).length < parts.length,
        "the Close did not wait for the rest",
      );
      connection.terminate();
      await settled();
      assert.equal(rtt.state, "rejected");
    });
  }

  it("S1-10 a Ping is sent before the end of a message of 64 MiB, and answered by then, on a real socket", async () => {
    await using scene = await ServerWithPeers.open(WIRE_PROTOCOLS[0]!, {}, async ({ closed }) => void (await closed));
    const { peer, connection } = await scene.peer();
    // Counted as they arrive, and not stored.
    peer.socket.removeAllListeners("data");
    const order: number[] = [];
    const reader = new FrameReader();
    let bytes = 0;
    const whole = new Promise<void>((resolve) => {
      peer.socket.on("data", (chunk: Buffer) => {
        for (const { opcode, fin, payload } of reader.push(chunk)) {
          order.push(opcode);
          if (opcode === 9) peer.write(peerFrame({ opcode: 10, payload, key: KEY }));
          if (opcode >= 8) continue;
          bytes += payload.length;
          if (order.length === 20) peer.write(peerFrame({ opcode: 9, payload: "me too", key: KEY }));
          if (fin) resolve();
        }
      });
    });
    const writer = connection.writer();
    const part = new Uint8Array(PART);
    let ended = false;
    let answeredBefore: boolean | undefined;
    for (let index = 0; index < PARTS; index += 1) {
      const written = writer.write(part);
      if (index === 8) {
        void connection.ping().then(() => {
          answeredBefore = !ended;
        });
      }
      await written;
    }
    ended = true;
    await Promise.all([writer.end(), whole]);
    assert.equal(answeredBefore, true, "the answer came while the message was being written");
    assert.equal(bytes, PART * PARTS);
    assert.ok(order.indexOf(9) > 0 && order.indexOf(9) < 16, `the Ping was frame ${order.indexOf(9)}`);
    assert.ok(order.indexOf(10) > 0 && order.indexOf(10) < PARTS, `the Pong was frame ${order.indexOf(10)}`);
    assert.deepEqual([order[0], order.at(-1)], [2, 0]);
  });
});

describe("S1-11 no message overtakes another, however long its processing takes", () => {
  const LARGE = 900_000;

  for (const kind of KINDS) {
    /** Sends a large message and then a small one, in every way. */
    const send = (connection: Connection): { sent: Promise<unknown>; expected: [string, number][] } => {
      const large = (letter: string): string => letter.repeat(LARGE);
      const writer = connection.writer("text");
      const sent: Promise<unknown>[] = [];
      for (let part = 0; part < 9; part += 1) sent.push(writer.write("s".repeat(LARGE / 10)));
      sent.push(connection.send("1"));
      sent.push(writer.end("s".repeat(LARGE / 10)));
      sent.push(connection.send(Buffer.from(large("b"))), connection.send("2"));
      sent.push(connection.send(large("t")), connection.send("3"));
      return {
        sent: Promise.all(sent),
        expected: [
          ["s", LARGE],
          ["1", 1],
          ["b", LARGE],
          ["2", 1],
          ["t", LARGE],
          ["3", 1],
        ],
      };
    };
    const receive = async (connection: Connection, count: number): Promise<[string, number][]> => {
      const got: [string, number][] = [];
      while (got.length < count) {
        const text = String(
          await connection.receive().then((data) => (typeof data === "string" ? data : Buffer.from(data))),
        );
        got.push([text[0] ?? "", text.length]);
      }
      return got;
    };

    it(`S1-11 on ${kind.name} in memory, in the order of the calls`, async () => {
      const { client, server } = pair({ kind: kind.protocol, ...kind.options, capacity: 20_000 });
      const { sent, expected } = send(client);
      assert.deepEqual(await receive(server, expected.length), expected);
      await sent;
    });

    it(`S1-11 on real ${kind.name} sockets, from either side`, async () => {
      await using ends = await ConnectedPair.open(kind);
      for (const [from, to] of [
        [ends.client, ends.server],
        [ends.server, ends.client],
      ] as const) {
        const { sent, expected } = send(from);
        assert.deepEqual(await receive(to, expected.length), expected);
        await sent;
      }
    });
  }

  // As if a thread of the pool finished the large one after the small one.
  it("S1-11 a large message that is compressed, then a small one that is not", async () => {
    const large = Array.from({ length: 100_000 }, (_, index) => String((index * 7919) % 104_729)).join();
    for (const compression of [true, { serverContextTakeover: true, clientContextTakeover: true }]) {
      const { client, server } = pair({ compression });
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        const sent = [from.send(large), from.send("small"), from.send(large), from.send("last", { compress: true })];
        for (const expected of [large, "small", large, "last"]) assert.equal(await to.receive(), expected);
        await Promise.all(sent);
      }
    }
  });

  it("S1-11 a message in many writes is not overtaken by one that fits into the next write", async () => {
    const { connection, peer } = wired({ role: "client", capacity: 10_000 });
    const large = connection.send(new Uint8Array(500_000));
    await settled();
    const small = Array.from({ length: 20 }, (_, index) => connection.send(`${index}`));
    const frames: Frame[] = [];
    await follow(
      peer,
      (frame) => frames.push(frame),
      () => frames.length === 21,
    );
    await Promise.all([large, ...small]);
    const [first, ...rest] = messagesIn(frames);
    assert.equal(first?.length, 500_000);
    assert.deepEqual(
      rest,
      Array.from({ length: 20 }, (_, index) => `${index}`),
    );
  });
});

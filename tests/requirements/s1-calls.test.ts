/** S1: what `send` promises: one queue, one error, one result, and misuse never reaches the queue. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CloseInfo,
  type Connection,
  type ConnectionError,
  isConnectionError,
  type Overflow,
  TransportError,
} from "../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { blocked, charged, PLUG, stateOf } from "../kit/blocked-connection.ts";
import { ConnectedPair, KINDS, textsIn } from "../kit/connected-pair.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

describe("S1-2 the order of writes belongs to the connection, not to the call or its caller", () => {
  /** Somebody's own idea of a connection, as an application would have several. */
  class Wrapper {
    readonly #connection: Connection;

    constructor(connection: Connection) {
      this.#connection = connection;
    }

    async say(text: string): Promise<void> {
      await this.#connection.send(text);
    }
  }

  for (const { name, protocol, options } of KINDS) {
    it(`S1-2 on ${name} two wrappers, a WHATWG stream and a writer around one connection take turns by message`, async () => {
      const { client, server } = pair({ kind: protocol, ...options, capacity: 1_000 });
      const [one, other] = [new Wrapper(client), new Wrapper(client)];
      const stream = client.writable.getWriter();
      const ways: Readonly<Record<string, (text: string) => Promise<unknown>>> = {
        one: (text) => one.say(text),
        other: (text) => other.say(text),
        stream: (text) => stream.write(text),
        writer: async (text) => {
          const writer = client.writer("text");
          await writer.write(text.slice(0, 100));
          await writer.end(text.slice(100));
        },
      };
      const ROUNDS = 30;
      const sending = Object.entries(ways).map(async ([way, say]) => {
        for (let round = 0; round < ROUNDS; round += 1) await say(`${way} ${round} ${way.repeat(60)}`);
      });
      const got: string[] = [];
      while (got.length < ROUNDS * sending.length) got.push(String(await server.receive()));
      await Promise.all(sending);
      for (const way of Object.keys(ways)) {
        const own = got.filter((text) => text.startsWith(`${way} `));
        const expected = Array.from({ length: ROUNDS }, (_, round) => `${way} ${round} ${way.repeat(60)}`);
        assert.deepEqual(own, expected);
      }
    });
  }

  it("S1-2 there is no lock to be seen, taken or forgotten", () => {
    const { client } = pair();
    const seen = [...Object.keys(client), ...Object.getOwnPropertyNames(Object.getPrototypeOf(client))];
    assert.deepEqual(
      seen.filter((name) => /lock|mutex|acquire|semaphore|exclusive/i.test(name)),
      [],
    );
    const writable = client.writable;
    writable.getWriter();
    // The lock of a WHATWG stream belongs to that stream: others can still send.
    assert.equal(client.trySend("x"), "sent");
  });
});

describe("S1-3 a send on an ended connection always fails, with the same error each time", () => {
  const endings: Readonly<Record<string, { end: (scene: Wired) => void; facts: object; tcp?: false }>> = {
    "this side closes": {
      end: ({ connection }) => void connection.close(1000, "done"),
      facts: { code: "CLOSED", closeCode: 1000, reason: "done", by: "local" },
    },
    "this side terminates": {
      end: ({ connection }) => connection.terminate(),
      facts: { code: "CLOSED", closeCode: 1006, by: "local" },
    },
    "the peer closes": {
      end: ({ peer }) => {
        peer.write(peerFrame({ opcode: 8, payload: new Uint8Array([11, 184]), key: KEY }));
        peer.end();
      },
      facts: { code: "CLOSED", closeCode: 3000, by: "peer" },
      tcp: false,
    },
    "the peer resets": {
      end: ({ peer }) => peer.reset(),
      facts: { code: "TRANSPORT", errno: "ECONNRESET" },
    },
    "the peer breaks the protocol": {
      end: ({ peer }) => peer.write(peerFrame({ opcode: 3, key: KEY })),
      facts: { code: "PROTOCOL", by: "peer", closeCode: 1002 },
      tcp: false,
    },
  };
  for (const { name, protocol, options } of KINDS) {
    for (const [what, { end, facts, tcp }] of Object.entries(endings)) {
      if (protocol === "tcp" && tcp === false) continue;
      it(`S1-3 on ${name} when ${what}, from the first moment on and for ever`, async () => {
        const scene = wired({ kind: protocol, ...options, connection: { closeTimeout: 100 } });
        const { connection, peer, clock } = scene;
        const writer = connection.writer("text");
        end(scene);
        await settled();
        assert.notEqual(connection.state, "OPEN");
        const errors = await everyCall(connection, () => writer.write("x"));
        await clock.advance(200);
        assert.equal(connection.state, "CLOSED");
        peer.take();
        errors.push(...(await everyCall(connection, () => writer.write("x"))));
        assert.equal(new Set(errors).size, 1, "one error, the very same object");
        const [error] = errors as [ConnectionError];
        assert.ok(isConnectionError(error));
        assert.deepEqual({ ...error, ...facts }, { ...error });
        assert.equal(connection.signal.reason, error);
        await settled();
        assert.equal(peer.received.length, 0);
      });
    }

    it(`S1-3 on a real ${name} socket`, async () => {
      const { url } = KINDS.find((kind) => kind.protocol === protocol)!;
      const ends = await ConnectedPair.open({ name, protocol, url, options });
      ends.server.terminate();
      await ends.client.closed;
      const errors = await everyCall(ends.client, () => ends.client.writer().write("x"));
      assert.equal(new Set(errors).size, 1);
      assert.ok(isConnectionError(errors[0]));
      await ends[Symbol.asyncDispose]();
    });
  }

  /** The error of each way of sending: a rejection, never a throw, and never a success. */
  async function everyCall(connection: Connection, write: () => Promise<void>): Promise<unknown[]> {
    const calls = [() => connection.send("x"), () => connection.send(new Uint8Array(3), { timeout: 50 }), write];
    if (connection.kind === "websocket") calls.push(async () => void (await connection.ping()));
    assert.equal(connection.trySend("x"), "refused");
    const results = await Promise.allSettled(calls.map((call) => call()));
    return results.map((result) => (result.status === "rejected" ? result.reason : assert.fail("it was sent")));
  }
});

describe("S1-4 every write settles once", () => {
  for (const { name, protocol, options } of KINDS) {
    it(`S1-4 on ${name} in memory: a reset in the middle of a burst leaves no send pending`, async () => {
      const { connection, peer } = wired({
        kind: protocol,
        ...options,
        capacity: 5_000,
        connection: { maxQueuedMessages: 700 },
      });
      const burst = Array.from({ length: 1_000 }, (_, index) => stateOf(connection.send(`${index}`.padEnd(100))));
      await peer.until(({ received }) => received.length > 70_000);
      peer.reset();
      const { cause } = await connection.closed;
      await settled();
      assert.ok(cause instanceof TransportError);
      const [resolved, rejected] = ["resolved", "rejected"].map((state) =>
        burst.filter((one) => one.state === state),
      ) as [typeof burst, typeof burst];
      assert.equal(resolved.length + rejected.length, burst.length);
      assert.ok(rejected.every(({ error }) => error === cause));
      // The resolved ones are the first ones.
      assert.deepEqual(burst.slice(0, resolved.length), resolved);
      assert.ok(resolved.length > 0 && rejected.length > 300, `${resolved.length} and ${rejected.length}`);
    });
  }

  for (const wire of WIRE_PROTOCOLS) {
    it(`S1-4 on real ${wire.name} sockets`, async () => {
      await using scene = await ServerWithPeers.open(
        wire,
        { maxQueuedBytes: 67_108_864 },
        async ({ closed }) => void (await closed),
      );
      const { peer, connection } = await scene.peer();
      const burst = Array.from({ length: 2_000 }, (_, index) => connection.send(`${index}`.padEnd(10_000)));
      await peer.until(({ bytes }) => bytes.length > 100_000);
      peer.socket.resetAndDestroy();
      const results = await Promise.allSettled(burst);
      const { cause } = (await connection.closed) as CloseInfo;
      assert.ok(cause instanceof TransportError);
      const reasons = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
      assert.ok(reasons.length > 0 && reasons.length < 2_000, `${reasons.length} were rejected`);
      assert.ok(reasons.every((reason) => reason === cause));
      assert.equal(
        results.findIndex(({ status }) => status === "rejected"),
        2_000 - reasons.length,
      );
    });
  }
});

describe("S1-5 writes go through one queue, first in, first out", () => {
  for (const { name, protocol, options } of KINDS) {
    it(`S1-5 on ${name} in the order of the calls, for all kinds of calls`, async () => {
      const { connection, peer } = wired({ kind: protocol, ...options, capacity: 300 });
      const order: string[] = [];
      const sent: Promise<unknown>[] = [];
      for (let index = 0; index < 200; index += 1) {
        const text = `${index}`.padEnd(1 + ((index * 37) % 90));
        order.push(text);
        if (index % 4 === 0) sent.push(connection.send(text));
        else if (index % 4 === 1) connection.trySend(text);
        else if (index % 4 === 2) sent.push(connection.writer("text").end(text));
        else sent.push(connection.send(Buffer.from(text)));
        if (index % 31 === 0) await settled();
      }
      await Promise.all(sent);
      await settled();
      assert.deepEqual(textsIn({ protocol }, peer.received), order);
    });
  }

  it("S1-5 control frames go before queued messages, after the current frame; and Close after everything", async () => {
    const { connection, peer, read } = await blocked();
    connection.trySend("first");
    connection.trySend("second");
    peer.write(peerFrame({ opcode: 9, key: KEY }));
    await settled();
    connection.ping().catch(() => undefined);
    void connection.close();
    await read(3);
    const frames = new FrameReader().push(peer.received);
    assert.deepEqual(
      frames.map(({ opcode, payload }) => (opcode === 1 ? payload.toString() : opcode)),
      [PLUG, 10, 9, "first", "second", 8],
    );
  });
});

describe("S1-6 the queue has limits in bytes and in messages, and a policy for more", () => {
  const expected: Readonly<Record<Overflow, { fate: string; delivered: string[]; dropped: number; state: string }>> = {
    wait: { fate: "pending", delivered: ["a", "b", "c"], dropped: 0, state: "OPEN" },
    reject: { fate: "rejected", delivered: ["a", "b"], dropped: 0, state: "OPEN" },
    "drop-newest": { fate: "rejected", delivered: ["a", "b"], dropped: 1, state: "OPEN" },
    "drop-oldest": { fate: "pending", delivered: ["b", "c"], dropped: 1, state: "OPEN" },
    coalesce: { fate: "pending", delivered: ["c", "b"], dropped: 1, state: "OPEN" },
    close: { fate: "rejected", delivered: [], dropped: 0, state: "CLOSING" },
  };
  for (const limit of [{ maxQueuedMessages: 3 }, { maxQueuedBytes: charged(PLUG.length + 2, 3) }]) {
    for (const [overflow, { fate, delivered, dropped, state }] of Object.entries(expected)) {
      it(`S1-6 ${overflow}, at ${Object.keys(limit)[0]}`, async () => {
        const { connection, peer, read } = await blocked({ ...limit, overflow: overflow as Overflow });
        connection.trySend("a", { key: "k" });
        connection.trySend("b");
        const beyond = stateOf(connection.send("c", { key: "k" }));
        await settled();
        assert.ok(connection.queuedMessages <= 3 && connection.queuedBytes <= charged(PLUG.length + 2, 3));
        assert.equal(beyond.state, fate);
        assert.deepEqual([connection.droppedMessages, connection.state], [dropped, state]);
        if (state === "OPEN") assert.deepEqual((await read(1 + delivered.length)).slice(1), delivered);
        else {
          peer.resume();
          await peer.until(({ ended }) => ended);
          const opcodes = new FrameReader().push(peer.received).map(({ opcode }) => opcode);
          assert.deepEqual(opcodes, [1, 8]);
        }
      });
    }
  }
});

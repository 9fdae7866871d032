/** Hooks: messages one at a time and in order, delayed by a pending promise, and the end of the connection after a failure. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection, ConnectionEvent, ConnectionOptions, Message } from "../../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../../src/testing/index.ts";
import { closeCodeIn, joined, KEY, peerFrame } from "../../kit/frames.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../../kit/wire-protocols.ts";

const scene = ({ protocol, options }: WireProtocol, connection: ConnectionOptions, capacity = 65_536): Wired =>
  wired({ kind: protocol, ...options, capacity, connection: { closeTimeout: 10, ...connection } });

/** A hook whose promises the test resolves. */
class Work {
  readonly messages: Message[] = [];
  running = 0;
  most = 0;
  readonly #ends: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  readonly hook = async (_: Connection, data: Message): Promise<void> => {
    this.messages.push(data);
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    await new Promise<void>((resolve, reject) => this.#ends.push({ resolve, reject }));
    this.running -= 1;
  };

  async finish(): Promise<void> {
    this.#ends.shift()?.resolve();
    await settled();
  }

  async fail(error: unknown): Promise<void> {
    this.#ends.shift()?.reject(error);
    await settled();
  }
}

describe("a message hook", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;
    const three = joined(message("one"), message("two"), message("three"));

    it(`is called with each message in order, on arrival, on ${name}`, async () => {
      const received: Message[] = [];
      const { connection, peer } = scene(wire, { message: (_, data) => void received.push(data) });
      peer.write(three);
      await settled();
      assert.deepEqual(received, ["one", "two", "three"]);
      assert.equal(connection.state, "OPEN");
    });

    it(`is called with its own connection, on ${name}`, async () => {
      const given: Connection[] = [];
      const { connection, peer } = scene(wire, { message: (one) => void given.push(one) });
      peer.write(message("x"));
      await settled();
      assert.equal(given[0], connection);
    });

    it(`that returns a promise is called with one message at a time, on ${name}`, async () => {
      const work = new Work();
      const { peer } = scene(wire, { message: work.hook });
      peer.write(three);
      await settled();
      for (const so of [["one"], ["one", "two"], ["one", "two", "three"]]) {
        assert.deepEqual(work.messages, so);
        await work.finish();
      }
      peer.write(message("four"));
      await settled();
      assert.deepEqual(work.messages.slice(3), ["four"]);
      assert.equal(work.most, 1);
    });

    it(`may return a promise for some messages and none for others, on ${name}`, async () => {
      const order: string[] = [];
      const { peer } = scene(wire, {
        message: (_, data) => {
          order.push(`${data} begins`);
          return data === "two" ? settled().then(() => void order.push("two ends")) : undefined;
        },
      });
      peer.write(three);
      await settled();
      await settled();
      assert.deepEqual(order, ["one begins", "two begins", "two ends", "three begins"]);
    });

    it(`that is slow pauses the peer, and later receives every message, on ${name}`, async () => {
      const work = new Work();
      const pauses: string[] = [];
      const { protocol, options } = wire;
      const { client } = pair({
        ...{ kind: protocol, ...options, capacity: 1_000 },
        client: { maxQueuedBytes: 1_000 },
        server: {
          ...{ message: work.hook, maxInboxMessages: 4 },
          observe: ({ type }: ConnectionEvent) => /pause|resume/.test(type) && pauses.push(type),
        },
      });
      let sent = 0;
      const sending = (async () => {
        for (; sent < 50; sent += 1) await client.send(`${sent} ${"x".repeat(97)}`);
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      assert.ok(sent < 40, `${sent} messages of 100 bytes`);
      assert.deepEqual(pauses, ["pause"]);
      for (let done = 0; done < 50; done += 1) await work.finish();
      await sending;
      assert.deepEqual(
        work.messages.map((data) => Number.parseInt(String(data), 10)),
        Array.from({ length: 50 }, (_, index) => index),
      );
      assert.equal(pauses.at(-1), "resume");
    });

    it(`is called with the messages in the inbox before the end, on ${name}`, async () => {
      const work = new Work();
      const { peer } = scene(wire, { message: work.hook });
      peer.write(three);
      await settled();
      peer.reset();
      await settled();
      for (let done = 0; done < 3; done += 1) await work.finish();
      assert.deepEqual(work.messages, ["one", "two", "three"]);
    });

    it(`is not called after the close hook, which is called when it has settled, on ${name}`, async () => {
      const work = new Work();
      const reports: unknown[] = [];
      const { connection, peer } = scene(wire, { message: work.hook, close: (_, info) => reports.push(info) });
      peer.write(three);
      await settled();
      peer.reset();
      const info = await connection.closed;
      for (let done = 0; done < 3; done += 1) {
        assert.deepEqual([reports, work.messages.length], [[], done + 1]);
        await work.finish();
      }
      assert.deepEqual(reports, [info]);
    });

    it(`that fails or ends the connection is followed by the close hook at once, on ${name}`, async () => {
      const error = new Error("the hook failed");
      for (const how of ["throws", "rejects", "terminates"]) {
        const calls: string[] = [];
        const { connection, peer, clock } = scene(wire, {
          onError: () => undefined,
          close: () => void calls.push("close"),
          message: (one) => {
            calls.push("message");
            if (how === "terminates") one.terminate();
            else if (how === "throws") throw error;
            else return Promise.reject(error);
            calls.push("message's end");
            return undefined;
          },
        });
        peer.write(message("x"));
        await settled();
        await clock.advance(10);
        await connection.closed;
        assert.deepEqual(
          calls,
          how === "terminates" ? ["message", "message's end", "close"] : ["message", "close"],
          how,
        );
      }
    });

    it(`may return any value: only a thenable is awaited, on ${name}`, async () => {
      const returned: readonly unknown[] = [1, "x", null, false, {}, [], () => undefined];
      const received: Message[] = [];
      const { connection, peer } = scene(wire, {
        message: (_, data) => {
          received.push(data);
          return returned[Number(data)] as undefined;
        },
      });
      for (const index of returned.keys()) peer.write(message(`${index}`));
      await settled();
      assert.equal(connection.state, "OPEN");
      assert.deepEqual(received, Object.keys(returned));
    });

    it(`excludes all other ways to receive, on ${name}`, async () => {
      const { connection } = scene(wire, { message: () => undefined });
      await assert.rejects(connection.receive(), TypeError);
      await assert.rejects(connection.reader(), TypeError);
      assert.throws(() => connection[Symbol.asyncIterator](), TypeError);
      assert.throws(() => connection.readable, TypeError);
      assert.equal(connection.state, "OPEN", "a wrong call does not end the connection");
    });

    const failures: Record<string, (error: Error, work: Work) => ConnectionOptions> = {
      "throws at once": (error) => ({
        message: () => {
          throw error;
        },
      }),
      rejects: (error) => ({ message: () => Promise.reject(error) }),
      "throws for a message that was in the inbox": (error, work) => ({
        message: (connection, data) => {
          if (data === "one") return work.hook(connection, data);
          work.messages.push(data);
          throw error;
        },
      }),
      "rejects for a message that was in the inbox": (error, work) => ({
        message: (connection, data) => {
          if (data === "one") return work.hook(connection, data);
          work.messages.push(data);
          return Promise.reject(error);
        },
      }),
    };
    for (const [failure, hook] of Object.entries(failures)) {
      it(`that ${failure} ends the connection with 1011, and every call rejects with its error, on ${name}`, async () => {
        const reports: unknown[] = [];
        const work = new Work();
        const error = new Error("the hook failed");
        const options = { ...hook(error, work), onError: (one: unknown) => void reports.push(one) };
        const { connection, peer, clock } = scene(wire, options);
        peer.write(three);
        await settled();
        await work.finish();
        assert.deepEqual(reports, [error], "onError is called once, and not for later messages");
        assert.equal(work.messages.length <= 2, true, `${work.messages}`);
        assert.equal(connection.state, "CLOSING");
        await assert.rejects(connection.send("x"), { code: "CLOSED", closeCode: 1011, by: "local", cause: error });
        if (wire.protocol === "websocket") assert.equal(closeCodeIn(peer.received), 1011);
        await clock.advance(10);
        const { code, by, wasClean, cause } = await connection.closed;
        assert.deepEqual([code, by, wasClean, cause], [1011, "local", false, error]);
        assert.deepEqual(reports, [error]);
      });
    }

    it(`that fails does not prevent the write of earlier messages, on ${name}`, async () => {
      const { peer } = scene(wire, {
        onError: () => undefined,
        message: (connection) => {
          connection.trySend("sent before");
          throw new Error("and then this");
        },
      });
      peer.write(message("x"));
      await settled();
      const before = wire.message("sent before", "server");
      assert.deepEqual(Buffer.from(peer.received.subarray(0, before.length)), Buffer.from(before));
    });

    it(`does not prevent a read deadline from ending the connection, on ${name}`, async () => {
      const { connection, peer, clock } = scene(wire, { message: () => undefined });
      const deadline = clock.in(100);
      connection.setReadDeadline(deadline);
      for (let at = 0; at < 90; at += 30) {
        peer.write(message("x"));
        await clock.advance(30);
      }
      assert.equal(connection.state, "OPEN");
      await clock.advance(10);
      const facts = { code: "TIMEOUT", operation: "receive", limit: "readDeadline", bound: deadline, retriable: false };
      await assert.rejects(connection.send("x"), facts);
      if (wire.protocol === "websocket") assert.equal(closeCodeIn(peer.received), 1008);
      await clock.advance(10);
      assert.equal((await connection.closed).cause, await connection.send("x").catch((error: unknown) => error));
    });

    it(`continues under a read deadline that is replaced or cleared, on ${name}`, async () => {
      const { connection, peer, clock } = scene(wire, {
        message: (one) => one.setReadDeadline(clock.in(100)),
      });
      connection.setReadDeadline(clock.in(100));
      for (let count = 0; count < 10; count += 1) {
        await clock.advance(99);
        peer.write(message("x"));
      }
      await settled();
      connection.setReadDeadline(undefined);
      await clock.advance(10_000);
      assert.equal(connection.state, "OPEN");
    });
  }

  it("and the option streaming exclude each other", () => {
    assert.throws(() => wired({ connection: { streaming: true, message: () => undefined } }), {
      name: "TypeError",
      message: /streaming/,
    });
  });
});

describe("an open hook", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;

    it(`delays messages until its promise settles, on ${name}`, async () => {
      const received: Message[] = [];
      let ready!: () => void;
      const { peer } = scene(wire, {
        open: () =>
          new Promise<void>((resolve) => {
            ready = resolve;
          }),
        message: (_, data) => void received.push(data),
      });
      peer.write(joined(message("one"), message("two")));
      await settled();
      assert.deepEqual(received, []);
      ready();
      await settled();
      assert.deepEqual(received, ["one", "two"]);
    });

    for (const [failure, open] of Object.entries({
      throws: () => {
        throw new Error("open failed");
      },
      rejects: () => Promise.reject(new Error("open failed")),
    })) {
      it(`that ${failure} ends the connection with 1011, and no message is delivered, on ${name}`, async () => {
        const reports: unknown[] = [];
        const received: Message[] = [];
        const onError = (error: unknown): void => void reports.push(error);
        const { connection, peer, clock } = scene(wire, {
          ...{ open, onError, message: (_, data) => void received.push(data) },
        });
        peer.write(message("x"));
        await clock.advance(10);
        const { code, cause } = await connection.closed;
        assert.deepEqual([code, (cause as Error).message], [1011, "open failed"]);
        assert.deepEqual(reports, [cause]);
        assert.deepEqual(received, []);
      });
    }
  }
});

describe("the other hooks", () => {
  for (const hook of ["ping", "pong"] as const) {
    it(`end the connection with 1011 if one throws: ${hook}`, async () => {
      const error = new Error("hook");
      const reports: unknown[] = [];
      const { connection, peer, clock } = wired({
        connection: {
          closeTimeout: 10,
          onError: (one) => void reports.push(one),
          [hook]: () => {
            throw error;
          },
        },
      });
      peer.write(peerFrame({ opcode: hook === "ping" ? 9 : 10, payload: "x", key: KEY }));
      await settled();
      assert.equal(closeCodeIn(peer.received), 1011);
      await clock.advance(10);
      assert.equal((await connection.closed).cause, error);
      assert.deepEqual(reports, [error]);
    });
  }

  it("at the end are called with the close info, and their failure only goes to onError", async () => {
    const error = new Error("the close hook failed");
    const reports: unknown[] = [];
    const { connection, peer } = wired({
      connection: {
        onError: (one) => void reports.push(one),
        close: (_, info) => {
          reports.push(info);
          throw error;
        },
      },
    });
    peer.reset();
    const info = await connection.closed;
    assert.deepEqual(reports, [info, error]);
  });
});

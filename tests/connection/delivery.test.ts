/** Hooks: one message at a time and in order, held back by a promise, and the connection's end when they fail. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection, ConnectionEvent, ConnectionOptions, Data } from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { joined, KEY, peerFrame } from "../engine/peer-frames.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { closeCodeIn } from "./goodbye.js";

const scene = ({ protocol, options }: Speech, connection: ConnectionOptions, capacity = 65_536): Wired =>
  wired({ protocol, ...options, capacity, connection: { closeTimeout: 10, ...connection } });

/** A hook whose calls end when they are told to. */
class Work {
  readonly messages: Data[] = [];
  running = 0;
  most = 0;
  readonly #ends: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  readonly hook = async (_: Connection, data: Data): Promise<void> => {
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
  for (const speech of SPEECHES) {
    const { name, message } = speech;
    const three = joined(message("one"), message("two"), message("three"));

    it(`is given each message in order, as it comes, on ${name}`, async () => {
      const received: Data[] = [];
      const { connection, wire } = scene(speech, { message: (_, data) => void received.push(data) });
      wire.write(three);
      await settled();
      assert.deepEqual(received, ["one", "two", "three"]);
      assert.equal(connection.state, "OPEN");
    });

    it(`is given its own connection, on ${name}`, async () => {
      const given: Connection[] = [];
      const { connection, wire } = scene(speech, { message: (one) => void given.push(one) });
      wire.write(message("x"));
      await settled();
      assert.equal(given[0], connection);
    });

    it(`that answers a promise is given one message at a time, on ${name}`, async () => {
      const work = new Work();
      const { wire } = scene(speech, { message: work.hook });
      wire.write(three);
      await settled();
      for (const so of [["one"], ["one", "two"], ["one", "two", "three"]]) {
        assert.deepEqual(work.messages, so);
        await work.finish();
      }
      wire.write(message("four"));
      await settled();
      assert.deepEqual(work.messages.slice(3), ["four"]);
      assert.equal(work.most, 1);
    });

    it(`may answer a promise for some messages and not for others, on ${name}`, async () => {
      const order: string[] = [];
      const { wire } = scene(speech, {
        message: (_, data) => {
          order.push(`${data} begins`);
          return data === "two" ? settled().then(() => void order.push("two ends")) : undefined;
        },
      });
      wire.write(three);
      await settled();
      await settled();
      assert.deepEqual(order, ["one begins", "two begins", "two ends", "three begins"]);
    });

    it(`that is slow holds the peer back, and then takes everything, on ${name}`, async () => {
      const work = new Work();
      const pauses: string[] = [];
      const { protocol, options } = speech;
      const { client } = pair({
        ...{ protocol, ...options, capacity: 1_000 },
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

    it(`is given what was stored before the end, on ${name}`, async () => {
      const work = new Work();
      const { wire } = scene(speech, { message: work.hook });
      wire.write(three);
      await settled();
      wire.reset();
      await settled();
      for (let done = 0; done < 3; done += 1) await work.finish();
      assert.deepEqual(work.messages, ["one", "two", "three"]);
    });

    it(`is given nothing behind the close hook, which comes when it has settled, on ${name}`, async () => {
      const work = new Work();
      const told: unknown[] = [];
      const { connection, wire } = scene(speech, { message: work.hook, close: (_, info) => told.push(info) });
      wire.write(three);
      await settled();
      wire.reset();
      const info = await connection.closed;
      for (let done = 0; done < 3; done += 1) {
        assert.deepEqual([told, work.messages.length], [[], done + 1]);
        await work.finish();
      }
      assert.deepEqual(told, [info]);
    });

    it(`that fails, or ends the connection, is followed by the close hook at once, on ${name}`, async () => {
      const error = new Error("the hook's own");
      for (const how of ["throws", "rejects", "terminates"]) {
        const calls: string[] = [];
        const { connection, wire, clock } = scene(speech, {
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
        wire.write(message("x"));
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

    it(`may return anything: only for what can be awaited it is waited, on ${name}`, async () => {
      const returned: readonly unknown[] = [1, "x", null, false, {}, [], () => undefined];
      const received: Data[] = [];
      const { connection, wire } = scene(speech, {
        message: (_, data) => {
          received.push(data);
          return returned[Number(data)] as undefined;
        },
      });
      for (const index of returned.keys()) wire.write(message(`${index}`));
      await settled();
      assert.equal(connection.state, "OPEN");
      assert.deepEqual(received, Object.keys(returned));
    });

    it(`takes the place of the other views, on ${name}`, async () => {
      const { connection } = scene(speech, { message: () => undefined });
      await assert.rejects(connection.receive(), TypeError);
      await assert.rejects(connection.reader(), TypeError);
      await assert.rejects(connection[Symbol.asyncIterator]().next(), TypeError);
      await assert.rejects(connection.readable.getReader().read(), TypeError);
      assert.equal(connection.state, "OPEN", "a mistake in calling is no end");
    });

    const failures: Record<string, (error: Error, work: Work) => ConnectionOptions> = {
      "throws at once": (error) => ({
        message: () => {
          throw error;
        },
      }),
      rejects: (error) => ({ message: () => Promise.reject(error) }),
      "throws for a message that was stored": (error, work) => ({
        message: (connection, data) => {
          if (data === "one") return work.hook(connection, data);
          work.messages.push(data);
          throw error;
        },
      }),
      "rejects for a message that was stored": (error, work) => ({
        message: (connection, data) => {
          if (data === "one") return work.hook(connection, data);
          work.messages.push(data);
          return Promise.reject(error);
        },
      }),
    };
    for (const [how, hook] of Object.entries(failures)) {
      it(`that ${how} ends the connection with 1011, its error told to all, on ${name}`, async () => {
        const told: unknown[] = [];
        const work = new Work();
        const error = new Error("the hook's own");
        const options = { ...hook(error, work), onError: (one: unknown) => void told.push(one) };
        const { connection, wire, clock } = scene(speech, options);
        wire.write(three);
        await settled();
        await work.finish();
        assert.deepEqual(told, [error], "once, and nothing of the messages behind it");
        assert.equal(work.messages.length <= 2, true, `${work.messages}`);
        assert.equal(connection.state, "CLOSING");
        await assert.rejects(connection.send("x"), { code: "CLOSED", closeCode: 1011, by: "local", cause: error });
        if (speech.protocol === "websocket") assert.equal(closeCodeIn(wire), 1011);
        await clock.advance(10);
        const { code, by, wasClean, cause } = await connection.closed;
        assert.deepEqual([code, by, wasClean, cause], [1011, "local", false, error]);
        assert.deepEqual(told, [error]);
      });
    }

    it(`that fails sends first what was sent before, on ${name}`, async () => {
      const { wire } = scene(speech, {
        onError: () => undefined,
        message: (connection) => {
          connection.trySend("sent before");
          throw new Error("and then this");
        },
      });
      wire.write(message("x"));
      await settled();
      const before = speech.message("sent before", "server");
      assert.deepEqual(Buffer.from(wire.received.subarray(0, before.length)), Buffer.from(before));
    });

    it(`has the read deadline's passing as the connection's end, on ${name}`, async () => {
      const { connection, wire, clock } = scene(speech, { message: () => undefined });
      const deadline = clock.in(100);
      connection.setReadDeadline(deadline);
      for (let at = 0; at < 90; at += 30) {
        wire.write(message("x"));
        await clock.advance(30);
      }
      assert.equal(connection.state, "OPEN");
      await clock.advance(10);
      const facts = { code: "TIMEOUT", operation: "receive", limit: "readDeadline", bound: deadline, retriable: false };
      await assert.rejects(connection.send("x"), facts);
      if (speech.protocol === "websocket") assert.equal(closeCodeIn(wire), 1008);
      await clock.advance(10);
      assert.equal((await connection.closed).cause, await connection.send("x").catch((error: unknown) => error));
    });

    it(`goes on under a read deadline that is renewed or cleared, on ${name}`, async () => {
      const { connection, wire, clock } = scene(speech, {
        message: (one) => one.setReadDeadline(clock.in(100)),
      });
      connection.setReadDeadline(clock.in(100));
      for (let count = 0; count < 10; count += 1) {
        await clock.advance(99);
        wire.write(message("x"));
      }
      await settled();
      connection.setReadDeadline(undefined);
      await clock.advance(10_000);
      assert.equal(connection.state, "OPEN");
    });
  }

  it("is given no pieces: a connection that streams has no message hook", () => {
    assert.throws(() => wired({ connection: { streaming: true, message: () => undefined } }), {
      name: "TypeError",
      message: /streaming/,
    });
  });
});

describe("an open hook", () => {
  for (const speech of SPEECHES) {
    const { name, message } = speech;

    it(`holds messages back until its promise settles, on ${name}`, async () => {
      const received: Data[] = [];
      let ready!: () => void;
      const { wire } = scene(speech, {
        open: () =>
          new Promise<void>((resolve) => {
            ready = resolve;
          }),
        message: (_, data) => void received.push(data),
      });
      wire.write(joined(message("one"), message("two")));
      await settled();
      assert.deepEqual(received, []);
      ready();
      await settled();
      assert.deepEqual(received, ["one", "two"]);
    });

    for (const [how, open] of Object.entries({
      throws: () => {
        throw new Error("no entry");
      },
      rejects: () => Promise.reject(new Error("no entry")),
    })) {
      it(`that ${how} ends the connection with 1011, and no message is handed over, on ${name}`, async () => {
        const told: unknown[] = [];
        const received: Data[] = [];
        const onError = (error: unknown): void => void told.push(error);
        const { connection, wire, clock } = scene(speech, {
          ...{ open, onError, message: (_, data) => void received.push(data) },
        });
        wire.write(message("x"));
        await clock.advance(10);
        const { code, cause } = await connection.closed;
        assert.deepEqual([code, (cause as Error).message], [1011, "no entry"]);
        assert.deepEqual(told, [cause]);
        assert.deepEqual(received, []);
      });
    }
  }
});

describe("the other hooks", () => {
  for (const which of ["ping", "pong"] as const) {
    it(`end the connection with 1011 when one throws: ${which}`, async () => {
      const error = new Error("hook");
      const told: unknown[] = [];
      const { connection, wire, clock } = wired({
        connection: {
          closeTimeout: 10,
          onError: (one) => void told.push(one),
          [which]: () => {
            throw error;
          },
        },
      });
      wire.write(peerFrame({ opcode: which === "ping" ? 9 : 10, payload: "x", key: KEY }));
      await settled();
      assert.equal(closeCodeIn(wire), 1011);
      await clock.advance(10);
      assert.equal((await connection.closed).cause, error);
      assert.deepEqual(told, [error]);
    });
  }

  it("are called at the end with the account of it, whose failure goes to onError alone", async () => {
    const error = new Error("too late to matter");
    const told: unknown[] = [];
    const { connection, wire } = wired({
      connection: {
        onError: (one) => void told.push(one),
        close: (_, info) => {
          told.push(info);
          throw error;
        },
      },
    });
    wire.reset();
    const info = await connection.closed;
    assert.deepEqual(told, [info, error]);
  });
});

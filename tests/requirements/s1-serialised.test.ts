/** S1: what concurrent writers may rely on besides their messages' integrity. */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { type Connection, type ConnectionError, connect, listen, type Sendable } from "../../src/index.js";
import { pair, wired } from "../../src/testing/index.js";
import { FrameReader } from "../frames.js";

const never = (): never => assert.fail("it was not to come so far");

describe("S1 serialised writes", () => {
  it("S1-2 the lock belongs to the connection: two wrappers around one still serialise", async () => {
    class Wrapper {
      readonly #connection: Connection;
      constructor(connection: Connection) {
        this.#connection = connection;
      }
      say(text: string): Promise<void> {
        return this.#connection.send(text);
      }
    }
    const { client, server } = pair();
    const wrappers = ["a", "b"].map((name) => ({ name, wrapper: new Wrapper(client) }));
    const sent = wrappers.flatMap(({ name, wrapper }) =>
      Array.from({ length: 100 }, (_, index) => wrapper.say(`${name}${index}${"x".repeat(2_000)}`)),
    );
    const heard: string[] = [];
    for (let count = 0; count < 200; count += 1) heard.push(String(await server.receive()).replace(/x+$/, ""));
    await Promise.all(sent);
    for (const name of ["a", "b"]) {
      const own = heard.filter((text) => text.startsWith(name));
      assert.deepEqual(
        own,
        own.map((_, index) => `${name}${index}`),
      );
    }
    await client.close();
  });

  for (const protocol of ["websocket", "tcp"] as const) {
    it(`S1-3 a send behind the end is a typed error, the same each time, on ${protocol}`, async () => {
      const { client, server } = pair({ protocol, framing: "lines" });
      await Promise.all([client.close(), server.close()]);
      const errors: unknown[] = [];
      for (let count = 0; count < 3; count += 1) await client.send("a").then(never, (error) => errors.push(error));
      assert.deepEqual(
        errors.map((error) => (error as ConnectionError).code),
        ["CLOSED", "CLOSED", "CLOSED"],
      );
      assert.ok(errors.every((error) => error === errors[0]));
      assert.equal(client.trySend("a"), "refused");
    });

    it(`S1-4 each of the sends that a reset meets settles, once, on ${protocol}`, async () => {
      // A server that reads nothing and then resets.
      await using scene = await resetting(protocol);
      const settled = new Map<number, string>();
      const sends = Array.from({ length: 500 }, (_, index) => {
        const tell = (how: string): void => {
          assert.ok(!settled.has(index));
          settled.set(index, how);
        };
        return scene.connection.send("x".repeat(50_000)).then(
          () => tell("sent"),
          (error: ConnectionError) => tell(error.code),
        );
      });
      scene.reset();
      await Promise.all(sends);
      await scene.connection.closed;
      assert.equal(settled.size, 500);
      const how = new Set(settled.values());
      assert.ok(how.has("TRANSPORT") || how.has("CLOSED"), `${[...how]}`);
      for (const one of how) assert.ok(["sent", "TRANSPORT", "CLOSED"].includes(one), one);
    });
  }

  it("S1-5 messages go in the order of the calls, and a Ping before those that wait", async () => {
    const { connection, wire, clock } = wired({ capacity: 1_000 });
    wire.pause();
    const sends = Array.from({ length: 50 }, (_, index) => connection.send(`${index} ${"x".repeat(3_000)}`));
    await clock.advance(1);
    const pinged = connection.ping().catch(() => undefined);
    const frames: string[] = [];
    const reader = new FrameReader();
    wire.resume();
    while (frames.filter((frame) => frame !== "ping").length < 50) {
      await clock.advance(1);
      for (const { opcode, payload } of reader.push(Buffer.from(wire.take()))) {
        frames.push(opcode === 9 ? "ping" : (payload.toString().split(" ")[0] ?? ""));
      }
    }
    const data = frames.filter((frame) => frame !== "ping");
    assert.deepEqual(
      data,
      data.map((_, index) => `${index}`),
    );
    // The first write was under way when it was asked for; all that was not begun then is behind it.
    assert.ok(frames.indexOf("ping") > 0 && frames.indexOf("ping") < 49, `${frames.indexOf("ping")}`);
    await Promise.all(sends);
    connection.terminate();
    await pinged;
  });

  it("S1-6 the queue is bounded in bytes and in messages", async () => {
    for (const [bounds, size, room] of [
      [{ maxQueuedBytes: 1_000 }, 100, 10],
      [{ maxQueuedMessages: 7 }, 1, 7],
    ] as const) {
      const { client, link, clock } = pair({ capacity: 1, client: { ...bounds, overflow: "reject" } });
      link.freeze("server");
      const sends = Array.from({ length: 20 }, () => client.send("x".repeat(size)).catch((error) => error));
      assert.deepEqual([client.queuedMessages, client.queuedBytes], [room, room * size]);
      await clock.advance(1);
      client.terminate();
      const refused = (await Promise.all(sends)).filter((error) => error.code === "LIMIT");
      assert.equal(refused.length, 20 - room);
    }
  });

  it("S1-7 many senders reach 95 % of what one reaches", { timeout: 60_000 }, async () => {
    await using server = await listen("ws://127.0.0.1:0", { message: () => undefined });
    await using connection = await connect(server.url);
    const messages = 4_000;
    const timed = async (senders: number): Promise<number> => {
      const begun = performance.now();
      const each = messages / senders;
      const one = async (): Promise<void> => {
        for (let count = 0; count < each; count += 1) await connection.send("x".repeat(100));
      };
      await Promise.all(Array.from({ length: senders }, one));
      return performance.now() - begun;
    };
    const best = { one: Infinity, many: Infinity };
    // Interleaved, and the best of each, since other work on the machine only ever makes a round slower.
    for (let round = 0; round < 5; round += 1) {
      best.one = Math.min(best.one, await timed(1));
      best.many = Math.min(best.many, await timed(100));
    }
    assert.ok(best.one / best.many >= 0.95, `${best.one} ms by one, ${best.many} ms by many`);
  });

  it("S1-8 a writer, pings and a close at once leave whole frames and one end", async () => {
    const { client, server } = pair();
    const heard: string[] = [];
    const listening = (async () => {
      for await (const message of server) heard.push(String(message));
    })();
    const writer = client.writer("text");
    const parts = Array.from({ length: 20 }, (_, index) => writer.write(`${index},`));
    const pings = Array.from({ length: 5 }, () => client.ping());
    const after = client.send("after");
    const ended = writer.end("end");
    await Promise.all([...parts, ended, after]);
    const { wasClean, code } = await client.close(3_000, "done");
    await Promise.allSettled(pings);
    await listening.catch(never);
    assert.deepEqual([wasClean, code, (await server.closed).wasClean], [true, 3_000, true]);
    assert.deepEqual(heard, [`${Array.from({ length: 20 }, (_, index) => `${index},`).join("")}end`, "after"]);
  });

  it("S1-9 wrong types are refused by the compiler, and at run time before anything is queued", async () => {
    const { client, server } = pair();
    const wrong: readonly unknown[] = [1, 0n, true, null, undefined, {}, [1, 2], () => "a", Symbol("a"), new Date()];
    for (const value of wrong) {
      assert.throws(() => client.send(value as Sendable), TypeError);
      assert.throws(() => client.trySend(value as Sendable), TypeError);
      assert.throws(() => client.writer().write(value as string), TypeError);
      assert.throws(() => client.close(1_000, (value ?? 5) as string), TypeError);
    }
    // @ts-expect-error a number is no message
    assert.throws(() => client.send(5), TypeError);
    // @ts-expect-error a typed array is no reason (CVE-2026-45736)
    assert.throws(() => client.close(1_000, new Float32Array(20)), TypeError);
    // @ts-expect-error a length of time is no deadline
    assert.throws(() => client.setWriteDeadline(5_000), TypeError);
    assert.deepEqual(
      [client.queuedMessages - 10, client.state],
      [0, "OPEN"],
      "ten writers have their place, and no more",
    );
    client.terminate();
    await server.closed;
  });

  it("S1-10 a Ping is on the wire before a streamed message of 64 MiB has ended", { timeout: 60_000 }, async () => {
    const { promise: whole, resolve: read } = withResolvers<number>();
    await using server = await listen("ws://127.0.0.1:0", { streaming: true }, async (connection) => {
      let size = 0;
      for await (const bytes of await connection.reader()) size += bytes.length;
      read(size);
    });
    await using connection = await connect(server.url);
    const writer = connection.writer();
    const chunk = new Uint8Array(1 << 20);
    const pings: number[] = [];
    for (let written = 0; written < 64; written += 1) {
      await writer.write(chunk);
      // Answered while the message is under way, since it has no end yet.
      if (written % 16 === 8) pings.push(await connection.ping());
    }
    await writer.end();
    assert.equal(pings.length, 4);
    assert.equal(await whole, 64 << 20);
  });

  it("S1-11 a small message does not overtake a large one", async () => {
    const { client, server } = pair();
    const sends = [client.send("x".repeat(1_000_000)), client.send("small"), client.send("y".repeat(200_000))];
    const sizes = [await server.receive(), await server.receive(), await server.receive()].map(({ length }) => length);
    assert.deepEqual(sizes, [1_000_000, 5, 200_000]);
    await Promise.all(sends);
    await client.close();
  });

  it("S1-11 a small message does not overtake a large compressed one", { todo: "waits for permessage-deflate" }, () => {
    assert.fail("there is no compression yet");
  });
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A client of a server that reads nothing, and resets when it is told to. */
async function resetting(protocol: "websocket" | "tcp"): Promise<{
  readonly connection: Connection<undefined>;
  readonly reset: () => void;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  if (protocol === "websocket") {
    const server = await listen("ws://127.0.0.1:0", () => new Promise(() => undefined));
    const connection = await connect(server.url, { maxQueuedBytes: 1 << 26 });
    const reset = (): void => {
      for (const one of server.connections) one.terminate();
    };
    return { connection, reset, [Symbol.asyncDispose]: () => server.close({ drain: 0 }) };
  }
  let reset = (): void => undefined;
  const server = createServer((socket) => {
    socket.on("error", () => undefined).pause();
    reset = () => void socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const accepted = new Promise((resolve) => server.once("connection", resolve));
  const connection = await connect(`tcp://127.0.0.1:${port}`, { framing: "lines", maxQueuedBytes: 1 << 26 });
  await accepted;
  const close = (): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));
  return { connection, reset: () => reset(), [Symbol.asyncDispose]: close };
}

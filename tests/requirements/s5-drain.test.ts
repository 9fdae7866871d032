/** S5-3: a server that closes lets running handlers and hooks finish, and writes their messages, before it closes. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import {
  attach,
  type Connection,
  connect,
  type Handler,
  type ListenOptions,
  listen,
  type Message,
  type Server,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { portOf, RawPeer } from "../kit/raw-peer.ts";

interface Door {
  readonly server: Server;
  readonly url: string;
  readonly shut: () => Promise<unknown>;
}

type Open = (options: ListenOptions, handler?: Handler) => Promise<Door>;

async function listening(url: string, options: ListenOptions, handler: Handler | undefined): Promise<Door> {
  const server = await listen(url, options, handler);
  return { server, url: server.url, shut: () => Promise.resolve() };
}

/** Each form of a server. */
const DOORS: Readonly<Record<string, Open>> = {
  "listen ws:": (options, handler) => listening("ws://127.0.0.1:0", options, handler),
  "listen tcp:": (options, handler) => listening("tcp://127.0.0.1:0", { framing: "lines", ...options }, handler),
  attach: async (options, handler) => {
    const http = createServer();
    const server = attach(http, options, handler);
    await new Promise<void>((resolve) => void http.listen(0, "127.0.0.1", resolve));
    const url = `ws://127.0.0.1:${(http.address() as { port: number }).port}`;
    return { server, url, shut: () => new Promise((resolve) => http.close(resolve)) };
  },
};

const dial = (url: string): Promise<Connection<undefined>> =>
  connect(url, url.startsWith("tcp:") ? { framing: "lines" } : {});

for (const [name, open] of Object.entries(DOORS)) {
  describe(`S5-3 server.close() behind ${name}`, () => {
    it("S5-3 lets a working handler finish, and its messages leave, before the end", async () => {
      const before = openSockets();
      const works = deferred();
      const goes = deferred();
      const { server, url, shut } = await open({}, async (connection) => {
        for await (const message of connection) {
          works.resolve();
          await goes.promise;
          await connection.send(`answer to ${String(message)}`);
        }
      });
      const client = await dial(url);
      await client.send("question");
      await works.promise;
      const [served] = server.connections;
      assert.equal(served?.draining.aborted, false);
      let over = false;
      const closing = server.close().then((result) => {
        over = true;
        return result;
      });
      while (served?.draining.aborted === false) await new Promise(setImmediate);
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      assert.deepEqual([over, served?.state, client.state], [false, "OPEN", "OPEN"]);
      goes.resolve();
      assert.equal(await client.receive(), "answer to question");
      for await (const _ of client);
      const { code, wasClean } = await client.closed;
      assert.deepEqual([code, wasClean], [name === "listen tcp:" ? 1000 : 1001, true]);
      assert.deepEqual(await closing, { clean: 1, cut: 0 });
      assert.equal(over, true);
      await shut();
      assert.ok(openSockets() <= before);
    });

    it("S5-3 lets a working hook finish, and calls it with the messages that were received", async () => {
      const works = deferred();
      const goes = deferred();
      const { server, url, shut } = await open({
        maxInboxMessages: 2,
        message: async (connection, data) => {
          works.resolve();
          await goes.promise;
          await connection.send(`answer to ${String(data)}`);
        },
      });
      const client = await dial(url);
      // One segment, more than the inbox holds.
      const sent = Array.from({ length: 10 }, (_, index) => client.send(`${index}`));
      await works.promise;
      await Promise.all(sent);
      const closing = server.close();
      goes.resolve();
      const answers: Message[] = [];
      for await (const answer of client) answers.push(answer);
      assert.deepEqual(
        answers,
        Array.from({ length: 10 }, (_, index) => `answer to ${index}`),
      );
      assert.deepEqual(await closing, { clean: 1, cut: 0 });
      await shut();
    });

    it("S5-3 closes at once idle connections, and those whose handler waits for a message or for the end", async () => {
      const joined: Connection[] = [];
      let count = 0;
      const { server, url, shut } = await open({ closeTimeout: Infinity }, async (connection) => {
        joined.push(connection);
        count += 1;
        if (count === 1) await connection.receive().catch(() => undefined);
        else if (count === 2) {
          // The handler holds a message, and waits for nothing but the end.
          await connection.receive();
          await connection.closed;
        } else for await (const _ of connection);
      });
      const clients = [await dial(url), await dial(url), await dial(url)];
      await clients[1]?.send("hello");
      while (joined.length < 3) await new Promise(setImmediate);
      await new Promise(setImmediate);
      const reading = clients.map(async (client) => {
        for await (const _ of client);
        await client.close();
      });
      // No time limit would end it: `drain` is infinite.
      assert.deepEqual(await server.close({ drain: Infinity }), { clean: 3, cut: 0 });
      await Promise.all(reading);
      await shut();
    });

    it("S5-3 a handler that uses `draining` can stop early", async () => {
      const { server, url, shut } = await open({}, async (connection) => {
        const stopped = new Promise<void>((resolve) => {
          connection.draining.addEventListener("abort", () => resolve(), { once: true });
        });
        await stopped;
        await connection.send("good bye");
      });
      const client = await dial(url);
      while (server.connections.size === 0) await new Promise(setImmediate);
      const closing = server.close({ drain: Infinity });
      assert.equal(await client.receive(), "good bye");
      await client.close();
      assert.deepEqual(await closing, { clean: 1, cut: 0 });
      await shut();
    });

    it("S5-3 closes working connections at three quarters of `drain`, and terminates the rest at its end", async () => {
      const clock = new ManualClock();
      const endless = { closeTimeout: Infinity, idleTimeout: Infinity, heartbeat: { interval: Infinity } };
      const ends: string[] = [];
      const { server, url, shut } = await open(
        { ...endless, clock, close: (_, { wasClean }) => void ends.push(wasClean ? "clean" : "cut") },
        () => new Promise(() => undefined),
      );
      const polite = await dial(url);
      const rude = url.startsWith("tcp:") ? await RawPeer.to(portOf(server)) : undefined;
      const number = rude === undefined ? 1 : 2;
      while (server.connections.size < number) await new Promise(setImmediate);
      const reading = (async () => {
        for await (const _ of polite);
        return polite.close();
      })();
      let result: unknown;
      const closing = server.close({ drain: 4_000 }).then((counts) => {
        result = counts;
      });
      await clock.advance(2_999);
      assert.deepEqual([ends, polite.state], [[], "OPEN"]);
      await clock.advance(1);
      assert.equal((await reading).wasClean, true);
      await settled();
      assert.deepEqual(ends, ["clean"]);
      assert.equal(result, undefined, "the handler has not returned");
      await clock.advance(1_000);
      await closing;
      assert.deepEqual(result, { clean: 1, cut: number - 1 });
      assert.equal(server.connections.size, 0);
      rude?.socket.destroy();
      await shut();
    });

    it("S5-3 lets an `open` hook finish, with and without a message hook", async () => {
      for (const message of [undefined, () => undefined]) {
        const goes = deferred();
        const { server, url, shut } = await open({
          ...(message !== undefined && { message }),
          open: async (connection) => {
            await goes.promise;
            await connection.send("welcome");
          },
        });
        const client = await dial(url);
        while (server.connections.size === 0) await new Promise(setImmediate);
        const [served] = server.connections;
        const closing = server.close({ drain: Infinity });
        while (served?.draining.aborted === false) await new Promise(setImmediate);
        goes.resolve();
        const received: Message[] = [];
        for await (const data of client) received.push(data);
        assert.deepEqual(received, ["welcome"]);
        assert.deepEqual(await closing, { clean: 1, cut: 0 });
        await shut();
      }
    });

    it("S5-3 is one close, however often it is called", async () => {
      const { server, url, shut } = await open({}, async (connection) => {
        for await (const _ of connection);
      });
      const client = await dial(url);
      const reading = (async () => {
        for await (const _ of client);
      })();
      const results = await Promise.all([server.close(), server.close({ drain: 1 }), server.close()]);
      assert.deepEqual(results, [results[0], results[0], results[0]]);
      await reading;
      await shut();
    });
  });
}

it("S5-3 a handler after its peer's FIN detects the close, too", async () => {
  const halved = deferred();
  const server = await listen(
    "tcp://127.0.0.1:0",
    { framing: "lines", allowHalfOpen: true, lingerTimeout: Infinity, closeTimeout: Infinity },
    async (connection) => {
      for await (const _ of connection);
      halved.resolve();
      await new Promise<void>((resolve) => connection.draining.addEventListener("abort", () => resolve()));
      await connection.send("good bye");
    },
  );
  const peer = await RawPeer.to(portOf(server));
  peer.socket.end();
  await halved.promise;
  const closing = server.close({ drain: Infinity });
  await peer.until(({ ended }) => ended);
  assert.equal(peer.text, "good bye\n");
  assert.deepEqual(await closing, { clean: 1, cut: 0 });
});

it("S5-3 the port is free at once, while a handler still works", async () => {
  const goes = deferred();
  const works = deferred();
  const server = await listen("ws://127.0.0.1:0", async (connection) => {
    await connection.receive();
    works.resolve();
    await goes.promise;
    await connection.send("done");
  });
  const client = await connect(server.url);
  await client.send("work");
  await works.promise;
  const closing = server.close();
  await using _next = await listen(server.url, () => undefined);
  goes.resolve();
  assert.equal(await client.receive(), "done");
  assert.deepEqual(await closing, { clean: 1, cut: 0 });
});

it("S5-3 a server with a thousand connections closes them in turns", async () => {
  const server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
    for await (const _ of connection);
  });
  const clients = await Promise.all(Array.from({ length: 1_000 }, () => connect(server.url, { framing: "lines" })));
  while (server.connections.size < 1_000) await new Promise(setImmediate);
  let turns = 0;
  let most = 0;
  let last = 0;
  const ended = new Set<Connection<undefined>>();
  for (const client of clients) client.signal.addEventListener("abort", () => ended.add(client));
  const closing = server.close();
  const count = (): void => {
    turns += 1;
    const closed =
      [...server.connections].filter(({ state }) => state !== "OPEN").length + 1_000 - server.connections.size;
    most = Math.max(most, closed - last);
    last = closed;
    if (last < 1_000) setImmediate(count);
  };
  count();
  for (const client of clients)
    void (async () => {
      for await (const _ of client);
    })();
  assert.deepEqual(await closing, { clean: 1_000, cut: 0 });
  assert.ok(most <= 512, `${most} in one turn`);
  assert.ok(turns > 2);
});

/** S5: loops end by the close code, calls that return a promise never throw, and the beginning of the end is an event. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, type Connection, connect, Group, listen, ReconnectingConnection } from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";
import { startWorkers } from "../../src/workers/index.ts";

async function readAll(connection: Connection): Promise<unknown> {
  try {
    for await (const _ of connection);
    return "ended";
  } catch (error) {
    return error;
  }
}

describe("S5-7 a reading loop ends on a normal end, and throws on every other", () => {
  for (const code of [1000, 1001]) {
    it(`S5-7 it ends on ${code}, and the cause is undefined`, async () => {
      const { client, server } = pair();
      const loop = readAll(client);
      await server.close(code);
      assert.equal(await loop, "ended");
      assert.equal((await client.closed).cause, undefined);
    });
  }

  it("S5-7 it ends on a Close without a code", async () => {
    const { connection, peer } = wired({ role: "client" });
    const loop = readAll(connection);
    peer.write([0x88, 0]);
    assert.equal(await loop, "ended");
    peer.end();
    const { code, cause } = await connection.closed;
    assert.deepEqual([code, cause], [1005, undefined]);
  });

  for (const code of [1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4001]) {
    it(`S5-7 it throws the ClosedError of ${code}, which is the cause, and the error of receive and of streams`, async () => {
      const { client, server } = pair();
      const loop = readAll(client);
      await server.close(code, "because");
      const error = await loop;
      assert.ok(error instanceof ClosedError);
      assert.deepEqual([error.closeCode, error.reason, error.by, error.wasClean], [code, "because", "peer", true]);
      const { cause, wasClean } = await client.closed;
      assert.equal(cause, error);
      assert.equal(wasClean, true);
      assert.equal(await client.receive().catch((refused: unknown) => refused), error);
      assert.equal(
        await client.readable
          .getReader()
          .read()
          .catch((refused: unknown) => refused),
        error,
      );
      assert.equal(client.signal.reason, error);
    });
  }

  it("S5-7 it throws on 1006, and on TCP it ends on a FIN", async () => {
    const lost = wired();
    const loop = readAll(lost.connection);
    lost.peer.end();
    const error = await loop;
    assert.ok(error instanceof ClosedError && error.closeCode === 1006);
    assert.equal((await lost.connection.closed).cause, error);
    const ended = wired({ kind: "tcp" });
    const other = readAll(ended.connection);
    ended.peer.end();
    assert.equal(await other, "ended");
  });

  it("S5-7 messages before the end come first", async () => {
    const { client, server } = pair();
    await server.send("one");
    await server.send("two");
    void server.close(4001);
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const message of client) seen.push(message);
      },
      { closeCode: 4001 },
    );
    assert.deepEqual(seen, ["one", "two"]);
  });
});

describe("S5 misuse of a call that returns a promise rejects", () => {
  const nonsense = 5 as never;
  const calls: Readonly<Record<string, (connection: Connection) => Promise<unknown>>> = {
    "send: a message": (connection) => connection.send(nonsense),
    "send: options": (connection) => connection.send("x", { timeout: -1 }),
    "send: a deadline": (connection) => connection.send("x", { deadline: nonsense }),
    receive: (connection) => connection.receive({ signal: nonsense }),
    reader: (connection) => connection.reader({ timeout: "5" as never }),
    ping: (connection) => connection.ping({ timeout: "5" as never }),
    drain: (connection) => connection.drain({ timeout: "5" as never }),
    "close: a long reason": (connection) => connection.close(1000, "x".repeat(124)),
    "close: a code": (connection) => connection.close(1006),
    "writer.write": (connection) => connection.writer().write(nonsense),
    "writer.end": (connection) => connection.writer().end(nonsense),
  };
  for (const [name, call] of Object.entries(calls)) {
    it(`of ${name}, and the connection lives`, async () => {
      const { client } = pair();
      let promise: Promise<unknown> | undefined;
      assert.doesNotThrow(() => {
        promise = call(client);
      });
      await assert.rejects(
        promise as Promise<unknown>,
        (error) => error instanceof TypeError || error instanceof RangeError,
      );
      assert.equal(client.state, "OPEN");
    });
  }

  it("of calls whose promises are not handled, too: it is reported once, and ends neither the connection nor the process", async () => {
    const escaped: unknown[] = [];
    const escaping = (error: unknown): void => void escaped.push(error);
    process.on("unhandledRejection", escaping);
    try {
      const errors: unknown[] = [];
      const { client, server } = pair({
        server: {
          onError: (error, { place, connection }) => void errors.push([(error as Error).name, place, connection?.id]),
          // The peer decides the answer, and the application does not check it.
          message: (connection, data) => {
            void connection.send((JSON.parse(String(data)) as { reply: string }).reply);
            void connection.close(JSON.parse(String(data)).code ?? "none");
          },
        },
      });
      await client.send("{}");
      await client.send("{}");
      await client.send('{ "reply": "still here", "code": 4000 }');
      assert.equal(await client.receive(), "still here");
      assert.equal((await client.closed).code, 4000);
      assert.deepEqual(errors, [["TypeError", "send", server.id]]);
      await new Promise(setImmediate);
      assert.deepEqual(escaped, []);
    } finally {
      process.off("unhandledRejection", escaping);
    }
  });

  it("of ping on TCP", async () => {
    const { client } = pair({ kind: "tcp" });
    await assert.rejects(client.ping(), TypeError);
  });

  it("of receive beside a message hook", async () => {
    const { client } = pair({ client: { message: () => undefined } });
    await assert.rejects(client.receive(), TypeError);
  });

  it("of connect, listen, startWorkers, server.close and a reconnecting connection", async () => {
    await assert.rejects(connect(nonsense), TypeError);
    await assert.rejects(
      listen(nonsense, () => undefined),
      TypeError,
    );
    await assert.rejects(startWorkers({ workers: nonsense }, nonsense), TypeError);
    await using server = await listen("ws://127.0.0.1:0", () => undefined);
    await assert.rejects(server.close({ drain: "5" as never }), TypeError);
    const back = new ReconnectingConnection("ws://127.0.0.1:9/", { message: () => undefined });
    await assert.rejects(back.receive(), TypeError);
    await assert.rejects(back.send(nonsense), TypeError);
    await assert.rejects(back.close("1000" as never), TypeError);
    await assert.rejects(back.close(1000.5), RangeError);
    await assert.rejects(back.close(1000, "x".repeat(124)), RangeError);
    await back.close();
  });
});

describe("S5 the `closing` hook is called at the beginning of the end, `close` when it is over", () => {
  it("the owner of a slow member knows at once that it has left its group", async () => {
    const told: string[] = [];
    const { client, server, clock } = pair({
      capacity: 1_000,
      server: {
        maxQueuedBytes: 2_000,
        writeTimeout: Infinity,
        closing: (connection, error) => {
          told.push(`closing ${connection.state} ${(error as { code: string }).code}`);
          assert.equal(connection.signal.aborted, true);
          assert.equal(connection.signal.reason, error);
        },
        close: (_, { code }) => void told.push(`close ${code}`),
      },
    });
    const group = new Group();
    group.join(server);
    // Its application receives nothing, so that its inbox is full.
    assert.equal(client.state, "OPEN");
    for (let count = 0; count < 2_000 && group.size > 0; count += 1) {
      group.send("x".repeat(500));
      if (group.size === 0) break;
      await settled();
    }
    await settled();
    assert.equal(group.size, 0);
    assert.deepEqual(told, ["closing CLOSING LIMIT"]);
    await clock.advance(5_000);
    await server.closed;
    await settled();
    assert.deepEqual(told, ["closing CLOSING LIMIT", "close 1013"]);
  });

  it("it is called once, whatever begins the end, and its failure goes to onError", async () => {
    const ways: Readonly<Record<string, (scene: ReturnType<typeof pair>) => unknown>> = {
      "our close": ({ server }) => server.close(),
      "the peer's close": ({ client }) => client.close(),
      terminate: ({ server }) => server.terminate(),
      "a reset": ({ link }) => link.reset(),
    };
    for (const [way, end] of Object.entries(ways)) {
      const errors: unknown[] = [];
      let count = 0;
      const bug = new Error("a bug of the hook");
      const scene = pair({
        server: {
          onError: (error) => void errors.push(error),
          closing: () => {
            count += 1;
            throw bug;
          },
        },
      });
      end(scene);
      await scene.server.closed;
      await settled();
      assert.deepEqual([count, errors], [1, [bug]], way);
    }
  });
});

/** The end of a turn: after every callback and microtask of its reads, once for all tasks. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { atEndOfTurn } from "../../src/transport/end-of-turn.ts";

describe("the end of a turn", () => {
  it("follows the calling code and all its microtasks", async () => {
    const order: string[] = [];
    const ended = new Promise<void>((resolve) => {
      atEndOfTurn({
        turnEnded: () => {
          order.push("turn ended");
          resolve();
        },
      });
    });
    order.push("asked");
    void Promise.resolve()
      .then(() => order.push("microtask"))
      .then(() => order.push("its microtask"))
      .then(() => process.nextTick(() => order.push("its tick")));
    await ended;
    assert.deepEqual(order, ["asked", "microtask", "its microtask", "its tick", "turn ended"]);
  });

  it("follows all reads of the turn, and precedes those of the next", async () => {
    const order: string[] = [];
    const pairs = await Promise.all([socketPair(), socketPair(), socketPair()]);
    const ended = new Promise<void>((resolve) => {
      let left = pairs.length;
      for (const [, reader] of pairs) {
        reader.once("data", () => {
          order.push("read");
          atEndOfTurn({
            turnEnded: () => {
              order.push("ended");
              left -= 1;
              if (left === 0) resolve();
            },
          });
        });
      }
    });
    // All of them arrive before the loop can look.
    for (const [writer] of pairs) writer.write("x");
    const until = performance.now() + 5;
    while (performance.now() < until);
    await ended;
    assert.deepEqual(order, ["read", "read", "read", "ended", "ended", "ended"]);
    for (const socket of pairs.flat()) socket.destroy();
  });

  it("calls each task once, in the order of the calls", async () => {
    const calls: number[] = [];
    await new Promise<void>((resolve) => {
      for (const id of [1, 2, 3]) atEndOfTurn({ turnEnded: () => calls.push(id) });
      atEndOfTurn({ turnEnded: resolve });
    });
    await new Promise(setImmediate);
    assert.deepEqual(calls, [1, 2, 3]);
  });

  it("calls a task that is added during it in the next turn, so that the event loop is not blocked", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      atEndOfTurn({
        turnEnded: () => {
          order.push("first");
          setImmediate(() => order.push("another's check phase"));
          atEndOfTurn({
            turnEnded: () => {
              order.push("second");
              resolve();
            },
          });
        },
      });
    });
    assert.deepEqual(order, ["first", "another's check phase", "second"]);
  });

  it("calls the other tasks although one throws, and throws the first error", async () => {
    const calls: string[] = [];
    const thrown: unknown[] = [];
    const failing = (name: string) => ({
      turnEnded: () => {
        calls.push(name);
        throw new Error(name);
      },
    });
    process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error));
    try {
      atEndOfTurn(failing("first"));
      atEndOfTurn(failing("second"));
      atEndOfTurn({ turnEnded: () => calls.push("third") });
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await new Promise<void>((resolve) => atEndOfTurn({ turnEnded: resolve }));
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
    assert.deepEqual(calls, ["first", "second", "third"]);
    assert.deepEqual(thrown.map(String), ["Error: first"]);
  });
});

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[socket]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [[Socket], unknown];
  server.close();
  return [client, socket];
}

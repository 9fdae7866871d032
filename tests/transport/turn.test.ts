/** The end of a turn: behind every callback and microtask of its reads, once for everybody. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { atTurnEnd } from "../../src/transport/turn.js";

describe("the end of a turn", () => {
  it("comes behind the code that asked for it, and all its microtasks", async () => {
    const order: string[] = [];
    const ended = new Promise<void>((resolve) => {
      atTurnEnd({
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

  it("comes behind all reads of the turn, and before those of the next", async () => {
    const order: string[] = [];
    const pairs = await Promise.all([socketPair(), socketPair(), socketPair()]);
    const ended = new Promise<void>((resolve) => {
      let left = pairs.length;
      for (const [, reader] of pairs) {
        reader.once("data", () => {
          order.push("read");
          atTurnEnd({
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

  it("calls everyone once, in the order in which they asked", async () => {
    const calls: number[] = [];
    await new Promise<void>((resolve) => {
      for (const id of [1, 2, 3]) atTurnEnd({ turnEnded: () => calls.push(id) });
      atTurnEnd({ turnEnded: resolve });
    });
    await new Promise(setImmediate);
    assert.deepEqual(calls, [1, 2, 3]);
  });

  it("leaves for the next turn who asks while it ends, so that the loop goes on", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      atTurnEnd({
        turnEnded: () => {
          order.push("first");
          setImmediate(() => order.push("another's check phase"));
          atTurnEnd({
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

  it("calls the others although one throws, and lets the first error be seen", async () => {
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
      atTurnEnd(failing("first"));
      atTurnEnd(failing("second"));
      atTurnEnd({ turnEnded: () => calls.push("third") });
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await new Promise<void>((resolve) => atTurnEnd({ turnEnded: resolve }));
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

/** Tests that the stack of a TimeoutError names the code that waited, and no frames of the library. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, TimeoutError } from "../../../src/index.ts";
import { ManualClock, pair, settled } from "../../../src/testing/index.ts";
import { rawServer } from "../../kit/raw-peer.ts";

async function stackOf(waits: (client: Connection) => Promise<unknown>, options = {}): Promise<string> {
  const { client, clock } = pair({ client: options });
  const failed = waits(client as Connection).then(
    () => assert.fail("it was to fail"),
    (error: unknown) => error,
  );
  await clock.advance(1_000);
  const error = await failed;
  assert.ok(error instanceof TimeoutError, String(error));
  client.terminate();
  assert.match(error.stack ?? "", /^TimeoutError: Cannot receive: /);
  return error.stack ?? "";
}

describe("the stack of a TimeoutError", () => {
  it("of receive names the function that waited, and no frame of the library", async () => {
    for (const options of [{ timeout: 100 }, { deadline: { in: 100 } }]) {
      const stack = await stackOf(async function waitingForTheAnswer(client) {
        return await client.receive(options);
      });
      assert.match(stack.split("\n")[1] ?? "", /at async waitingForTheAnswer .*caller-stack\.test/);
      assert.doesNotMatch(stack, /\/src\//);
    }
  });

  it("of a loop that reached the read deadline names the function of the loop", async () => {
    const stack = await stackOf(async function readingAll(client) {
      client.setReadDeadline({ in: 100 });
      for await (const message of client) assert.fail(String(message));
    });
    assert.match(stack.split("\n")[1] ?? "", /at async readingAll /);
    assert.doesNotMatch(stack, /\/src\//);
  });

  it("of connect names the function that waited, and no frame of the library", async () => {
    await using server = await rawServer(() => undefined);
    const clock = new ManualClock();
    const failed = (async function opening() {
      await connect(`ws://127.0.0.1:${server.port}`, { clock });
    })().catch((error: unknown) => error);
    while (server.peers.length === 0) await settled();
    await clock.advance(10_000);
    const { stack = "" } = (await failed) as TimeoutError;
    assert.match(stack, /^TimeoutError: Cannot connect .*\n +at async opening /);
    assert.doesNotMatch(stack, /\/src\//);
  });

  it("does not change the order in which concurrent calls continue", async () => {
    const { client, server } = pair();
    const order: unknown[] = [];
    const keep = (message: unknown): void => void order.push(message);
    const loop = (async () => {
      for await (const message of client) {
        keep(message);
        if (order.length >= 8) return;
      }
    })();
    for (const options of [{ timeout: 100 }, undefined, { deadline: { in: 100 } }])
      void client.receive(options).then(keep);
    await settled();
    for (let count = 1; count <= 8; count += 1) server.trySend(String(count));
    await loop;
    assert.deepEqual(order, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    client.terminate();
  });

  it("of a receive with streaming names the function that waited", async () => {
    const stack = await stackOf(
      async function waitingForPieces(client) {
        return await client.receive({ timeout: 100 });
      },
      { streaming: true },
    );
    assert.match(stack, /at async waitingForPieces /);
  });
});

/** `drain`, `readable` and `writable` of a client that reconnects: the same views as those of a connection, over several. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ClosedError,
  type Connection,
  type Message,
  type MessageReceiver,
  type MessageSender,
  ReconnectingConnection,
  type ReconnectingOptions,
} from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { deadPort, RestartableServer, StateRecorder } from "../kit/restartable-server.ts";

const SOON = { initialPause: 1, maxPause: 5 };

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

/** A client that waits for its next attempt, and has no connection until its clock advances. */
async function waiting(
  options: ReconnectingOptions = {},
): Promise<{ readonly client: ReconnectingConnection; readonly clock: ManualClock }> {
  const clock = new ManualClock();
  const recorder = new StateRecorder();
  const url = `ws://127.0.0.1:${await deadPort()}`;
  const client = new ReconnectingConnection(url, { clock, state: recorder.see, ...options });
  await recorder.until("waiting");
  return { client, clock };
}

describe("drain of a client that reconnects", () => {
  it("resolves when the messages that waited for a connection are sent", async () => {
    const received: Message[] = [];
    await using server = await RestartableServer.up({ message: (_, message) => void received.push(message) });
    const { url } = server;
    await server.down();
    const recorder = new StateRecorder();
    await using client = new ReconnectingConnection(url, { ...SOON, delivery: "confirmed", state: recorder.see });
    await client.drain();
    for (const message of ["1", "2", "3"]) assert.equal(client.trySend(message), "queued");
    const drained = client.drain();
    await recorder.until("waiting");
    assert.equal(client.queuedMessages, 3);
    await server.back();
    await drained;
    assert.equal(client.queuedMessages, 0);
    assert.deepEqual(received, ["1", "2", "3"]);
  });

  it("has the limits of a call, which leave the messages in the queue", async () => {
    const { client, clock } = await waiting({ initialPause: 60_000, maxPause: 60_000, random: () => 1 });
    client.trySend("1");
    const late = assert.rejects(client.drain({ timeout: 100 }), {
      ...{ code: "TIMEOUT", operation: "drain", limit: "timeout", retriable: true },
    });
    await clock.advance(100);
    await late;
    const reason = new Error("enough");
    await assert.rejects(client.drain({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
    await assert.rejects(client.drain({ timeout: "1" as never }), TypeError);
    await assert.rejects(client.drain({ timeout: -1 }), RangeError);
    assert.equal(client.queuedMessages, 1);
    client.terminate();
  });

  it("rejects with the reason of the end, now and later", async () => {
    const { client } = await waiting();
    client.trySend("1");
    const drained = assert.rejects(client.drain(), (error) => error instanceof ClosedError);
    client.terminate();
    await drained;
    await client.closed;
    await assert.rejects(client.drain(), (error) => error === client.signal.reason);
  });
});

describe("the WHATWG streams of a client that reconnects", () => {
  it("send and receive over one connection after the other, and end when it is closed", async () => {
    await using server = await RestartableServer.up({}, echo);
    const recorder = new StateRecorder();
    await using client = new ReconnectingConnection(server.url, { ...SOON, state: recorder.see });
    assert.equal(client.readable, client.readable);
    assert.equal(client.writable, client.writable);
    const writer = client.writable.getWriter();
    const reader = client.readable.getReader();
    for (let round = 0; round < 3; round += 1) {
      await writer.write(`${round}`);
      assert.deepEqual(await reader.read(), { done: false, value: `${round}` });
      await server.crash();
      await recorder.away();
      await server.back();
    }
    await writer.close();
    assert.equal((await client.closed).code, 1000);
    assert.equal((await reader.read()).done, true);
  });

  it("pass the end on: cancelling the readable closes, aborting the writable terminates", async () => {
    await using server = await RestartableServer.up({}, echo);
    const recorder = new StateRecorder();
    const one = new ReconnectingConnection(server.url, { ...SOON, state: recorder.see });
    await recorder.until("open");
    await one.readable.cancel();
    assert.equal((await one.closed).wasClean, true);
    const { client } = await waiting();
    const bug = new Error("a bug");
    await client.writable.abort(bug);
    const { cause, wasClean } = await client.closed;
    assert.equal(wasClean, false);
    assert.equal((cause as Error).cause, bug);
  });

  it("are no readable if there is a message hook", async () => {
    const { client } = await waiting({ message: () => undefined });
    assert.throws(() => client.readable, /^TypeError: Cannot receive: messages go to the message hook/);
    client.terminate();
  });
});

describe("code that is written for any sender and receiver", () => {
  it("takes a client that reconnects", async () => {
    await using server = await RestartableServer.up({}, echo);
    await using client = new ReconnectingConnection(server.url, SOON);
    const exchange = async (peer: MessageSender & MessageReceiver): Promise<Message> => {
      await peer.send("hello");
      await peer.drain();
      return peer.receive();
    };
    assert.equal(await exchange(client), "hello");
  });
});

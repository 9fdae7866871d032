/** Abort signals at every await: the call rejects with the reason, and no socket, timer or listener is left. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { before, beforeEach, describe, it } from "node:test";
import {
  type Connection,
  type ConnectOptions,
  connect,
  type ListenOptions,
  listen,
  reconnect,
  type Server,
} from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { openSockets } from "../kit/kernel-sockets.ts";

const REASON = new Error("enough");

/** The resources that keep the process alive. */
const resources = (): string => process.getActiveResourcesInfo().sort().join(" ");

/** Waits until the resources are the same as before the test. A close does not complete in the same turn. */
async function restored(sockets: number, before: string): Promise<void> {
  while (openSockets() > sockets || resources() !== before) await new Promise(setImmediate);
}

interface Way {
  readonly name: string;
  readonly url: string;
  readonly server: ListenOptions;
  readonly client: ConnectOptions;
}

const WAYS: readonly Way[] = [
  { name: "ws", url: "ws://127.0.0.1:0", server: {}, client: {} },
  { name: "wss", url: "wss://127.0.0.1:0", server: { tls: LOCALHOST }, client: { tls: { ca: LOCALHOST.cert } } },
  { name: "tcp", url: "tcp://127.0.0.1:0", server: {}, client: {} },
  {
    name: "ws by name, with a server that takes its time",
    url: "ws://localhost:0",
    server: { authorize: () => new Promise((resolve) => setTimeout(resolve, 2, undefined)) },
    client: {},
  },
];

/** Aborts `attempt` after 0, 1, 2 ... turns, then at growing distances, until it completes first. Returns the number of aborts. */
async function cutAtEachTurn(attempt: (signal: AbortSignal) => Promise<unknown>): Promise<number> {
  let through = 0;
  let cuts = 0;
  for (let cut = 0; through < 5; cut += 1 + (cut >> 3)) {
    const aborter = new AbortController();
    const { signal } = aborter;
    let done = false;
    const outcome = attempt(signal).then(
      () => "through",
      (error: unknown) => error,
    );
    void outcome.then(() => {
      done = true;
    });
    for (let turn = 0; turn < cut && !done; turn += 1) await new Promise(setImmediate);
    aborter.abort(REASON);
    const result = await outcome;
    assert.deepEqual(getEventListeners(signal, "abort"), [], "somebody still listens");
    if (result === "through") {
      through += 1;
      continue;
    }
    assert.equal(result, REASON);
    cuts += 1;
  }
  return cuts;
}

describe("a signal that aborts", { timeout: 120_000 }, () => {
  // Not measured: what the first connection of a process creates.
  before(async () => {
    await using server = await listen("ws://127.0.0.1:0", { open: () => undefined });
    await (await connect(server.url)).close();
  });

  // Not measured: what the previous test has not closed yet.
  beforeEach(async () => {
    while (resources().includes("TCP")) await new Promise(setImmediate);
  });

  for (const { name, url, server: serving, client } of WAYS) {
    it(`at any turn of connect, over ${name}`, async () => {
      await using server: Server = await listen(url, serving, async ({ closed }) => void (await closed));
      // Created once and kept, such as the thread that resolves names.
      (await connect(server.url, client)).terminate();
      while (server.connections.size > 0) await new Promise(setImmediate);
      const [sockets, held] = [openSockets(), resources()];
      const cuts = await cutAtEachTurn(async (signal) => {
        const connection = await connect(server.url, { ...client, signal });
        connection.terminate();
        await connection.closed;
      });
      assert.ok(cuts >= 1, `${cuts} were cut`);
      await restored(sockets, held);
      assert.equal(server.connections.size, 0);
    });
  }

  it("at any turn of reconnect: in an attempt, in a session and in a pause", async () => {
    await using server = await listen("ws://127.0.0.1:0", (connection) => connection.terminate());
    const [sockets, held] = [openSockets(), resources()];
    const cuts = await cutAtEachTurn((signal) => {
      let sessions = 0;
      const session = async (connection: Connection): Promise<void> => {
        sessions += 1;
        // Three attempts fail. The fourth one succeeds.
        if (sessions < 4) await connection.receive();
      };
      return reconnect(server.url, session, { signal, initialPause: 4, maxPause: 4 });
    });
    assert.ok(cuts >= 10, `${cuts} were cut`);
    await restored(sockets, held);
  });

  const CALLS: Readonly<Record<string, (connection: Connection, signal: AbortSignal) => Promise<unknown>>> = {
    receive: (connection, signal) => connection.receive({ signal }),
    "receive behind another": (connection, signal) => {
      connection.receive().catch(() => undefined);
      return connection.receive({ signal });
    },
    "send of what the kernel does not take": (connection, signal) => {
      connection.send("x".repeat(100)).catch(() => undefined);
      return connection.send("y", { signal });
    },
    "send without room in the queue": (connection, signal) => {
      for (let count = 0; count < 3; count += 1) connection.send("x".repeat(100)).catch(() => undefined);
      return connection.send("y", { signal });
    },
    drain: (connection, signal) => {
      connection.send("x".repeat(100)).catch(() => undefined);
      return connection.drain({ signal });
    },
    ping: (connection, signal) => connection.ping({ signal }),
    reader: (connection, signal) => connection.reader({ signal }),
  };
  for (const [name, call] of Object.entries(CALLS)) {
    it(`at any step of ${name}, which rejects this call only`, async () => {
      const held = resources();
      for (let step = 0; step < 12; step += 1) {
        const options = { maxQueuedMessages: 2, maxQueuedBytes: 1_224, streaming: name === "reader" };
        const { connection, peer, clock } = wired({ capacity: 16, connection: options });
        peer.pause();
        const aborter = new AbortController();
        const called = assert.rejects(call(connection, aborter.signal), (error) => error === REASON);
        // Half of the points are between microtasks, the other half between turns.
        if (step < 6) for (let task = 0; task < step; task += 1) await undefined;
        else for (let turn = 6; turn < step; turn += 1) await new Promise(setImmediate);
        aborter.abort(REASON);
        await called;
        assert.deepEqual(getEventListeners(aborter.signal, "abort"), []);
        assert.equal(connection.state, "OPEN");
        // The rest of the connection still works.
        peer.resume();
        await connection.send("still here");
        await settled();
        assert.ok(Buffer.from(peer.received).includes("still here"));
        connection.terminate();
        await connection.closed;
        await clock.advance(3_600_000);
      }
      await restored(openSockets(), held);
    });
  }
});

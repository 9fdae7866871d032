/** The diagnostics channels: their names are frozen, and each publishes the events of its types. */

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it } from "node:test";
import { CHANNELS, type ChannelName } from "../../src/base/vocabulary.ts";
import { type ConnectionEvent, connect, listen, reconnect } from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";

/** The events of all channels during `act`, with the channel of each. */
async function published(act: () => Promise<unknown>): Promise<readonly (readonly [string, ConnectionEvent])[]> {
  const events: (readonly [string, ConnectionEvent])[] = [];
  const listener = (event: unknown, name: string | symbol): void =>
    void events.push([String(name), event as ConnectionEvent]);
  for (const name of Object.keys(CHANNELS)) subscribe(name, listener);
  await act();
  for (const name of Object.keys(CHANNELS)) unsubscribe(name, listener);
  return events;
}

describe("the diagnostics channels", () => {
  it("have names that do not change", () => {
    assert.deepEqual(Object.keys(CHANNELS), [
      "holdfast.handshake",
      "holdfast.connection.open",
      "holdfast.connection.close",
      "holdfast.peer_ended",
      "holdfast.overflow",
      "holdfast.pause",
      "holdfast.timeout",
      "holdfast.reconnect",
    ] satisfies ChannelName[]);
  });

  it("have each type of event in one channel, without the frames of trace and the phases of an attempt", () => {
    const published = Object.values(CHANNELS).flatMap(({ events }) => events);
    // A type that is missing here is an error of the compiler.
    const types: Record<ConnectionEvent["type"], boolean> = {
      ...{ frame: false, phase: false, accepted: true, refused: true, open: true, close: true, peerEnded: true },
      ...{ overflow: true, pause: true, resume: true, timeout: true, reconnect: true },
    };
    assert.deepEqual(
      [...published].sort(),
      Object.entries(types)
        .flatMap(([type, isPublished]) => (isPublished ? [type] : []))
        .sort(),
    );
  });

  it("publish openings, and refused ones, of servers and clients", async () => {
    const events = await published(async () => {
      await using server = await listen("ws://127.0.0.1:0/", {
        origin: ["https://a.example"],
        message: () => undefined,
      });
      const client = await connect(server.url);
      await client.close();
      await assert.rejects(connect(server.url, { origin: "https://b.example" }));
    });
    const shown = events.map(([name, event]) => {
      const direction = "direction" in event ? ` ${event.direction}` : "";
      return `${name} ${event.type}${direction}`;
    });
    const count = (text: string): number => shown.filter((one) => one === text).length;
    for (const direction of ["in", "out"]) {
      assert.equal(count(`holdfast.handshake accepted ${direction}`), 1);
      assert.equal(count(`holdfast.handshake refused ${direction}`), 1);
    }
    assert.equal(count("holdfast.connection.open open"), 2);
    assert.equal(count("holdfast.connection.close close"), 2);
  });

  it("publish what an observer gets, as the same object", async () => {
    const observed: ConnectionEvent[] = [];
    const events = await published(async () => {
      const { server, client } = pair({ server: { observe: (event) => void observed.push(event) } });
      await client.close();
      await server.closed;
    });
    const own = events.flatMap(([, event]) => (observed.includes(event) ? [event] : []));
    assert.deepEqual(own, observed);
    assert.deepEqual(
      observed.map(({ type }) => type),
      ["open", "peerEnded", "close"],
    );
  });

  it("publish overflow, pauses and the peer's FIN", async () => {
    const events = await published(async () => {
      const { connection, peer } = wired({
        kind: "tcp",
        framing: "lines",
        capacity: 16,
        connection: { maxInboxMessages: 1, maxQueuedMessages: 1, overflow: "drop-newest" },
      });
      peer.write("one\ntwo\n");
      await settled();
      await connection.receive();
      await connection.receive();
      peer.pause();
      for (const text of ["x".repeat(100), "queued", "lost"]) connection.trySend(text);
      peer.end();
      await settled();
      connection.terminate();
      await settled();
    });
    const types = new Set(events.map(([name, { type }]) => `${name} ${type}`));
    for (const expected of ["holdfast.pause pause", "holdfast.pause resume", "holdfast.overflow overflow"])
      assert.ok(types.has(expected), expected);
    assert.ok(types.has("holdfast.peer_ended peerEnded"));
  });

  it("publish a limit of a call, which leaves the connection usable, and one that ends it", async () => {
    const observed: ConnectionEvent[] = [];
    let id = 0;
    const events = await published(async () => {
      const observe = (event: ConnectionEvent): void => void observed.push(event);
      const { connection, clock } = wired({ connection: { observe, heartbeat: { interval: 1_000, timeout: 500 } } });
      id = connection.id;
      const read = connection.receive({ timeout: 100 });
      read.catch(() => undefined);
      await clock.advance(100);
      await assert.rejects(read);
      await clock.advance(1_500);
      await connection.closed;
    });
    const timeouts = observed.filter(({ type }) => type === "timeout");
    assert.deepEqual(timeouts, [
      { type: "timeout", id, operation: "receive", limit: "timeout", bound: 100, after: 100 },
      { type: "timeout", id, operation: "ping", limit: "heartbeat.timeout", bound: 500, after: 500 },
    ]);
    const own = events.flatMap(([name, event]) => (name === "holdfast.timeout" ? [event] : []));
    assert.deepEqual(own, timeouts);
    assert.equal(observed.at(-1)?.type, "close");
  });

  it("publish each attempt of a client that reconnects, with its outcome", async () => {
    const observed: ConnectionEvent[] = [];
    const events = await published(async () => {
      await using server = await listen("ws://127.0.0.1:0/", {
        authorize: () => (observed.length === 0 ? new Response(null, { status: 503 }) : undefined),
        message: () => undefined,
      });
      const observe = (event: ConnectionEvent): void => {
        if (event.type === "reconnect") observed.push(event);
      };
      await reconnect(server.url, () => "done", { observe, initialPause: 1, onError: () => undefined });
    });
    const own = events.flatMap(([name, event]) => (name === "holdfast.reconnect" ? [event] : []));
    assert.deepEqual(own, observed);
    const shown = own.map((event) => {
      if (event.type !== "reconnect") return "";
      return `${event.attempt} ${event.outcome} ${typeof event.id} ${event.error instanceof Error}`;
    });
    assert.deepEqual(shown, ["1 status undefined true", "2 open number false"]);
  });
});

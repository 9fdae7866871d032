/** Tests that hooks run in the AsyncLocalStorage context of their own connection, also if another connection's calls cause them. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import {
  type Connection,
  connect,
  Group,
  type Hooks,
  listen,
  type Message,
  ReconnectingConnection,
} from "../../src/index.ts";
import { ManualClock, pair, settled } from "../../src/testing/index.ts";

const LIMIT = { timeout: 240_000 };
const MARKS = { highWaterMark: 4_000, lowWaterMark: 1_000 };

/** Records in which context each hook was called, by the name of its connection. */
class Recorder {
  readonly context = new AsyncLocalStorage<string>();
  readonly #calls = new Set<string>();
  #changed: () => void = () => undefined;

  note(hook: string, name: string): void {
    this.#calls.add(`${hook} of ${name} in ${this.context.getStore()}`);
    this.#changed();
  }

  async until(...expected: readonly string[]): Promise<void> {
    while (!expected.every((one) => this.#calls.has(one))) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Every hook was called in the context of its own connection. */
  check(): void {
    const wrong = Array.from(this.#calls).filter((call) => !/ of (\w+) in \1$/.test(call));
    assert.deepEqual(wrong, []);
  }

  hooks<Request>(nameOf: (connection: Connection) => string): Hooks<unknown, Request> {
    return {
      message: (connection) => this.note("message", nameOf(connection)),
      pong: (connection) => this.note("pong", nameOf(connection)),
      highWater: (connection) => this.note("highWater", nameOf(connection)),
      lowWater: (connection) => this.note("lowWater", nameOf(connection)),
      closing: (connection) => this.note("closing", nameOf(connection)),
      close: (connection) => this.note("close", nameOf(connection)),
    };
  }
}

describe("the hooks of a connection", LIMIT, () => {
  it("of a client run in the context of its connect, whoever sends and closes", async () => {
    const recorder = new Recorder();
    const { context } = recorder;
    await using server = await listen("ws://127.0.0.1:0", {
      message: (connection, message: Message) => void connection.trySend(message.length > 100 ? "long" : message),
    });
    const open = (name: string): Promise<Connection<unknown>> =>
      context.run(name, () => connect(server.url, { ...MARKS, ...recorder.hooks(() => name) }));
    const [ann, ben] = [await open("ann"), await open("ben")];
    const group = new Group();
    for (const one of [ann, ben]) group.join(one);
    context.run("other", () => {
      for (const one of [ann, ben]) one.trySend("x".repeat(5_000));
    });
    await recorder.until(...["ann", "ben"].map((name) => `lowWater of ${name} in ${name}`));
    context.run("another", () => {
      for (let count = 0; count < 40; count += 1) group.send("x".repeat(200));
    });
    await context.run("other", () => Promise.all([ann.ping(), ben.ping()]));
    await context.run("other", () => Promise.all([ann.close(), ben.close()]));
    await Promise.all([ann.closed, ben.closed]);
    await recorder.until(...["ann", "ben"].flatMap((name) => [`close of ${name} in ${name}`]));
    recorder.check();
  });

  it("of a server run in the context that the open hook has entered, also for the sends of a group", async () => {
    const recorder = new Recorder();
    const { context } = recorder;
    const names = new Map<Connection<unknown>, string>();
    const { highWater, lowWater, closing } = recorder.hooks((connection) => names.get(connection) ?? "");
    const hooks: Hooks<unknown, unknown> = {
      ...{ highWater, lowWater, closing },
      open: (connection) => {
        const name = `client${names.size}`;
        names.set(connection, name);
        context.enterWith(name);
      },
    };
    await using server = await listen("ws://127.0.0.1:0", { ...MARKS, ...hooks });
    const clients = await Promise.all([connect(server.url), connect(server.url)]);
    while (names.size < 2) await settled();
    const group = new Group();
    for (const one of names.keys()) group.join(one);
    context.run("sender", () => {
      for (let count = 0; count < 40; count += 1) group.send("x".repeat(200));
    });
    await recorder.until(...Array.from(names.values(), (name) => `lowWater of ${name} in ${name}`));
    context.run("closer", () => {
      for (const one of names.keys()) void one.close();
    });
    await recorder.until(...Array.from(names.values(), (name) => `closing of ${name} in ${name}`));
    recorder.check();
    for (const client of clients) client.terminate();
  });

  it("run in their own context when a timer ends the connection", async () => {
    const recorder = new Recorder();
    const { context } = recorder;
    const clock = new ManualClock();
    const names = ["ann", "ben"];
    const connections = names.map((name) =>
      context.run(name, () =>
        pair({ clock, client: { heartbeat: false, idleTimeout: 5_000, ...recorder.hooks(() => name) } }),
      ),
    );
    await context.run("clock", () => clock.advance(5_000));
    for (const { client } of connections) await client.closed;
    await recorder.until(...names.map((name) => `closing of ${name} in ${name}`));
    recorder.check();
  });

  it("of a reconnecting client run in the context in which it was created", async () => {
    const recorder = new Recorder();
    const { context } = recorder;
    await using server = await listen("ws://127.0.0.1:0", {
      message: (connection, message) => void connection.trySend(message),
    });
    const client = context.run(
      "ann",
      () =>
        new ReconnectingConnection(server.url, {
          initialPause: 1,
          open: () => recorder.note("open", "ann"),
          message: () => recorder.note("message", "ann"),
        }),
    );
    await context.run("other", () => client.send("1"));
    await recorder.until("message of ann in ann");
    await context.run("other", () => client.reconnect("again"));
    await context.run("other", () => client.send("2"));
    recorder.check();
    await client.close();
  });
});

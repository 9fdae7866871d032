/** Hooks that call methods of their connection, in any order: no message is lost or duplicated, and there is one end. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type CloseInfo, type Connection, type ConnectionOptions, isConnectionError } from "../../src/index.ts";
import { pair, settled } from "../../src/testing/index.ts";
import { runs } from "../kit/random.ts";

const HOOKS = ["open", "message", "ping", "pong", "highWater", "lowWater", "close"] as const;
const ACTIONS = [
  "send",
  "trySend",
  "ping",
  "prepare",
  "drain",
  "close",
  "terminate",
  "throw",
  "reject",
  "wait",
] as const;

type Hook = (typeof HOOKS)[number];
type Action = (typeof ACTIONS)[number];

/** The actions in the first calls of a hook: none, one or several per call. */
type Script = Readonly<Record<Hook, readonly (readonly Action[])[]>>;

const action = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Action>("send", "trySend", "ping", "drain", "wait") },
  { weight: 1, arbitrary: fc.constantFrom<Action>("close", "terminate", "throw", "reject") },
);
const calls = fc.array(fc.array(action, { maxLength: 3 }), { maxLength: 8 });
const script = fc.record(Object.fromEntries(HOOKS.map((hook) => [hook, calls]))) as fc.Arbitrary<Script>;

/** One side: its actions and their results. */
class Side {
  readonly options: ConnectionOptions;
  readonly sent: string[] = [];
  readonly received: string[] = [];
  readonly hookCalls: Hook[] = [];
  readonly closes: CloseInfo[] = [];
  readonly errors: unknown[] = [];
  readonly #script: Script;
  readonly #name: string;
  #calls = 0;
  #sentCount = 0;
  settledCalls = 0;

  constructor(name: string, script: Script) {
    this.#name = name;
    this.#script = script;
    this.options = {
      open: (connection) => this.#run("open", connection),
      message: (connection, data) => {
        this.received.push(String(data));
        return this.#run("message", connection);
      },
      ping: (connection) => void this.#run("ping", connection),
      pong: (connection) => void this.#run("pong", connection),
      highWater: (connection) => void this.#run("highWater", connection),
      lowWater: (connection) => void this.#run("lowWater", connection),
      close: (connection, info) => {
        this.closes.push(info);
        void this.#run("close", connection);
      },
      ...{ highWaterMark: 20, lowWaterMark: 5, closeTimeout: 1_000 },
      onError: (error) => this.errors.push(error),
    } as ConnectionOptions;
  }

  get calls(): number {
    return this.#calls;
  }

  perform(action: Action, connection: Connection): void | Promise<void> {
    const text = `${this.#name}${this.#sentCount}`;
    this.#sentCount += 1;
    switch (action) {
      case "send":
        if (connection.state === "OPEN") this.sent.push(text);
        return this.#watch(connection.send(text));
      case "trySend":
        // Recorded before the result is known: messages that the highWater hook sends meanwhile are behind it.
        this.sent.push(text);
        if (connection.trySend(text) === "refused") this.sent.splice(this.sent.indexOf(text), 1);
        return undefined;
      case "ping":
        // TCP has none.
        if (connection.kind === "tcp") return undefined;
        return this.#watch(connection.ping());
      case "drain":
        return this.#watch(connection.drain());
      case "close":
        return this.#watch(connection.close(4_000, "as it likes"));
      case "terminate":
        return void connection.terminate();
      case "wait":
        return new Promise((resolve) => setImmediate(resolve));
      case "throw":
        throw new Error("a hook's own");
      default:
        return Promise.reject(new Error("a hook's own"));
    }
  }

  /** Records the result of a call. Not awaited here: a hook that awaits its own connection could wait forever. */
  #watch(call: Promise<unknown>): void {
    this.#calls += 1;
    const note = (): void => {
      this.settledCalls += 1;
    };
    call.then(note, (error: unknown) => {
      note();
      assert.ok(isConnectionError(error), String(error));
    });
  }

  #run(hook: Hook, connection: Connection): void | Promise<void> {
    const actions = this.#script[hook][this.hookCalls.filter((one) => one === hook).length] ?? [];
    this.hookCalls.push(hook);
    for (const action of actions) {
      // The promises of the other hooks are not awaited, so their rejections would be unhandled.
      if ((action === "reject" || action === "wait") && hook !== "open" && hook !== "message") continue;
      const promise = this.perform(action, connection);
      if (promise !== undefined) return promise;
    }
    return undefined;
  }
}

for (const protocol of ["websocket", "tcp"] as const) {
  describe(`hooks that call their connection, on ${protocol}`, { timeout: 120_000 }, () => {
    it("neither lose nor duplicate messages, and there is one end after all other events", async () => {
      const first = fc.array(action, { minLength: 1, maxLength: 8 });
      const property = fc.asyncProperty(script, script, first, first, async (ours, theirs, begin, answer) => {
        const [one, other] = [new Side("a", ours), new Side("b", theirs)];
        const { client, server, clock } = pair({
          ...{ kind: protocol, capacity: 64, ...(protocol === "tcp" && { framing: "lines" as const }) },
          ...{ client: one.options, server: other.options },
        });
        const sides: (readonly [Side, readonly Action[], Connection])[] = [
          [one, begin, client],
          [other, answer, server],
        ];
        for (const [side, actions, connection] of sides) {
          for (const action of actions)
            if (action !== "throw" && action !== "reject" && action !== "wait") void side.perform(action, connection);
        }
        await settled();
        void client.close();
        await clock.advance(60_000);
        const ends = await Promise.all([client.closed, server.closed]);
        await settled();
        for (const [index, [side, , connection]] of sides.entries()) {
          assert.equal(connection.state, "CLOSED");
          assert.deepEqual(side.closes, [ends[index]]);
          assert.equal(side.hookCalls.indexOf("close"), side.hookCalls.length - 1, "nothing is told behind the end");
          assert.equal(side.hookCalls[0], "open");
          assert.equal(side.settledCalls, side.calls, "each call has had its answer");
          const from = side === one ? other : one;
          assert.deepEqual(side.received, from.sent.slice(0, side.received.length), "in order, each once");
        }
        // If one side closed in order, and not both at the same time, the other side received all its messages.
        if (ends.every(({ wasClean }) => wasClean) && ends[0].by !== ends[1].by) {
          const [sender, receiver] = ends[0].by === "local" ? [one, other] : [other, one];
          assert.deepEqual(receiver.received, sender.sent);
        }
      });
      await fc.assert(property, runs(300));
    });
  });
}

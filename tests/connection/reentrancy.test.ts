/** Hooks that call back into their connection, in whatever order: no message is lost or doubled, and there is one end. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type CloseInfo, type Connection, type ConnectionOptions, isConnectionError } from "../../src/index.js";
import { pair, settled } from "../../src/testing/index.js";
import { runs } from "../random.js";

const HOOKS = ["open", "message", "ping", "pong", "highWater", "lowWater", "close"] as const;
const DEEDS = ["send", "trySend", "ping", "prepare", "drain", "close", "terminate", "throw", "reject", "wait"] as const;

type Hook = (typeof HOOKS)[number];
type Deed = (typeof DEEDS)[number];

/** What is done at the first calls of a hook: nothing, or one thing or several. */
type Script = Readonly<Record<Hook, readonly (readonly Deed[])[]>>;

const deed = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Deed>("send", "trySend", "ping", "drain", "wait") },
  { weight: 1, arbitrary: fc.constantFrom<Deed>("close", "terminate", "throw", "reject") },
);
const calls = fc.array(fc.array(deed, { maxLength: 3 }), { maxLength: 8 });
const script = fc.record(Object.fromEntries(HOOKS.map((hook) => [hook, calls]))) as fc.Arbitrary<Script>;

/** One side: what it has done, and what has become of that. */
class Side {
  readonly options: ConnectionOptions;
  readonly sent: string[] = [];
  readonly heard: string[] = [];
  readonly told: Hook[] = [];
  readonly closes: CloseInfo[] = [];
  readonly errors: unknown[] = [];
  readonly #script: Script;
  readonly #name: string;
  #asked = 0;
  #names = 0;
  settledCalls = 0;

  constructor(name: string, script: Script) {
    this.#name = name;
    this.#script = script;
    this.options = {
      open: (connection) => this.#turn("open", connection),
      message: (connection, data) => {
        this.heard.push(String(data));
        return this.#turn("message", connection);
      },
      ping: (connection) => void this.#turn("ping", connection),
      pong: (connection) => void this.#turn("pong", connection),
      highWater: (connection) => void this.#turn("highWater", connection),
      lowWater: (connection) => void this.#turn("lowWater", connection),
      close: (connection, info) => {
        this.closes.push(info);
        void this.#turn("close", connection);
      },
      ...{ highWaterMark: 20, lowWaterMark: 5, closeTimeout: 1_000 },
      onError: (error) => this.errors.push(error),
    } as ConnectionOptions;
  }

  get asked(): number {
    return this.#asked;
  }

  do(deed: Deed, connection: Connection): void | Promise<void> {
    const text = `${this.#name}${this.#names}`;
    this.#names += 1;
    switch (deed) {
      case "send":
        if (connection.state === "OPEN") this.sent.push(text);
        return this.#watch(connection.send(text));
      case "trySend":
        // Before it is known what becomes of it: what the highWater hook sends meanwhile stands behind it.
        this.sent.push(text);
        if (connection.trySend(text) === "refused") this.sent.splice(this.sent.indexOf(text), 1);
        return undefined;
      case "ping":
        // TCP has none.
        if (connection.protocol === "tcp") return undefined;
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

  /** What waits for its own connection is not waited for here. */
  #watch(call: Promise<unknown>): void {
    this.#asked += 1;
    const note = (): void => {
      this.settledCalls += 1;
    };
    call.then(note, (error: unknown) => {
      note();
      assert.ok(isConnectionError(error), String(error));
    });
  }

  #turn(hook: Hook, connection: Connection): void | Promise<void> {
    const deeds = this.#script[hook][this.told.filter((one) => one === hook).length] ?? [];
    this.told.push(hook);
    for (const deed of deeds) {
      // Hooks that return nothing are called for nothing: what they reject would be nobody's.
      if ((deed === "reject" || deed === "wait") && hook !== "open" && hook !== "message") continue;
      const promise = this.do(deed, connection);
      if (promise !== undefined) return promise;
    }
    return undefined;
  }
}

for (const protocol of ["websocket", "tcp"] as const) {
  describe(`hooks that call back, on ${protocol}`, { timeout: 120_000 }, () => {
    it("lose and double nothing, and see one end, behind everything else", async () => {
      const first = fc.array(deed, { minLength: 1, maxLength: 8 });
      const property = fc.asyncProperty(script, script, first, first, async (ours, theirs, begin, answer) => {
        const [one, other] = [new Side("a", ours), new Side("b", theirs)];
        const { client, server, clock } = pair({
          ...{ protocol, capacity: 64, ...(protocol === "tcp" && { framing: "lines" as const }) },
          ...{ client: one.options, server: other.options },
        });
        const ways: (readonly [Side, readonly Deed[], Connection])[] = [
          [one, begin, client],
          [other, answer, server],
        ];
        for (const [side, deeds, connection] of ways) {
          for (const deed of deeds)
            if (deed !== "throw" && deed !== "reject" && deed !== "wait") void side.do(deed, connection);
        }
        await settled();
        void client.close();
        await clock.advance(60_000);
        const ends = await Promise.all([client.closed, server.closed]);
        await settled();
        for (const [index, [side, , connection]] of ways.entries()) {
          assert.equal(connection.state, "CLOSED");
          assert.deepEqual(side.closes, [ends[index]]);
          assert.equal(side.told.indexOf("close"), side.told.length - 1, "nothing is told behind the end");
          assert.equal(side.told[0], "open");
          assert.equal(side.settledCalls, side.asked, "each call has had its answer");
          const from = side === one ? other : one;
          assert.deepEqual(side.heard, from.sent.slice(0, side.heard.length), "in order, each once");
        }
        // Where one side closed in order, and the other not at the same time, all that it had said was heard.
        if (ends.every(({ wasClean }) => wasClean) && ends[0].by !== ends[1].by) {
          const [speaker, hearer] = ends[0].by === "local" ? [one, other] : [other, one];
          assert.deepEqual(hearer.heard, speaker.sent);
        }
      });
      await fc.assert(property, runs(300));
    });
  });
}

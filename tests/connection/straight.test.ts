/** Answers that go straight into the slab: nobody can tell them from answers that were queued. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Connection } from "../../src/connection/connection.js";
import { settle } from "../../src/connection/options.js";
import { straight } from "../../src/connection/straight.js";
import { webSocketWire } from "../../src/connection/wire.js";
import { type ConnectionOptions, type Data, Group, type Overflow, prepare, type SendResult } from "../../src/index.js";
import { ManualClock, settled } from "../../src/testing/index.js";
import type { Ends, Transport, TransportEvents } from "../../src/transport/transport.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { runs } from "../random.js";

/** A kernel that takes what it is given at once, or as its script has it: later, and calls back meanwhile. */
class Kernel implements Transport {
  readonly ends: Ends = { localAddress: "", remoteAddress: "", secure: false };
  readonly writes: string[] = [];
  events: TransportEvents | undefined;
  #full = false;
  #waiting = 0;
  closed = false;
  writing = false;
  /** What is done inside the next write. */
  within: (() => void) | undefined;

  open(events: TransportEvents): void {
    this.events = events;
  }

  get queuedBytes(): number {
    return this.#waiting;
  }

  write(bytes: Uint8Array): boolean {
    const { within } = this;
    this.within = undefined;
    this.writing = true;
    within?.();
    this.writing = false;
    if (this.closed) return false;
    this.writes.push(Buffer.from(bytes).toString("latin1"));
    if (this.#full) this.#waiting = bytes.length;
    return !this.#full;
  }

  fill(): void {
    this.#full = true;
  }

  drain(): void {
    this.#full = false;
    if (this.#waiting === 0 || this.closed) return;
    this.#waiting = 0;
    this.events?.written();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}

  abort(): void {
    if (this.closed) return;
    this.closed = true;
    setImmediate(() => this.events?.closed(undefined));
  }
}

const size = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 90 }) },
  { weight: 2, arbitrary: fc.constantFrom(125, 126, 250, 300, 301, 399, 400, 401) },
  { weight: 1, arbitrary: fc.constantFrom(16_384, 32_748, 65_526, 65_527, 65_536) },
);
/** 0: the connection whose chunk it is; 1: the other. */
const who = fc.constantFrom(0, 0, 0, 1);
const sent = fc.record({
  do: fc.constant("try" as const),
  who,
  size,
  kind: fc.constantFrom("text", "wide", "bytes", "view", "liar" as const),
});
/** What a hook does, once for each message that comes. */
const deed = fc.oneof(
  { weight: 24, arbitrary: sent },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("send", "prepared", "part", "group" as const), who, size }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("how" as const),
      who,
      size,
      overflow: fc.constantFrom<Overflow>("close", "drop-oldest", "drop-newest", "reject", "coalesce", "wait"),
      key: fc.constantFrom(undefined, "k"),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("look", "drain", "ping", "fill" as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("late", "clear", "room" as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("chunk", "queued chunk" as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("within" as const),
      who,
      inside: fc.constantFrom("look", "chunk", "queued chunk" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("given up" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("close", "terminate", "throw" as const), who }) },
);
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** What comes from outside: a chunk with messages, each with its deeds, and with pings between them; or a turn. */
const came = fc.record({
  do: fc.constant("chunk" as const),
  who,
  deeds: fc.array(fc.tuple(fc.array(deed, { maxLength: 4 }), fc.constantFrom(false, false, false, true)), {
    minLength: 1,
    maxLength: 6,
  }),
});
const act = fc.oneof(
  { weight: 6, arbitrary: came },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("broken" as const), who, deeds: fc.array(deed, { maxLength: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("room", "turn" as const), who }) },
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

const LIMITS: readonly ConnectionOptions[] = [
  {},
  { maxQueuedBytes: 400, maxQueuedMessages: 7, highWaterMark: 150, lowWaterMark: 60 },
  { maxQueuedBytes: 400, maxQueuedMessages: 3, highWaterMark: 1_000, lowWaterMark: 60, overflow: "drop-oldest" },
];

/** Says that it is shorter than it is. */
class Liar extends Uint8Array {
  override get length(): number {
    return super.length >> 1;
  }
}

function messageOf(what: string, size: number, kind: "text" | "wide" | "bytes" | "view" | "liar"): Data {
  const text = what.padEnd(size, "x").slice(0, size);
  if (kind === "text") return text;
  if (kind === "wide") return text.replaceAll("x", "ü");
  const bytes = Buffer.from(text);
  if (kind === "view") return bytes;
  return kind === "liar" ? Liar.from(bytes) : Uint8Array.from(bytes);
}

type Try = (connection: Connection, message: Data) => SendResult;

/** Plays the acts, and tells all that can be seen of them. */
async function play(acts: readonly Act[], limits: ConnectionOptions, trySend: Try): Promise<unknown[]> {
  const seen: unknown[] = [];
  const tell = (what: string, { data, queuedBytes }: Connection): void => void seen.push([what, data, queuedBytes]);
  const deeds: (readonly Deed[])[] = [];
  const kernels = [new Kernel(), new Kernel()] as const;
  const settle_ = (promise: Promise<unknown>): void => {
    const index = seen.length;
    promise.then(
      () => seen.push([index, "resolved"]),
      (error: Error) => seen.push([index, error.message]),
    );
  };
  let names = 0;

  const options: ConnectionOptions = {
    ...limits,
    closeTimeout: 1_000,
    onError: (error) => void seen.push(String(error)),
    message: () => {
      for (const one of deeds.shift() ?? []) run(one);
    },
    highWater: (connection) => tell("high", connection),
    lowWater: (connection) => tell("low", connection),
    close: (connection, info) => void seen.push(["closed", connection.data, info]),
  };
  const settledOptions = settle({ clock: new ManualClock(), ...options } as ConnectionOptions<never>, "websocket");
  const wire = webSocketWire("server");
  const connections = kernels.map((transport, data) => {
    const setup = { transport, wire, options: settledOptions, url: "ws://kernel" };
    const connection = new Connection({ ...setup, subprotocol: "", extensions: "", data });
    connection.start();
    return connection as Connection;
  });
  const group = new Group();
  for (const connection of connections) group.join(connection);

  /** Whose chunk is being handled. */
  let whose = 0;
  const give = (to: number, messages: readonly (readonly [readonly Deed[], boolean])[], behind?: Uint8Array): void => {
    const frames = messages.flatMap(([deed, pinged]) => {
      deeds.push(deed);
      const frame = peerFrame({ opcode: 1, payload: "m", key: KEY });
      return pinged ? [frame, peerFrame({ opcode: 9, payload: "p", key: KEY })] : [frame];
    });
    const before = whose;
    whose = to;
    if (!kernels[to]?.closed)
      kernels[to]?.events?.data(Uint8Array.from(Buffer.concat(behind ? [...frames, behind] : frames)));
    whose = before;
    deeds.length = 0;
  };

  const run = (one: Deed): void => {
    const target = whose ^ one.who;
    const connection = connections[target] as Connection;
    const kernel = kernels[target] as Kernel;
    names += 1;
    const name = `${names}:`;
    if (one.do === "try") seen.push(trySend(connection, messageOf(name, one.size, one.kind)));
    else if (one.do === "how") {
      const how = { overflow: one.overflow, ...(one.key && { key: one.key }) };
      seen.push(connection.trySend(messageOf(name, one.size, "text"), how));
    } else if (one.do === "send") settle_(connection.send(messageOf(name, one.size, "bytes")));
    else if (one.do === "prepared") seen.push(connection.trySend(prepare(messageOf(name, one.size, "text"))));
    else if (one.do === "group") seen.push({ ...group.send(messageOf(name, one.size, "text")) });
    else if (one.do === "part" && connection.state === "OPEN") {
      try {
        const writer = connection.writer("text");
        settle_(writer.write(messageOf(name, one.size, "text")));
        settle_(writer.end());
      } catch (error) {
        seen.push((error as Error).message);
      }
    } else if (one.do === "look")
      seen.push([connection.queuedBytes, connection.queuedMessages, connection.droppedMessages]);
    else if (one.do === "drain") settle_(connection.drain());
    else if (one.do === "ping") settle_(connection.ping());
    else if (one.do === "fill") kernel.fill();
    else if (one.do === "room") kernel.drain();
    else if (one.do === "late" && connection.state !== "CLOSED") connection.setWriteDeadline(new Date(0));
    else if (one.do === "clear" && connection.state !== "CLOSED") connection.setWriteDeadline(undefined);
    else if (one.do === "within")
      kernel.within = () => {
        tell("within", connection);
        for (const both of connections) seen.push(trySend(both, messageOf("within", 9, "bytes")));
        // No transport gives a chunk while it is given one.
        if (!kernels[1 - target]?.writing) run({ do: one.inside, who: whose === target ? 1 : 0 });
      };
    else if (one.do === "chunk" || one.do === "queued chunk") {
      const rest = deeds.splice(0);
      const answer: Deed = { do: "try", who: 0, size: 5, kind: "text" };
      const last: Deed = { do: "how", who: 0, size: 5, overflow: "reject", key: undefined };
      give(target, [[[one.do === "chunk" ? answer : last], false]]);
      deeds.push(...rest);
    } else if (one.do === "given up") {
      const giving = new AbortController();
      settle_(connection.send(messageOf(name, 20, "text"), { signal: giving.signal }));
      giving.abort(new Error("given up"));
    } else if (one.do === "close") settle_(connection.close(4_000, "as it likes"));
    else if (one.do === "terminate") connection.terminate();
    else if (one.do === "throw") throw new Error("a hook's own");
  };

  // Only behind a write that was taken at once is the next filled in the shared slab: both have one such behind them.
  const first: Deed = { do: "try", who: 0, size: 1, kind: "text" };
  give(0, [[[first, { do: "chunk", who: 1 }], false]]);
  for (const one of acts) {
    if (one.do === "chunk") give(one.who, one.deeds);
    else if (one.do === "broken") give(one.who, [[one.deeds, false]], peerFrame({ opcode: 3, key: KEY }));
    else if (one.do === "room") kernels[one.who]?.drain();
    else await settled();
    seen.push(kernels.map(({ writes }) => writes.length));
  }
  await settled();
  for (const kernel of kernels) kernel.drain();
  await settled();
  const counted = connections.map(({ queuedBytes, queuedMessages, droppedMessages, state }) => [
    ...[queuedBytes, queuedMessages, droppedMessages, state],
  ]);
  for (const connection of connections) connection.terminate();
  await settled();
  assert.equal(straight.owner, undefined);
  return [...seen, ...counted, ...kernels.flatMap(({ writes }) => writes)];
}

const trial = (who: 0 | 1, size: number): Deed => ({ do: "try", who, size, kind: "bytes" });
const chunk = (...deeds: Deed[]): Act => ({ do: "chunk", who: 0, deeds: [[deeds, false]] });
/** What chance seldom finds. */
const EXAMPLES: [Act[], ConnectionOptions][] = [
  // The high water mark is passed by the second.
  [[chunk(trial(0, 100), trial(0, 100))], LIMITS[1] as ConnectionOptions],
  // Another connection fills the slab meanwhile, and a third time it is its owner's.
  [[chunk(trial(0, 20), { do: "queued chunk", who: 1 }, trial(0, 20)), chunk(trial(0, 9))], {}],
  [[chunk(trial(0, 20), { do: "chunk", who: 1 }, trial(0, 20)), chunk(trial(0, 9))], {}],
  // The kernel has no room for it, then it has, and nothing waits.
  [[chunk({ do: "fill", who: 0 }, trial(0, 20)), chunk({ do: "look", who: 0 }), { do: "room", who: 0 }], {}],
  [[chunk({ do: "fill", who: 0 }, trial(0, 20)), { do: "room", who: 0 }, chunk({ do: "look", who: 0 })], {}],
  // The one that is written is called back, and so is the other.
  ...(["look", "chunk", "queued chunk"] as const).map((inside): [Act[], ConnectionOptions] => [
    [
      chunk({ do: "within", who: 0, inside }, trial(0, 20), { do: "within", who: 1, inside }, trial(1, 20)),
      chunk(trial(0, 9)),
    ],
    {},
  ]),
];

describe("answers to a chunk", () => {
  it("are written, counted, refused and ended with as if each had been queued, whatever else happens", async () => {
    let times = 0;
    const plainly: Try = (connection, message) => {
      const result = connection.trySend(message);
      if (straight.owner !== undefined) times += 1;
      return result;
    };
    // With a wish, be it none, a message has a place in the queue.
    const queued: Try = (connection, message) => connection.trySend(message, {});
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 12 }), fc.constantFrom(...LIMITS), async (acts, limits) => {
        assert.deepEqual(await play(acts, limits, plainly), await play(acts, limits, queued));
      }),
      { ...runs(400), examples: EXAMPLES },
    );
    assert.ok(times > 20, "what is compared does happen");
  });
});

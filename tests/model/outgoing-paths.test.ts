/** The paths of an outgoing message: on each of them it is written, counted and refused as if it had been queued. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Connection } from "../../src/connection/contract.ts";
import type { Core } from "../../src/connection/core.ts";
import { outgoingPathOf } from "../../src/connection/lazy-parts.ts";
import { settle } from "../../src/connection/options.ts";
import { webSocketProtocol } from "../../src/connection/protocol.ts";
import { TransportConnection } from "../../src/connection/transport-connection.ts";
import { corkedWrites } from "../../src/connection/write/corked-writes.ts";
import type { OutgoingPath } from "../../src/connection/write/short-path.ts";
import {
  type ConnectionOptions,
  Group,
  type Message,
  type Overflow,
  prepare,
  type SendResult,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { ScriptedTransport } from "../connection/scripted-transport.ts";
import { charged } from "../kit/blocked-connection.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";

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
/** The actions of a hook, one per message. */
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

/** An input from the network: a chunk with messages, each with its actions, and with Pings between them; or a turn. */
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
  {
    maxQueuedBytes: charged(400, 5),
    maxQueuedMessages: 7,
    highWaterMark: charged(150, 3),
    lowWaterMark: charged(60, 1),
  },
  {
    maxQueuedBytes: charged(400, 3),
    maxQueuedMessages: 3,
    highWaterMark: Infinity,
    lowWaterMark: charged(60, 1),
    overflow: "drop-oldest",
  },
];

/** Says that it is shorter than it is. */
class Liar extends Uint8Array {
  override get length(): number {
    return super.length >> 1;
  }
}

function messageOf(what: string, size: number, kind: "text" | "wide" | "bytes" | "view" | "liar"): Message {
  const text = what.padEnd(size, "x").slice(0, size);
  if (kind === "text") return text;
  if (kind === "wide") return text.replaceAll("x", "ü");
  const bytes = Buffer.from(text);
  if (kind === "view") return bytes;
  return kind === "liar" ? Liar.from(bytes) : Uint8Array.from(bytes);
}

/** The paths that were used. */
const paths = new Set<OutgoingPath>();

type Try = (connection: Connection, message: Message) => SendResult;

/** Plays the acts, and returns everything that is visible of them. */
async function play(
  acts: readonly Act[],
  limits: ConnectionOptions,
  trySend: Try,
  group: Pick<Group, "join" | "send">,
): Promise<unknown[]> {
  const seen: unknown[] = [];
  // By connection: in which order the members of a group are written to is not promised.
  const reported: unknown[][] = [[], []];
  const tell = (what: string, { data, queuedBytes }: Connection): void =>
    void reported[data as number]?.push([what, queuedBytes]);
  /** Where the results of calls are noted: those from inside a write with the connection that is written to. */
  let log = seen;
  const deeds: (readonly Deed[])[] = [];
  const kernels = [new ScriptedTransport(), new ScriptedTransport()] as const;
  // Separate from the visible events: the order of one connection's promises and another's writes within a turn is not promised.
  const outcomes: Record<number, string> = {};
  let calls = 0;
  const settle_ = (promise: Promise<unknown>): void => {
    const index = calls;
    calls += 1;
    outcomes[index] = "pending";
    promise.then(
      () => {
        outcomes[index] = "resolved";
      },
      (error: Error) => {
        outcomes[index] = error.message;
      },
    );
  };
  const names = [0, 0];

  const options: ConnectionOptions = {
    ...limits,
    closeTimeout: 1_000,
    onError: (error) => void seen.push(String(error)),
    message: () => {
      for (const one of deeds.shift() ?? []) run(one);
    },
    highWater: (connection) => tell("high", connection),
    lowWater: (connection) => tell("low", connection),
    close: (connection, info) => void reported[connection.data as number]?.push(["closed", info]),
  };
  const settledOptions = settle({ clock: new ManualClock(), ...options } as ConnectionOptions<never>, "websocket");
  const protocol = webSocketProtocol("server");
  const connections = kernels.map((transport, data) => {
    const setup = { transport, protocol, options: settledOptions, url: "ws://kernel" };
    const connection = new TransportConnection({ ...setup, subprotocol: "", extensions: "", data });
    connection.start();
    return connection as Connection;
  });
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

  const look = (): void => {
    for (const connection of connections) paths.add(outgoingPathOf(TransportConnection.coreOf(connection) as Core));
  };
  const run = (one: Deed): void => {
    look();
    const target = whose ^ one.who;
    const connection = connections[target] as Connection;
    const kernel = kernels[target] as ScriptedTransport;
    names[target] = (names[target] as number) + 1;
    const name = `${names[target]}:`;
    if (one.do === "try") log.push(trySend(connection, messageOf(name, one.size, one.kind)));
    else if (one.do === "how") {
      const how = { overflow: one.overflow, ...(one.key && { key: one.key }) };
      log.push(connection.trySend(messageOf(name, one.size, "text"), how));
    } else if (one.do === "send") settle_(connection.send(messageOf(name, one.size, "bytes")));
    else if (one.do === "prepared") log.push(connection.trySend(prepare(messageOf(name, one.size, "text"))));
    else if (one.do === "group") log.push({ ...group.send(messageOf(name, one.size, "text")) });
    else if (one.do === "part" && connection.state === "OPEN") {
      try {
        const writer = connection.writer("text");
        settle_(writer.write(messageOf(name, one.size, "text")));
        settle_(writer.end());
      } catch (error) {
        log.push((error as Error).message);
      }
    } else if (one.do === "look")
      log.push([connection.queuedBytes, connection.queuedMessages, connection.droppedMessages]);
    else if (one.do === "drain") settle_(connection.drain());
    else if (one.do === "ping") settle_(connection.ping());
    else if (one.do === "fill") kernel.fill();
    else if (one.do === "room") kernel.drain();
    else if (one.do === "late" && connection.state !== "CLOSED") connection.setWriteDeadline(new Date(0));
    else if (one.do === "clear" && connection.state !== "CLOSED") connection.setWriteDeadline(undefined);
    else if (one.do === "within")
      kernel.within = () => {
        const before = log;
        log = reported[target] as unknown[];
        // Not with its queuedBytes: while a fan-out writes, its messages do not count any more.
        log.push("within");
        for (const both of connections) log.push(trySend(both, messageOf("within", 9, "bytes")));
        // No transport delivers a chunk while it delivers another.
        if (!kernels[1 - target]?.writing) run({ do: one.inside, who: whose === target ? 1 : 0 });
        log = before;
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

  // Only after a write that was accepted at once is the next one encoded into the shared write buffer: both sides have one.
  const first: Deed = { do: "try", who: 0, size: 1, kind: "text" };
  give(0, [[[first, { do: "chunk", who: 1 }], false]]);
  for (const one of acts) {
    if (one.do === "chunk") give(one.who, one.deeds);
    else if (one.do === "broken") give(one.who, [[one.deeds, false]], peerFrame({ opcode: 3, key: KEY }));
    else if (one.do === "room") kernels[one.who]?.drain();
    else await settled();
    seen.push(kernels.map(({ writes }) => writes.length));
    look();
  }
  await settled();
  for (const kernel of kernels) kernel.drain();
  await settled();
  const counted = connections.map(({ queuedBytes, queuedMessages, droppedMessages, state }) => [
    ...[queuedBytes, queuedMessages, droppedMessages, state],
  ]);
  for (const connection of connections) connection.terminate();
  await settled();
  look();
  assert.equal(corkedWrites.owner, undefined);
  return [...seen, ...reported, outcomes, ...counted, ...kernels.flatMap(({ writes }) => writes)];
}

const trial = (who: 0 | 1, size: number): Deed => ({ do: "try", who, size, kind: "bytes" });
const chunk = (...deeds: Deed[]): Act => ({ do: "chunk", who: 0, deeds: [[deeds, false]] });
/** What chance seldom finds. */
const EXAMPLES: [Act[], ConnectionOptions][] = [
  // The high water mark is passed by the second.
  [[chunk(trial(0, 100), trial(0, 100))], LIMITS[1] as ConnectionOptions],
  // The first nearly fills the buffer: its header is smaller than the most that a header may have.
  [[chunk({ do: "try", who: 0, size: 32_747, kind: "wide" }, trial(0, 23), trial(0, 40))], {}],
  [[chunk({ do: "try", who: 0, size: 65_494, kind: "text" }, trial(0, 23), trial(0, 40))], {}],
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
  // A send inside a write of the other connection, whose corked messages leave by another path.
  [
    [
      {
        do: "chunk",
        who: 0,
        deeds: [
          [[{ do: "try", who: 0, size: 125, kind: "text" }], false],
          [[{ do: "within", who: 0, inside: "look" }], false],
        ],
      },
      {
        do: "chunk",
        who: 1,
        deeds: [
          [[{ do: "within", who: 1, inside: "look" }], false],
          [[{ do: "try", who: 1, size: 125, kind: "text" }], false],
          [[{ do: "send", who: 0, size: 0 }], false],
        ],
      },
    ],
    {},
  ],
];

const hasCallsWithin = (acts: readonly Act[]): boolean => JSON.stringify(acts).includes('"within"');

/** A group without a fan-out: each message is queued for each member individually. */
class QueuedGroup {
  readonly #members = new Set<Connection>();

  join(connection: Connection): void {
    this.#members.add(connection);
  }

  send(message: Message, _options?: unknown): { taken: number; refused: number } {
    const counts = { taken: 0, refused: 0 };
    const prepared = prepare(message);
    for (const member of this.#members) {
      if (member.state !== "OPEN") this.#members.delete(member);
      else counts[member.trySend(prepared, { overflow: "close" }) === "refused" ? "refused" : "taken"] += 1;
    }
    return counts;
  }
}

describe("messages on the short paths", () => {
  it("are written, counted, refused and ended as if each had been queued, whatever else happens", async () => {
    let times = 0;
    const plainly: Try = (connection, message) => {
      const result = connection.trySend(message);
      if (corkedWrites.owner !== undefined) times += 1;
      return result;
    };
    // With a wish, be it none, a message has a place in the queue.
    const queued: Try = (connection, message) => connection.trySend(message, {});
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 12 }), fc.constantFrom(...LIMITS), async (acts, limits) => {
        assert.deepEqual(
          await play(acts, limits, plainly, new Group()),
          // No transport calls back from inside a write, and a group promises nothing about that.
          await play(acts, limits, queued, hasCallsWithin(acts) ? new Group() : new QueuedGroup()),
        );
      }),
      { ...runs(400), examples: EXAMPLES },
    );
    assert.ok(times > 20, "what is compared does happen");
    const all: OutgoingPath[] = ["corked", "fanOut", "finishing", "idle", "queued", "stopped", "writing"];
    assert.deepEqual([...paths].sort(), all);
  });
});

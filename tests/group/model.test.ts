/** The messages of groups at each member: byte for byte the same as if each had been sent individually. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Connection, Group, type GroupSendOptions, type Overflow, prepare } from "../../src/index.ts";
import { settled, type Wired, type WiredOptions, wired } from "../../src/testing/index.ts";
import { charged } from "../kit/blocked-connection.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";

/** Either a group, or a loop over its members. */
interface MemberKind {
  join(connection: Connection): void;
  leave(connection: Connection): void;
  send(message: string, options: GroupSendOptions): { readonly taken: number; readonly refused: number };
}

class Loop implements MemberKind {
  readonly #members = new Set<Connection>();

  join(connection: Connection): void {
    if (connection.state !== "OPEN" || this.#members.has(connection)) return;
    this.#members.add(connection);
    void connection.closed.then(() => this.leave(connection));
  }

  leave(connection: Connection): void {
    this.#members.delete(connection);
  }

  send(message: string, { except, overflow = "close", key }: GroupSendOptions): { taken: number; refused: number } {
    const counts = { taken: 0, refused: 0 };
    const prepared = prepare(message);
    const misuse: unknown[] = [];
    for (const member of this.#members) {
      if (member === except || member.state !== "OPEN") continue;
      const how = { overflow: overflow as Overflow, ...(key !== undefined && { key }) };
      try {
        counts[member.trySend(prepared, how) === "refused" ? "refused" : "taken"] += 1;
      } catch (error) {
        misuse.push(error);
      }
    }
    if (misuse.length > 0) throw misuse[0];
    return counts;
  }
}

const LIMITS = {
  maxQueuedBytes: charged(400, 5),
  maxQueuedMessages: 7,
  highWaterMark: charged(300, 4),
  lowWaterMark: charged(60, 1),
};
const LARGE = { writeTimeout: Infinity };
/** The possible members: two of each kind, because connections of one kind share a fan-out. */
const MEMBERS: readonly WiredOptions[] = [
  { kind: "tcp", framing: "lines", connection: LARGE },
  { capacity: 64, connection: LIMITS },
  { capacity: 64, connection: LIMITS },
  { connection: { ...LARGE, maxQueuedBytes: 100_000, maxMessageSize: 100_000 } },
  { connection: LARGE },
  { compression: { threshold: 1 } },
  { compression: { threshold: 1, serverContextTakeover: true } },
  { role: "client", connection: LARGE },
];

const who = fc.nat(MEMBERS.length - 1);
const order = fc.shuffledSubarray([...MEMBERS.keys()], { minLength: MEMBERS.length });
// No message that another thread compresses, because the test does not control its time.
const text = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 90 }) },
  { weight: 1, arbitrary: fc.constantFrom(125, 126, 300, 401, 20_000, 65_520, 65_535) },
);
const overflow = fc.constantFrom("close", "drop-oldest", "drop-newest", "reject", "coalesce" as const);
const act = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      group: fc.nat(1),
      size: text,
      overflow,
      key: fc.constantFrom(undefined, undefined, undefined, "k"),
      except: fc.option(who, { freq: 3 }),
      // The framing `lines` cannot encode this message.
      lines: fc.constantFrom(1, 1, 1, 2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("direct" as const), who, size: text, overflow }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("await" as const), who, size: text }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("pause", "resume", "leave", "look", "drain"), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("ping", "peer pings", "part", "clear", "answers"), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("close", "late"), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("join"), group: fc.nat(1), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn") }) },
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T & { readonly who?: number; readonly group?: number } : never;

/** The result of a call, or the message of its error. */
function outcomeOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as Error).message;
  }
}

/** Runs the steps, and returns everything visible, by member: the order of writes across members is not defined. */
async function play(acts: readonly Act[], order: readonly number[], party: () => MemberKind): Promise<unknown[]> {
  const answers: unknown[] = [];
  const seen: unknown[][] = MEMBERS.map(() => []);
  const groups = [party(), party()] as const;
  const scenes: Wired[] = MEMBERS.map((options, index) => {
    const tell = (what: string, { queuedBytes }: Connection): void => void seen[index]?.push([what, queuedBytes]);
    const highWater = (connection: Connection): void => tell("high", connection);
    const lowWater = (connection: Connection): void => tell("low", connection);
    // A member sends to the group while its chunk is handled: once for each of its messages.
    const message = (connection: Connection, data: unknown): void =>
      void seen[index]?.push(groups[0].send(`from ${String(data)}`, { except: connection }));
    return wired({ ...options, connection: { ...options.connection, highWater, lowWater, message } });
  });
  // All members on the fan-out have the kind of the first one.
  for (const index of order) for (const group of groups) group.join((scenes[index] as Wired).connection);

  for (const [index, one] of acts.entries()) {
    const { connection, peer } = scenes[one.who ?? 0] as Wired;
    const data = `${index}:`.padEnd("size" in one ? (one.size as number) : 0, "x");
    const settle = (promise: Promise<unknown>): void =>
      void promise.then(
        () => seen[one.who ?? 0]?.push([index, "resolved"]),
        (error: Error) => seen[one.who ?? 0]?.push([index, error.message]),
      );
    if (one.do === "send") {
      const except = one.except === null ? undefined : scenes[one.except]?.connection;
      const how = { overflow: one.overflow, ...(one.key && { key: one.key }), ...(except && { except }) };
      const send = (): unknown =>
        groups[one.group as 0 | 1].send(one.lines === 1 ? data : `${data}\n`, how as GroupSendOptions);
      answers.push(outcomeOf(send));
    } else if (one.do === "direct") answers.push(connection.trySend(data, { overflow: one.overflow as Overflow }));
    else if (one.do === "await") settle(connection.send(data));
    else if (one.do === "drain") settle(connection.drain());
    else if (one.do === "pause") peer.pause();
    else if (one.do === "resume") peer.resume();
    else if (one.do === "join") groups[one.group as 0 | 1].join(connection);
    else if (one.do === "leave") groups[0].leave(connection);
    else if (one.do === "ping" && connection.kind === "websocket") settle(connection.ping());
    else if (one.do === "close") void connection.close();
    else if (one.do === "late" && connection.state !== "CLOSED") connection.setWriteDeadline(new Date(0));
    else if (one.do === "clear" && connection.state !== "CLOSED") connection.setWriteDeadline(undefined);
    else if (one.do === "part" && connection.kind === "websocket" && connection.state === "OPEN") {
      const writer = connection.writer("text");
      settle(writer.write(data));
      settle(writer.end());
    } else if (one.do === "peer pings" && connection.kind === "websocket" && !peer.closed) {
      peer.write(peerFrame({ opcode: 9, payload: data, key: KEY }));
    } else if (one.do === "answers" && !peer.closed) {
      const frames = ["a", "b"].map((payload) => peerFrame({ opcode: 1, payload: payload + index, key: KEY }));
      peer.write(connection.kind === "tcp" ? `${index}\n${index}\n` : Buffer.concat(frames));
    } else if (one.do === "turn") await settled();
    if (one.do === "look")
      answers.push([connection.queuedBytes, connection.queuedMessages, connection.droppedMessages]);
  }
  for (const { peer } of scenes) peer.resume();
  await settled();
  const lost = scenes.map(({ connection: { state, droppedMessages } }) => [state, droppedMessages]);
  const got = scenes.map(({ peer }, index) =>
    // A client masks each frame with a new key.
    MEMBERS[index]?.role === "client" ? peer.received.length : Buffer.from(peer.received).toString("latin1"),
  );
  for (const { connection } of scenes) connection.terminate();
  await settled();
  return [answers, seen, lost, got];
}

describe("messages of a group", () => {
  it("arrive at each member as if they had been sent individually, with any other operations", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), order, async (acts, order) => {
        const [expected, actual] = [
          await play(acts as Act[], order, () => new Loop()),
          await play(acts as Act[], order, () => new Group()),
        ];
        assert.deepEqual(actual, expected);
      }),
      runs(500),
    );
  });
});

/** When a connection writes the messages of its groups, and in how many writes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Clock, type Instant, instant } from "../../../src/base/time.ts";
import type { Connection } from "../../../src/connection/contract.ts";
import { type SettledOptions, settle } from "../../../src/connection/options.ts";
import { webSocketProtocol } from "../../../src/connection/protocol.ts";
import { Tally } from "../../../src/connection/tally.ts";
import { TransportConnection } from "../../../src/connection/transport-connection.ts";
import { FanOut } from "../../../src/connection/write/fan-out.ts";
import { prepared } from "../../../src/connection/write/prepared-message.ts";
import { type ConnectionOptions, Group } from "../../../src/index.ts";
import { NO_ENDPOINTS, type Transport, type TransportEvents } from "../../../src/transport/transport.ts";
import { charged } from "../../kit/blocked-connection.ts";
import { KEY, peerFrame } from "../../kit/frames.ts";

const INTERVAL = 1_000;

/** A connection whose heartbeat is due when the test says so. */
class HeldClock implements Clock {
  readonly #wakes: ((now: Instant) => void)[] = [];
  #now = 0;

  now(): Instant {
    return instant(this.#now);
  }

  wallTime(): number {
    return this.#now;
  }

  wakeAt(_at: Instant, wake: (now: Instant) => void): { cancel(): void } {
    this.#wakes.push(wake);
    return { cancel: () => undefined };
  }

  beat(): void {
    this.#now += INTERVAL;
    for (const wake of this.#wakes.splice(0)) wake(this.now());
  }
}

class Member {
  readonly connection: TransportConnection;
  readonly options: SettledOptions;
  /** The content of each write. */
  readonly writes: string[] = [];
  /** Whether the transport has room. */
  room = true;
  #events: TransportEvents | undefined;

  constructor(given: ConnectionOptions, clock: Clock) {
    this.options = settle(
      { clock, heartbeat: { interval: INTERVAL }, ...given } as ConnectionOptions<never>,
      "websocket",
    );
    const transport = {
      endpoints: NO_ENDPOINTS,
      open: (events: TransportEvents) => {
        this.#events = events;
      },
      write: (bytes: Uint8Array) => {
        this.writes.push(Buffer.from(bytes).toString("latin1"));
        return this.room;
      },
      end: () => undefined,
      abort: () => undefined,
    } as unknown as Transport;
    const setup = { transport, protocol: webSocketProtocol("server"), options: this.options, url: "ws://memory" };
    this.connection = new TransportConnection({ ...setup, subprotocol: "", extensions: "", data: undefined });
    this.connection.start();
  }

  hear(text: string): void {
    this.#events?.data(Buffer.from(peerFrame({ opcode: 1, payload: text, key: KEY })));
  }

  written(): void {
    this.room = true;
    this.#events?.written();
  }
}

function gathered(count: number, given: ConnectionOptions = {}) {
  const clock = new HeldClock();
  const group = new Group();
  const members = Array.from({ length: count }, () => new Member(given, clock));
  for (const { connection } of members) group.join(connection);
  return { clock, group, members: members as [Member, Member, ...Member[]] };
}

const turn = (): Promise<void> => new Promise(setImmediate);

const frames = (...texts: string[]): string =>
  texts.map((text) => `\x81${String.fromCharCode(text.length)}${text}`).join("");

const CLOSE = "\x88\x02\x03\xe8";
const PING = "\x89\x00";

describe("a member of a group", () => {
  it("is written to once in each turn", async () => {
    const { group, members } = gathered(3);
    for (const words of [["one"], ["two", "three"], ["four"]]) {
      for (const word of words) group.send(word);
      for (const { writes } of members) assert.deepEqual(writes.splice(0), []);
      await turn();
      for (const { writes } of members) assert.deepEqual(writes.splice(0), [frames(...words)]);
    }
  });

  it("receives the answers to its own message as soon as that is handled, once, and later messages with the other members", async () => {
    const { group, members } = gathered(2, { message: (_, data) => void group.send(data) });
    const [sender, other] = members;
    group.send("first");
    await turn();
    for (const word of ["second", "third"]) {
      sender.hear(word);
      assert.deepEqual(
        sender.writes.splice(0),
        word === "second" ? [frames("first"), frames("second")] : [frames("third")],
      );
    }
    group.send("fourth");
    assert.deepEqual(sender.writes, []);
    await turn();
    assert.deepEqual(sender.writes, [frames("fourth")]);
    assert.deepEqual(other.writes, [frames("first"), frames("second", "third", "fourth")]);
    assert.equal(sender.connection.queuedBytes, 0);
    await turn();
    assert.deepEqual(sender.writes, [frames("fourth")]);
  });

  it("receives the Ping of the heartbeat in the same write", async () => {
    const { clock, group, members } = gathered(2);
    group.send("first");
    await turn();
    group.send("second");
    clock.beat();
    await turn();
    for (const { writes } of members) assert.deepEqual(writes, [frames("first"), PING + frames("second")]);
  });

  it("queues the messages that its transport has not accepted, and later messages behind them", async () => {
    const { group, members } = gathered(2);
    const [slow, other] = members;
    slow.room = false;
    group.send("one");
    group.send("two");
    await turn();
    const { connection } = slow;
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [2, charged(6, 2)]);
    group.send("three");
    await turn();
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [3, charged(11, 3)]);
    slow.written();
    assert.equal(connection.queuedMessages, 0);
    group.send("four");
    await turn();
    assert.deepEqual(slow.writes, [frames("one", "two"), frames("three"), frames("four")]);
    assert.deepEqual(other.writes, slow.writes);
  });

  it("receives each message once, with any number of members that leave or are detached", async () => {
    const { group, members } = gathered(12);
    const staying = members.slice(9);
    group.send("one");
    await turn();
    for (const { connection } of members.slice(0, 9)) group.leave(connection);
    for (const word of ["two", "three", "four"]) {
      group.send(word);
      if (word === "three") for (const { connection } of staying) assert.equal(connection.queuedMessages, 1);
      await turn();
    }
    for (const { writes } of staying)
      assert.deepEqual(
        writes,
        ["one", "two", "three", "four"].map((word) => frames(word)),
      );
    for (const { writes } of members.slice(0, 9)) assert.deepEqual(writes, [frames("one")]);
  });

  it("that has begun to end receives earlier messages, and no message that is sent because of its end", async () => {
    const { group, members } = gathered(2);
    const [leaving, other] = members;
    group.send("one");
    await turn();
    leaving.connection.signal.addEventListener("abort", () => {
      assert.deepEqual(group.send("gone"), { taken: 1, refused: 0 });
    });
    group.send("two");
    void leaving.connection.close();
    await turn();
    assert.deepEqual(leaving.writes, [frames("one"), frames("two"), CLOSE]);
    assert.deepEqual(other.writes, [frames("one"), frames("two", "gone")]);
    assert.deepEqual([...group], [other.connection]);
  });

  it("is written to although the transport of another member throws, which ends only that connection", () => {
    const fanOut = new FanOut();
    const message = prepared("hello", {});
    const written: number[] = [];
    const failed: unknown[] = [];
    const { options } = new Member({}, new HeldClock());
    for (const index of [0, 1, 2]) {
      const write = (): boolean => {
        if (index === 1) throw new Error("broken");
        return written.push(index) > 0;
      };
      const parts = {
        transport: { write } as unknown as Transport,
        connection: {} as Connection,
        shortPath: undefined,
        tally: undefined,
        beginTally: () => new Tally(),
      };
      const writeFailed = (error: unknown): unknown => failed.push([index, String(error)]);
      const protocol = webSocketProtocol("server")(options);
      const member = {
        ...parts,
        protocol,
        options,
        canAttach: true,
        hasDeferred: false,
        leaveShortPath: () => undefined,
        writeIsPending: () => undefined,
        writeFailed,
      };
      assert.ok(fanOut.attach(member, message, {}));
    }
    fanOut.turnEnded();
    assert.deepEqual(written, [0, 2]);
    assert.deepEqual(failed, [[1, "Error: broken"]]);
  });
});

/** The option `trace`: it reports each frame, and a connection takes the same code paths with it as without. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ConnectionEvent, type FrameEvent, Group, prepare } from "../../src/index.ts";
import { settled, type Wired, type WiredOptions, wired } from "../../src/testing/index.ts";
import { joined, KEY, peerFrame } from "../kit/frames.ts";

type Facts = Omit<FrameEvent, "type" | "id" | "direction">;

interface Scene extends Wired {
  readonly events: ConnectionEvent[];
  frames(direction: "in" | "out"): Facts[];
}

function scene(options: WiredOptions = {}): Scene {
  const events: ConnectionEvent[] = [];
  const observe = (event: ConnectionEvent): void => void events.push(event);
  const made = wired({ ...options, connection: { ...options.connection, observe, trace: true } });
  const frames = (direction: "in" | "out"): Facts[] =>
    events.flatMap((event) => {
      if (event.type !== "frame" || event.direction !== direction) return [];
      const { opcode, fin, rsv, masked, length } = event;
      return [{ opcode, fin, rsv, masked, length }];
    });
  return { ...made, events, frames };
}

const client = (frame: Parameters<typeof peerFrame>[0]): Uint8Array => peerFrame({ key: KEY, ...frame });

describe("a trace", () => {
  it("reports each received header once, an invalid one too and none after it, for any chunk boundaries", async () => {
    const one = scene({ connection: { message: () => undefined } });
    const bytes = joined(
      client({ opcode: 1, fin: false, payload: "a" }),
      client({ opcode: 9, payload: "bc" }),
      client({ opcode: 0, rsv: 2, payload: "d" }),
      client({ opcode: 1, payload: "never" }),
    );
    for (const byte of bytes) {
      one.peer.write(Uint8Array.of(byte));
      await settled();
    }
    assert.deepEqual(one.frames("in"), [
      { opcode: 1, fin: false, rsv: 0, masked: true, length: 1 },
      { opcode: 9, fin: true, rsv: 0, masked: true, length: 2 },
      { opcode: 0, fin: true, rsv: 2, masked: true, length: 1 },
    ]);
    assert.deepEqual(
      one.frames("out").map(({ opcode }) => opcode),
      [10, 8],
    );
  });

  it("does not hide that the peer acknowledges bytes: then it is alive, although a Ping has no answer", async () => {
    const heartbeat = { interval: 1_000, timeout: 4_000 };
    const { connection, peer, clock } = scene({ capacity: 1_000_000, connection: { heartbeat } });
    peer.pause();
    connection.trySend("x".repeat(200_000));
    // The Ping is unanswered, and the kernel is queried.
    await clock.advance(3_000);
    peer.resume();
    await settled();
    await clock.advance(3_000);
    assert.equal(connection.state, "OPEN");
  });

  it("reports the frames of a client as masked, and does not change the bytes", async () => {
    const one = scene({ role: "client" });
    await one.connection.send("x".repeat(200));
    one.peer.write(peerFrame({ opcode: 2, payload: "answer" }));
    assert.equal(Buffer.from((await one.connection.receive()) as Uint8Array).toString(), "answer");
    assert.deepEqual(one.frames("out"), [{ opcode: 1, fin: true, rsv: 0, masked: true, length: 200 }]);
    assert.deepEqual(one.frames("in"), [{ opcode: 2, fin: true, rsv: 0, masked: false, length: 6 }]);
  });

  it("reports messages of any size on framed TCP, also above the limit of the connection", async () => {
    const one = scene({
      kind: "tcp",
      framing: "lines",
      connection: { maxMessageSize: 10, maxQueuedBytes: 100_000 },
    });
    await one.connection.send("y".repeat(50));
    one.peer.write("short\n");
    await settled();
    assert.deepEqual(one.frames("out"), [{ opcode: 1, fin: true, rsv: 0, masked: false, length: 50 }]);
    assert.deepEqual(one.frames("in"), [{ opcode: 1, fin: true, rsv: 0, masked: false, length: 5 }]);
  });

  it("reports nothing without observe, and observe reports no frame without trace", async () => {
    const events: string[] = [];
    const observe = ({ type }: ConnectionEvent): void => void events.push(type);
    for (const connection of [{ trace: true }, { observe }]) {
      const { connection: made, peer } = wired({ connection });
      await made.send("hello");
      peer.write(client({ opcode: 9 }));
      await settled();
      made.terminate();
      await made.closed;
    }
    assert.deepEqual(events, ["open", "close"]);
  });

  it("does not change the number of writes and their bytes, for answers, groups and control frames", async () => {
    const plays = await Promise.all(
      [false, true].map(async (trace) => {
        const observe = (): void => undefined;
        const message = (connection: { trySend(text: string): unknown }, text: unknown): void => {
          for (const part of ["a", "b"]) connection.trySend(`${String(text)}${part}`);
        };
        const members = [0, 1].map(() => wired({ connection: trace ? { message, observe, trace } : { message } }));
        const group = new Group();
        for (const { connection } of members) group.join(connection);
        const chunks: string[][] = members.map(() => []);
        const look = async (): Promise<void> => {
          await settled();
          for (const [index, { peer }] of members.entries())
            chunks[index]?.push(Buffer.from(peer.take()).toString("hex"));
        };
        group.send(prepare("to all"));
        await look();
        for (const { peer } of members) {
          peer.write(
            joined(client({ opcode: 1, payload: "1" }), client({ opcode: 9 }), client({ opcode: 1, payload: "2" })),
          );
        }
        await look();
        group.send("again");
        group.send("and again");
        await look();
        return chunks;
      }),
    );
    assert.deepEqual(plays[1], plays[0]);
  });
});

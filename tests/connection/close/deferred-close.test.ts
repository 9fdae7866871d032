/** Tests of a Close, a violation and a FIN that arrive in one chunk with messages. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection, ConnectionOptions } from "../../../src/index.ts";
import { type RawPeer, wired } from "../../../src/testing/index.ts";
import { framesIn, joined, KEY, peerFrame } from "../../kit/frames.ts";

const textFrame = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload, key: KEY });
const CLOSE = peerFrame({ opcode: 8, payload: Uint8Array.of(1001 >> 8, 1001 & 255), key: KEY });
const BROKEN = peerFrame({ opcode: 3, key: KEY });
const PING = peerFrame({ opcode: 9, payload: "p", key: KEY });

/** The frames that the peer received: the text of each message, and the code of a Close. */
function receivedFrames(wire: RawPeer): (string | number)[] {
  return framesIn(wire.received).map(({ opcode, payload }) =>
    opcode === 8 ? payload.readUInt16BE(0) : payload.toString(),
  );
}

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(`re: ${message}`);
}

const message = (connection: Connection, data: string | Uint8Array): void => {
  connection.trySend(`re: ${data}`);
};

const applications: readonly [string, ConnectionOptions, (connection: Connection) => unknown][] = [
  ["a loop that waits until each answer is sent", {}, (connection) => echo(connection).catch(() => undefined)],
  ["a hook", { message }, () => undefined],
  [
    "a hook that waits",
    { message: async (connection, data) => connection.send(`re: ${data}`).catch(() => undefined) },
    () => undefined,
  ],
];

describe("messages in one chunk with the peer's Close or a protocol violation", () => {
  for (const [application, options, run] of applications) {
    for (const [ending, last, code] of [
      ["its Close", CLOSE, 1001],
      ["a protocol violation", BROKEN, 1002],
    ] as const) {
      for (const fin of [false, true]) {
        it(`are answered by ${application} before ${ending}${fin ? " with a FIN behind it" : ""}`, async () => {
          const { connection, peer } = wired({ connection: options });
          const running = run(connection);
          peer.write(joined(textFrame("one"), PING, textFrame("two"), textFrame("three"), last, textFrame("four")));
          if (fin) peer.end();
          await peer.until(({ ended }) => ended);
          assert.deepEqual(
            receivedFrames(peer).filter((one) => one !== "p"),
            ["re: one", "re: two", "re: three", code],
          );
          assert.ok(receivedFrames(peer).includes("p"));
          peer.end();
          const info = await connection.closed;
          assert.deepEqual([info.code, info.wasClean], [code, ending === "its Close"]);
          await running;
        });
      }
    }
  }

  it("delay nothing if the application does not take them", async () => {
    const { connection, peer } = wired();
    peer.write(joined(textFrame("one"), textFrame("two"), CLOSE));
    await peer.until(({ ended }) => ended);
    assert.deepEqual(receivedFrames(peer), [1001]);
    peer.end();
    await connection.closed;
    assert.deepEqual([await connection.receive(), await connection.receive()], ["one", "two"]);
  });

  it("delay nothing if the hook of the first one does not settle in the same turn", async () => {
    let done = (): void => undefined;
    const message = (): Promise<void> =>
      new Promise((resolve) => {
        done = resolve;
      });
    const { connection, peer } = wired({ connection: { message } });
    peer.write(joined(textFrame("one"), textFrame("two"), CLOSE));
    await peer.until(({ ended }) => ended);
    assert.deepEqual(receivedFrames(peer), [1001]);
    peer.end();
    await connection.closed;
    done();
  });

  it("delay nothing if the peer does not read the answers", async () => {
    const message = (connection: Connection): void => void connection.trySend("*".repeat(100_000));
    const { connection, peer, clock } = wired({ connection: { message, closeTimeout: 1_000 } });
    peer.pause();
    peer.write(joined(textFrame("one"), textFrame("two"), BROKEN));
    await clock.advance(1_000);
    const { cause, code } = await connection.closed;
    assert.deepEqual([code, (cause as Error).name], [1002, "ProtocolError"]);
  });

  it("change nothing if the application terminates the connection in the hook", async () => {
    for (const last of [CLOSE, BROKEN]) {
      const ending = (connection: Connection): void => connection.terminate();
      const { connection, peer } = wired({ connection: { message: ending } });
      peer.write(joined(textFrame("one"), last));
      const { code, by, wasClean } = await connection.closed;
      assert.deepEqual({ code, by, wasClean }, { code: 1006, by: "local", wasClean: false });
    }
  });

  it("may be answered by a close of this side", async () => {
    const { connection, peer } = wired({ connection: { message: (own) => void own.close(4000) } });
    peer.write(joined(textFrame("one"), CLOSE));
    await peer.until(({ ended }) => ended);
    assert.deepEqual(receivedFrames(peer), [4000]);
    peer.end();
    const { code, by, wasClean } = await connection.closed;
    assert.deepEqual({ code, by, wasClean }, { code: 4000, by: "local", wasClean: true });
  });
});

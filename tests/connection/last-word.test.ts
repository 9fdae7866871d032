/** Tests of a Close, a violation and a FIN that come in one chunk with messages. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection, ConnectionOptions } from "../../src/index.js";
import { type Wire, wired } from "../../src/testing/index.js";
import { joined, KEY, peerFrame } from "../engine/peer-frames.js";
import { framesIn } from "../frames.js";

const said = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload, key: KEY });
const CLOSE = peerFrame({ opcode: 8, payload: Uint8Array.of(1001 >> 8, 1001 & 255), key: KEY });
const BROKEN = peerFrame({ opcode: 3, key: KEY });
const PING = peerFrame({ opcode: 9, payload: "p", key: KEY });

/** What was said to the peer: texts, and codes where it was Close. */
function heard(wire: Wire): (string | number)[] {
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

const answerers: readonly [string, ConnectionOptions, (connection: Connection) => unknown][] = [
  ["a loop that waits until each answer is sent", {}, (connection) => echo(connection).catch(() => undefined)],
  ["a hook", { message }, () => undefined],
  [
    "a hook that waits",
    { message: async (connection, data) => connection.send(`re: ${data}`).catch(() => undefined) },
    () => undefined,
  ],
];

describe("messages that come in one chunk with the peer's last word", () => {
  for (const [who, options, run] of answerers) {
    for (const [what, last, code] of [
      ["its Close", CLOSE, 1001],
      ["a broken rule", BROKEN, 1002],
    ] as const) {
      for (const fin of [false, true]) {
        it(`are answered by ${who} before ${what}${fin ? " with a FIN behind it" : ""}`, async () => {
          const { connection, wire } = wired({ connection: options });
          const running = run(connection);
          wire.write(joined(said("one"), PING, said("two"), said("three"), last, said("four")));
          if (fin) wire.end();
          await wire.until(({ ended }) => ended);
          assert.deepEqual(
            heard(wire).filter((one) => one !== "p"),
            ["re: one", "re: two", "re: three", code],
          );
          assert.ok(heard(wire).includes("p"));
          wire.end();
          const info = await connection.closed;
          assert.deepEqual([info.code, info.wasClean], [code, what === "its Close"]);
          await running;
        });
      }
    }
  }

  it("hold nothing up when nobody takes them", async () => {
    const { connection, wire } = wired();
    wire.write(joined(said("one"), said("two"), CLOSE));
    await wire.until(({ ended }) => ended);
    assert.deepEqual(heard(wire), [1001]);
    wire.end();
    await connection.closed;
    assert.deepEqual([await connection.receive(), await connection.receive()], ["one", "two"]);
  });

  it("hold nothing up when the first of them is not dealt with at once", async () => {
    let done = (): void => undefined;
    const message = (): Promise<void> =>
      new Promise((resolve) => {
        done = resolve;
      });
    const { connection, wire } = wired({ connection: { message } });
    wire.write(joined(said("one"), said("two"), CLOSE));
    await wire.until(({ ended }) => ended);
    assert.deepEqual(heard(wire), [1001]);
    wire.end();
    await connection.closed;
    done();
  });

  it("hold nothing up when the peer takes no answers", async () => {
    const message = (connection: Connection): void => void connection.trySend("*".repeat(100_000));
    const { connection, wire, clock } = wired({ connection: { message, closeTimeout: 1_000 } });
    wire.pause();
    wire.write(joined(said("one"), said("two"), BROKEN));
    await clock.advance(1_000);
    const { cause, code } = await connection.closed;
    assert.deepEqual([code, (cause as Error).name], [1002, "ProtocolError"]);
  });

  it("change nothing when the application ends the connection meanwhile", async () => {
    for (const last of [CLOSE, BROKEN]) {
      const ending = (connection: Connection): void => connection.terminate();
      const { connection, wire } = wired({ connection: { message: ending } });
      wire.write(joined(said("one"), last));
      const { code, by, wasClean } = await connection.closed;
      assert.deepEqual({ code, by, wasClean }, { code: 1006, by: "local", wasClean: false });
    }
  });

  it("may be met by a close of ours", async () => {
    const { connection, wire } = wired({ connection: { message: (own) => void own.close(4000) } });
    wire.write(joined(said("one"), CLOSE));
    await wire.until(({ ended }) => ended);
    assert.deepEqual(heard(wire), [4000]);
    wire.end();
    const { code, by, wasClean } = await connection.closed;
    assert.deepEqual({ code, by, wasClean }, { code: 4000, by: "local", wasClean: true });
  });
});

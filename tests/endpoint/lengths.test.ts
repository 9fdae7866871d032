/** Every option and argument that is a duration: which values are refused, and that large values do not overflow. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, DEFAULTS, listen, ReconnectingConnection, reconnect } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { deadPort } from "../kit/restartable-server.ts";

const LIMIT = { timeout: 60_000 };

/** More than the maximum of Node's timers: such a timer fires at once. */
const BEYOND = [2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Infinity];
const NONE = [-1, -0.5, Number.NaN, -Infinity, -(2 ** 31)];

const LENGTHS = [...Object.keys(DEFAULTS.connection).filter((name) => /Timeout$/.test(name)), "lifetime"].filter(
  (name) => name !== "midFrameTimeout",
);

/** Options of a connection with this duration in each option that takes one. */
const everywhere = (length: number): object => ({
  ...Object.fromEntries(LENGTHS.map((name) => [name, length])),
  heartbeat: { interval: length, timeout: length },
});

type DurationCall = (length: number) => Promise<unknown>;

/** The functions and options that take a duration, and whether 0 is allowed. */
const FUNCTIONS: Readonly<Record<string, readonly [zero: "no" | "at once", ask: DurationCall]>> = {
  ...Object.fromEntries(
    LENGTHS.flatMap((name) => [
      [
        `connect's ${name}`,
        ["no", (length: number) => connect("tcp://127.0.0.1:9", { [name]: length, open: () => undefined })],
      ],
      [
        `listen's ${name}`,
        [
          "no",
          async (length: number) =>
            (await listen("tcp://127.0.0.1:0", { [name]: length, open: () => undefined })).close(),
        ],
      ],
    ]),
  ),
  ...Object.fromEntries(
    ["interval", "timeout"].map((name) => [
      `heartbeat.${name}`,
      ["no", (length: number) => connect("ws://127.0.0.1:9", { heartbeat: { [name]: length } })],
    ]),
  ),
  ...Object.fromEntries(
    ["initialPause", "maxPause", "stableAfter", "maxElapsed", "maxRetryAfter"].map((name) => [
      `reconnect's ${name}`,
      [
        ["stableAfter", "maxElapsed", "maxRetryAfter"].includes(name) ? "at once" : "no",
        (length: number) => reconnect("ws://127.0.0.1:9", () => undefined, { [name]: length, maxAttempts: 1 }),
      ],
    ]),
  ),
  "the timeout of receive": ["at once", (timeout) => wired().connection.receive({ timeout })],
  "the timeout of send": ["at once", (timeout) => wired().connection.send("x", { timeout })],
  "the timeout of drain": ["at once", (timeout) => wired().connection.drain({ timeout })],
  "the timeout of ping": ["at once", (timeout) => wired().connection.ping({ timeout })],
  "the drain of a server that closes": [
    "at once",
    async (drain) => {
      await using server = await listen("tcp://127.0.0.1:0", { open: () => undefined });
      await server.close({ drain });
    },
  ],
};

describe("a duration", LIMIT, () => {
  for (const [name, [zero, ask]] of Object.entries(FUNCTIONS)) {
    it(`is refused with an invalid value: ${name}`, async () => {
      for (const length of [...NONE, ...(zero === "no" ? [0] : [])]) {
        await assert.rejects(async () => await ask(length), RangeError, `${length}`);
      }
      for (const length of ["5", null, true, {}, [5]]) {
        await assert.rejects(async () => await ask(length as number), TypeError, `${String(length)}`);
      }
    });
  }
});

describe("durations", LIMIT, () => {
  for (const length of BEYOND) {
    it(`above the maximum of a timer do not expire at once: ${length}`, async () => {
      // Node emits a warning when a timer overflows.
      const warnings: string[] = [];
      const warned = ({ name }: Error): void => void warnings.push(name);
      process.on("warning", warned);
      await using server = await listen("ws://127.0.0.1:0", everywhere(length), async (connection) => {
        for await (const message of connection) await connection.send(message);
      });
      await using client: Connection<undefined> = await connect(server.url, everywhere(length));
      const receiving = client.receive({ timeout: length });
      // A timer that overflows fires after one millisecond. This is ten times as long.
      await new Promise((resolve) => setTimeout(resolve, 10));
      await client.send("still here", { timeout: length });
      assert.equal(await receiving, "still here");
      assert.equal(client.state, "OPEN");
      const attempts: string[] = [];
      await using away = new ReconnectingConnection(`ws://127.0.0.1:${await deadPort()}`, {
        // Infinity is not allowed for a pause.
        ...(length !== Infinity && { initialPause: length, maxPause: length }),
        stableAfter: length,
        random: () => 1,
        state: ({ name }) => void attempts.push(name),
      });
      while (!attempts.includes("waiting")) await new Promise(setImmediate);
      await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual(attempts, ["connecting", "waiting"]);
      away.terminate();
      process.off("warning", warned);
      assert.deepEqual(warnings, []);
    });
  }

  it("of Infinity never expire, however much time passes", async () => {
    const { connection, clock } = wired({ connection: everywhere(Infinity) });
    await clock.block(2 ** 45);
    await settled();
    assert.equal(connection.state, "OPEN");
  });
});

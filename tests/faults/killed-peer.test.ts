/** Peers whose process is killed: the other side knows as soon as its kernel does, and who is to come back does. */

import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, isConnectionError, listen, type Server } from "../../src/index.js";
import { loopTurns, UNTURNED } from "../loop-turns.js";
import { SPEECHES } from "../requirements/speech.js";
import { Party, quietPort } from "./party.js";

const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed or stopped";

/** No limit of time may help. */
const NEVER = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };

/** From the signal to the end of a connection, in milliseconds; for the quickest of all rounds, since others may want the processor. */
const BOUND = 100;
const ROUNDS = 5;
/** Turns of our event loop between the moment at which a bare socket hears of the end, and that at which a connection has ended. */
const TURNS = 30;

/** When something happened, by the clock and by the turns of the loop. */
interface Moment {
  readonly at: number;
  readonly turn: number;
}
const moment = (): Moment => ({ at: performance.now(), turn: loopTurns() });

interface Death {
  readonly killed: Moment;
  /** What a bare socket to the same process has heard. */
  readonly witnessed: Moment;
  readonly ends: readonly (Moment & { readonly info: CloseInfo })[];
}

/** A process with a server and a client of each protocol, all of them connected to us, is killed. */
async function death(unread: boolean): Promise<Death> {
  await using party = await Party.start();
  const connections: Connection[] = [];
  const servers: Server[] = [];
  let witness: Promise<Moment> | undefined;
  for (const { url, options, protocol } of SPEECHES) {
    const limits = { ...options, ...NEVER };
    const theirs = await party.tell({ do: "serve", url, options: { ...options, ...FOREVER }, as: "hold" });
    connections.push((await connect(theirs, limits)) as Connection);
    const ours = await listen(url, limits, async (connection) => {
      connections.push(connection);
      for await (const _ of connection);
    });
    servers.push(ours);
    await party.tell({
      ...{ do: "visit", url: ours.url, options: { ...options, ...FOREVER }, count: 1, to: { do: "read" } },
    });
    if (protocol === "tcp") witness = ending(Number(new URL(theirs).port));
  }
  await party.until(({ serving }) => serving === 3);
  while (connections.length < 4) await new Promise(setImmediate);
  if (unread) {
    party.signal("SIGSTOP");
    for (const connection of connections) await connection.send("never read");
  }
  const ends = connections.map(async (connection) => {
    // Somebody reads, and is through when the peer is.
    if (connection.state === "OPEN") void drain(connection);
    const info = await connection.closed;
    return { ...moment(), info };
  });
  const killed = moment();
  party.signal("SIGKILL");
  const told = await Promise.all(ends);
  assert.ok(witness !== undefined);
  const witnessed = await witness;
  for (const server of servers) await server.close();
  return { killed, witnessed, ends: told };
}

// As `NEVER`, for another process.
const FOREVER = { heartbeat: { interval: null }, idleTimeout: null };

async function drain(connection: Connection): Promise<void> {
  // The server's own are read by their handler.
  for (;;) {
    const message = await connection.receive().catch(() => undefined);
    if (message === undefined) break;
  }
  await connection.close();
}

/** A bare socket, and when it hears that the other side is gone. */
function ending(port: number): Promise<Moment> {
  const socket = dial({ port, host: "127.0.0.1" });
  return new Promise((resolve) => {
    socket.on("error", () => undefined).resume();
    socket.once("end", () => resolve(moment())).once("close", () => resolve(moment()));
  });
}

describe("a process that is killed", { skip, timeout: 120_000 }, () => {
  for (const [what, unread] of [
    ["sends a FIN", false],
    ["with bytes that it did not read, a reset", true],
  ] as const) {
    it(`${what}: both protocols, both sides know with their kernel (bound: ${BOUND} ms)`, async (t) => {
      let quickest = Infinity;
      for (let round = 0; round < ROUNDS; round += 1) {
        const { killed, witnessed, ends } = await death(unread);
        for (const { info, turn } of ends) {
          const error = isConnectionError(info.cause) ? info.cause.code : undefined;
          assert.equal(info.by, "peer");
          if (unread) assert.equal(error, "TRANSPORT");
          else assert.notEqual(error, "TIMEOUT");
          if (!UNTURNED) assert.ok(turn - witnessed.turn <= TURNS, `${turn - witnessed.turn} turns later`);
        }
        const slowest = Math.max(...ends.map(({ at }) => at)) - killed.at;
        t.diagnostic(
          `all four knew after ${slowest.toFixed(1)} ms, a bare socket after ${(witnessed.at - killed.at).toFixed(1)}`,
        );
        quickest = Math.min(quickest, slowest);
      }
      assert.ok(quickest < BOUND, `${quickest} ms`);
    });
  }

  it("and started again has all its clients back (bound: the pauses of the policy)", async (t) => {
    const clients = 50;
    const first = await Party.start();
    await using guests = await Party.start();
    const places: { url: string; options: object }[] = [];
    try {
      for (const { url, options } of SPEECHES) {
        const place = url.replace(/0$/, `${await quietPort()}`);
        places.push({ url: await first.tell({ do: "serve", url: place, options, as: "answer" }), options });
      }
      for (const { url, options } of places) {
        const to = { do: "count", comeBack: true } as const;
        await guests.tell({ do: "visit", url, options: { ...options, openTimeout: 60_000 }, count: clients, to });
      }
      await guests.until(({ guests: { least } }) => least >= 3);
    } finally {
      await first[Symbol.asyncDispose]();
    }
    await guests.until(({ visiting }) => visiting === 0);
    await using second = await Party.start();
    for (const { url, options } of places)
      await second.tell({ do: "serve", url, options: { ...options }, as: "answer" });
    const { guests: before } = await guests.until(({ visiting }) => visiting === 2 * clients);
    await guests.until(({ guests: { answers } }) => answers >= before.answers + 10 * clients);
    await guests.tell({ do: "close", drain: 1_000 });
    const { guests: account, ends, troubles } = await guests.report();
    assert.deepEqual([account.failures, troubles], [[], []]);
    // Each has lost one connection, and the one question that was on its way, at most.
    assert.equal(account.comebacks.length, 2 * clients);
    assert.equal(account.sent, account.answers + account.cut);
    assert.ok(account.cut <= 2 * clients, `${account.cut}`);
    assert.equal(ends.filter(({ by }) => by === "peer").length, 2 * clients);
    assert.ok(account.comebacks.every(({ firstPause }) => firstPause <= 500));
    const away = account.comebacks.map(({ lostAt, backAt = Number.NaN }) => backAt - lostAt);
    t.diagnostic(`the last was away for ${Math.max(...away).toFixed(0)} ms`);
  });
});

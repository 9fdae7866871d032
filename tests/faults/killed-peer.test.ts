/** Peers whose process is killed: the other side detects it as soon as its kernel does, and reconnecting clients return. */

import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, isConnectionError, listen, type Server } from "../../src/index.ts";
import { LOOP_TURNS_SKIP, loopTurns } from "../kit/loop-turns.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess, quietPort } from "./echo-process.ts";

const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed or stopped";

/** No time limit may take effect. */
const NEVER = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };

/** Milliseconds from the signal to the end of a connection, in the quickest round, because other processes use the processor. */
const BOUND = 100;
const ROUNDS = 5;
/** Turns of the event loop between the `close` event of a bare socket and the end of a connection. */
const TURNS = 30;

/** The time of an event, by the clock and by the turns of the loop. */
interface Moment {
  readonly at: number;
  readonly turn: number;
}
const moment = (): Moment => ({ at: performance.now(), turn: loopTurns() });

interface Death {
  readonly killed: Moment;
  /** The end of a bare socket to the same process. */
  readonly witnessed: Moment;
  readonly ends: readonly (Moment & { readonly info: CloseInfo })[];
}

/** A process with a server and a client of each protocol, all connected to this process, is killed. */
async function death(unread: boolean): Promise<Death> {
  await using child = await EchoProcess.start();
  const connections: Connection[] = [];
  const servers: Server[] = [];
  let witness: Promise<Moment> | undefined;
  for (const { url, options, protocol } of WIRE_PROTOCOLS) {
    const limits = { ...options, ...NEVER };
    const theirs = await child.tell({ do: "serve", url, options: { ...options, ...FOREVER }, as: "hold" });
    connections.push((await connect(theirs, limits)) as Connection);
    const ours = await listen(url, limits, async (connection) => {
      connections.push(connection);
      for await (const _ of connection);
    });
    servers.push(ours);
    await child.tell({
      ...{ do: "visit", url: ours.url, options: { ...options, ...FOREVER }, count: 1, to: { do: "read" } },
    });
    if (protocol === "tcp") witness = ending(Number(new URL(theirs).port));
  }
  await child.until(({ serving }) => serving === 3);
  while (connections.length < 4) await new Promise(setImmediate);
  if (unread) {
    child.signal("SIGSTOP");
    for (const connection of connections) await connection.send("never read");
  }
  const ends = connections.map(async (connection) => {
    // A handler reads, and ends with the peer.
    if (connection.state === "OPEN") void drain(connection);
    const info = await connection.closed;
    return { ...moment(), info };
  });
  const killed = moment();
  child.signal("SIGKILL");
  const told = await Promise.all(ends);
  assert.ok(witness !== undefined);
  const witnessed = await witness;
  for (const server of servers) await server.close();
  return { killed, witnessed, ends: told };
}

// As `NEVER`, for another process.
const FOREVER = { heartbeat: { interval: null }, idleTimeout: null };

async function drain(connection: Connection): Promise<void> {
  // The connections of the server are read by their handler.
  for (;;) {
    const message = await connection.receive().catch(() => undefined);
    if (message === undefined) break;
  }
  await connection.close();
}

/** A bare socket, and the time at which it ended. */
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
    it(`${what}: both protocols, both sides detect it with their kernel (bound: ${BOUND} ms)`, async (t) => {
      let quickest = Infinity;
      for (let round = 0; round < ROUNDS; round += 1) {
        const { killed, witnessed, ends } = await death(unread);
        for (const { info, turn } of ends) {
          const error = isConnectionError(info.cause) ? info.cause.code : undefined;
          assert.equal(info.by, "peer");
          if (unread) assert.equal(error, "TRANSPORT");
          else assert.notEqual(error, "TIMEOUT");
          if (!LOOP_TURNS_SKIP) assert.ok(turn - witnessed.turn <= TURNS, `${turn - witnessed.turn} turns later`);
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

  it("and started again gets all its clients back (bound: the pauses of the policy)", async (t) => {
    const count = 50;
    const first = await EchoProcess.start();
    await using clients = await EchoProcess.start();
    const places: { url: string; options: object }[] = [];
    try {
      for (const { url, options } of WIRE_PROTOCOLS) {
        const place = url.replace(/0$/, `${await quietPort()}`);
        places.push({ url: await first.tell({ do: "serve", url: place, options, as: "answer" }), options });
      }
      for (const { url, options } of places) {
        const to = { do: "count", comeBack: true } as const;
        await clients.tell({ do: "visit", url, options: { ...options, openTimeout: 60_000 }, count, to });
      }
      await clients.until(({ clients: { least } }) => least >= 3);
    } finally {
      await first[Symbol.asyncDispose]();
    }
    await clients.until(({ visiting }) => visiting === 0);
    await using second = await EchoProcess.start();
    for (const { url, options } of places)
      await second.tell({ do: "serve", url, options: { ...options }, as: "answer" });
    const { clients: before } = await clients.until(({ visiting }) => visiting === 2 * count);
    await clients.until(({ clients: { answers } }) => answers >= before.answers + 10 * count);
    await clients.tell({ do: "close", drain: 1_000 });
    const { clients: account, ends, troubles } = await clients.report();
    assert.deepEqual([account.failures, troubles], [[], []]);
    // Each client lost one connection, and at most the one question in flight.
    assert.equal(account.comebacks.length, 2 * count);
    assert.equal(account.sent, account.answers + account.cut);
    assert.ok(account.cut <= 2 * count, `${account.cut}`);
    assert.equal(ends.filter(({ by }) => by === "peer").length, 2 * count);
    assert.ok(account.comebacks.every(({ firstPause }) => firstPause <= 500));
    const away = account.comebacks.map(({ lostAt, backAt = Number.NaN }) => backAt - lostAt);
    t.diagnostic(`the last was away for ${Math.max(...away).toFixed(0)} ms`);
  });
});

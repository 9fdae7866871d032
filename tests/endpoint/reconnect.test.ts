/** Runs a function on one connection after the other: when it is through, when it is not, and how long it waits. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  ClosedError,
  type Connection,
  type HandshakeError,
  type LimitError,
  listen,
  type ReconnectCause,
  reconnect,
  shouldReconnect,
  TimeoutError,
} from "../../src/index.js";
import { ManualClock, settled } from "../../src/testing/index.js";
import { rawServer, switchingTo } from "../raw-peers.js";
import { gate } from "../requirements/scene.js";
import { Comeback, deadPort, Watcher } from "./reconnect-scene.js";

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

/** Stays until the connection has ended, and rejects with the reason of an end that was not clean. */
async function stay(connection: Connection): Promise<void> {
  for await (const _ of connection);
}

describe("a session", () => {
  it("is through when it returns: the connection is closed with 1000, and its value is the result", async () => {
    await using server = await Comeback.up({}, echo);
    let used: Connection | undefined;
    const answer = await reconnect(server.url, async (connection) => {
      used = connection;
      await connection.send("hello");
      return connection.receive();
    });
    assert.equal(answer, "hello");
    assert.equal(used?.state, "CLOSED");
    assert.deepEqual(await used?.closed, { code: 1000, reason: "", wasClean: true, by: "local", cause: undefined });
  });

  it("runs anew on a fresh connection when the former is lost", async () => {
    await using server = await Comeback.up({}, echo);
    const runs: Connection[] = [];
    const watcher = new Watcher();
    const answer = await reconnect(
      server.url,
      async (connection) => {
        runs.push(connection);
        if (runs.length < 3) {
          for (const one of server.server?.connections ?? []) one.terminate();
          await stay(connection);
        }
        return runs.length;
      },
      { state: watcher.see, initialPause: 1 },
    );
    assert.equal(answer, 3);
    assert.equal(new Set(runs).size, 3);
    assert.equal(watcher.names, "connecting open waiting connecting open waiting connecting open ended");
  });

  it("runs anew when it returned because the server went away in order", async () => {
    await using server = await Comeback.up({}, echo);
    const watcher = new Watcher();
    const done = gate();
    let runs = 0;
    const ended = reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        if (runs === 2) done.open();
        await stay(connection);
      },
      { state: watcher.see, initialPause: 1 },
    );
    await watcher.until("open");
    await server.down();
    await server.back();
    await done.passed;
    // 1000 says that the server is through with us.
    for (const connection of server.server?.connections ?? []) void connection.close();
    assert.equal(await ended, undefined);
    assert.equal(runs, 2);
    const { why } = await watcher.until("waiting");
    assert.deepEqual([why.phase, why.code, why.by, why.wasClean], ["session", 1001, "peer", true]);
  });

  it("is through with a value, even if the server went away meanwhile", async () => {
    await using server = await Comeback.up({}, async (connection) => {
      await connection.send("the answer");
      await connection.close(1001);
    });
    const answer = await reconnect(server.url, async (connection) => {
      const received = await connection.receive();
      await connection.closed;
      return received;
    });
    assert.equal(answer, "the answer");
  });

  it("is through when it has closed the connection itself", async () => {
    await using server = await Comeback.up({}, echo);
    let runs = 0;
    await reconnect(server.url, async (connection) => {
      runs += 1;
      await connection.close(4001, "enough");
    });
    assert.equal(runs, 1);
  });

  it("ends it all with an error of its own, and the connection with 1011", async () => {
    const ends: number[] = [];
    await using server = await Comeback.up({ close: (_, { code }) => void ends.push(code) }, echo);
    const bug = new Error("no such order");
    const watcher = new Watcher();
    const ended = reconnect(server.url, () => Promise.reject(bug), { state: watcher.see });
    await assert.rejects(ended, (error) => error === bug);
    assert.equal(watcher.names, "connecting open ended");
    assert.deepEqual(await watcher.until("ended"), { name: "ended", cause: bug });
    await server.down();
    assert.deepEqual(ends, [1011]);
  });

  it("ends it all when it throws without a promise", async () => {
    await using server = await Comeback.up({}, echo);
    const bug = new Error("at once");
    const ended = reconnect(server.url, () => {
      throw bug;
    });
    await assert.rejects(ended, (error) => error === bug);
  });

  it("ends it all with a hook's error", async () => {
    await using server = await Comeback.up({}, async (connection) => {
      await connection.send("boom");
      await connection.closed;
    });
    const bug = new Error("cannot parse");
    const ended = reconnect(server.url, (connection) => connection.closed.then(() => undefined), {
      onError: () => undefined,
      message: () => Promise.reject(bug),
    });
    await assert.rejects(ended, (error) => error instanceof ClosedError && error.cause === bug);
  });

  it("runs anew when it ran out of time on an open connection", async () => {
    await using server = await Comeback.up({ message: () => undefined });
    let runs = 0;
    const answer = await reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        return runs === 2 ? "through" : connection.receive({ timeout: 1 });
      },
      { initialPause: 1 },
    );
    assert.equal(answer, "through");
  });

  it("is not run twice at once: the next begins when it has ended, however long its connection is gone", async () => {
    await using server = await Comeback.up({}, echo);
    const cleanup = gate();
    const watcher = new Watcher();
    let running = 0;
    let runs = 0;
    const ended = reconnect(
      server.url,
      async (connection) => {
        running += 1;
        runs += 1;
        assert.equal(running, 1);
        if (runs === 2) return;
        await connection.closed;
        await cleanup.passed;
        running -= 1;
      },
      { state: watcher.see, initialPause: 1 },
    );
    await watcher.until("open");
    await server.crash();
    await server.back();
    await settled();
    assert.equal(watcher.names, "connecting open");
    cleanup.open();
    await ended;
    assert.equal(runs, 2);
  });

  it("is not followed by another connection before its own is gone, however long that takes to close", async () => {
    await using server = await rawServer(async (peer) => {
      // It says nothing any more, and does not answer a Close.
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.write(switchingTo(peer.text));
    });
    const clock = new ManualClock();
    const watcher = new Watcher();
    const stop = new AbortController();
    const url = `ws://127.0.0.1:${server.port}`;
    const ended = reconnect(url, (connection) => connection.receive({ timeout: 1_000 }), {
      ...{ clock, signal: stop.signal, state: watcher.see, random: () => 1 },
    });
    const over = assert.rejects(ended, { name: "AbortError" });
    await watcher.until("open");
    await clock.advance(1_000);
    await clock.advance(4_999);
    assert.equal(watcher.names, "connecting open");
    assert.equal(server.peers.length, 1);
    await clock.advance(1);
    await watcher.until("waiting");
    stop.abort();
    await over;
  });

  it("comes back to TCP when the peer has sent its FIN, which says nothing", async () => {
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, (connection) =>
      connection.send("bye"),
    );
    let runs = 0;
    const heard: unknown[] = [];
    await reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        for await (const line of connection) heard.push(line);
        if (runs === 3) await connection.close();
        return runs === 3 ? "through" : undefined;
      },
      { framing: "lines", initialPause: 1 },
    );
    assert.deepEqual(heard, ["bye", "bye", "bye"]);
  });
});

describe("what a server calls final", () => {
  for (const code of [1008, 1002, 1003, 3000]) {
    it(`is thrown, although the loop over its messages ended well: ${code}`, async () => {
      await using server = await Comeback.up({}, async (connection) => void (await connection.close(code, "no")));
      await assert.rejects(reconnect(server.url, stay), { code: "CLOSED", closeCode: code, reason: "no", by: "peer" });
    });
  }

  for (const status of [401, 404, 410]) {
    it(`is thrown: ${status}`, async () => {
      await using server = await Comeback.up({ authorize: () => new Response(null, { status }) }, echo);
      await assert.rejects(reconnect(server.url, stay), { code: "HANDSHAKE", status });
    });
  }

  it("is thrown when it is misuse of our own, and not tried again", async () => {
    const watcher = new Watcher();
    await assert.rejects(reconnect("http://127.0.0.1", stay, { state: watcher.see }), TypeError);
    assert.equal(watcher.names, "connecting ended");
  });
});

describe("a policy", () => {
  it("decides instead of the default one, and may ask it", async () => {
    await using server = await Comeback.up({}, async (connection) => void (await connection.close(4001, "log in")));
    const asked: ReconnectCause[] = [];
    const ended = reconnect(server.url, stay, {
      initialPause: 1,
      shouldReconnect: (cause) => {
        asked.push(cause);
        return cause.failures < 3 && shouldReconnect(cause);
      },
    });
    await assert.rejects(ended, { code: "CLOSED", closeCode: 4001 });
    assert.deepEqual(
      asked.map(({ failures, code, reason, by }) => [failures, code, reason, by]),
      [1, 2, 3].map((failures) => [failures, 4001, "log in", "peer"]),
    );
  });

  it("may make a refusal a matter of time", async () => {
    let asked = 0;
    await using server = await Comeback.up(
      {
        authorize: () => {
          asked += 1;
          return asked < 3 ? new Response(null, { status: 401 }) : undefined;
        },
      },
      echo,
    );
    await reconnect(server.url, () => "in", { initialPause: 1, shouldReconnect: () => true });
    assert.equal(asked, 3);
  });

  it("may not ask for what is no length", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    await assert.rejects(reconnect(url, stay, { shouldReconnect: () => ({ after: -1 }) }), RangeError);
  });
});

/** Pauses on a port where nobody listens, each measured on the manual clock. */
async function pauses(count: number, options: Parameters<typeof reconnect>[2]): Promise<number[]> {
  const clock = new ManualClock();
  const watcher = new Watcher();
  const stop = new AbortController();
  const url = `ws://127.0.0.1:${await deadPort()}`;
  const ended = reconnect(url, stay, { clock, state: watcher.see, signal: stop.signal, ...options });
  const found: number[] = [];
  for (let n = 1; n <= count; n += 1) {
    const { until, attempt } = await watcher.until("waiting", n);
    assert.equal(attempt, n + 1);
    const length = until.getTime() - clock.wallTime();
    found.push(length);
    if (length > 1) {
      await clock.advance(length - 1);
      assert.equal(watcher.states.at(-1)?.name, "waiting", "no earlier");
      await clock.advance(1);
    } else await clock.advance(length);
    await watcher.until("connecting", n + 1);
  }
  stop.abort(new Error("seen"));
  await assert.rejects(ended, /seen/);
  return found;
}

describe("pauses", () => {
  it("double from half a second to 20 s", async () => {
    assert.deepEqual(await pauses(8, { random: () => 1 }), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  });

  it("are a random part of that, the first one too", async () => {
    const parts = [0.5, 0, 0.25, 0.125];
    assert.deepEqual(await pauses(4, { random: () => parts.shift() ?? Number.NaN }), [250, 0, 500, 500]);
  });

  it("are as long as the options say", async () => {
    assert.deepEqual(await pauses(4, { random: () => 1, initialPause: 10, maxPause: 35 }), [10, 20, 35, 35]);
  });

  it("have what the policy asks for added to them, so that those who were told the same do not come together", async () => {
    const shouldReconnect = (): { after: number } => ({ after: 5_000 });
    assert.deepEqual(await pauses(3, { random: () => 0.5, shouldReconnect }), [5_250, 5_500, 6_000]);
  });

  it("are not made longer by a server than maxRetryAfter allows", async () => {
    const shouldReconnect = (): { after: number } => ({ after: 86_400_000 });
    assert.deepEqual(await pauses(1, { random: () => 1, shouldReconnect }), [300_500]);
    assert.deepEqual(await pauses(1, { random: () => 1, shouldReconnect, maxRetryAfter: 1_000 }), [1_500]);
  });

  it("begin anew only after a connection has lived for stableAfter", async () => {
    await using server = await Comeback.up({}, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    const stop = new AbortController();
    const { signal } = stop;
    const ended = reconnect(server.url, stay, { clock, signal, state: watcher.see, random: () => 1 });
    const seen: unknown[] = [];
    for (const [index, life] of [0, 9_999, 9_999, 10_000, 0].entries()) {
      await watcher.until("open", index + 1);
      await clock.advance(life);
      for (const connection of server.server?.connections ?? []) connection.terminate();
      const { until, attempt, why } = await watcher.until("waiting", index + 1);
      const pause = until.getTime() - clock.wallTime();
      seen.push([attempt, pause, why.failures, why.lived >= life]);
      await clock.advance(pause);
    }
    assert.deepEqual(seen, [
      [2, 500, 1, true],
      [3, 1_000, 2, true],
      [4, 2_000, 3, true],
      [1, 500, 0, true],
      [2, 1_000, 1, true],
    ]);
    stop.abort();
    await assert.rejects(ended, { name: "AbortError" });
  });

  it("are as long as a server that drains asks for", async () => {
    await using server = await Comeback.up({}, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    const stop = new AbortController();
    const { signal } = stop;
    const ended = reconnect(server.url, stay, { clock, signal, state: watcher.see, random: () => 1 });
    await watcher.until("open");
    await server.down({ reason: "new version", retryAfter: 2_500 });
    const { until, why } = await watcher.until("waiting");
    assert.deepEqual([why.code, why.reason], [1001, "new version retry-after=2.5"]);
    assert.equal(until.getTime() - clock.wallTime(), 3_000);
    stop.abort();
    await assert.rejects(ended, { name: "AbortError" });
  });

  it("are as long as a server that is full asks for", async () => {
    await using server = await Comeback.up({ maxConnections: 1 }, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    await reconnect(server.url, async () => {
      const stop = new AbortController();
      const ended = reconnect(server.url, stay, { clock, signal: stop.signal, state: watcher.see, random: () => 1 });
      const { until, why } = await watcher.until("waiting");
      assert.deepEqual([why.phase, why.status, why.headers["retry-after"]], ["upgrade", 503, "5"]);
      assert.equal(until.getTime() - clock.wallTime(), 5_500);
      stop.abort();
      await assert.rejects(ended, { name: "AbortError" });
    });
  });
});

describe("the limits", () => {
  it("by attempts: a LimitError, with what ended the last one as its cause", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const watcher = new Watcher();
    const ended = reconnect(url, stay, { initialPause: 1, maxAttempts: 3, state: watcher.see });
    await assert.rejects(ended, (error: LimitError) => {
      const { code, limit, maximum, actual, cause } = error;
      assert.deepEqual([code, limit, maximum, actual], ["LIMIT", "maxAttempts", 3, 3]);
      assert.equal((cause as HandshakeError).phase, "tcp");
      return true;
    });
    assert.equal(watcher.names, "connecting waiting connecting waiting connecting ended");
  });

  it("by attempts: 1 is no second one", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    await assert.rejects(reconnect(url, stay, { maxAttempts: 1 }), { code: "LIMIT", limit: "maxAttempts" });
  });

  it("by attempts: does not count the loss of a connection that has lived", async () => {
    await using server = await Comeback.up({}, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    const ended = reconnect(server.url, stay, { clock, maxAttempts: 1, random: () => 0, state: watcher.see });
    await watcher.until("open");
    await clock.advance(10_000);
    for (const connection of server.server?.connections ?? []) connection.terminate();
    await watcher.until("waiting");
    await clock.advance(0);
    await watcher.until("open", 2);
    const limited = assert.rejects(ended, { code: "LIMIT", limit: "maxAttempts", actual: 1 });
    await server.crash();
    await limited;
  });

  it("by time: no attempt begins later, and nobody waits for one that would", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const clock = new ManualClock();
    const watcher = new Watcher();
    const ended = reconnect(url, stay, { clock, random: () => 1, maxElapsed: 2_000, state: watcher.see });
    const limited = assert.rejects(ended, (error: LimitError) => {
      const { code, limit, maximum, actual, cause } = error;
      assert.deepEqual([code, limit, maximum, actual], ["LIMIT", "maxElapsed", 2_000, 3_500]);
      assert.equal((cause as HandshakeError).code, "HANDSHAKE");
      return true;
    });
    for (const [index, pause] of [500, 1_000].entries()) {
      await watcher.until("waiting", index + 1);
      await clock.advance(pause);
    }
    // 1,500 ms have passed, and the third pause would be 2,000 ms.
    await limited;
    assert.equal(clock.wallTime(), new ManualClock().wallTime() + 1_500);
  });
});

describe("a target", () => {
  it("that is a function is asked before each attempt, and may bring headers, data and subprotocols", async () => {
    const tokens: unknown[] = [];
    await using server = await Comeback.up({ authorize: ({ headers }) => headers["authorization"] }, (connection) => {
      tokens.push(connection.data);
      connection.terminate();
    });
    const asked: unknown[] = [];
    await reconnect(
      ({ attempt, why }) => {
        asked.push([attempt, why?.code]);
        return { url: server.url, headers: { Authorization: `token ${attempt}` }, data: attempt };
      },
      async (connection) => {
        await connection.closed;
        return connection.data === 3 ? "through" : undefined;
      },
      { initialPause: 1 },
    );
    assert.deepEqual(asked, [
      [1, undefined],
      [2, 1006],
      [3, 1006],
    ]);
    assert.deepEqual(tokens, ["token 1", "token 2", "token 3"]);
  });

  it("that fails is a failed attempt of phase target, whatever it throws", async () => {
    await using server = await Comeback.up({}, echo);
    const asked: ReconnectCause[] = [];
    const failure = new TypeError("fetch failed");
    await reconnect(
      ({ attempt }) => (attempt === 1 ? Promise.reject(failure) : server.url),
      () => "through",
      {
        initialPause: 1,
        shouldReconnect: (cause) => {
          asked.push(cause);
          return shouldReconnect(cause);
        },
      },
    );
    assert.deepEqual(
      asked.map(({ phase, error, lived }) => [phase, error, lived]),
      [["target", failure, 0]],
    );
  });

  it("has openTimeout to answer; while it has not, it is not asked again, and its late answer counts", async () => {
    await using server = await Comeback.up({}, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    const answer = gate();
    let asked = 0;
    let signal: AbortSignal | undefined;
    const ended = reconnect(
      async (attempt) => {
        asked += 1;
        signal = attempt.signal;
        await answer.passed;
        return server.url;
      },
      () => "through",
      { clock, openTimeout: 1_000, random: () => 0, state: watcher.see },
    );
    await clock.advance(1_000);
    const { why } = await watcher.until("waiting");
    assert.ok(why.error instanceof TimeoutError);
    assert.deepEqual([why.phase, why.error.operation, why.error.limit], ["target", "connect:target", "openTimeout"]);
    assert.equal(signal?.aborted, true);
    await clock.advance(0);
    await watcher.until("connecting", 2);
    await settled();
    assert.equal(asked, 1);
    answer.open();
    assert.equal(await ended, "through");
    assert.equal(asked, 1);
  });

  it("is given up by the signal", async () => {
    const stop = new AbortController();
    const reason = new Error("no more");
    const ended = reconnect(() => new Promise<string>(() => undefined), stay, { signal: stop.signal });
    await settled();
    stop.abort(reason);
    await assert.rejects(ended, (error) => error === reason);
  });
});

describe("an abort", () => {
  it("before anything has begun opens nothing", async () => {
    const watcher = new Watcher();
    const signal = AbortSignal.abort(new Error("early"));
    await assert.rejects(reconnect("ws://127.0.0.1:1", stay, { signal, state: watcher.see }), /early/);
    assert.equal(watcher.names, "ended");
  });

  it("during an attempt ends it", async () => {
    await using server = await rawServer(() => undefined);
    const stop = new AbortController();
    const watcher = new Watcher();
    const url = `ws://127.0.0.1:${server.port}`;
    const ended = reconnect(url, stay, { signal: stop.signal, state: watcher.see });
    while (server.peers.length === 0) await settled();
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(watcher.names, "connecting ended");
  });

  it("during a pause ends it", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const stop = new AbortController();
    const watcher = new Watcher();
    const ended = reconnect(url, stay, { signal: stop.signal, state: watcher.see, clock: new ManualClock() });
    await watcher.until("waiting");
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(watcher.names, "connecting waiting ended");
  });

  it("during a session closes with 1001, and does not wait for a session that does not heed its connection", async () => {
    const ends: number[] = [];
    await using server = await Comeback.up({ close: (_, { code }) => void ends.push(code) }, echo);
    const stop = new AbortController();
    const watcher = new Watcher();
    const told: unknown[] = [];
    const late = gate();
    let used: Connection | undefined;
    const bug = new Error("too late");
    const ended = reconnect(
      server.url,
      async (connection) => {
        used = connection;
        await late.passed;
        throw bug;
      },
      { signal: stop.signal, state: watcher.see, onError: (error) => told.push(error) },
    );
    await watcher.until("open");
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(used?.state, "CLOSED");
    late.open();
    await settled();
    assert.deepEqual(told, [bug]);
    await server.down();
    assert.deepEqual(ends, [1001]);
  });

  it("is the reason, also when the session sees it first", async () => {
    await using server = await Comeback.up({}, echo);
    const stop = new AbortController();
    const watcher = new Watcher();
    const { signal } = stop;
    const ended = reconnect(server.url, (connection) => connection.receive({ signal }), { signal, state: watcher.see });
    await watcher.until("open");
    const reason = new Error("enough");
    stop.abort(reason);
    await assert.rejects(ended, (error) => error === reason);
  });
});

describe("the state", () => {
  it("tells since when there is no connection, until when it waits, and why", async () => {
    await using server = await Comeback.up({}, echo);
    const clock = new ManualClock();
    const watcher = new Watcher();
    const start = clock.wallTime();
    const done = gate();
    let runs = 0;
    const ended = reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        if (runs === 2) await done.passed;
        else await stay(connection);
      },
      { clock, state: watcher.see, random: () => 1 },
    );
    await watcher.until("open");
    await clock.advance(60_000);
    await server.crash();
    const lost = await watcher.until("waiting");
    assert.equal(lost.attempt, 1);
    assert.equal(lost.until.getTime(), start + 60_500);
    assert.deepEqual([lost.why.code, lost.why.lived, lost.why.at.getTime()], [1006, 60_000, start + 60_000]);
    await clock.advance(500);
    const refused = await watcher.until("waiting", 2);
    assert.deepEqual([refused.attempt, refused.why.phase], [2, "tcp"]);
    await server.back();
    await clock.advance(1_000);
    const { since } = await watcher.until("open", 2);
    assert.equal(since.getTime(), start + 61_500);
    done.open();
    await ended;
    const connecting = watcher.states.filter(({ name }) => name === "connecting");
    assert.deepEqual(connecting, [
      { name: "connecting", attempt: 1, since: new Date(start) },
      { name: "connecting", attempt: 1, since: new Date(start + 60_000) },
      { name: "connecting", attempt: 2, since: new Date(start + 60_000) },
    ]);
    assert.deepEqual(watcher.states.at(-1), { name: "ended", cause: undefined });
  });

  it("is told to a guest: what that throws goes to onError", async () => {
    await using server = await Comeback.up({}, echo);
    const bug = new Error("cannot draw");
    const told: unknown[] = [];
    const answer = await reconnect(server.url, () => "through", {
      onError: (error) => told.push(error),
      state: () => {
        throw bug;
      },
    });
    assert.equal(answer, "through");
    assert.deepEqual(told, [bug, bug, bug]);
  });
});

describe("a process that waits to come back", () => {
  it("does not end for want of a socket", async () => {
    const program = fileURLToPath(new URL("reconnect-patience.js", import.meta.url));
    const child = spawn(process.execPath, [program, `ws://127.0.0.1:${await deadPort()}`], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [said, complained, [status]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    assert.deepEqual({ status, complained, said }, { status: 0, complained: "", said: "LIMIT\n" });
  });
});

describe("misuse", () => {
  const wrong: readonly [string, object, new () => Error][] = [
    ["a pause of no length", { initialPause: 0 }, RangeError],
    ["a pause without end", { maxPause: Infinity }, RangeError],
    ["a negative life", { stableAfter: -1 }, RangeError],
    ["no attempt at all", { maxAttempts: 0 }, RangeError],
    ["a time that is no number", { maxElapsed: "1m" }, TypeError],
    ["a policy that is no function", { shouldReconnect: true }, TypeError],
    ["a state hook that is no function", { state: "open" }, TypeError],
    ["an option that there is not", { maxAtempts: 3 }, TypeError],
  ];
  for (const [what, options, kind] of wrong) {
    it(`is refused: ${what}`, async () => {
      await assert.rejects(reconnect("ws://127.0.0.1:1", stay, options), kind);
    });
  }

  it("is refused: a target and a session that are none", async () => {
    await assert.rejects(reconnect(9000 as never, stay), TypeError);
    await assert.rejects(reconnect("ws://127.0.0.1:1", undefined as never), TypeError);
  });
});

/** `reconnect`: it runs a function on one connection after the other. When it ends, when it continues, and how long it pauses. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Connection,
  type HandshakeError,
  type LimitError,
  listen,
  type ReconnectCause,
  type ReconnectOptions,
  reconnect,
  shouldReconnect,
  TimeoutError,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { deferred } from "../kit/deferred.ts";
import { rawServer, switchingTo } from "../kit/raw-peer.ts";
import { deadPort, RestartableServer, StateRecorder } from "../kit/restartable-server.ts";

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

/** Stays until the connection has ended, and rejects with the reason of an end that was not clean. */
async function stay(connection: Connection): Promise<void> {
  for await (const _ of connection);
}

describe("a session", () => {
  it("ends when it returns: the connection is closed with 1000, and its value is the result", async () => {
    await using server = await RestartableServer.up({}, echo);
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
    await using server = await RestartableServer.up({}, echo);
    const runs: Connection[] = [];
    const recorder = new StateRecorder();
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
      { state: recorder.see, initialPause: 1 },
    );
    assert.equal(answer, 3);
    assert.equal(new Set(runs).size, 3);
    assert.equal(recorder.names, "connecting open waiting connecting open waiting connecting open ended");
  });

  it("runs anew when it returned because the server went away in order", async () => {
    await using server = await RestartableServer.up({}, echo);
    const recorder = new StateRecorder();
    const done = deferred();
    let runs = 0;
    const ended = reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        if (runs === 2) done.resolve();
        await stay(connection);
      },
      { state: recorder.see, initialPause: 1 },
    );
    await recorder.until("open");
    await server.down();
    await server.back();
    await done.promise;
    // 1000 says that the server has finished with this client.
    for (const connection of server.server?.connections ?? []) void connection.close();
    assert.equal(await ended, undefined);
    assert.equal(runs, 2);
    const { why } = await recorder.until("waiting");
    assert.deepEqual([why.phase, why.code, why.by, why.wasClean], ["session", 1001, "peer", true]);
  });

  it("ends with a value, even if the server ended the connection meanwhile", async () => {
    await using server = await RestartableServer.up({}, async (connection) => {
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

  it("ends when it has closed the connection itself", async () => {
    await using server = await RestartableServer.up({}, echo);
    let runs = 0;
    await reconnect(server.url, async (connection) => {
      runs += 1;
      await connection.close(4001, "enough");
    });
    assert.equal(runs, 1);
  });

  it("ends with the function's error, and closes the connection with 1011", async () => {
    const ends: number[] = [];
    await using server = await RestartableServer.up({ close: (_, { code }) => void ends.push(code) }, echo);
    const bug = new Error("no such order");
    const recorder = new StateRecorder();
    const ended = reconnect(server.url, () => Promise.reject(bug), { state: recorder.see });
    await assert.rejects(ended, (error) => error === bug);
    assert.equal(recorder.names, "connecting open ended");
    assert.deepEqual(await recorder.until("ended"), { name: "ended", cause: bug });
    await server.down();
    assert.deepEqual(ends, [1011]);
  });

  it("ends it all when it throws without a promise", async () => {
    await using server = await RestartableServer.up({}, echo);
    const bug = new Error("at once");
    const ended = reconnect(server.url, () => {
      throw bug;
    });
    await assert.rejects(ended, (error) => error === bug);
  });

  it("ends it all with a hook's error, if the policy says so", async () => {
    await using server = await RestartableServer.up({}, async (connection) => {
      await connection.send("boom");
      await connection.closed;
    });
    const bug = new Error("cannot parse");
    const ended = reconnect(server.url, (connection) => connection.closed.then(() => undefined), {
      onError: () => undefined,
      message: () => Promise.reject(bug),
      shouldReconnect: ({ phase }) => phase !== "message",
    });
    await assert.rejects(ended, (error) => error === bug);
  });

  it("runs anew when it ran out of time on an open connection", async () => {
    await using server = await RestartableServer.up({ message: () => undefined });
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
    await using server = await RestartableServer.up({}, echo);
    const cleanup = deferred();
    const recorder = new StateRecorder();
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
        await cleanup.promise;
        running -= 1;
      },
      { state: recorder.see, initialPause: 1 },
    );
    await recorder.until("open");
    await server.crash();
    await server.back();
    await settled();
    assert.equal(recorder.names, "connecting open");
    cleanup.resolve();
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
    const recorder = new StateRecorder();
    const stop = new AbortController();
    const url = `ws://127.0.0.1:${server.port}`;
    const ended = reconnect(url, (connection) => connection.receive({ timeout: 1_000 }), {
      ...{ clock, signal: stop.signal, state: recorder.see, random: () => 1 },
    });
    const over = assert.rejects(ended, { name: "AbortError" });
    await recorder.until("open");
    await clock.advance(1_000);
    await clock.advance(4_999);
    assert.equal(recorder.names, "connecting open");
    assert.equal(server.peers.length, 1);
    await clock.advance(1);
    await recorder.until("waiting");
    stop.abort();
    await over;
  });

  it("reconnects to TCP after the peer's FIN, which has no code", async () => {
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
      await using server = await RestartableServer.up(
        {},
        async (connection) => void (await connection.close(code, "no")),
      );
      await assert.rejects(reconnect(server.url, stay), { code: "CLOSED", closeCode: code, reason: "no", by: "peer" });
    });
  }

  for (const status of [401, 404, 410]) {
    it(`is thrown: ${status}`, async () => {
      await using server = await RestartableServer.up({ authorize: () => new Response(null, { status }) }, echo);
      await assert.rejects(reconnect(server.url, stay), { code: "HANDSHAKE", status });
    });
  }

  it("is thrown when it is misuse of our own, and not tried again", async () => {
    const recorder = new StateRecorder();
    await assert.rejects(reconnect("http://127.0.0.1", stay, { state: recorder.see }), TypeError);
    assert.equal(recorder.names, "connecting ended");
  });
});

describe("a policy", () => {
  it("decides instead of the default one, and may call it", async () => {
    await using server = await RestartableServer.up(
      {},
      async (connection) => void (await connection.close(4001, "log in")),
    );
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
    await using server = await RestartableServer.up(
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

  it("must return a valid verdict", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    for (const verdict of [undefined, null, 5, {}, { after: "1" }]) {
      const ended = reconnect(url, stay, { shouldReconnect: () => verdict as never, onError: () => undefined });
      await assert.rejects(ended, { name: "TypeError", message: /shouldReconnect/ });
    }
  });

  it("must return a valid duration", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    await assert.rejects(reconnect(url, stay, { shouldReconnect: () => ({ after: -1 }) }), RangeError);
  });
});

/** Pauses for a port on which no process listens, each measured on the manual clock. */
async function pauses(count: number, options: ReconnectOptions): Promise<number[]> {
  const clock = new ManualClock();
  const recorder = new StateRecorder();
  const stop = new AbortController();
  const url = `ws://127.0.0.1:${await deadPort()}`;
  const ended = reconnect(url, stay, { clock, state: recorder.see, signal: stop.signal, ...options });
  const found: number[] = [];
  for (let n = 1; n <= count; n += 1) {
    const { until, attempt } = await recorder.until("waiting", n);
    assert.equal(attempt, n + 1);
    const length = until.getTime() - clock.wallTime();
    found.push(length);
    if (length > 1) {
      await clock.advance(length - 1);
      assert.equal(recorder.states.at(-1)?.name, "waiting", "no earlier");
      await clock.advance(1);
    } else await clock.advance(length);
    await recorder.until("connecting", n + 1);
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

  it("are added to the pause that the policy returns, so that clients with the same one do not return together", async () => {
    const shouldReconnect = (): { after: number } => ({ after: 5_000 });
    assert.deepEqual(await pauses(3, { random: () => 0.5, shouldReconnect }), [5_250, 5_500, 6_000]);
  });

  it("are not made longer by a server than maxRetryAfter allows", async () => {
    const shouldReconnect = (): { after: number } => ({ after: 86_400_000 });
    assert.deepEqual(await pauses(1, { random: () => 1, shouldReconnect }), [300_500]);
    assert.deepEqual(await pauses(1, { random: () => 1, shouldReconnect, maxRetryAfter: 1_000 }), [1_500]);
  });

  it("begin anew only after a connection has lived for stableAfter", async () => {
    await using server = await RestartableServer.up({}, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const stop = new AbortController();
    const { signal } = stop;
    const ended = reconnect(server.url, stay, { clock, signal, state: recorder.see, random: () => 1 });
    const seen: unknown[] = [];
    for (const [index, life] of [0, 9_999, 9_999, 10_000, 0].entries()) {
      await recorder.until("open", index + 1);
      await clock.advance(life);
      for (const connection of server.server?.connections ?? []) connection.terminate();
      const { until, attempt, why } = await recorder.until("waiting", index + 1);
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

  it("are as long as a draining server requests", async () => {
    await using server = await RestartableServer.up({}, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const stop = new AbortController();
    const { signal } = stop;
    const ended = reconnect(server.url, stay, { clock, signal, state: recorder.see, random: () => 1 });
    await recorder.until("open");
    await server.down({ reason: "new version", retryAfter: 2_500 });
    const { until, why } = await recorder.until("waiting");
    assert.deepEqual([why.code, why.reason], [1001, "new version retry-after=2.5"]);
    assert.equal(until.getTime() - clock.wallTime(), 3_000);
    stop.abort();
    await assert.rejects(ended, { name: "AbortError" });
  });

  it("are as long as a full server requests", async () => {
    await using server = await RestartableServer.up({ maxConnections: 1 }, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    await reconnect(server.url, async () => {
      const stop = new AbortController();
      const ended = reconnect(server.url, stay, { clock, signal: stop.signal, state: recorder.see, random: () => 1 });
      const { until, why } = await recorder.until("waiting");
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
    const recorder = new StateRecorder();
    const ended = reconnect(url, stay, { initialPause: 1, maxAttempts: 3, state: recorder.see });
    await assert.rejects(ended, (error: LimitError) => {
      const { code, limit, maximum, actual, cause } = error;
      assert.deepEqual([code, limit, maximum, actual], ["LIMIT", "maxAttempts", 3, 3]);
      assert.equal((cause as HandshakeError).phase, "tcp");
      return true;
    });
    assert.equal(recorder.names, "connecting waiting connecting waiting connecting ended");
  });

  it("by attempts: 1 is no second one", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    await assert.rejects(reconnect(url, stay, { maxAttempts: 1 }), { code: "LIMIT", limit: "maxAttempts" });
  });

  it("by attempts: does not count the loss of a connection that has lived", async () => {
    await using server = await RestartableServer.up({}, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const ended = reconnect(server.url, stay, { clock, maxAttempts: 1, random: () => 0, state: recorder.see });
    await recorder.until("open");
    await clock.advance(10_000);
    for (const connection of server.server?.connections ?? []) connection.terminate();
    await recorder.until("waiting");
    await clock.advance(0);
    await recorder.until("open", 2);
    const limited = assert.rejects(ended, { code: "LIMIT", limit: "maxAttempts", actual: 1 });
    await server.crash();
    await limited;
  });

  it("by time: no attempt begins later, and none is awaited that would", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const start = new Date();
    const clock = new ManualClock(start);
    const recorder = new StateRecorder();
    const ended = reconnect(url, stay, { clock, random: () => 1, maxElapsed: 2_000, state: recorder.see });
    const limited = assert.rejects(ended, (error: LimitError) => {
      const { code, limit, maximum, actual, cause } = error;
      assert.deepEqual([code, limit, maximum, actual], ["LIMIT", "maxElapsed", 2_000, 3_500]);
      assert.equal((cause as HandshakeError).code, "HANDSHAKE");
      return true;
    });
    for (const [index, pause] of [500, 1_000].entries()) {
      await recorder.until("waiting", index + 1);
      await clock.advance(pause);
    }
    // 1,500 ms have passed, and the third pause would be 2,000 ms.
    await limited;
    assert.equal(clock.wallTime(), start.getTime() + 1_500);
  });
});

describe("a target", () => {
  it("that is a function is called before each attempt, and may return headers, data and subprotocols", async () => {
    const tokens: unknown[] = [];
    await using server = await RestartableServer.up(
      { authorize: ({ headers }) => headers["authorization"] },
      (connection) => {
        tokens.push(connection.data);
        connection.terminate();
      },
    );
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
    await using server = await RestartableServer.up({}, echo);
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

  it("is called again after it has thrown at once", async () => {
    await using server = await RestartableServer.up({}, echo);
    let calls = 0;
    const target = (): string => {
      calls += 1;
      if (calls < 3) throw new Error("no server is known");
      return server.url;
    };
    assert.equal(await reconnect(target, () => "through", { initialPause: 1, maxAttempts: 5 }), "through");
    assert.equal(calls, 3);
  });

  it("has openTimeout to settle; until it has, it is not called again, and its late result counts", async () => {
    await using server = await RestartableServer.up({}, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const answer = deferred();
    let asked = 0;
    let signal: AbortSignal | undefined;
    const ended = reconnect(
      async (attempt) => {
        asked += 1;
        signal = attempt.signal;
        await answer.promise;
        return server.url;
      },
      () => "through",
      { clock, openTimeout: 1_000, random: () => 0, state: recorder.see },
    );
    await clock.advance(1_000);
    const { why } = await recorder.until("waiting");
    assert.ok(why.error instanceof TimeoutError);
    assert.deepEqual([why.phase, why.error.operation, why.error.limit], ["target", "connect:target", "openTimeout"]);
    assert.equal(signal?.aborted, true);
    await clock.advance(0);
    await recorder.until("connecting", 2);
    await settled();
    assert.equal(asked, 1);
    answer.resolve();
    assert.equal(await ended, "through");
    assert.equal(asked, 1);
  });

  it("is cancelled by the signal", async () => {
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
    const recorder = new StateRecorder();
    const signal = AbortSignal.abort(new Error("early"));
    await assert.rejects(reconnect("ws://127.0.0.1:1", stay, { signal, state: recorder.see }), /early/);
    assert.equal(recorder.names, "ended");
  });

  it("during an attempt ends it", async () => {
    await using server = await rawServer(() => undefined);
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const url = `ws://127.0.0.1:${server.port}`;
    const ended = reconnect(url, stay, { signal: stop.signal, state: recorder.see });
    while (server.peers.length === 0) await settled();
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(recorder.names, "connecting ended");
  });

  it("during a pause ends it", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const ended = reconnect(url, stay, { signal: stop.signal, state: recorder.see, clock: new ManualClock() });
    await recorder.until("waiting");
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(recorder.names, "connecting waiting ended");
  });

  it("during a session closes with 1001, and does not wait for a session that does not heed its connection", async () => {
    const ends: number[] = [];
    await using server = await RestartableServer.up({ close: (_, { code }) => void ends.push(code) }, echo);
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const told: unknown[] = [];
    const late = deferred();
    let used: Connection | undefined;
    const bug = new Error("too late");
    const ended = reconnect(
      server.url,
      async (connection) => {
        used = connection;
        await late.promise;
        throw bug;
      },
      { signal: stop.signal, state: recorder.see, onError: (error) => told.push(error) },
    );
    await recorder.until("open");
    stop.abort(new Error("enough"));
    await assert.rejects(ended, /enough/);
    assert.equal(used?.state, "CLOSED");
    late.resolve();
    await settled();
    assert.deepEqual(told, [bug]);
    await server.down();
    assert.deepEqual(ends, [1001]);
  });

  it("is the reason, also when the session sees it first", async () => {
    await using server = await RestartableServer.up({}, echo);
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const { signal } = stop;
    const ended = reconnect(server.url, (connection) => connection.receive({ signal }), {
      signal,
      state: recorder.see,
    });
    await recorder.until("open");
    const reason = new Error("enough");
    stop.abort(reason);
    await assert.rejects(ended, (error) => error === reason);
  });
});

describe("the state", () => {
  it("has since when there is no connection, until when it waits, and why", async () => {
    await using server = await RestartableServer.up({}, echo);
    const clock = new ManualClock();
    const recorder = new StateRecorder();
    const start = clock.wallTime();
    const done = deferred();
    let runs = 0;
    const ended = reconnect(
      server.url,
      async (connection) => {
        runs += 1;
        if (runs === 2) await done.promise;
        else await stay(connection);
      },
      { clock, state: recorder.see, random: () => 1 },
    );
    await recorder.until("open");
    await clock.advance(60_000);
    await server.crash();
    const lost = await recorder.until("waiting");
    assert.equal(lost.attempt, 1);
    assert.equal(lost.until.getTime(), start + 60_500);
    assert.deepEqual([lost.why.code, lost.why.lived, lost.why.at.getTime()], [1006, 60_000, start + 60_000]);
    await clock.advance(500);
    const refused = await recorder.until("waiting", 2);
    assert.deepEqual([refused.attempt, refused.why.phase], [2, "tcp"]);
    await server.back();
    await clock.advance(1_000);
    const { since } = await recorder.until("open", 2);
    assert.equal(since.getTime(), start + 61_500);
    done.resolve();
    await ended;
    const connecting = recorder.states.filter(({ name }) => name === "connecting");
    assert.deepEqual(connecting, [
      { name: "connecting", attempt: 1, since: new Date(start) },
      { name: "connecting", attempt: 1, since: new Date(start + 60_000) },
      { name: "connecting", attempt: 2, since: new Date(start + 60_000) },
    ]);
    assert.deepEqual(recorder.states.at(-1), { name: "ended", cause: undefined });
  });

  it("is passed to a hook: what that throws goes to onError", async () => {
    await using server = await RestartableServer.up({}, echo);
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

describe("a process that waits to reconnect", () => {
  it("does not end for want of a socket", async () => {
    const program = fileURLToPath(new URL("waiting-process.js", import.meta.url));
    const args = [`ws://127.0.0.1:${await deadPort()}`];
    const { status, stdout: said, stderr: complained } = await ChildProgram.run(program, args, { stderr: "kept" });
    assert.deepEqual({ status, said }, { status: 0, said: "LIMIT\n" });
    // What it retries is reported once.
    assert.match(complained, /ECONNREFUSED/);
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

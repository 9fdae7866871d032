/** S5-10: a reconnecting client ends on causes that stay, returns after causes that pass, and reports what it retries. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type ClosedError,
  type Connection,
  connect,
  type HandshakeError,
  type ListenOptions,
  listen,
  ReconnectingConnection,
  type ReconnectingOptions,
  reconnect,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { EXPIRED, LOCALHOST } from "../fixtures/certificates.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { deferred } from "../kit/deferred.ts";
import { rawServer, switchingTo } from "../kit/raw-peer.ts";
import { deadPort, RestartableServer, StateRecorder } from "../kit/restartable-server.ts";

const SOON = { initialPause: 1, maxPause: 5 };

/** Reads until the connection has ended. */
async function stay(connection: Connection): Promise<void> {
  for await (const _ of connection);
}

/** Keeps what an `onError` hook receives. */
class Errors {
  readonly all: unknown[] = [];
  #changed: () => void = () => undefined;

  readonly take = (error: unknown): void => {
    this.all.push(error);
    this.#changed();
  };

  /** Resolves when there are `count` errors. */
  async until(count: number): Promise<void> {
    while (this.all.length < count) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

describe("S5-10 causes that stay", () => {
  const speeches: readonly [string, string, Pick<ListenOptions, "framing">][] = [
    ["WebSocket", "ws://127.0.0.1:0/", {}],
    ["lines over TCP", "tcp://127.0.0.1:0", { framing: "lines" }],
  ];
  for (const [name, url, options] of speeches) {
    it(`S5-10: a message above our own limit ends reconnect() on ${name}`, async () => {
      let connections = 0;
      await using server = await listen(url, options, async (connection) => {
        connections += 1;
        await connection.send("x".repeat(1_000));
        await connection.closed;
      });
      const ended = reconnect(server.url, stay, {
        ...SOON,
        ...options,
        maxMessageSize: 100,
        maxAttempts: 5,
        closeTimeout: 100,
      });
      await assert.rejects(ended, { code: "LIMIT", limit: "maxMessageSize", maximum: 100, actual: 1_000 });
      assert.equal(connections, 1);
    });
  }

  it("S5-10: too many fragments of one message end a ReconnectingConnection, with the LimitError as its cause", async () => {
    let connections = 0;
    await using server = await listen("ws://127.0.0.1:0/", async (connection) => {
      connections += 1;
      const writer = connection.writer("text");
      for (let part = 0; part < 5; part += 1) await writer.write("part");
      await connection.closed;
    });
    const errors = new Errors();
    const client = new ReconnectingConnection(server.url, { ...SOON, maxFragments: 3, onError: errors.take });
    const { cause } = await client.closed;
    assert.equal((cause as { limit?: string }).limit, "maxFragments");
    assert.equal(connections, 1);
    assert.deepEqual(errors.all, [cause], "without a state or close hook the end is reported");
  });

  it("S5-10: a message of a type that is refused with 1003 ends both", async () => {
    let connections = 0;
    await using server = await listen("ws://127.0.0.1:0/", async (connection) => {
      connections += 1;
      await connection.send(Uint8Array.of(1));
      await connection.closed;
    });
    const options = { ...SOON, messageType: "text", maxAttempts: 5, onError: () => undefined } as const;
    await assert.rejects(reconnect(server.url, stay, options), { code: "PROTOCOL", closeCode: 1003 });
    const client = new ReconnectingConnection(server.url, options);
    assert.equal(((await client.closed).cause as { closeCode?: number }).closeCode, 1003);
    assert.equal(connections, 2);
  });

  it("S5-10: a TLS option that cannot be used ends it at the first attempt", async () => {
    await using server = await listen("wss://127.0.0.1:0", { tls: LOCALHOST }, stay);
    const recorder = new StateRecorder();
    const options = { ...SOON, state: recorder.see, tls: { minVersion: "TLSv9" as never } };
    await assert.rejects(reconnect(server.url, stay, options), { code: "HANDSHAKE", phase: "tls" });
    assert.equal(recorder.names, "connecting ended");
  });

  it("S5-10: our own full queue, closed with 1013, is no such limit: the client returns", async () => {
    // Completes the handshake, and then reads nothing.
    await using server = await rawServer(async (peer) => {
      await peer.until(({ text: head }) => head.endsWith("\r\n\r\n"));
      peer.write(switchingTo(peer.text));
      peer.socket.pause();
    });
    let runs = 0;
    const url = `ws://127.0.0.1:${server.port}`;
    const answer = await reconnect(
      url,
      async (connection) => {
        runs += 1;
        if (runs === 2) return "back";
        while (connection.state === "OPEN") {
          connection.trySend(new Uint8Array(60_000));
          await settled();
        }
        await connection.closed;
        return undefined;
      },
      { ...SOON, overflow: "close", maxQueuedBytes: 64_000, closeTimeout: 50, maxAttempts: 5 },
    );
    assert.equal(answer, "back");
  });
});

describe("S5-10 causes that pass are reported once per run of failures", () => {
  it("S5-10: an untrusted certificate is reported once, and the client is back when it is trusted", async () => {
    const expired = await listen("wss://127.0.0.1:0", { tls: EXPIRED }, stay);
    const { url } = expired;
    const errors = new Errors();
    const clock = new ManualClock();
    let attempts = 0;
    const opened = deferred();
    const client = new ReconnectingConnection(
      () => {
        attempts += 1;
        return { url, tls: { ca: attempts < 5 ? EXPIRED.cert : LOCALHOST.cert } };
      },
      { clock, random: () => 1, onError: errors.take, open: () => opened.resolve() },
    );
    const waiting = async (attempt: number): Promise<number> => {
      while (client.state.name !== "waiting" || client.state.attempt !== attempt) await settled();
      return client.state.until.getTime() - clock.wallTime();
    };
    const pauses: number[] = [];
    for (let attempt = 2; attempt <= 4; attempt += 1) {
      pauses.push(await waiting(attempt));
      await clock.advance(pauses.at(-1) ?? 0);
    }
    assert.deepEqual(pauses, [500, 1_000, 2_000]);
    assert.equal(await waiting(5), 4_000);
    assert.equal(errors.all.length, 1);
    const { code, phase, cause } = errors.all[0] as HandshakeError;
    assert.deepEqual([code, phase, (cause as { errno?: string }).errno], ["HANDSHAKE", "tls", "CERT_HAS_EXPIRED"]);
    await expired.close();
    await using _renewed = await listen(url, { tls: LOCALHOST }, stay);
    await clock.advance(4_000);
    await opened.promise;
    assert.equal(errors.all.length, 1);
    await client.close();
  });

  it("S5-10: a name that does not exist is reported once, and retried", async () => {
    const errors = new Errors();
    const ended = reconnect("ws://nobody.invalid:9", stay, { ...SOON, maxAttempts: 3, onError: errors.take });
    await assert.rejects(ended, { code: "LIMIT", limit: "maxAttempts", actual: 3 });
    assert.deepEqual(
      errors.all.map((error) => (error as HandshakeError).phase),
      ["dns"],
    );
  });

  it("S5-10: a peer that breaks the protocol is reported once, and retried", async () => {
    // A frame with a reserved opcode, behind each handshake.
    await using server = await rawServer(async (peer) => {
      await peer.until(({ text: head }) => head.endsWith("\r\n\r\n"));
      peer.write(switchingTo(peer.text));
      peer.write(Uint8Array.of(0x83, 0));
    });
    const errors = new Errors();
    const options = { ...SOON, maxAttempts: 3, onError: errors.take, closeTimeout: 50 };
    await assert.rejects(reconnect(`ws://127.0.0.1:${server.port}`, stay, options), { limit: "maxAttempts" });
    assert.equal(server.peers.length, 3);
    assert.deepEqual(
      errors.all.map((error) => (error as { code?: string }).code),
      ["PROTOCOL"],
    );
  });

  it("S5-10: a state hook replaces the report", async () => {
    const errors = new Errors();
    const recorder = new StateRecorder();
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const options = { ...SOON, maxAttempts: 3, onError: errors.take, state: recorder.see };
    await assert.rejects(reconnect(url, stay, options), { limit: "maxAttempts" });
    const client = new ReconnectingConnection(url, options);
    await client.closed;
    assert.deepEqual(errors.all, []);
    assert.deepEqual((await recorder.until("waiting")).why.kind, "unreachable");
  });

  it("S5-10: the next run of failures is reported again, after a connection that lived for stableAfter", async () => {
    await using server = await RestartableServer.up({}, stay);
    const errors = new Errors();
    const clock = new ManualClock();
    const opened = [deferred(), deferred(), deferred()];
    let opens = 0;
    const options = { clock, random: () => 1, onError: errors.take, open: () => opened[opens++]?.resolve() };
    const client = new ReconnectingConnection(server.url, options);
    for (const run of [1, 2]) {
      await opened[run - 1]?.promise;
      await clock.advance(10_000);
      await server.crash();
      for (const pause of [500, 1_000, 2_000]) {
        while (client.state.name !== "waiting") await settled();
        if (pause === 2_000) break;
        const { attempt } = client.state;
        await clock.advance(pause);
        while (client.state.name !== "waiting" || client.state.attempt === attempt) await settled();
      }
      assert.equal(errors.all.length, run);
      await server.back();
      await clock.advance(2_000);
    }
    await opened[2]?.promise;
    await client.close();
  });

  it("S5-10: the loss of one connection is not reported, and a server that accepts and drops is", async () => {
    const errors = new Errors();
    await using server = await RestartableServer.up({}, async (connection) => void (await connection.close(1012)));
    const asked: number[] = [];
    const ended = reconnect(server.url, stay, {
      ...{ ...SOON, onError: errors.take },
      shouldReconnect: ({ failures }) => {
        asked.push(errors.all.length);
        return failures < 5;
      },
    });
    await assert.rejects(ended, { code: "CLOSED", closeCode: 1012 });
    assert.deepEqual(asked, [0, 0, 1, 1, 1]);
  });

  it("S5-10: without any hook the default onError prints one line of it to stderr", async () => {
    const program = fileURLToPath(new URL("../reconnect/waiting-process.js", import.meta.url));
    const args = [`ws://127.0.0.1:${await deadPort()}`];
    const { stdout: said, stderr: printed } = await ChildProgram.run(program, args, { stderr: "kept" });
    assert.equal(said, "LIMIT\n");
    assert.equal(printed.match(/ECONNREFUSED.*in phase tcp/g)?.length, 1, printed);
  });
});

/** A client whose `open` or `message` hook fails a few times, with what it reports and what its policy sees. */
function failing(
  url: string,
  options: ReconnectingOptions,
): { readonly client: ReconnectingConnection; readonly errors: Errors; readonly recorder: StateRecorder } {
  const errors = new Errors();
  const recorder = new StateRecorder();
  const client = new ReconnectingConnection(url, { ...SOON, onError: errors.take, state: recorder.see, ...options });
  return { client, errors, recorder };
}

describe("S5-10 failures of the application's code", () => {
  it("S5-10: a failed fetch in the open hook closes with 1011, is reported each time, and the client returns", async () => {
    const ends: number[] = [];
    const heard = deferred();
    await using server = await RestartableServer.up({
      close: (_, { code }) => void ends.push(code),
      message: () => heard.resolve(),
    });
    const bug = new TypeError("fetch failed");
    let opens = 0;
    const { client, errors, recorder } = failing(server.url, {
      open: async () => {
        opens += 1;
        if (opens < 3) await Promise.reject(bug);
      },
    });
    await client.send("hello");
    await heard.promise;
    const { why } = await recorder.until("waiting");
    assert.deepEqual([why.phase, why.kind, why.error, why.failures], ["open", "hook", bug, 1]);
    assert.equal((await recorder.until("waiting", 2)).why.failures, 2);
    assert.deepEqual(errors.all, [bug, bug]);
    await client.close();
    await server.down();
    assert.deepEqual(ends, [1011, 1011, 1000]);
  });

  it("S5-10: a connection whose open hook failed does not shorten the pauses, however long the hook took", async () => {
    await using server = await RestartableServer.up({}, stay);
    const clock = new ManualClock();
    let fail: (error: unknown) => void = () => undefined;
    const { client, recorder } = failing(server.url, {
      ...{ clock, random: () => 1, initialPause: 500, maxPause: 20_000 },
      open: () => new Promise((_, reject) => (fail = reject)),
    });
    const pauses: number[] = [];
    for (let round = 1; round <= 3; round += 1) {
      await recorder.until("open", round);
      await settled();
      await clock.advance(15_000);
      fail(new Error("no login"));
      const { until } = await recorder.until("waiting", round);
      pauses.push(until.getTime() - clock.wallTime());
      await clock.advance(pauses.at(-1) ?? 0);
    }
    assert.deepEqual(pauses, [500, 1_000, 2_000]);
    client.terminate();
    await client.closed;
  });

  it("S5-10: one malformed message closes with 1011, is consumed, and the client returns for the next ones", async () => {
    const ends: number[] = [];
    let connections = 0;
    await using server = await RestartableServer.up({
      close: (_, { code }) => void ends.push(code),
      open: (connection) => {
        connections += 1;
        connection.trySend(connections === 1 ? "{" : '{"n":2}');
      },
    });
    const got: string[] = [];
    const parsed = deferred();
    const { client, errors, recorder } = failing(server.url, {
      message: (_, data) => {
        got.push(String(data));
        JSON.parse(String(data));
        parsed.resolve();
      },
    });
    await parsed.promise;
    assert.deepEqual(got, ["{", '{"n":2}']);
    const { why } = await recorder.until("waiting");
    assert.deepEqual([why.phase, why.kind, why.code, why.by], ["message", "hook", 1011, "local"]);
    assert.ok(why.error instanceof SyntaxError);
    assert.deepEqual(errors.all, [why.error]);
    await client.close();
    await server.down();
    assert.deepEqual(ends, [1011, 1000]);
  });

  it("S5-10: a policy may call a failed message hook final, also when its connection has ended meanwhile", async () => {
    for (const late of [false, true]) {
      await using server = await RestartableServer.up({ open: (connection) => void connection.trySend("{") });
      const bug = new Error("cannot parse");
      const { client, recorder } = failing(server.url, {
        shouldReconnect: ({ phase }) => phase !== "message",
        message: async () => {
          if (late) {
            await server.crash();
            await recorder.until("waiting");
          }
          throw bug;
        },
      });
      assert.equal((await client.closed).cause, bug);
    }
  });

  it("S5-10: on framed TCP too, failing hooks are reported and the client returns", async () => {
    const bugs = { open: new Error("no login"), message: new Error("malformed") };
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
      await connection.send("hello");
      await stay(connection);
    });
    let opens = 0;
    let messages = 0;
    const parsed = deferred();
    const { client, errors, recorder } = failing(server.url, {
      framing: "lines",
      open: () => {
        opens += 1;
        if (opens === 1) throw bugs.open;
      },
      message: () => {
        messages += 1;
        if (messages === 1) throw bugs.message;
        parsed.resolve();
      },
    });
    await parsed.promise;
    assert.deepEqual(errors.all, [bugs.open, bugs.message]);
    for (const [index, phase] of (["open", "message"] as const).entries()) {
      const { why } = await recorder.until("waiting", index + 1);
      assert.deepEqual([why.phase, why.kind, why.error, why.code], [phase, "hook", bugs[phase], undefined]);
    }
    await client.close();
  });

  it("S5-10: failing hooks are bounded by maxAttempts", async () => {
    await using server = await RestartableServer.up({}, stay);
    const bug = new Error("no login");
    const { client, errors } = failing(server.url, { maxAttempts: 3, open: () => Promise.reject(bug) });
    const { cause } = await client.closed;
    assert.equal((cause as { limit?: string }).limit, "maxAttempts");
    assert.equal((cause as Error).cause, bug);
    assert.deepEqual(errors.all, [bug, bug, bug]);
  });

  it("S5-10: a hook that fails because its connection was lost is the loss, not a failure of the hook", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        if (connections === 1) connection.terminate();
        else connection.trySend("welcome");
      },
    });
    const { client, errors, recorder } = failing(server.url, { open: async (fresh) => void (await fresh.receive()) });
    await recorder.until("open", 2);
    assert.equal((await recorder.until("waiting")).why.phase, "session");
    assert.deepEqual(errors.all, []);
    await client.close();
  });

  for (const hook of ["open", "message"] as const) {
    it(`S5-10: reconnect(): a failing ${hook} hook of the connection has its phase, and the loop goes on`, async () => {
      await using server = await RestartableServer.up({ open: (connection) => void connection.trySend("x") });
      const bug = new Error("not now");
      const errors = new Errors();
      const recorder = new StateRecorder();
      const stop = new AbortController();
      let calls = 0;
      const third = deferred();
      const ended = reconnect(server.url, (connection) => connection.closed.then(() => undefined), {
        ...{ ...SOON, onError: errors.take, state: recorder.see, signal: stop.signal },
        [hook]: () => {
          calls += 1;
          if (calls === 3) third.resolve();
          else throw bug;
        },
      });
      await third.promise;
      const { why } = await recorder.until("waiting");
      assert.deepEqual([why.phase, why.kind, why.error], [hook, "hook", bug]);
      assert.deepEqual(errors.all, [bug, bug]);
      stop.abort(new Error("enough"));
      await assert.rejects(ended, /enough/);
    });
  }

  it("S5-10: what the session throws ends reconnect(): its caller wants out", async () => {
    await using server = await RestartableServer.up({}, stay);
    const bug = new Error("no such order");
    await assert.rejects(
      reconnect(server.url, () => Promise.reject(bug)),
      (error) => error === bug,
    );
  });

  for (const over of [false, true]) {
    it(`S5-10: the end of another connection is an error of the session${over ? ", also when its own has ended" : ""}`, async () => {
      await using server = await RestartableServer.up({}, stay);
      await using other = await listen("ws://127.0.0.1:0/", async (connection) => void (await connection.close(4001)));
      let runs = 0;
      const ended = reconnect(
        server.url,
        async (connection) => {
          runs += 1;
          const second = await connect(other.url);
          try {
            await second.receive();
          } finally {
            if (over) await connection.close();
          }
        },
        { ...SOON, maxAttempts: 3 },
      );
      await assert.rejects(ended, { code: "CLOSED", closeCode: 4001, by: "peer" });
      assert.equal(runs, 1);
    });
  }

  it("S5-10: a session that throws its own connection's 1013 is run anew", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({}, async (connection) => {
      connections += 1;
      if (connections < 3) await connection.close(1013, "busy");
      else await connection.send("welcome");
      await connection.closed;
    });
    const answer = await reconnect(server.url, (connection) => connection.receive(), SOON);
    assert.equal(answer, "welcome");
    assert.equal(connections, 3);
  });
});

describe("S5-10 failures of hooks while a ReconnectingConnection is being closed", () => {
  for (const hook of ["open", "message"] as const) {
    it(`S5-10: the error of the ${hook} hook is reported, and the close keeps its code`, async () => {
      const ends: number[] = [];
      await using server = await RestartableServer.up({
        open: (connection) => void connection.trySend("x"),
        close: (_, { code }) => void ends.push(code),
      });
      const bug = new Error("too late");
      const { client, errors } = failing(server.url, {
        [hook]: () => {
          void client.close(4000, "done");
          throw bug;
        },
      });
      const { code, cause } = await client.closed;
      assert.deepEqual([code, cause], [4000, undefined]);
      assert.deepEqual(errors.all, [bug]);
      await server.down();
      assert.deepEqual(ends, [4000]);
    });
  }
});

describe("S5-10 reconnect(reason)", () => {
  it("S5-10: closes with 1000 and the reason, and connects again at once after a connection that has lived", async () => {
    const ends: unknown[] = [];
    await using server = await RestartableServer.up({ close: (_, { code, reason }) => void ends.push([code, reason]) });
    const clock = new ManualClock();
    const { client, errors, recorder } = failing(server.url, { clock, random: () => 1, initialPause: 500 });
    await recorder.until("open");
    await settled();
    const former = client.connection;
    await clock.advance(10_000);
    const calls = [client.reconnect("stale data"), client.reconnect("again")];
    await Promise.all(calls);
    assert.equal(former?.state, "CLOSED");
    // The clock stands still: there was no pause.
    await recorder.until("open", 2);
    assert.equal(recorder.names, "connecting open waiting connecting open");
    const { why, attempt } = await recorder.until("waiting");
    assert.deepEqual([why.kind, why.code, why.reason, why.by, attempt], ["requested", 1000, "stale data", "local", 1]);
    assert.deepEqual(errors.all, []);
    await client.close();
    await server.down();
    assert.deepEqual(ends, [
      [1000, "stale data"],
      [1000, ""],
    ]);
  });

  it("S5-10: on connections that have hardly lived it waits as the backoff says, and counts no failure", async () => {
    await using server = await RestartableServer.up({}, stay);
    const clock = new ManualClock();
    const { client, recorder } = failing(server.url, {
      ...{ clock, random: () => 1, initialPause: 500, maxPause: 20_000, maxAttempts: 1, maxElapsed: 2_000 },
    });
    const pauses: unknown[] = [];
    for (let round = 1; round <= 4; round += 1) {
      await recorder.until("open", round);
      await settled();
      await client.reconnect();
      const { until, why } = await recorder.until("waiting", round);
      pauses.push([until.getTime() - clock.wallTime(), why.failures]);
      await clock.advance(until.getTime() - clock.wallTime());
    }
    assert.deepEqual(pauses, [
      [500, 0],
      [1_000, 0],
      [2_000, 0],
      [4_000, 0],
    ]);
    client.terminate();
    await client.closed;
  });

  it("S5-10: loses, doubles and reorders nothing of what is sent around it", async () => {
    const heard: string[] = [];
    let changed: () => void = () => undefined;
    let connections = 0;
    await using server = await RestartableServer.up({
      open: () => {
        connections += 1;
      },
      message: (_, data) => {
        heard.push(String(data).slice(0, 4));
        changed();
      },
    });
    const { client, recorder } = failing(server.url, {});
    await recorder.until("open");
    await settled();
    const COUNT = 400;
    const sent: Promise<void>[] = [];
    for (let n = 0; n < COUNT; n += 1) {
      sent.push(client.send(`${1_000 + n}${"x".repeat(1_000)}`));
      if (n === COUNT / 2) void client.reconnect();
    }
    await Promise.all(sent);
    while (heard.length < COUNT) await new Promise<void>((resolve) => (changed = resolve));
    assert.deepEqual(
      heard,
      Array.from({ length: COUNT }, (_, n) => String(1_000 + n)),
    );
    assert.deepEqual([connections, client.messagesInDoubt], [2, 0]);
    await client.close();
  });

  it("S5-10: skips the pause while waiting", async () => {
    await using server = await RestartableServer.up({}, stay);
    const clock = new ManualClock();
    await server.down();
    const { client, recorder } = failing(server.url, {
      clock,
      random: () => 1,
      initialPause: 10_000,
      maxPause: 10_000,
    });
    await recorder.until("waiting");
    await server.back();
    await client.reconnect();
    await recorder.until("open");
    await client.close();
  });

  it("S5-10: works from both hooks, and the shouldReconnect policy is not asked", async () => {
    let connections = 0;
    await using server = await RestartableServer.up({
      open: (connection) => {
        connections += 1;
        connection.trySend(`${connections}`);
      },
    });
    const got: unknown[] = [];
    const done = deferred();
    let opens = 0;
    const { client, errors } = failing(server.url, {
      shouldReconnect: () => false,
      open: async (fresh) => {
        opens += 1;
        if (opens > 1) return;
        await client.reconnect("first");
        await fresh.receive();
      },
      message: async (self, data) => {
        got.push(data);
        if (data === "2") await self.reconnect("stale");
        if (data === "3") done.resolve();
      },
    });
    await done.promise;
    assert.deepEqual(got.slice(-2), ["2", "3"]);
    assert.deepEqual(errors.all, []);
    await client.close();
  });

  it("S5-10: on framed TCP it ends with a FIN, and connects again", async () => {
    let connections = 0;
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
      connections += 1;
      await stay(connection);
    });
    const { client, recorder } = failing(server.url, { framing: "lines" });
    await recorder.until("open");
    await settled();
    await client.reconnect("stale");
    await recorder.until("open", 2);
    const { why } = await recorder.until("waiting");
    assert.deepEqual([why.kind, why.by, why.wasClean], ["requested", "local", true]);
    await client.send("hello");
    assert.equal(connections, 2);
    await client.close();
  });

  it("S5-10: has no effect when it has ended, and rejects a reason that no Close frame can hold", async () => {
    await using server = await RestartableServer.up({}, stay);
    const { client, recorder } = failing(server.url, {});
    await recorder.until("open");
    await assert.rejects(client.reconnect("x".repeat(124)), RangeError);
    await assert.rejects(client.reconnect(1 as never), TypeError);
    assert.equal(client.state.name, "open");
    await client.close();
    await client.reconnect();
    assert.equal(client.state.name, "ended");
  });
});

describe("S5-10 the final end of a ReconnectingConnection", () => {
  for (const code of [1000, 1001, 1008, 4001]) {
    const well = code < 1008;
    it(`S5-10: for await ${well ? "ends" : "throws the ClosedError"} on a final ${code}, and closed has ${well ? "no" : "that"} cause`, async () => {
      await using server = await RestartableServer.up({ open: (connection) => void connection.close(code, "bye") });
      const client = new ReconnectingConnection(server.url, { shouldReconnect: () => false, onError: () => undefined });
      const thrown = await (async () => {
        for await (const _ of client);
      })().catch((error: ClosedError) => error);
      const { code: closeCode, cause, wasClean } = await client.closed;
      assert.deepEqual([closeCode, wasClean, cause], [code, true, thrown]);
      assert.equal((thrown as ClosedError | undefined)?.closeCode, well ? undefined : code);
      const result = reconnect(server.url, stay, { shouldReconnect: () => false });
      await (well ? result : assert.rejects(result, { closeCode: code }));
    });
  }

  it("S5-10: a call whose promise was dropped does not end the process", async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const { client } = failing(url, {});
    const unhandled: unknown[] = [];
    const take = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", take);
    try {
      void client.receive();
      void client.send("x");
      client.terminate();
      await client.closed;
      await settled();
      assert.deepEqual(unhandled, []);
    } finally {
      process.off("unhandledRejection", take);
    }
  });

  it("S5-10: for await ends after a local close with any code", async () => {
    await using server = await RestartableServer.up({}, stay);
    const { client, recorder } = failing(server.url, {});
    await recorder.until("open");
    const loop = (async () => {
      for await (const _ of client);
    })();
    await client.close(4001, "enough");
    await loop;
  });
});

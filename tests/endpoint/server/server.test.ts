/** Tests of the close of a server: which connections it closes, what it waits for, and for how long. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { connect as tlsConnect } from "node:tls";
import type { CloseInfo, Connection, ListenOptions, Server } from "../../../src/index.ts";
import { connect, HandshakeError, listen } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { KEY, peerFrame } from "../../kit/frames.ts";
import { openSockets } from "../../kit/kernel-sockets.ts";
import { linesOn } from "../../kit/lines-on.ts";
import { portOf, RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const SCHEMES = ["ws", "wss", "tcp", "tls"] as const;
const opened = (scheme: string, options: ListenOptions = {}): Promise<Server> =>
  listen(`${scheme}://127.0.0.1:0`, { tls: LOCALHOST, ...linesOn(scheme), ...options }, echo);
const dialled = ({ url }: Server): Promise<Connection> =>
  connect(url, { ...linesOn(url), tls: { ca: LOCALHOST.cert } }) as Promise<Connection>;

/** Reads to the end, and then closes. */
async function closingAtEnd(client: Connection): Promise<CloseInfo> {
  for await (const _ of client);
  return await client.close();
}

/** The promise of `close`, and whether it has settled. */
function watched(closing: Promise<unknown>): { settled: boolean; readonly closing: Promise<unknown> } {
  const state = { settled: false, closing };
  void closing.then(() => {
    state.settled = true;
  });
  return state;
}

describe("the close of a server", LIMIT, () => {
  for (const scheme of SCHEMES) {
    it(`reaches every client, and leaves no descriptor: ${scheme}`, async () => {
      const before = openSockets();
      const server = await opened(scheme);
      const clients = await Promise.all(Array.from({ length: 3 }, () => dialled(server)));
      for (const client of clients) {
        await client.send("hello");
        assert.equal(await client.receive(), "hello");
      }
      const [, ...infos] = await Promise.all([server.close(), ...clients.map(closingAtEnd)]);
      for (const info of infos) {
        assert.equal(info.by, "peer");
        assert.equal(info.wasClean, true);
        assert.equal(info.code, scheme.startsWith("ws") ? 1001 : 1000);
      }
      assert.equal(server.connections.size, 0);
      assert.equal(openSockets(), before);
    });
  }

  it("sends the given code and reason", async () => {
    const server = await opened("ws");
    await using client = await dialled(server);
    await server.close({ code: 1012, reason: "back in a minute" });
    const { code, reason } = await client.closed;
    assert.deepEqual([code, reason], [1012, "back in a minute"]);
  });

  it("sends queued messages first", async () => {
    const server = await opened("ws");
    await using client = await dialled(server);
    await client.ping();
    const [served] = server.connections;
    for (const word of ["one", "two", "three"]) served?.trySend(word);
    const closing = server.close();
    const words = [];
    for await (const word of client) words.push(word);
    assert.deepEqual(words, ["one", "two", "three"]);
    await closing;
  });

  for (const scheme of ["ws", "tcp"] as const) {
    it(`waits for a peer that does not answer until drain has expired, and then terminates it: ${scheme}`, async () => {
      const clock = new ManualClock();
      const endless = { closeTimeout: Infinity, lingerTimeout: Infinity, idleTimeout: Infinity };
      const heartbeat = { interval: Infinity };
      const server = await opened(scheme, { clock, ...endless, heartbeat });
      await using mute = scheme === "ws" ? await upgraded(portOf(server)) : await RawPeer.to(portOf(server));
      mute.write(scheme === "ws" ? peerFrame({ opcode: 1, payload: "hello", key: KEY }) : "hello\n");
      await mute.until(({ text }) => text.includes("hello"));
      const [served] = server.connections;
      const state = watched(server.close({ drain: 3_000 }));
      if (scheme === "ws") await mute.until(({ bytes }) => bytes.subarray(-4).equals(Buffer.of(0x88, 2, 3, 233)));
      else await mute.until(({ ended }) => ended);
      await clock.advance(2_999);
      assert.equal(state.settled, false);
      assert.equal(served?.state, "CLOSING");
      await clock.advance(1);
      await state.closing;
      assert.equal(served?.state, "CLOSED");
      assert.equal((await served.closed).wasClean, false);
    });
  }

  it("with drain 0 does not wait", async () => {
    const server = await opened("ws");
    await using mute = await upgraded(portOf(server));
    await server.close({ drain: 0 });
    await mute.closed;
  });

  it("with drain Infinity, or above the maximum of a timer, waits for closeTimeout", async () => {
    for (const drain of [Infinity, 2 ** 31, Number.MAX_VALUE]) {
      const warned: Error[] = [];
      const warn = (warning: Error): void => void warned.push(warning);
      process.on("warning", warn);
      const clock = new ManualClock();
      const server = await opened("ws", { clock, closeTimeout: 5_000 });
      await using mute = await upgraded(portOf(server));
      const state = watched(server.close({ drain }));
      await mute.until(({ text }) => text.includes("\x88"));
      await clock.advance(4_999);
      assert.equal(state.settled, false);
      await clock.advance(1);
      await state.closing;
      process.off("warning", warn);
      assert.deepEqual(warned, []);
    }
  });

  it("with opening lets accepted sockets become connections, and then closes them", async () => {
    const server = await opened("ws");
    await using late = await RawPeer.to(portOf(server));
    const state = watched(server.close({ opening: 60_000 }));
    await assert.rejects(connect(server.url), { phase: "tcp" });
    assert.equal(state.settled, false);
    late.write(upgradeRequest());
    await late.until(({ text }) => text.includes("101 ") && text.includes("\x88\x02\x03\xe9"));
    late.write(peerFrame({ opcode: 8, payload: Buffer.of(3, 233), key: KEY }));
    late.socket.end();
    await state.closing;
  });

  it("with opening does so also if other connections have just ended", async () => {
    const server = await opened("ws");
    const clients = await Promise.all([dialled(server), dialled(server)]);
    await using late = await RawPeer.to(portOf(server));
    // The server has accepted that socket when it has answered a later one.
    await refused(portOf(server), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    for (const connection of server.connections) connection.terminate();
    const state = watched(server.close({ opening: 60_000 }));
    await Promise.all(clients.map(({ closed }) => closed));
    late.write(upgradeRequest());
    await late.until(({ text }) => text.includes("101 ") && text.includes("\x88\x02\x03\xe9"));
    late.socket.destroy();
    await state.closing;
  });

  it("with opening waits for a silent client no longer than that", async () => {
    const clock = new ManualClock();
    const server = await opened("ws", { clock });
    await using silent = await RawPeer.to(portOf(server));
    await using asked = await RawPeer.to(portOf(server));
    // The server has accepted both sockets when it has answered the later one.
    asked.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await asked.until(({ text }) => text.includes("426"));
    const state = watched(server.close({ opening: 1_000 }));
    // Each check takes a turn of the event loop and an advance of the clock.
    for (let at = 0; at < 995; at += 5) {
      await clock.advance(5);
      assert.equal(state.settled, false);
    }
    while (!state.settled) {
      await clock.advance(5);
      await new Promise(setImmediate);
    }
    await silent.until(({ ended }) => ended);
  });

  it("refuses new connections meanwhile", async () => {
    const server = await opened("ws");
    await using mute = await upgraded(portOf(server));
    const state = watched(server.close());
    await assert.rejects(connect(server.url), (error: unknown) => {
      assert.ok(error instanceof HandshakeError);
      assert.equal(error.phase, "tcp");
      return true;
    });
    assert.equal(state.settled, false);
    mute.socket.destroy();
    await state.closing;
  });

  it("waits for the first close if it is called again, with any options", async () => {
    const server = await opened("ws");
    await using mute = await upgraded(portOf(server));
    const first = watched(server.close({ drain: Infinity }));
    const second = watched(server.close({ drain: 0 }));
    await using _third = { [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
    await mute.until(({ text }) => text.includes("\x88"));
    assert.deepEqual([first.settled, second.settled], [false, false]);
    mute.socket.destroy();
    await Promise.all([first.closing, second.closing]);
    await server.close();
  });

  it("is refused with invalid options, before it has begun", async () => {
    await using server = await opened("ws");
    await using client = await dialled(server);
    for (const [options, name] of [
      [{ retryAfter: -1 }, "RangeError"],
      [{ retryAfter: Infinity }, "RangeError"],
      [{ retryAfter: "5" as unknown as number }, "TypeError"],
      [{ reason: "x".repeat(120), retryAfter: 5_000 }, "RangeError"],
      [{ drain: -1 }, "RangeError"],
      [{ drain: Number.NaN }, "RangeError"],
      [{ opening: -1 }, "RangeError"],
      [{ opening: "5" as unknown as number }, "TypeError"],
      [{ drain: "5" as unknown as number }, "TypeError"],
      [{ code: 1006 }, "RangeError"],
      [{ code: 999 }, "RangeError"],
      [{ reason: "x".repeat(124) }, "RangeError"],
      [{ reason: 5 as unknown as string }, "TypeError"],
    ] as const) {
      await assert.rejects(server.close(options), { name });
    }
    await client.send("still here");
    assert.equal(await client.receive(), "still here");
    await using _another = await dialled(server);
  });

  for (const scheme of ["ws", "wss", "tls"] as const) {
    it(`frees at once the sockets that have not become connections: ${scheme}`, async () => {
      const before = openSockets();
      const server = await opened(scheme, { openTimeout: 3_600_000 });
      await using silent = await RawPeer.to(portOf(server));
      await using halfway = await RawPeer.to(portOf(server));
      if (scheme === "ws") halfway.write(upgradeRequest().slice(0, 30));
      await using client = await dialled(server);
      const [, { wasClean }] = await Promise.all([server.close(), closingAtEnd(client)]);
      assert.ok(wasClean);
      await Promise.all([silent, halfway].map((peer) => peer.until(({ ended }) => ended)));
      for (const { socket } of [silent, halfway]) socket.destroy();
      await Promise.all([silent.closed, halfway.closed]);
      assert.equal(openSockets(), before);
    });
  }

  it("answers 503 to requests without a decision, and aborts their signal", async () => {
    const asked: AbortSignal[] = [];
    let tell: () => void = () => undefined;
    const reports = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const authorize = ({ signal }: { signal: AbortSignal }): Promise<undefined> => {
      asked.push(signal);
      tell();
      return new Promise(() => undefined);
    };
    const server = await opened("ws", { authorize, openTimeout: Infinity });
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest());
    await reports;
    await server.close();
    assert.equal((await peer.head()).status, 503);
    assert.equal(asked[0]?.aborted, true);
  });

  it("leaves no connection that is being accepted when it begins, at any step", async () => {
    for (let steps = 0; steps < 16; steps += 1) {
      let answer: (data: undefined) => void = () => undefined;
      let tell: () => void = () => undefined;
      const reports = new Promise<void>((resolve) => {
        tell = resolve;
      });
      const authorize = (): Promise<undefined> => {
        tell();
        return new Promise((resolve) => {
          answer = resolve;
        });
      };
      const server = await opened("ws", { authorize });
      await using peer = await RawPeer.to(portOf(server));
      peer.write(upgradeRequest());
      await reports;
      answer(undefined);
      for (let step = 0; step < steps; step += 1) await undefined;
      const closing = server.close();
      const { status } = await peer.head();
      assert.ok(status === 503 || status === 101, String(status));
      // An accepted connection receives a Close. Any other client receives only the 503.
      if (status === 101) await peer.until(({ bytes }) => bytes.includes(Buffer.of(0x88, 2, 3, 233)));
      peer.socket.destroy();
      await closing;
      assert.equal(server.connections.size, 0);
    }
  });

  it("refuses a later request on a socket that was accepted before, and does not call authorize for it", async () => {
    const paths: string[] = [];
    const server = await opened("ws", { authorize: ({ path }) => void paths.push(path) });
    await using mute = await upgraded(portOf(server));
    await using late = await RawPeer.to(portOf(server));
    // When this client has its answer, the socket before it has been accepted.
    await using client = await dialled(server);
    await client.ping();
    const state = watched(server.close({ drain: Infinity }));
    await client.closed;
    late.write(upgradeRequest("/late"));
    // Newer versions of Node close a socket without a request as soon as the server closes.
    const answer = await late.head().catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 503);
    assert.deepEqual(paths, ["/", "/"]);
    assert.equal(state.settled, false);
    mute.socket.destroy();
    await state.closing;
  });

  it("refuses a socket whose TLS handshake completes later", async () => {
    const server = await opened("tls");
    const late = dial(portOf(server), "127.0.0.1");
    await once(late, "connect");
    const client = await dialled(server);
    await client.send("hello");
    await client.receive();
    const closing = server.close({ drain: Infinity });
    const secure = tlsConnect({ socket: late, ca: LOCALHOST.cert }).on("error", () => undefined);
    await once(secure, "close");
    assert.equal(server.connections.size, 1);
    await Promise.all([closing, client.close()]);
  });

  it("closes all connections if there are more than one batch", async () => {
    const server = await opened("tcp", { backlog: 1_024 });
    const peers = await Promise.all(Array.from({ length: 600 }, () => RawPeer.to(portOf(server))));
    for (const peer of peers) peer.write("hello\n");
    await Promise.all(peers.map((peer) => peer.until(({ text }) => text === "hello\n")));
    assert.equal(server.connections.size, 600);
    for (const peer of peers) peer.socket.once("end", () => peer.socket.end());
    await server.close();
    assert.equal(server.connections.size, 0);
    assert.deepEqual(new Set(await Promise.all(peers.map((peer) => peer.closed))), new Set([undefined]));
  });

  it("may be called by a handler, which is then one of those that end", async () => {
    const server: Server = await listen("ws://127.0.0.1:0", async (connection) => {
      await connection.receive();
      // It must not wait for this promise: it would wait for its own end.
      void server.close();
    });
    await using client = await connect(server.url);
    await client.send("stop");
    assert.equal((await client.closed).code, 1001);
    await server.close();
  });

  it("is called when the scope of the server is left", async () => {
    let client: Connection<undefined>;
    {
      await using server = await opened("ws");
      client = await connect(server.url);
    }
    assert.equal((await client.closed).code, 1001);
  });
});

describe("a server's connections", LIMIT, () => {
  it("are those that are open or closing", async () => {
    await using server = await opened("ws");
    assert.equal(server.connections.size, 0);
    await using one = await dialled(server);
    await using two = await dialled(server);
    await Promise.all([one.ping(), two.ping()]);
    assert.equal(server.connections.size, 2);
    const [first] = server.connections;
    await one.close();
    await first?.closed;
    assert.equal(server.connections.size, 1);
    assert.ok([...server.connections].every(({ state }) => state === "OPEN"));
  });
});

describe("a handler", LIMIT, () => {
  const endings: Record<string, [() => void | Promise<void>, number]> = {
    returns: [() => undefined, 1000],
    "returns later": [async () => await once(AbortSignal.timeout(1), "abort").then(() => undefined), 1000],
    throws: [() => assert.fail("as it should"), 1011],
    rejects: [() => Promise.reject(new Error("as it should")), 1011],
  };
  for (const [how, [handler, code]] of Object.entries(endings)) {
    it(`that ${how} ends its connection with ${code}, and no other`, async () => {
      const reports: unknown[] = [];
      const all = { onError: (error: unknown) => reports.push(error) };
      await using server = await listen("ws://127.0.0.1:0", all, (connection) =>
        connection.url.endsWith("/leave") ? handler() : echo(connection),
      );
      await using other = await connect(server.url);
      await using client = await connect(`${server.url}/leave`);
      assert.equal((await client.closed).code, code);
      assert.equal(reports.length, code === 1011 ? 1 : 0);
      await other.send("hello");
      assert.equal(await other.receive(), "hello");
    });
  }

  it("gets an error if its peer has ended, and onError is not called", async () => {
    const reports: unknown[] = [];
    let tell: (error: unknown) => void;
    const seen = new Promise((resolve) => {
      tell = resolve;
    });
    const options = { onError: (error: unknown) => reports.push(error) };
    await using server = await listen("ws://127.0.0.1:0", options, async (connection) => {
      try {
        await connection.receive();
      } catch (error) {
        tell(error);
        throw error;
      }
    });
    await using peer = await upgraded(portOf(server));
    const [served] = server.connections;
    peer.socket.resetAndDestroy();
    assert.equal(await seen, (await served?.closed)?.cause);
    await server.close();
    assert.deepEqual(reports, []);
  });
});

/** S4: what a reader and a writer get: a message, an error or the end. Nothing is swallowed. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  ClosedError,
  type CloseInfo,
  type Connection,
  connect,
  HandshakeError,
  isConnectionError,
  listen,
  type Message,
  reconnect,
} from "../../src/index.ts";
import { type Pair, pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { FrameReader, joined, KEY, peerFrame } from "../kit/frames.ts";
import { rawServer } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const both = ({ protocol, options }: WireProtocol): Pair => pair({ kind: protocol, ...options });
const raw = ({ protocol, options }: WireProtocol, more: object = {}): Wired =>
  wired({ kind: protocol, ...options, ...more });

async function drained(connection: Connection): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of connection) messages.push(message);
  return messages;
}

describe("S4-1 a reader gets a message, an error or the end", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const clean: Record<string, (pair: Pair) => unknown> = {
      "the peer's close": ({ server }) => server.close(),
      "a close of its own": ({ client }) => client.close(),
    };
    for (const [what, end] of Object.entries(clean)) {
      it(`S4-1 the iterator ends at ${what}, on ${wire.name}`, async () => {
        const scene = both(wire);
        const reading = drained(scene.client);
        await Promise.all(["one", "two"].map((message) => scene.server.send(message)));
        await settled();
        end(scene);
        assert.deepEqual(await reading, ["one", "two"]);
        // As handlers do after their loops. On TCP each side closes its own half.
        const [{ wasClean, cause }] = await Promise.all([scene.client.close(), scene.server.close()]);
        assert.deepEqual([wasClean, cause], [true, undefined]);
      });
    }

    const abnormal: Record<string, { end: (wired: Wired) => unknown; error: object }> = {
      "a reset": { end: ({ peer }) => peer.reset(), error: { code: "TRANSPORT", errno: "ECONNRESET" } },
      "an end inside a message": {
        end: ({ peer }) => {
          peer.write(wire.message("half").subarray(0, 3));
          peer.end();
        },
        error: { code: "PROTOCOL", clause: "unexpected-eof" },
      },
      "a message that is too large": {
        end: ({ peer }) => peer.write(wire.message("x".repeat(99))),
        error: { code: "LIMIT", limit: "maxMessageSize", maximum: 50 },
      },
      "a limit of time": {
        end: ({ clock }) => clock.advance(200_000),
        error: { code: "TIMEOUT", limit: wire.protocol === "tcp" ? "idleTimeout" : "heartbeat.timeout" },
      },
      "terminate with a cause": {
        end: ({ connection }) => connection.terminate(new Error("enough")),
        error: { code: "CLOSED", wasClean: false },
      },
    };
    if (wire.protocol === "websocket") {
      const close = { code: "CLOSED", closeCode: 1006, wasClean: false };
      abnormal["a FIN without a Close frame"] = { end: ({ peer }) => peer.end(), error: close };
      const frame = peerFrame({ opcode: 3, key: KEY });
      abnormal["a broken rule"] = { end: ({ peer }) => peer.write(frame), error: { code: "PROTOCOL", by: "peer" } };
    }
    for (const [what, { end, error }] of Object.entries(abnormal)) {
      it(`S4-1 the iterator throws at ${what}, after the messages before it, on ${wire.name}`, async () => {
        const scene = raw(wire, { connection: { maxMessageSize: 50 } });
        const read: Message[] = [];
        const reading = (async () => {
          for await (const message of scene.connection) read.push(message);
        })();
        const thrown = assert.rejects(reading, error);
        scene.peer.write(wire.message("before"));
        await settled();
        await end(scene);
        await thrown;
        assert.deepEqual(read, ["before"]);
      });

      it(`S4-1 if nothing reads, closed and the hook report the error, at ${what}, on ${wire.name}`, async () => {
        const told: CloseInfo[] = [];
        const close = (_: Connection, info: CloseInfo): void => void told.push(info);
        const scene = raw(wire, { connection: { maxMessageSize: 50, close } });
        await settled();
        await end(scene);
        await scene.clock.advance(5_000);
        const info = await scene.connection.closed;
        assert.deepEqual(told, [info]);
        assert.equal(info.wasClean, false);
        const cause = info.cause as Error;
        if (what.startsWith("terminate")) assert.equal((cause.cause as Error).message, "enough");
        assert.deepEqual({ ...cause, ...error }, { ...cause });
      });
    }
  }
});

describe("S4-2 an end has a code, a reason, wasClean, and the phase that was reached", () => {
  it("S4-2 a close has code, reason and wasClean, in events and in properties", async () => {
    const { client, server } = pair();
    const waiting = client.receive().catch((error: unknown) => error);
    await server.close(1012, "back in a minute");
    const error = await waiting;
    assert.ok(error instanceof ClosedError);
    const { closeCode, reason, wasClean, by } = error;
    assert.deepEqual([closeCode, reason, wasClean, by], [1012, "back in a minute", true, "peer"]);
    const info = await client.closed;
    assert.deepEqual(info, { code: 1012, reason: "back in a minute", wasClean: true, by: "peer", cause: error });
  });

  it("S4-2 an end without a Close has the code 1006, and its cause", async () => {
    const { client, link } = pair();
    link.reset();
    const { code, reason, wasClean, by, cause } = await client.closed;
    assert.deepEqual([code, reason, wasClean, by], [1006, "", false, "peer"]);
    assert.equal((cause as { errno?: string }).errno, "ECONNRESET");
  });

  it("S4-2 a refused handshake has its phase and its status", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.socket.end("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    });
    const error = await connect(`ws://127.0.0.1:${server.port}`).catch((failure: unknown) => failure);
    assert.ok(error instanceof HandshakeError);
    const { phase, status, headers } = error;
    assert.deepEqual([phase, status, headers["retry-after"]], ["upgrade", 503, "7"]);
  });

  for (const wire of WIRE_PROTOCOLS) {
    it(`S4-2 a refused connection has its phase, on ${wire.name}`, async () => {
      const gone = await rawServer(() => undefined);
      await gone[Symbol.asyncDispose]();
      const url = wire.url.replace(":0", `:${gone.port}`);
      await assert.rejects(connect(url, wire.options), { code: "HANDSHAKE", phase: "tcp", status: undefined });
    });
  }

  it("S4-2 the reconnect policy gets code, reason, error, wasClean and phase", async () => {
    await using server = await listen("ws://127.0.0.1:0", async (connection) => {
      await connection.close(1012, "back in a minute");
    });
    const gone = await rawServer(() => undefined);
    await gone[Symbol.asyncDispose]();
    const seen: unknown[] = [];
    const targets = [`ws://127.0.0.1:${gone.port}`, server.url];
    const ended = reconnect(
      () => targets.shift() as string,
      async (connection) => {
        for await (const _ of connection);
      },
      {
        initialPause: 1,
        shouldReconnect: ({ phase, code, reason, wasClean, by, error }) => {
          assert.ok(isConnectionError(error));
          seen.push({ phase, code, reason, wasClean, by, error: error.code });
          return seen.length < 2;
        },
      },
    );
    await assert.rejects(ended, { code: "CLOSED", closeCode: 1012 });
    assert.deepEqual(seen, [
      { phase: "tcp", code: undefined, reason: "", wasClean: false, by: undefined, error: "HANDSHAKE" },
      { phase: "session", code: 1012, reason: "back in a minute", wasClean: true, by: "peer", error: "CLOSED" },
    ]);
  });
});

describe("S4-3 a message of an unexpected type does not end the loop", () => {
  it("S4-3 text, binary, ping and pong are each observed, and the loop continues", async () => {
    const seen: string[] = [];
    const { connection, peer } = wired({
      connection: {
        ping: (_, payload) => void seen.push(`ping ${Buffer.from(payload)}`),
        pong: (_, payload) => void seen.push(`pong ${Buffer.from(payload)}`),
      },
    });
    const loop = (async () => {
      for await (const message of connection) {
        seen.push(typeof message === "string" ? `text ${message}` : `binary ${Buffer.from(message)}`);
        if (message === "stop") break;
      }
    })();
    const mix: readonly [number, string][] = [
      ...([1, 2, 9, 10, 2, 1, 10, 9] as const).map((opcode, index): [number, string] => [opcode, `${index}`]),
      [1, ""],
      [2, ""],
      [9, ""],
      [1, "stop"],
    ];
    // One at a time: hooks are called as frames are read, and messages when the loop requests them.
    for (const [opcode, payload] of mix) {
      peer.write(peerFrame({ opcode, payload, key: KEY }));
      await settled();
    }
    await loop;
    const names: Record<number, string> = { 1: "text", 2: "binary", 9: "ping", 10: "pong" };
    assert.deepEqual(
      seen,
      mix.map(([opcode, payload]) => `${names[opcode]} ${payload}`),
    );
    assert.equal(connection.state, "OPEN");
    const pongs = new FrameReader().push(peer.received).map(({ opcode, payload }) => `${opcode} ${payload}`);
    assert.deepEqual(pongs, ["10 2", "10 7", "10 "]);
  });

  it("S4-3 on framed TCP every line is a message, with any content", async () => {
    const { connection, peer } = raw(WIRE_PROTOCOLS[1] as WireProtocol);
    const reading = drained(connection);
    peer.write("\n\u0000\u0001\n\u{1f600}\r\n");
    peer.end();
    assert.deepEqual(await reading, ["", "\u0000\u0001", "\u{1f600}"]);
  });
});

describe("S4-15 a send that fails does not end the process", () => {
  const program = fileURLToPath(new URL("broken-pipe.js", import.meta.url));
  for (const { name, protocol } of WIRE_PROTOCOLS) {
    it(`S4-15 for each call, whether or not its promise is handled, on ${name}`, async () => {
      const {
        status,
        stdout: said,
        stderr: complained,
      } = await ChildProgram.run(program, [protocol], { stderr: "kept" });
      // One for the call that refuses without room and whose promise is dropped.
      const expected = "survived, with 1 report of refused messages\n";
      assert.deepEqual({ status, complained, said }, { status: 0, complained: "", said: expected });
    });
  }
});

it("S4-15 a message whose promise was dropped is still accounted for by closed", async () => {
  const { connection, peer } = wired({ capacity: 64 });
  peer.pause();
  void connection.send(joined(new Uint8Array(100)));
  void connection.send("never");
  await settled();
  peer.reset();
  const { wasClean, cause } = await connection.closed;
  assert.deepEqual([wasClean, (cause as { errno: string }).errno], [false, "ECONNRESET"]);
  void connection.send("too late");
  void connection.ping();
  void connection.drain();
  await settled();
});

/** What `close()` of this side can do, on real sockets: a Close frame without a code, and messages that arrive behind it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { WebSocket } from "ws";
import {
  type Connection,
  type ConnectionOptions,
  connect,
  type Framing,
  listen,
  type Message,
  ReconnectingConnection,
} from "../../src/index.ts";
import { pair, wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { type Frame, framesIn, KEY, peerFrame } from "../kit/frames.ts";
import { portOf, RawPeer, rawServer, switchingTo, upgraded } from "../kit/raw-peer.ts";

interface Opened extends AsyncDisposable {
  readonly connection: Connection;
  readonly peer: RawPeer;
  readonly role: "server" | "client" | "tcp";
}

/** The frames behind the head that the raw peer has received. */
function framesTo(peer: RawPeer): readonly Frame[] {
  return framesIn(peer.bytes.subarray(peer.bytes.indexOf("\r\n\r\n") + 4));
}

async function opened(role: "server" | "client" | "tcp", options: ConnectionOptions = {}): Promise<Opened> {
  if (role === "client") {
    const server = await rawServer(async (peer) => {
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.write(switchingTo(peer.text));
    });
    const connection = await connect(`ws://127.0.0.1:${server.port}`, options);
    const [peer] = server.peers as [RawPeer];
    const dispose = (): PromiseLike<void> => {
      connection.terminate();
      return server[Symbol.asyncDispose]();
    };
    return { connection, peer, role, [Symbol.asyncDispose]: async () => await dispose() };
  }
  const found = deferred<Connection>();
  const open = (connection: Connection): void => found.resolve(connection);
  const framing: { framing?: Framing } = role === "tcp" ? { framing: "lines" } : {};
  const server = await listen(role === "tcp" ? "tcp://127.0.0.1:0" : "ws://127.0.0.1:0", {
    ...options,
    ...framing,
    open,
  });
  const peer = role === "tcp" ? await RawPeer.to(portOf(server)) : await upgraded(portOf(server));
  return {
    connection: await found.promise,
    peer,
    role,
    [Symbol.asyncDispose]: async () => {
      await peer[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

/** A message from the raw peer, and its end: a Close frame, on TCP nothing. */
function text({ role }: Opened, payload: string): Uint8Array {
  if (role === "tcp") return Buffer.from(`${payload}\n`);
  return peerFrame({ opcode: 1, payload, ...(role === "server" && { key: KEY }) });
}
function closeFrame({ role }: Opened): Uint8Array {
  if (role === "tcp") return new Uint8Array();
  return peerFrame({ opcode: 8, payload: Uint8Array.of(3, 0xe8), ...(role === "server" && { key: KEY }) });
}

/** Waits until the peer has seen the close of this side, sends `messages`, and ends. */
async function answerClose(scene: Opened, ...messages: readonly string[]): Promise<void> {
  const { peer, role } = scene;
  await peer.until(() => (role === "tcp" ? peer.ended : framesTo(peer).some(({ opcode }) => opcode === 8)));
  peer.write(Buffer.concat([...messages.map((each) => text(scene, each)), closeFrame(scene)]));
  if (role !== "server") peer.socket.end();
  await peer.until(({ ended }) => ended);
  peer.socket.end();
}

describe("close(1005)", () => {
  for (const role of ["server", "client"] as const) {
    it(`sends a Close frame without a code, as a ${role}`, async () => {
      await using scene = await opened(role);
      const { connection, peer } = scene;
      const closing = connection.close(1005);
      await answerClose(scene);
      assert.deepEqual(
        framesTo(peer).map(({ opcode, payload }) => [opcode, payload.length]),
        [[8, 0]],
      );
      const { code, reason, by, wasClean } = await closing;
      assert.deepEqual({ code, reason, by, wasClean }, { code: 1005, reason: "", by: "local", wasClean: true });
    });
  }

  it("is 1005 for ws", async () => {
    await using server = await listen("ws://127.0.0.1:0", { open: (connection) => void connection.close(1005) });
    const theirs = new WebSocket(server.url);
    const [code, reason] = (await once(theirs, "close")) as [number, Buffer];
    assert.deepEqual([code, reason.length], [1005, 0]);
  });

  it("allows no reason, as a frame without a code has no place for one", async () => {
    const { client } = pair();
    await assert.rejects(client.close(1005, "because"), RangeError);
    assert.equal(client.state, "OPEN");
  });
});

describe("a message that arrives after close()", () => {
  for (const role of ["server", "client", "tcp"] as const) {
    it(`is dropped by default, as in browsers: ${role}`, async () => {
      const heard: Message[] = [];
      await using scene = await opened(role, { message: (_, message) => void heard.push(message) });
      const closing = scene.connection.close();
      await answerClose(scene, "late");
      assert.equal((await closing).wasClean, true);
      assert.deepEqual(heard, []);
    });

    it(`goes to the message hook with receiveWhileClosing: ${role}`, async () => {
      const heard: Message[] = [];
      await using scene = await opened(role, {
        receiveWhileClosing: true,
        message: (connection, message) => {
          heard.push(message);
          assert.equal(connection.trySend("answer"), role === "tcp" && message === "early" ? "sent" : "refused");
        },
      });
      const closing = scene.connection.close();
      await answerClose(scene, "late", "later");
      const { code, wasClean } = await closing;
      assert.deepEqual([code, wasClean], [1000, true]);
      assert.deepEqual(heard, ["late", "later"]);
    });

    it(`goes to receive and for await with it, which then end: ${role}`, async () => {
      await using scene = await opened(role, { receiveWhileClosing: true });
      const { connection } = scene;
      const first = connection.receive();
      const closing = connection.close();
      const answered = answerClose(scene, "one", "two", "three");
      assert.equal(await first, "one");
      const rest: Message[] = [];
      for await (const message of connection) rest.push(message);
      assert.deepEqual(rest, ["two", "three"]);
      await answered;
      await closing;
      await assert.rejects(connection.receive(), { code: "CLOSED", closeCode: 1000 });
    });
  }

  it("waits in the inbox, whose limit pauses reading, within closeTimeout", async () => {
    const { connection, peer, clock } = wired({
      connection: { receiveWhileClosing: true, maxInboxMessages: 2, closeTimeout: 1_000 },
    });
    const closing = connection.close();
    const frame = peerFrame({ opcode: 1, payload: "unread", key: KEY });
    peer.write(Buffer.concat([frame, frame, frame, peerFrame({ opcode: 8, key: KEY })]));
    await clock.advance(999);
    assert.equal(connection.state, "CLOSING");
    await clock.advance(2);
    const { cause, wasClean } = await closing;
    assert.equal(wasClean, false);
    assert.equal((cause as { limit?: string }).limit, "closeTimeout");
    assert.deepEqual([await connection.receive(), await connection.receive()], ["unread", "unread"]);
    await assert.rejects(connection.receive());
  });

  it("is delivered until a rule is broken, and the messages before are", async () => {
    const { connection, peer } = wired({ connection: { receiveWhileClosing: true } });
    const closing = connection.close();
    peer.write(
      Buffer.concat([
        peerFrame({ opcode: 1, payload: "good", key: KEY }),
        peerFrame({ opcode: 3, key: KEY }),
        peerFrame({ opcode: 1, payload: "behind", key: KEY }),
      ]),
    );
    assert.equal(await connection.receive(), "good");
    await assert.rejects(connection.receive(), { code: "PROTOCOL", reason: "invalid-opcode" });
    peer.end();
    assert.equal((await closing).wasClean, false);
  });

  it("is dropped at the end of a scope, and after the end of a handler", async () => {
    const heard: Message[] = [];
    const options: ConnectionOptions = { receiveWhileClosing: true, message: (_, message) => void heard.push(message) };
    {
      const { connection, peer } = wired({ connection: options });
      const disposed = connection[Symbol.asyncDispose]();
      peer.write(
        Buffer.concat([peerFrame({ opcode: 1, payload: "late", key: KEY }), peerFrame({ opcode: 8, key: KEY })]),
      );
      peer.end();
      await disposed;
    }
    await using server = await listen("ws://127.0.0.1:0", options, () => undefined);
    await using peer = await upgraded(portOf(server));
    const scene = { peer, role: "server" } as Opened;
    await answerClose(scene, "late");
    assert.deepEqual(heard, []);
  });

  it("is an option of a single connection", () => {
    const options = { receiveWhileClosing: true } as object;
    assert.throws(() => new ReconnectingConnection("ws://127.0.0.1:9", options), { message: /single connection/ });
    assert.throws(() => pair({ server: { receiveWhileClosing: 1 as never } }), TypeError);
  });
});

/** What the owner of an HTTP server can still do with its sockets while they carry WebSocket connections. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import { createServer as createSecure } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { describe, it } from "node:test";
import { attach, type Connection, connect, type Server } from "../../../src/index.ts";
import { prepareTransports } from "../../../src/transport/fast/select.ts";
import { handleOf, type NativeHandle, sharedWith, startReading } from "../../../src/transport/internals/tcp.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { deferred } from "../../kit/deferred.ts";
import { turns } from "../../kit/loop-turns.ts";

const skip =
  process.env["HOLDFAST_TRANSPORT"] === "socket"
    ? "the tests run without the fast transport"
    : process.platform !== "linux" && process.platform !== "darwin"
      ? "the fast transport is for Linux and macOS"
      : false;

/** An HTTP server with an echo, one client, and the socket of this client at the server. */
class Owned implements AsyncDisposable {
  readonly http: HttpServer;
  readonly echo: Server;
  readonly client: Connection;
  readonly connection: Connection;
  readonly socket: Socket;

  private constructor(http: HttpServer, echo: Server, client: Connection, connection: Connection, socket: Socket) {
    this.http = http;
    this.echo = echo;
    this.client = client;
    this.connection = connection;
    this.socket = socket;
  }

  static async open(secure: boolean): Promise<Owned> {
    await prepareTransports({ secure, socketPath: undefined });
    const http = secure ? createSecure(LOCALHOST) : createServer();
    const opened = deferred<Connection>();
    const upgraded = once(http, "upgrade") as Promise<[unknown, Socket]>;
    const echo = attach(http, {
      open: (connection) => opened.resolve(connection),
      message: (connection, message) => void connection.trySend(message),
    });
    await once(http.listen(0, "127.0.0.1"), "listening");
    const url = `${secure ? "wss" : "ws"}://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const client = await connect(url, { tls: { ca: LOCALHOST.cert } });
    const [[, socket], connection] = await Promise.all([upgraded, opened.promise]);
    const owned = new Owned(http, echo, client, connection, socket);
    assert.equal(await owned.echoOf("first"), "first");
    assert.ok(sharedWith(socket) !== undefined, "the handle is shared");
    return owned;
  }

  async echoOf(message: string): Promise<unknown> {
    await this.client.send(message);
    return this.client.receive();
  }

  count(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.http.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.terminate();
    await this.client.closed;
    await this.echo.close();
    if (this.http.listening) this.http.close();
    this.http.closeAllConnections();
  }
}

for (const secure of [false, true]) {
  describe(`the owner of a socket of node:http${secure ? "s" : ""}`, { skip, timeout: 60_000 }, () => {
    const ends: Record<string, (socket: Socket) => void> = {
      destroy: (socket) => socket.destroy(),
      "destroy with an error": (socket) => socket.destroy(new Error("the owner has had enough")),
      destroySoon: (socket) => socket.destroySoon(),
      "end and destroy": (socket) => socket.end(() => socket.destroy()),
      ...(secure ? {} : { resetAndDestroy: (socket: Socket) => socket.resetAndDestroy() }),
    };
    for (const [name, end] of Object.entries(ends)) {
      it(`ends the connection with ${name}, and gets close`, async () => {
        await using owned = await Owned.open(secure);
        assert.equal(await owned.count(), 1);
        const closed = once(owned.socket, "close").catch(() => undefined);
        end(owned.socket);
        // A write between the end and its event fails, and does no harm.
        owned.connection.trySend("too late");
        await Promise.all([closed, owned.connection.closed, owned.client.closed]);
        assert.equal(owned.socket.destroyed, true);
        assert.equal(await owned.count(), 0);
      });
    }

    it("may start to read a handle that reads already, because the socket and the connection both start it", async () => {
      await using owned = await Owned.open(secure);
      assert.equal(startReading(handleOf(owned.socket) as NativeHandle), 0);
      assert.equal(await owned.echoOf("second"), "second");
    });

    it("ends the connection with destroy in the middle of messages of both sides", async () => {
      await using owned = await Owned.open(secure);
      const large = new Uint8Array(100_000);
      for (let round = 0; round < 10; round += 1) {
        owned.client.trySend(large);
        owned.connection.trySend(large);
      }
      await turns(2);
      owned.socket.destroy();
      await Promise.all([owned.connection.closed, owned.client.closed]);
      assert.equal(await owned.count(), 0);
    });

    it("sends a FIN with end, and the client's answer ends the connection", async () => {
      await using owned = await Owned.open(secure);
      owned.socket.end();
      await Promise.all([once(owned.socket, "close"), owned.connection.closed, owned.client.closed]);
      assert.equal(await owned.count(), 0);
    });

    it("gets end and close when the client leaves", async () => {
      await using owned = await Owned.open(secure);
      const events: string[] = [];
      owned.socket.on("end", () => events.push("end")).on("close", () => events.push("close"));
      const closed = once(owned.socket, "close");
      await owned.client.close();
      await Promise.all([closed, owned.connection.closed]);
      assert.equal(events.at(-1), "close");
      assert.equal(await owned.count(), 0);
    });

    it("waits with close of the server until the connection has ended", async () => {
      await using owned = await Owned.open(secure);
      const closed = new Promise((resolve) => owned.http.close(resolve));
      owned.http.closeIdleConnections();
      owned.http.closeAllConnections();
      // The server has passed the socket on: as without this library, its calls do not end an upgraded connection.
      assert.equal(await owned.echoOf("still here"), "still here");
      assert.equal(await owned.count(), 1);
      await owned.client.close();
      await closed;
    });

    it("sees the bytes in the counters of the socket", async () => {
      await using owned = await Owned.open(secure);
      const { bytesRead, bytesWritten } = owned.socket;
      assert.equal(await owned.echoOf("x".repeat(10_000)), "x".repeat(10_000));
      assert.ok(owned.socket.bytesRead >= bytesRead + 10_000);
      assert.ok(owned.socket.bytesWritten >= bytesWritten + 10_000);
    });

    it("sees the bytes with a data listener from then on, and the connection still gets them", async () => {
      await using owned = await Owned.open(secure);
      let size = 0;
      const count = (chunk: Buffer): void => {
        size += chunk.length;
      };
      owned.socket.on("data", count);
      assert.equal(await owned.echoOf("x".repeat(1_000)), "x".repeat(1_000));
      assert.ok(size >= 1_000, `${size}`);
      owned.socket.off("data", count);
      assert.equal(await owned.echoOf("again"), "again");
    });

    it("stops the messages with pause, until resume", async () => {
      await using owned = await Owned.open(secure);
      owned.socket.pause();
      await owned.client.send("later");
      const answer = owned.client.receive();
      await turns(20);
      assert.equal(owned.socket.readableLength > 0, true);
      owned.socket.resume();
      assert.equal(await answer, "later");
      assert.equal(await owned.echoOf("and now"), "and now");
    });

    it("gets no timeout while there is traffic, and one after it", async () => {
      await using owned = await Owned.open(secure);
      let timeouts = 0;
      owned.socket.setTimeout(300, () => {
        timeouts += 1;
      });
      // On a busy machine one message can last as long as the timeout.
      let slowest = 0;
      const began = performance.now();
      for (let before = began; before < began + 1_000; before = performance.now()) {
        assert.equal(await owned.echoOf("x"), "x");
        slowest = Math.max(slowest, performance.now() - before);
      }
      assert.ok(timeouts === 0 || slowest > 250, `${timeouts} timeouts, at most ${slowest} ms between messages`);
      await once(owned.socket, "timeout");
      assert.equal(await owned.echoOf("y"), "y");
    });

    it("may write a frame of its own while a message of the connection is on its way", async () => {
      await using owned = await Owned.open(secure);
      // A text frame with one byte.
      const frame = (character: string): Buffer => Buffer.from([0x81, 1, character.charCodeAt(0)]);
      owned.connection.trySend("a");
      await turns(0);
      for (const character of "bcd") owned.socket.write(frame(character));
      await owned.connection.send("e");
      const received: unknown[] = [];
      while (received.length < 5) received.push(await owned.client.receive());
      assert.deepEqual(received.sort(), ["a", "b", "c", "d", "e"]);
      owned.socket.end(frame("f"));
      assert.equal(await owned.client.receive(), "f");
    });
  });
}

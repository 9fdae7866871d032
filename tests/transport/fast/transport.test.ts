/** The fast transport: which sockets it takes over, and what their former owners see. Everything else is in the contract. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { FastTransport } from "../../../src/transport/fast/transport.ts";
import { loadInternals } from "../../../src/transport/internals/tcp.ts";
import { SocketTransport } from "../../../src/transport/socket/socket.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { turns } from "../../kit/loop-turns.ts";
import { tcpSockets } from "../../kit/tcp-sockets.ts";
import { EventRecorder } from "../../kit/transport-pair.ts";

const skip =
  process.platform === "linux" || process.platform === "darwin" ? false : "the fast transport is for Linux and macOS";

const countOf = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

describe("the fast transport", { skip, timeout: 30_000 }, () => {
  before(loadInternals);

  it("delivers the bytes after an upgrade, then the bytes that the socket had read, then later bytes", async () => {
    const { client, accepted } = await tcpSockets();
    client.write("tail,");
    await once(accepted, "readable");
    const around = Buffer.from("-head,-");
    const transport = FastTransport.fromStream(accepted, around.subarray(1, 6))!;
    const recorded = new EventRecorder();
    recorded.onData = (chunk) => chunk.fill(0);
    transport.open(recorded);
    assert.deepEqual(recorded.log, []);
    client.end("more");
    await recorded.until(({ log }) => log.includes("ended"));
    assert.equal(recorded.received.toString(), "head,tail,more");
    assert.equal(around.toString(), "-head,-", "which is not ours");
    transport.abort();
    await recorded.end();
    client.destroy();
  });

  it("buffers them during a pause, and reports the FIN after them", async () => {
    const { client, accepted } = await tcpSockets();
    const transport = FastTransport.fromStream(accepted, Buffer.from("head,"))!;
    const recorded = new EventRecorder();
    transport.open(recorded);
    transport.pause();
    client.end("tail");
    await turns();
    assert.deepEqual(recorded.log, []);
    recorded.onData = () => {
      transport.pause();
      setImmediate(() => transport.resume());
    };
    transport.resume();
    await recorded.until(({ log }) => log.includes("ended"));
    assert.equal(recorded.received.toString(), "head,tail");
    transport.end();
    await recorded.end();
    client.destroy();
  });

  it("leaves a closed net.Socket that cannot affect the connection", async () => {
    const { client, accepted } = await tcpSockets();
    accepted.on("error", assert.fail).setTimeout(1);
    const closed = once(accepted, "close");
    const transport = FastTransport.fromStream(accepted)!;
    const recorded = new EventRecorder();
    transport.open(recorded);
    await closed;
    accepted.destroy();
    transport.write(Buffer.from("still here"));
    const [said] = await once(client, "data");
    assert.equal(String(said), "still here");
    client.destroy();
    recorded.onEnded = () => transport.end();
    await recorded.end();
    assert.equal(accepted.listenerCount("timeout") + accepted.listenerCount("connect"), 0);
  });

  it("is counted by the server that accepted it until its end", async () => {
    const { client, accepted, server } = await tcpSockets();
    client.on("error", () => undefined);
    let serverClosed = false;
    server.once("close", () => {
      serverClosed = true;
    });
    const transport = FastTransport.fromStream(accepted)!;
    const recorded = new EventRecorder();
    transport.open(recorded);
    await turns();
    assert.deepEqual([await countOf(server), serverClosed], [1, false]);
    transport.abort();
    await recorded.end();
    await turns();
    assert.deepEqual([await countOf(server), serverClosed], [0, true]);
    client.destroy();
  });

  for (const [name, transportOf] of [
    ["the fast transport", (socket: Socket) => FastTransport.fromStream(socket)!],
    ["the public transport", (socket: Socket) => new SocketTransport(socket)],
  ] as const) {
    it(`reports a reset during a pause, with undelivered bytes: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const recorded = new EventRecorder();
      transport.open(recorded);
      transport.pause();
      client.write("not taken");
      await turns();
      client.resetAndDestroy();
      await recorded.end();
      assert.deepEqual(
        [recorded.log, recorded.error?.errno, recorded.error?.syscall],
        [["closed"], "ECONNRESET", "read"],
      );
    });

    it(`reports a FIN during a pause, if no bytes are buffered: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const recorded = new EventRecorder();
      transport.open(recorded);
      transport.pause();
      client.end();
      await recorded.until(({ log }) => log.includes("ended"));
      transport.end();
      await recorded.end();
      assert.deepEqual(recorded.log, ["ended", "closed"]);
    });

    it(`reports the error of a failed write: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const recorded = new EventRecorder();
      transport.open(recorded);
      transport.pause();
      // More than is buffered, so that reading stops, and only a write can detect the end.
      client.write(Buffer.alloc(1_000_000));
      await turns();
      client.resetAndDestroy();
      await turns();
      transport.write(Buffer.from("too late"));
      await recorded.end();
      const { errno, syscall, cause } = recorded.error!;
      assert.ok(errno === "ECONNRESET" || errno === "EPIPE", errno);
      assert.equal((cause as Error).message, `${syscall} ${errno}`);
      assert.deepEqual(Object.keys(cause as Error), ["errno", "code", "syscall"]);
      assert.equal((cause as NodeJS.ErrnoException).code, errno);
    });
  }
});

describe("the fast transport does not take", { skip, timeout: 30_000 }, () => {
  before(loadInternals);

  class OwnSocket extends Socket {}
  const cases: Record<string, () => Promise<Socket[]>> = {
    "a unix socket": async () => {
      const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
      const path = join(folder, "socket");
      const server = createServer().listen(path);
      await once(server, "listening");
      const client = connect({ path });
      const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [[Socket], []];
      server.close();
      rmSync(folder, { recursive: true });
      return [accepted, client];
    },
    "a TLS socket": async () => {
      const server = createTlsServer(LOCALHOST).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const client = connectTls({ port, host: "127.0.0.1", ca: LOCALHOST.cert, servername: "localhost" });
      const ready = [once(server, "secureConnection"), once(client, "secureConnect")] as const;
      const [[accepted]] = (await Promise.all(ready)) as [[Socket], unknown];
      server.close();
      return [accepted, client];
    },
    "a socket of somebody's own class": async () => {
      const { client, accepted } = await tcpSockets();
      Object.setPrototypeOf(accepted, OwnSocket.prototype);
      return [accepted, client];
    },
    "a socket that is still connecting": async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
      await new Promise((resolve) => process.nextTick(resolve));
      server.close();
      return [client.on("error", () => undefined)];
    },
    "a socket with a write under way": async () => {
      const { client, accepted } = await tcpSockets();
      accepted.write(Buffer.alloc(16_777_216));
      return [accepted, client];
    },
    "a socket that has sent its FIN": async () => {
      const { client, accepted } = await tcpSockets();
      accepted.end();
      return [accepted, client];
    },
    "a socket that has read its peer's FIN": async () => {
      const { client, accepted } = await tcpSockets();
      client.end("last words");
      await once(accepted, "readable");
      await turns();
      return [accepted, client];
    },
    "a socket that is destroyed": async () => {
      const { client, accepted } = await tcpSockets();
      return [accepted.destroy(), client];
    },
  };
  for (const [what, make] of Object.entries(cases)) {
    it(`${what}, which stays as it was`, async () => {
      const [socket, ...others] = await make();
      const was = [socket!.destroyed, socket!.remoteAddress, socket!.readableLength, socket!.writableLength];
      assert.equal(FastTransport.fromStream(socket!), undefined);
      assert.deepEqual([socket!.destroyed, socket!.remoteAddress, socket!.readableLength, socket!.writableLength], was);
      for (const one of [socket!, ...others]) one.on("error", () => undefined).destroy();
    });
  }
});

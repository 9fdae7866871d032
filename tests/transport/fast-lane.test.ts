/** The fast lane: which sockets it takes, and what becomes of all that knew them. The rest is the contract's. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { FastLane } from "../../src/transport/fast-lane.js";
import { learn } from "../../src/transport/node-internals.js";
import { SocketTransport } from "../../src/transport/socket.js";
import { turns, Witness } from "../contract/line.js";
import { tcpSockets } from "../contract/tcp-sockets.js";
import { LOCALHOST } from "../fixtures/certificates.js";

const skip =
  process.platform === "linux" || process.platform === "darwin" ? false : "the fast lane is for Linux and macOS";

const countOf = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

describe("the fast lane", { skip, timeout: 30_000 }, () => {
  before(learn);

  it("gives what came behind an upgrade, then what the socket had read, then what comes", async () => {
    const { client, accepted } = await tcpSockets();
    client.write("tail,");
    await once(accepted, "readable");
    const around = Buffer.from("-head,-");
    const lane = FastLane.take(accepted, around.subarray(1, 6))!;
    const witness = new Witness();
    witness.onData = (chunk) => chunk.fill(0);
    lane.open(witness);
    assert.deepEqual(witness.log, []);
    client.end("more");
    await witness.until(({ log }) => log.includes("ended"));
    assert.equal(witness.received.toString(), "head,tail,more");
    assert.equal(around.toString(), "-head,-", "which is not ours");
    lane.abort();
    await witness.end();
    client.destroy();
  });

  it("keeps them during a pause, and tells the FIN behind them", async () => {
    const { client, accepted } = await tcpSockets();
    const lane = FastLane.take(accepted, Buffer.from("head,"))!;
    const witness = new Witness();
    lane.open(witness);
    lane.pause();
    client.end("tail");
    await turns();
    assert.deepEqual(witness.log, []);
    witness.onData = () => {
      lane.pause();
      setImmediate(() => lane.resume());
    };
    lane.resume();
    await witness.until(({ log }) => log.includes("ended"));
    assert.equal(witness.received.toString(), "head,tail");
    lane.end();
    await witness.end();
    client.destroy();
  });

  it("leaves a socket behind that is closed, and can do nothing to the connection", async () => {
    const { client, accepted } = await tcpSockets();
    accepted.on("error", assert.fail).setTimeout(1);
    const closed = once(accepted, "close");
    const lane = FastLane.take(accepted)!;
    const witness = new Witness();
    lane.open(witness);
    await closed;
    accepted.destroy();
    lane.write(Buffer.from("still here"));
    const [said] = await once(client, "data");
    assert.equal(String(said), "still here");
    client.destroy();
    witness.onEnded = () => lane.end();
    await witness.end();
    assert.equal(accepted.listenerCount("timeout") + accepted.listenerCount("connect"), 0);
  });

  it("is counted by the server that accepted it until its end, and not longer", async () => {
    const { client, accepted, server } = await tcpSockets();
    client.on("error", () => undefined);
    let serverClosed = false;
    server.once("close", () => {
      serverClosed = true;
    });
    const lane = FastLane.take(accepted)!;
    const witness = new Witness();
    lane.open(witness);
    await turns();
    assert.deepEqual([await countOf(server), serverClosed], [1, false]);
    lane.abort();
    await witness.end();
    await turns();
    assert.deepEqual([await countOf(server), serverClosed], [0, true]);
    client.destroy();
  });

  for (const [name, transportOf] of [
    ["the fast lane", (socket: Socket) => FastLane.take(socket)!],
    ["the public transport", (socket: Socket) => new SocketTransport(socket)],
  ] as const) {
    it(`tells a reset although it was paused, and has something that was not taken: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const witness = new Witness();
      transport.open(witness);
      transport.pause();
      client.write("not taken");
      await turns();
      client.resetAndDestroy();
      await witness.end();
      assert.deepEqual([witness.log, witness.error?.errno, witness.error?.syscall], [["closed"], "ECONNRESET", "read"]);
    });

    it(`tells a FIN although it was paused, if nothing is left: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const witness = new Witness();
      transport.open(witness);
      transport.pause();
      client.end();
      await witness.until(({ log }) => log.includes("ended"));
      transport.end();
      await witness.end();
      assert.deepEqual(witness.log, ["ended", "closed"]);
    });

    it(`tells what a write failed with: ${name}`, async () => {
      const { client, accepted } = await tcpSockets();
      const transport = transportOf(accepted);
      const witness = new Witness();
      transport.open(witness);
      transport.pause();
      // More than is kept, so that nobody reads, and only the write can find out.
      client.write(Buffer.alloc(1_000_000));
      await turns();
      client.resetAndDestroy();
      await turns();
      transport.write(Buffer.from("too late"));
      await witness.end();
      const { errno, syscall, cause } = witness.error!;
      assert.ok(errno === "ECONNRESET" || errno === "EPIPE", errno);
      assert.equal((cause as Error).message, `${syscall} ${errno}`);
      assert.deepEqual(Object.keys(cause as Error), ["errno", "code", "syscall"]);
      assert.equal((cause as NodeJS.ErrnoException).code, errno);
    });
  }
});

describe("the fast lane does not take", { skip, timeout: 30_000 }, () => {
  before(learn);

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
      assert.equal(FastLane.take(socket!), undefined);
      assert.deepEqual([socket!.destroyed, socket!.remoteAddress, socket!.readableLength, socket!.writableLength], was);
      for (const one of [socket!, ...others]) one.on("error", () => undefined).destroy();
    });
  }
});

/** Every transport, held to the one contract. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/transport/clock.js";
import { FastLane } from "../../src/transport/fast-lane.js";
import { memoryPair } from "../../src/transport/memory.js";
import { learn } from "../../src/transport/node-internals.js";
import { SocketTransport } from "../../src/transport/socket.js";
import { TcpArrivals } from "../../src/transport/tcp-arrivals.js";
import type { Transport } from "../../src/transport/transport.js";
import { LOCALHOST } from "../fixtures/certificates.js";
import { duplexPair } from "./duplex-pair.js";
import { tcpSockets } from "./tcp-sockets.js";
import { transportContract } from "./transport-contract.js";

type Two = readonly [Transport, Transport];

async function tcpPair(): Promise<Two> {
  const { client, accepted } = await tcpSockets();
  return [new SocketTransport(client), new SocketTransport(accepted)];
}

/** Between the fast lane and the public transport each has to take the other for one of its own. */
async function fastPair(...lanes: readonly ("fast" | "public")[]): Promise<Two> {
  const { client, accepted } = await tcpSockets();
  const [local, peer] = [client, accepted].map((socket, end) => {
    const transport = lanes[end] === "fast" ? FastLane.take(socket) : new SocketTransport(socket);
    assert.ok(transport !== undefined);
    return transport;
  });
  return [local!, peer!];
}

/** As a server has it that reads from the handles of its connections: there never was a socket at its end. */
async function arrivedPair(): Promise<Two> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const lane = new Promise<FastLane>((resolve) => {
    new TcpArrivals(server, {
      clock: systemClock,
      patience: Infinity,
      prepare: () => undefined,
      spoke: (arrival, bytes) => resolve(FastLane.arrived(arrival, bytes, new Uint8Array())),
      left: (arrival) => arrival.drop(),
    });
  });
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  await once(client, "connect");
  client.write("?");
  const local = await lane;
  // The answer, which is no part of what the contract is about.
  await once(client, "readable");
  assert.equal(String(client.read()), "?");
  server.close();
  return [local, new SocketTransport(client)];
}

async function unixPair(): Promise<Two> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  try {
    const path = join(folder, "socket");
    const server = createServer({ allowHalfOpen: true }).listen(path);
    await once(server, "listening");
    const client = connect({ path, allowHalfOpen: true });
    const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
      [Socket],
      unknown,
    ];
    server.close();
    return [new SocketTransport(client), new SocketTransport(accepted)];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function tlsPair(): Promise<Two> {
  const server = createTlsServer({ ...LOCALHOST, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  // Over a socket of its own, since only that may be half open.
  const plain = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const client = connectTls({ socket: plain, host: "127.0.0.1", ca: LOCALHOST.cert });
  const [[accepted]] = (await Promise.all([once(server, "secureConnection"), once(client, "secureConnect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  return [new SocketTransport(client), new SocketTransport(accepted)];
}

async function streamPair(): Promise<Two> {
  const [one, other] = duplexPair();
  return [new SocketTransport(one), new SocketTransport(other)];
}

async function inMemory(latency: number, capacity: number): Promise<Two> {
  const { client, server } = memoryPair({ latency, capacity });
  return [client, server];
}

const nothing = { resets: false, descriptors: false, secure: false };

transportContract("the memory pair", () => inMemory(0, 65_536), { ...nothing, resets: true });
transportContract("the memory pair with latency", () => inMemory(2, 1_048_576), { ...nothing, resets: true });
transportContract("a TCP socket", tcpPair, { ...nothing, resets: true, descriptors: true });
if (process.platform === "linux" || process.platform === "darwin") {
  learn();
  const fast = { ...nothing, resets: true, descriptors: true };
  transportContract("the fast lane", () => fastPair("fast", "fast"), fast);
  transportContract("the fast lane to a TCP socket", () => fastPair("fast", "public"), fast);
  transportContract("a TCP socket to the fast lane", () => fastPair("public", "fast"), fast);
  transportContract("the fast lane of a connection that has arrived", arrivedPair, fast);
}
transportContract("a TLS socket", tlsPair, { ...nothing, secure: true, descriptors: true });
if (process.platform !== "win32") transportContract("a unix socket", unixPair, { ...nothing, descriptors: true });
transportContract("any Duplex", streamPair, nothing);

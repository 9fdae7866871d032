/** Runs the contract of every transport on real sockets and streams. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/transport/clock.ts";
import { AcceptedHandles } from "../../src/transport/fast/accepted-handles.ts";
import { SharedHandleTransport } from "../../src/transport/fast/shared-handle.ts";
import { FastTransport } from "../../src/transport/fast/transport.ts";
import { loadInternals } from "../../src/transport/internals/tcp.ts";
import { SocketTransport } from "../../src/transport/socket/socket.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { duplexPair } from "../kit/duplex-pair.ts";
import { tcpSockets } from "../kit/tcp-sockets.ts";
import { transportContract } from "./transport-contract.ts";

type Two = readonly [Transport, Transport];

async function tcpPair(): Promise<Two> {
  const { client, accepted } = await tcpSockets();
  return [new SocketTransport(client), new SocketTransport(accepted)];
}

type Kind = "fast" | "shared" | "public";

function transportOn(socket: Socket, kind: Kind | undefined): Transport {
  const transport =
    kind === "fast"
      ? FastTransport.fromStream(socket)
      : kind === "shared"
        ? SharedHandleTransport.fromStream(socket)
        : new SocketTransport(socket);
  assert.ok(transport !== undefined);
  return transport;
}

/** The transports must work as each other's peer. */
async function pairOf(...kinds: readonly [Kind, Kind]): Promise<Two> {
  const { client, accepted } = await tcpSockets();
  return [transportOn(client, kinds[0]), transportOn(accepted, kinds[1])];
}

/** As on a server that reads from the handles of its connections: its end never had a socket. */
async function arrivedPair(): Promise<Two> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = new Promise<FastTransport>((resolve) => {
    new AcceptedHandles(server, {
      clock: systemClock,
      openTimeout: Infinity,
      prepare: () => undefined,
      firstBytes: (arrival, bytes) => resolve(FastTransport.fromAccepted(arrival, bytes, new Uint8Array())),
      ended: (arrival) => arrival.drop(),
    });
  });
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  await once(client, "connect");
  client.write("?");
  const local = await accepted;
  // The answer of the server, which is not part of the contract.
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

async function tlsPair(...kinds: readonly [Kind, Kind]): Promise<Two> {
  const server = createTlsServer({ ...LOCALHOST, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  // Over its own socket, because only such a socket may be half open.
  const plain = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const client = connectTls({ socket: plain, host: "127.0.0.1", ca: LOCALHOST.cert });
  const [[accepted]] = (await Promise.all([once(server, "secureConnection"), once(client, "secureConnect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  return [transportOn(client, kinds[0]), transportOn(accepted, kinds[1])];
}

async function streamPair(): Promise<Two> {
  const [one, other] = duplexPair();
  return [new SocketTransport(one), new SocketTransport(other)];
}

const nothing = { resets: false, descriptors: false, secure: false };
const tls = { ...nothing, secure: true, descriptors: true };

transportContract("a TCP socket", tcpPair, { ...nothing, resets: true, descriptors: true });
if (process.platform === "linux" || process.platform === "darwin") {
  loadInternals();
  const fast = { ...nothing, resets: true, descriptors: true };
  transportContract("the fast transport", () => pairOf("fast", "fast"), fast);
  transportContract("the fast transport to a TCP socket", () => pairOf("fast", "public"), fast);
  transportContract("a TCP socket to the fast transport", () => pairOf("public", "fast"), fast);
  transportContract("the fast transport of a connection that has arrived", arrivedPair, fast);
  transportContract("a shared handle", () => pairOf("shared", "shared"), fast);
  transportContract("a shared handle to a TCP socket", () => pairOf("shared", "public"), fast);
  transportContract("a TCP socket to a shared handle", () => pairOf("public", "shared"), fast);
  transportContract("a shared TLS handle", () => tlsPair("shared", "shared"), tls);
  transportContract("a shared TLS handle to a TLS socket", () => tlsPair("shared", "public"), tls);
  transportContract("a TLS socket to a shared TLS handle", () => tlsPair("public", "shared"), tls);
}
transportContract("a TLS socket", () => tlsPair("public", "public"), tls);
if (process.platform !== "win32") transportContract("a unix socket", unixPair, { ...nothing, descriptors: true });
transportContract("any Duplex", streamPair, nothing);

/** Runs the contract of every transport on the transports in memory. */

import { once } from "node:events";
import { createServer } from "node:net";
import type { Duplex } from "node:stream";
import { network } from "../../src/testing/index.ts";
import { systemClock } from "../../src/transport/clock.ts";
import { transportOf } from "../../src/transport/fast/select.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { SocketTransport } from "../../src/transport/socket/socket.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { transportContract } from "./transport-contract.ts";

type Two = readonly [Transport, Transport];

async function inMemory(latency: number, capacity: number): Promise<Two> {
  const { client, server } = memoryPair({ latency, capacity });
  return [client, server];
}

async function networkStreams(latency: number, capacity?: number): Promise<readonly [Duplex, Duplex]> {
  const net = network({ clock: systemClock, latency, capacity });
  const server = createServer();
  await net.host("peer").listen(server, { host: "", port: 80, socketPath: undefined });
  const client = net.host("local").connect({ host: net.host("peer").address, port: 80 });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
    [Duplex],
    unknown,
  ];
  return [client, accepted];
}

/** The transports below the streams of a memory network. */
async function networkPair(latency: number, capacity?: number): Promise<Two> {
  const [client, accepted] = await networkStreams(latency, capacity);
  return [transportOf(client), transportOf(accepted)];
}

async function networkStreamPair(): Promise<Two> {
  const [client, accepted] = await networkStreams(0);
  return [new SocketTransport(client), new SocketTransport(accepted)];
}

const nothing = { resets: false, descriptors: false, secure: false };
const resets = { ...nothing, resets: true };

transportContract("the memory pair", () => inMemory(0, 65_536), resets);
transportContract("the memory pair with latency", () => inMemory(2, 1_048_576), resets);
transportContract("the memory network", () => networkPair(0), resets);
transportContract("the memory network with latency", () => networkPair(2, 1_048_576), resets);
transportContract("a stream of the memory network", networkStreamPair, nothing);

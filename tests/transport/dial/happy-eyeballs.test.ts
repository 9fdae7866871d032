/** Which of several places is connected to; what the network does to them is in tests/faults/dead-address.test.ts. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { systemClock } from "../../../src/transport/clock.ts";
import { connectToFirst, interleaved } from "../../../src/transport/dial/happy-eyeballs.ts";
import { systemNetwork } from "../../../src/transport/network.ts";

async function listening(): Promise<{ readonly server: Server; readonly place: NetConnectOpts }> {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, place: { host: "127.0.0.1", port: (server.address() as AddressInfo).port } };
}

/** A port on which no process listens any more. */
async function deserted(): Promise<NetConnectOpts> {
  const { server, place } = await listening();
  await new Promise((resolve) => server.close(resolve));
  return place;
}

const winner = (places: readonly NetConnectOpts[]): Promise<Socket> =>
  new Promise<Duplex>((resolve, reject) =>
    connectToFirst(systemNetwork, systemClock, places, resolve, reject),
  ) as Promise<Socket>;

describe("an attempt to connect to several addresses", () => {
  it("uses the address that answers, if those before it refuse", async () => {
    const { server, place } = await listening();
    const socket = await winner([await deserted(), await deserted(), place]);
    assert.equal(socket.remotePort, (place as { port: number }).port);
    assert.equal(socket.listenerCount("error"), 0);
    socket.destroy();
    server.close();
  });

  it("does not try the next address once one has answered", async () => {
    const first = await listening();
    const second = await listening();
    second.server.on("connection", () => assert.fail("it was tried"));
    const socket = await winner([first.place, second.place]);
    socket.destroy();
    for (const { server } of [first, second]) await new Promise((resolve) => server.close(resolve));
  });

  it("fails with the error of the only address, or with all errors under the code of the first", async () => {
    const [one, other] = [await deserted(), await deserted()];
    await assert.rejects(winner([one]), { code: "ECONNREFUSED", syscall: "connect" });
    await assert.rejects(winner([one, other]), (error: AggregateError & { code?: string }) => {
      assert.deepEqual([error.code, error.errors.length], ["ECONNREFUSED", 2]);
      return error.errors.every(({ message }) => error.message.includes(message));
    });
  });

  it("that is stopped calls nothing, and leaves no socket", async () => {
    const { server, place } = await listening();
    const told = (): void => assert.fail("it was told");
    connectToFirst(systemNetwork, systemClock, [place], told, told).stop();
    // Closes when those that were accepted have ended.
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("the addresses of a name", () => {
  const order = (families: string): string =>
    interleaved(Array.from(families, (family, at) => ({ family: Number(family), address: `${at}` })))
      .map(({ address }) => address)
      .join("");

  it("are tried with alternating families, beginning with the family of the first: RFC 8305, 4", () => {
    assert.equal(order("4"), "0");
    assert.equal(order("6644"), "0213");
    assert.equal(order("4666"), "0123");
    assert.equal(order("66644"), "03142");
    assert.equal(order(""), "");
  });
});

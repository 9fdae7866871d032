/** Which of several places is connected to; what the network does to them is in tests/faults/dead-address.test.ts. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";
import { describe, it } from "node:test";
import { inTurn, raceTo } from "../../src/transport/first-answer.js";

async function listening(): Promise<{ readonly server: Server; readonly place: NetConnectOpts }> {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, place: { host: "127.0.0.1", port: (server.address() as AddressInfo).port } };
}

/** A port at which nobody listens any more. */
async function deserted(): Promise<NetConnectOpts> {
  const { server, place } = await listening();
  await new Promise((resolve) => server.close(resolve));
  return place;
}

const winner = (places: readonly NetConnectOpts[]): Promise<Socket> =>
  new Promise((resolve, reject) => raceTo(places, resolve, reject));

describe("a race to several places", () => {
  it("is won by the one that answers, when those before it refuse", async () => {
    const { server, place } = await listening();
    const socket = await winner([await deserted(), await deserted(), place]);
    assert.equal(socket.remotePort, (place as { port: number }).port);
    assert.equal(socket.listenerCount("error"), 0);
    socket.destroy();
    server.close();
  });

  it("does not try the next place once one has answered", async () => {
    const first = await listening();
    const second = await listening();
    second.server.on("connection", () => assert.fail("it was tried"));
    const socket = await winner([first.place, second.place]);
    socket.destroy();
    for (const { server } of [first, second]) await new Promise((resolve) => server.close(resolve));
  });

  it("that nobody wins fails with the error of the only place, or with all of them under the code of the first", async () => {
    const [one, other] = [await deserted(), await deserted()];
    await assert.rejects(winner([one]), { code: "ECONNREFUSED", syscall: "connect" });
    await assert.rejects(winner([one, other]), (error: AggregateError & { code?: string }) => {
      assert.deepEqual([error.code, error.errors.length], ["ECONNREFUSED", 2]);
      return error.errors.every(({ message }) => error.message.includes(message));
    });
  });

  it("that is stopped tells nobody, and leaves no socket", async () => {
    const { server, place } = await listening();
    const told = (): void => assert.fail("it was told");
    raceTo([place], told, told).stop();
    // Closes when those that were accepted have ended.
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("the addresses of a name", () => {
  const order = (families: string): string =>
    inTurn(Array.from(families, (family, at) => ({ family: Number(family), address: `${at}` })))
      .map(({ address }) => address)
      .join("");

  it("are tried with their families in turn, beginning with the first one's: RFC 8305, 4", () => {
    assert.equal(order("4"), "0");
    assert.equal(order("6644"), "0213");
    assert.equal(order("4666"), "0123");
    assert.equal(order("66644"), "03142");
    assert.equal(order(""), "");
  });
});

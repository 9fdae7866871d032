/** What the metrics of a process say of groups, on real sockets. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Connection,
  connect,
  type Exchange,
  Group,
  listen,
  type MetricName,
  metrics,
  type Server,
} from "../../src/index.ts";

const value = (name: MetricName): number => metrics(process).snapshot().value(name);
const bursts = (): number => metrics(process).snapshot().histogram("holdfast_group_delivery_seconds").count;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** A server whose connections join `group`, and that many clients, which have joined. */
async function members(group: Group, count: number): Promise<readonly [server: Server, clients: Connection[]]> {
  const server = await listen("ws://127.0.0.1:0", { open: (connection) => group.join(connection) });
  const clients = await Promise.all(Array.from({ length: count }, () => connect(server.url)));
  await until(() => group.size === count);
  return [server, clients];
}

describe("the metrics of groups", () => {
  it("count the groups that have members, and their members until these leave or end", async () => {
    const [room, other, empty] = [new Group(), new Group(), new Group()];
    const [server, clients] = await members(room, 3);
    for (const connection of server.connections) other.join(connection);
    assert.equal(empty.size, 0);
    assert.equal(value("holdfast_groups"), 2);
    assert.equal(value("holdfast_group_members"), 6);
    const [first] = other;
    other.leave(first as Connection);
    other.leave(first as Connection);
    assert.equal(value("holdfast_group_members"), 5);
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
    assert.equal(value("holdfast_groups"), 0);
    assert.equal(value("holdfast_group_members"), 0);
  });

  it("count each call of send, and each member that accepted the message", async () => {
    const room = new Group();
    const [sends, deliveries] = [value("holdfast_group_sends_total"), value("holdfast_group_deliveries_total")];
    const [server, clients] = await members(room, 3);
    room.send("to all");
    const [except] = room;
    room.send("to all but one", { except: except as Connection });
    assert.throws(() => room.send(5 as never));
    assert.equal(value("holdfast_group_sends_total") - sends, 2);
    assert.equal(value("holdfast_group_deliveries_total") - deliveries, 5);
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
  });

  it("have the time from the first message of a burst to its last write, once for each burst", async () => {
    const room = new Group();
    const [server, clients] = await members(room, 3);
    const before = bursts();
    for (let burst = 1; burst <= 4; burst += 1) {
      for (let sent = 0; sent < 3; sent += 1) room.send("to all");
      for (const client of clients) for (let got = 0; got < 3; got += 1) await client.receive();
      assert.equal(bursts() - before, burst);
    }
    const { min, max } = metrics(process).snapshot().histogram("holdfast_group_delivery_seconds");
    assert.ok(min > 0 && max < 10, `${min} to ${max} s`);
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
  });

  it("do not count a burst that no member could write", async () => {
    const room = new Group();
    const [server, clients] = await members(room, 1);
    const before = bursts();
    room.send("to all");
    const [only] = room;
    only?.terminate();
    await Promise.all(clients.map(({ closed }) => closed));
    await server.close();
    room.send("to none");
    await new Promise(setImmediate);
    assert.equal(bursts(), before);
  });

  it("count a message of another process as deliveries, not as a call of send", async () => {
    let receive: ((message: Uint8Array) => void) | undefined;
    const published: Uint8Array[] = [];
    const exchange: Exchange = {
      publish: (_, message) => published.push(message) > 0,
      subscribe: (_, given) => {
        receive = given;
        return { ready: Promise.resolve(), close: () => undefined };
      },
    };
    const room = new Group({ name: "room", exchange });
    const [server, clients] = await members(room, 2);
    room.send("to all");
    const [sends, deliveries] = [value("holdfast_group_sends_total"), value("holdfast_group_deliveries_total")];
    receive?.(published[0] as Uint8Array);
    assert.equal(value("holdfast_group_sends_total"), sends);
    assert.equal(value("holdfast_group_deliveries_total") - deliveries, 2);
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
  });
});

/** The option `codec`: typed values instead of messages, and what happens to a message or a value that the codec refuses. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Connection,
  connect,
  Group,
  json,
  listen,
  type MessageCodec,
  ProtocolError,
  prepare,
  ReconnectingConnection,
} from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { exactly } from "../kit/exactly.ts";
import { peerFrame } from "../kit/frames.ts";

interface Price {
  readonly symbol: string;
  readonly price: number;
}
interface Order {
  readonly buy: string;
}

const PRICE: Price = { symbol: "X", price: 1.5 };

describe("a codec", () => {
  for (const [address, framing] of [
    ["ws://127.0.0.1:0", undefined],
    ["tcp://127.0.0.1:0", "lines"],
    ["tcp://127.0.0.1:0", { lengthPrefix: 4 }],
  ] as const) {
    it(`gives typed values in both directions: ${address}, ${JSON.stringify(framing ?? "its own framing")}`, async () => {
      const orders: Order[] = [];
      await using server = await listen(
        address,
        { codec: json<Order, Price>(), ...(framing !== undefined && { framing }) },
        async (connection) => {
          for await (const order of connection) {
            exactly<Order>()(order);
            orders.push(order);
            await connection.send(PRICE);
            assert.notEqual(connection.trySend({ symbol: order.buy, price: 2 }), "refused");
          }
        },
      );
      const client = await connect(server.url, {
        codec: json<Price, Order>(),
        ...(framing !== undefined && { framing }),
      });
      await client.send({ buy: "X" });
      const first = await client.receive({ timeout: 10_000 });
      exactly<Price>()(first);
      assert.deepEqual([first, await client.receive()], [PRICE, PRICE.symbol === "X" && { symbol: "X", price: 2 }]);
      await client.writable.getWriter().write({ buy: "Y" });
      assert.deepEqual((await client.readable.getReader().read()).value, PRICE);
      await client.close();
      assert.deepEqual(orders, [{ buy: "X" }, { buy: "Y" }]);
    });
  }

  it("gives values to the message hook, and to messages that wait in the inbox", async () => {
    const seen = deferred<Price>();
    const ends = pair({
      server: { codec: json<Price, Order>(), message: (_, price) => seen.resolve(price) },
      client: { codec: json<Order, Price>() },
    });
    await ends.client.send(PRICE);
    await settled();
    assert.deepEqual(await seen.promise, PRICE);
    await ends.server.send({ buy: "a" });
    await ends.server.send({ buy: "b" });
    await settled();
    const values: Order[] = [];
    for await (const order of ends.client) if (values.push(order) === 2) break;
    assert.deepEqual(values, [{ buy: "a" }, { buy: "b" }]);
  });

  it("ends the connection with 1007 and the cause if a message cannot be decoded, after the messages before it", async () => {
    const { connection, peer } = wired({ connection: { codec: json<never, unknown>() } });
    const key = Uint8Array.of(1, 2, 3, 4);
    peer.write(peerFrame({ opcode: 1, payload: '"good"', key }));
    peer.write(peerFrame({ opcode: 1, payload: "{bad", key }));
    await settled();
    assert.equal(await connection.receive(), "good");
    await assert.rejects(connection.receive(), (error: unknown) => {
      assert.ok(error instanceof ProtocolError);
      assert.deepEqual([error.closeCode, error.reason, error.by], [1007, "undecodable", "peer"]);
      assert.ok(error.cause instanceof SyntaxError);
      return true;
    });
  });

  it("ends the connection with 1003 if a message is of another type", async () => {
    await using server = await listen("ws://127.0.0.1:0", { codec: json() }, async (connection) => {
      await connection.receive();
    });
    const client = await connect(server.url);
    await client.send(new Uint8Array(3));
    assert.equal((await client.closed).code, 1003);
  });

  it("lets a check of the application refuse a value", async () => {
    const check = (value: unknown): number => {
      if (typeof value !== "number") throw new RangeError("expected a number");
      return value;
    };
    const ends = pair({ server: { codec: json(check) }, client: { codec: json<never, unknown>() } });
    await ends.client.send("no");
    await settled();
    await assert.rejects(ends.server.receive(), (error: unknown) => (error as Error).cause instanceof RangeError);
  });

  it("refuses a value that it cannot encode: the call fails, and nothing is sent", async () => {
    const ends = pair({ client: { codec: json<unknown, unknown>() } });
    const circular: { self?: unknown } = {};
    circular.self = circular;
    await assert.rejects(ends.client.send(circular), TypeError);
    assert.throws(() => ends.client.trySend(undefined), { name: "TypeError", message: /^Cannot send undefined/ });
    await assert.rejects(
      ends.client.send(() => 1),
      TypeError,
    );
    await ends.client.send(1);
    await settled();
    assert.equal(await ends.server.receive(), "1");
    assert.equal(ends.client.state, "OPEN");
  });

  it("does not apply to prepared messages, which are encoded already", async () => {
    const ends = pair({ client: { codec: json<unknown, Price>() } });
    await ends.client.send(prepare("as it is"));
    await ends.client.send(prepare(PRICE, { codec: json<unknown, Price>() }));
    await settled();
    assert.equal(await ends.server.receive(), "as it is");
    assert.equal(await ends.server.receive(), JSON.stringify(PRICE));
  });

  it("of a group encodes a value once for all members", async () => {
    let encoded = 0;
    const codec: MessageCodec<unknown, Price> = {
      encode: (value) => {
        encoded += 1;
        return JSON.stringify(value);
      },
      decode: () => undefined,
    };
    const ends = [pair({ server: { codec: json<Order, Price>() } }), pair({ server: { codec: json<Order, Price>() } })];
    const group = new Group<Connection<unknown, Order, Price>, Price>({ codec });
    for (const { server } of ends) group.join(server);
    assert.equal(group.send(PRICE).taken, 2);
    assert.equal(encoded, 1);
    for (const { client } of ends) {
      await settled();
      assert.equal(await client.receive(), JSON.stringify(PRICE));
    }
  });

  it("works on a client that reconnects", async () => {
    await using server = await listen("ws://127.0.0.1:0", { codec: json<Order, Price>() }, async (connection) => {
      for await (const _ of connection) await connection.send(PRICE);
    });
    const client = new ReconnectingConnection(server.url, { codec: json<Price, Order>() });
    await assert.rejects(client.send(undefined as unknown as Order), TypeError);
    await client.send({ buy: "X" });
    const price = await client.receive({ timeout: 10_000 });
    exactly<Price>()(price);
    assert.deepEqual(price, PRICE);
    await client.close();
  });

  it("needs whole messages, and is validated", async () => {
    const { client } = pair({ client: { codec: json() } });
    await assert.rejects(client.reader(), TypeError);
    assert.throws(() => client.writer(), TypeError);
    assert.throws(() => pair({ client: { codec: json(), streaming: true } }), TypeError);
    for (const codec of [null, "json", {}, { encode: () => "" }] as unknown[]) {
      assert.throws(() => pair({ client: { codec: codec as MessageCodec<never> } }), TypeError);
    }
    const odd = { ...json(), messageType: "none" } as unknown as MessageCodec<never>;
    assert.throws(() => pair({ client: { codec: odd } }), RangeError);
  });
});

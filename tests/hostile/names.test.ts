/** Names that every object has: as header fields, subprotocols, extensions, parameters, paths and keys they mean nothing but themselves. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Connection,
  type ConnectionEvent,
  connect,
  type Framing,
  HandshakeError,
  listen,
  type UpgradeRequest,
} from "../../src/index.js";
import { portOf, type RawPeer, rawServer, refused, switchingTo, upgraded, upgradeRequest } from "../raw-peers.js";

const LIMIT = { timeout: 240_000 };
const ANY_PORT = "ws://127.0.0.1:0";
const NAMES = [...Object.getOwnPropertyNames(Object.prototype), "prototype", "then", "length"];

/** A record's own entries: `__proto__` among them, which only a record without a prototype can have. */
const entriesOf = (record: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(record));

const until = async ({ closed }: Connection): Promise<void> => void (await closed);

describe("a name that every object has", LIMIT, () => {
  it("is a header field like any other to authorize and to an observer", async () => {
    const requests: UpgradeRequest[] = [];
    const events: ConnectionEvent[] = [];
    await using server = await listen(ANY_PORT, {
      authorize: (request) => void requests.push(request),
      observe: (event) => void events.push(event),
      onError: (error) => assert.fail(String(error)),
    });
    const fields = NAMES.map((name) => `${name}: value of ${name}`).join("\r\n");
    await using peer = await upgraded(portOf(server), upgradeRequest().replace("\r\n\r\n", `\r\n${fields}\r\n\r\n`));
    assert.match(peer.text, /^HTTP\/1\.1 101 /);
    const told = events.find((event) => event.type === "handshake");
    assert.ok(told !== undefined);
    for (const headers of [requests[0]?.headers ?? {}, told.requestHeaders]) {
      for (const name of NAMES) assert.equal(entriesOf(headers).get(name.toLowerCase()), `value of ${name}`);
    }
  });

  it("is a header field like any other to a client that is accepted, and to one that is not", async () => {
    const fields = NAMES.map((name) => `${name}: value of ${name}\r\n`).join("");
    const answered = async (peer: RawPeer, answer: (request: string) => string): Promise<void> => {
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.write(answer(peer.text));
    };
    const events: ConnectionEvent[] = [];
    const observe = (event: ConnectionEvent): void => void events.push(event);
    {
      await using server = await rawServer((peer) =>
        answered(peer, (request) => switchingTo(request).replace(/\r\n$/, `${fields}\r\n`)),
      );
      const connection = await connect(`ws://127.0.0.1:${server.port}`, { observe });
      connection.terminate();
      await connection.closed;
      const told = events.find((event) => event.type === "handshake");
      assert.ok(told !== undefined);
      for (const name of NAMES) {
        assert.equal(entriesOf(told.responseHeaders).get(name.toLowerCase()), `value of ${name}`);
      }
    }
    await using server = await rawServer((peer) => answered(peer, () => `HTTP/1.1 403 No\r\n${fields}\r\n`));
    await assert.rejects(connect(`ws://127.0.0.1:${server.port}`, { observe }), (error) => {
      assert.ok(error instanceof HandshakeError);
      for (const name of NAMES) assert.equal(entriesOf(error.headers).get(name.toLowerCase()), `value of ${name}`);
      return error.status === 403;
    });
  });

  it("is a subprotocol like any other: offered, or spoken, or both, or neither", async () => {
    await using server = await listen(ANY_PORT, { subprotocols: ["constructor"] }, until);
    const url = server.url;
    await using chosen = await connect(url, { subprotocols: NAMES });
    assert.equal(chosen.subprotocol, "constructor");
    await using none = await connect(url, { subprotocols: ["toString"] });
    assert.equal(none.subprotocol, "");
  });

  it("is not taken for a subprotocol that a client has offered", async () => {
    for (const name of NAMES) {
      await using server = await rawServer(async (peer) => {
        await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
        peer.write(switchingTo(peer.text, { "Sec-WebSocket-Protocol": name }));
      });
      await assert.rejects(connect(`ws://127.0.0.1:${server.port}`, { subprotocols: ["other"] }), {
        name: "HandshakeError",
      });
    }
  });

  it("is an extension that nobody has, with parameters that nobody knows", async () => {
    await using server = await listen(ANY_PORT, until);
    const offers = NAMES.map((name) => `${name}; ${name}; ${name}=${name}`).join(", ");
    await using peer = await upgraded(portOf(server), upgradeRequest("/", { "Sec-WebSocket-Extensions": offers }));
    assert.ok(!/sec-websocket-extensions/i.test(peer.text));
  });

  it("is not taken for an extension that a client has offered", async () => {
    for (const name of NAMES) {
      await using server = await rawServer(async (peer) => {
        await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
        peer.write(switchingTo(peer.text, { "Sec-WebSocket-Extensions": name }));
      });
      await assert.rejects(connect(`ws://127.0.0.1:${server.port}`), { name: "HandshakeError" });
    }
  });

  it("is an origin that is not allowed, and a path that is not served", async () => {
    await using server = await listen(`${ANY_PORT}/served`, { origin: ["http://localhost"] }, until);
    for (const name of NAMES) {
      const { status } = await refused(portOf(server), upgradeRequest("/served", { Origin: name }));
      assert.equal(status, 403);
      assert.equal((await refused(portOf(server), upgradeRequest(`/${name}`))).status, 404);
    }
  });

  it("is no option and no framing", async () => {
    for (const name of NAMES) {
      await assert.rejects(
        listen("tcp://127.0.0.1:0", { framing: name as Framing }, () => undefined),
        RangeError,
      );
      const options = JSON.parse(`{ ${JSON.stringify(name)}: 1 }`) as object;
      await assert.rejects(
        listen(ANY_PORT, options, () => undefined),
        TypeError,
      );
      await assert.rejects(connect("ws://127.0.0.1:9", options), TypeError);
    }
  });
});

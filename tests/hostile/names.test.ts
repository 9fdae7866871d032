/** Names that are properties of every object: as header fields, subprotocols, extensions, parameters, paths and keys they are plain names. */

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
} from "../../src/index.ts";
import { portOf, type RawPeer, rawServer, refused, switchingTo, upgraded, upgradeRequest } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const ANY_PORT = "ws://127.0.0.1:0";
const NAMES = [...Object.getOwnPropertyNames(Object.prototype), "prototype", "then", "length"];

/** The own entries of a record. `__proto__` is one only in a record without a prototype. */
const entriesOf = (record: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(record));

const until = async ({ closed }: Connection): Promise<void> => void (await closed);

describe("a name that is a property of every object", LIMIT, () => {
  it("is a header field like any other to authorize and to an observer", async () => {
    const requests: UpgradeRequest[] = [];
    const events: ConnectionEvent[] = [];
    await using server = await listen(ANY_PORT, {
      open: () => undefined,
      authorize: (request) => void requests.push(request),
      observe: (event) => void events.push(event),
      onError: (error) => assert.fail(String(error)),
    });
    const fields = NAMES.map((name) => `${name}: value of ${name}`).join("\r\n");
    await using peer = await upgraded(portOf(server), upgradeRequest().replace("\r\n\r\n", `\r\n${fields}\r\n\r\n`));
    assert.match(peer.text, /^HTTP\/1\.1 101 /);
    const told = events.find((event) => event.type === "accepted");
    assert.ok(told !== undefined);
    for (const headers of [requests[0]?.headers ?? {}, told.requestHeaders]) {
      for (const name of NAMES) assert.equal(entriesOf(headers).get(name.toLowerCase()), `value of ${name}`);
    }
  });

  it("is a header field like any other to a client, after a 101 and after a refusal", async () => {
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
      const told = events.find((event) => event.type === "accepted");
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

  it("is a subprotocol like any other: offered, supported, both, or neither", async () => {
    await using server = await listen(ANY_PORT, { subprotocols: ["constructor"] }, until);
    const url = server.url;
    await using chosen = await connect(url, { subprotocols: NAMES });
    assert.equal(chosen.protocol, "constructor");
    await using none = await connect(url, { subprotocols: ["toString"] });
    assert.equal(none.protocol, "");
  });

  it("is not found among the subprotocols that a client has offered", async () => {
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

  it("is an unknown extension with unknown parameters", async () => {
    await using server = await listen(ANY_PORT, until);
    const offers = NAMES.map((name) => `${name}; ${name}; ${name}=${name}`).join(", ");
    await using peer = await upgraded(portOf(server), upgradeRequest("/", { "Sec-WebSocket-Extensions": offers }));
    assert.ok(!/sec-websocket-extensions/i.test(peer.text));
  });

  it("is not found among the extensions that a client has offered", async () => {
    for (const name of NAMES) {
      await using server = await rawServer(async (peer) => {
        await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
        peer.write(switchingTo(peer.text, { "Sec-WebSocket-Extensions": name }));
      });
      await assert.rejects(connect(`ws://127.0.0.1:${server.port}`), { name: "HandshakeError" });
    }
  });

  it("is an origin that is not allowed, and an unknown path", async () => {
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

/** Tests of admit: an authorize that accepts a request and adds fields or a subprotocol to the response. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AcceptedEvent,
  admit,
  connect,
  type ErrorContext,
  type ListenOptions,
  listen,
  type UpgradeRequest,
} from "../../../src/index.ts";
import { portOf, RawPeer, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const ANY_PORT = "ws://127.0.0.1:0";

/** The lines of the response to an upgrade request. */
async function lines(server: { readonly url: string }, request: string): Promise<readonly string[]> {
  await using peer = await RawPeer.to(portOf(server));
  peer.write(request);
  await peer.head();
  return peer.text.split("\r\n");
}

describe("admit", LIMIT, () => {
  it("sets the data, adds each Set-Cookie as a line of its own, and selects the subprotocol", async () => {
    const accepted: AcceptedEvent[] = [];
    const names: string[] = [];
    await using server = await listen(
      ANY_PORT,
      {
        subprotocols: ["v1", "v2"],
        headers: { "X-Server": "a" },
        observe: (event) => {
          if (event.type === "accepted") accepted.push(event);
        },
        authorize: ({ headers }) =>
          headers["x-refuse"] === undefined
            ? admit({
                data: { name: "Ann" },
                headers: { "Set-Cookie": ["sid=1; HttpOnly", "lang=de"], "X-Own": "b" },
                subprotocol: "v2",
              })
            : new Response("no", { status: 401 }),
      },
      async (connection) => {
        // The compiler knows the type of the data.
        const { name }: { name: string } = connection.data;
        names.push(name);
        await connection.closed;
      },
    );
    const sent = upgradeRequest("/", { "Sec-WebSocket-Protocol": "v1, v2, v3" });
    const got = await lines(server, sent);
    assert.equal(got[0], "HTTP/1.1 101 Switching Protocols");
    for (const line of [
      "X-Server: a",
      "Set-Cookie: sid=1; HttpOnly",
      "Set-Cookie: lang=de",
      "X-Own: b",
      "Sec-WebSocket-Protocol: v2",
    ])
      assert.ok(got.includes(line), line);
    assert.deepEqual(names, ["Ann"]);
    assert.deepEqual(accepted[0]?.setCookie, ["sid=1; HttpOnly", "lang=de"]);
    assert.equal(accepted[0]?.responseHeaders["set-cookie"], undefined);
    await using client = await connect(server.url, { subprotocols: ["v2", "v1"] });
    assert.equal(client.protocol, "v2");
    await assert.rejects(connect(server.url, { headers: { "X-Refuse": "1" } }), { status: 401 });
  });

  it("without a subprotocol leaves the choice to the server; with an empty one there is none", async () => {
    const protocols: string[] = [];
    for (const subprotocol of [undefined, ""]) {
      await using server = await listen(ANY_PORT, {
        subprotocols: ["v1"],
        authorize: () => admit({ subprotocol, headers: undefined }),
        open: (connection) => {
          assert.equal(connection.data, undefined);
          protocols.push(connection.protocol);
        },
      });
      await using client = await connect(server.url, { subprotocols: ["v1"] });
      protocols.push(client.protocol);
    }
    assert.deepEqual(protocols, ["v1", "v1", "", ""]);
  });

  it("is recognised if a second copy of the library made it, and data that looks like it is data", async () => {
    const copy = (await import(
      `${new URL("../../../src/endpoint/server/admission.js", import.meta.url).href}?copy`
    )) as {
      admit: typeof admit;
    };
    assert.notEqual(copy.admit, admit);
    for (const [answer, data] of [
      [copy.admit({ data: 7 }), 7],
      [
        { data: 7, headers: {}, subprotocol: "x" },
        { data: 7, headers: {}, subprotocol: "x" },
      ],
    ] as const) {
      await using server = await listen(ANY_PORT, { authorize: () => answer as unknown }, async (connection) => {
        await connection.send(JSON.stringify(connection.data));
      });
      await using client = await connect(server.url);
      assert.deepEqual(JSON.parse(String(await client.receive())), data);
    }
  });

  for (const [what, make] of [
    ["a subprotocol that the client did not offer", () => admit({ subprotocol: "v9" })],
    ["a subprotocol that is no token", () => admit({ subprotocol: "a b" })],
    ["a field of the handshake", () => admit({ headers: { Upgrade: "h2c" } })],
    ["a field with a line break", () => admit({ headers: { "Set-Cookie": "a=1\r\nX: y" } })],
    ["an option that does not exist", () => admit({ date: 1 } as never)],
    ["no options", () => (admit as (given?: unknown) => never)()],
  ] as const) {
    it(`with ${what} is answered with 500, and reported as an error of authorize`, async () => {
      const places: [string, ErrorContext["place"]][] = [];
      const options: ListenOptions<unknown, UpgradeRequest> = {
        authorize: make,
        onError: (error, { place }) => void places.push([(error as Error).name, place]),
        open: () => assert.fail("it was accepted"),
      };
      await using server = await listen(ANY_PORT, options);
      await assert.rejects(connect(server.url, { subprotocols: ["v1"] }), { status: 500 });
      assert.deepEqual(places, [["TypeError", "authorize"]]);
    });
  }
});

/** Rows 27 and 28 of the RFC's table: which offers of permessage-deflate are made, accepted and declined (RFC 7692 sections 5 and 7.1). */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, HandshakeError, type ListenOptions, listen } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { answerOf, portOf, rawServer, switchingTo, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";
import { paramsOf } from "./deflate-peer.ts";
import { offersIn } from "./roles.ts";

const LIMIT = { timeout: 60_000 };
type Compression = NonNullable<ListenOptions["compression"]>;

/** A server's response to an offer: the field's value, or undefined if it declines. */
async function answered(offers: string | readonly string[], compression: Compression): Promise<string | undefined> {
  await using server = await listen("ws://127.0.0.1:0", { compression, clock: new ManualClock() }, async (one) => {
    await one.closed;
  });
  const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": offers });
  await using peer = await upgraded(portOf(server), request);
  return answerOf(peer.text).headers["sec-websocket-extensions"];
}

const KEEPS: Compression = { serverContextTakeover: true, clientContextTakeover: true };
const D = "permessage-deflate";

/** An offer, the options of the server, and the parameters in its response; undefined for a declined offer. */
type Offer = readonly [
  offers: string | readonly string[],
  params: Readonly<Record<string, string>> | undefined,
  wants?: Compression,
];

const OFFERS: readonly Offer[] = [
  [D, {}],
  [`${D}; server_no_context_takeover`, { server_no_context_takeover: "" }],
  [`${D}; client_no_context_takeover`, { client_no_context_takeover: "" }],
  ...[8, 9, 10, 14, 15].map(
    (bits): Offer => [`${D}; server_max_window_bits=${bits}`, { server_max_window_bits: `${bits}` }],
  ),
  [`${D}; server_max_window_bits="10"`, { server_max_window_bits: "10" }],
  [`${D}; client_max_window_bits`, {}],
  [`x-unknown, ${D}`, {}],
  [["x-unknown", D], {}],
  // What the server's own options require.
  [D, { server_no_context_takeover: "", client_no_context_takeover: "" }, true],
  [D, { server_max_window_bits: "9" }, { ...KEEPS, serverWindowBits: 9 }],
  [`${D}; server_max_window_bits=8`, { server_max_window_bits: "8" }, { ...KEEPS, serverWindowBits: 9 }],
  [`${D}; server_max_window_bits=12`, { server_max_window_bits: "9" }, { ...KEEPS, serverWindowBits: 9 }],
  [`${D}; client_max_window_bits`, { client_max_window_bits: "9" }, { ...KEEPS, clientWindowBits: 9 }],
  // Row 27: offers that must be declined.
  ...[
    ...["unknown", "unknown=1", "Server_no_context_takeover", "server_no_context_takeover=1"],
    ...["client_no_context_takeover=true", 'client_no_context_takeover="1"'],
    ...["server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16"],
    ...[
      "server_max_window_bits=08",
      "server_max_window_bits=010",
      "server_max_window_bits=0",
      "server_max_window_bits=99",
    ],
    ...[
      "server_max_window_bits=1e1",
      "server_max_window_bits=10.0",
      "server_max_window_bits=+9",
      "server_max_window_bits=x",
    ],
    ...[
      "client_max_window_bits=7",
      "client_max_window_bits=16",
      "client_max_window_bits=08",
      "client_max_window_bits=x",
    ],
    ...["server_no_context_takeover; server_no_context_takeover", "client_max_window_bits; client_max_window_bits=10"],
    ...["server_max_window_bits=10; server_max_window_bits=10", "constructor", "__proto__=1"],
  ].map((params): Offer => [`${D}; ${params}`, undefined]),
  // The next offer is used.
  [`${D}; server_max_window_bits=08, ${D}; server_max_window_bits=9`, { server_max_window_bits: "9" }],
  [[`${D}; unknown`, `${D}; client_no_context_takeover`], { client_no_context_takeover: "" }],
  [`${D}; unknown, ${D}; unknown=2, x, ${D}`, {}],
];

/** Options of a server that accepts what a client requests. A client's own window is not restricted. */
function withoutHints(answer: string | undefined): Record<string, string> | undefined {
  return answer === undefined ? undefined : Object.fromEntries(paramsOf(answer));
}

describe("row 27, RFC 7692 5.1 and 7: a server that is offered", () => {
  for (const [offers, params, wants = KEEPS] of OFFERS) {
    const outcome = params === undefined ? "declines" : `answers ${JSON.stringify(params)}`;
    it(`${JSON.stringify(offers)} ${outcome} ${wants === KEEPS ? "" : JSON.stringify(wants)}`, LIMIT, async () => {
      assert.deepEqual(withoutHints(await answered(offers, wants)), params);
    });
  }

  it("anything answers nothing where compression is off, as by default", LIMIT, async () => {
    await using server = await listen("ws://127.0.0.1:0", {}, async ({ closed }) => void (await closed));
    const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": D });
    await using peer = await upgraded(portOf(server), request);
    assert.equal(answerOf(peer.text).headers["sec-websocket-extensions"], undefined);
    assert.equal([...server.connections][0]?.extensions, "");
  });
});

/** A client's error for a response; undefined if it accepts the response. */
async function judged(answer: string, compression: Compression): Promise<unknown> {
  await using server = await rawServer(async (peer) => {
    await peer.head();
    peer.write(switchingTo(peer.text, { "Sec-WebSocket-Extensions": answer }));
  });
  try {
    const connection = await connect(`ws://127.0.0.1:${server.port}`, { compression, clock: new ManualClock() });
    connection.terminate();
    await connection.closed;
    return undefined;
  } catch (error) {
    return error;
  }
}

const WRONG_ANSWERS: readonly (readonly [answer: string, compression?: Compression])[] = [
  ...[
    ...["unknown", "server_no_context_takeover=1", "client_no_context_takeover=1"],
    ...["server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=99"],
    ...["server_max_window_bits=08", "server_max_window_bits=x", "client_max_window_bits"],
    ...["client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=09"],
    ...["server_max_window_bits=9; server_max_window_bits=9", "server_no_context_takeover; server_no_context_takeover"],
  ].map((params) => [`${D}; ${params}`] as const),
  [`${D}, ${D}`],
  [`${D}, x-unasked`],
  [D, false],
  // Less than the client requested. RFC 7692 7.1.1.1 and 7.1.2.1: a server must decline what it cannot do.
  [D, { serverContextTakeover: false }],
  [D, { serverWindowBits: 9 }],
  [`${D}; server_max_window_bits=10`, { serverWindowBits: 9 }],
  [`${D}; client_max_window_bits=10`, { clientWindowBits: 9 }],
];

describe("row 27, RFC 7692 5.1 and 7: a client that is answered", () => {
  for (const [answer, compression = true] of WRONG_ANSWERS) {
    it(`${answer} opens nothing ${compression === true ? "" : JSON.stringify(compression)}`, LIMIT, async () => {
      const error = await judged(answer, compression);
      assert.ok(error instanceof HandshakeError, String(error));
      assert.deepEqual([error.phase, error.status], ["upgrade", 101]);
    });
  }
  for (const [answer, compression = true] of [
    [D],
    [`${D}; server_no_context_takeover; client_no_context_takeover`],
    ...[8, 9, 15].map((bits) => [`${D}; server_max_window_bits=${bits}; client_max_window_bits=${bits}`] as const),
    [`${D}; server_max_window_bits=9`, { serverWindowBits: 10 }],
    [`${D}; server_no_context_takeover`, { serverContextTakeover: false }],
  ] as readonly (readonly [string, Compression?])[]) {
    it(`${answer} takes it ${compression === true ? "" : JSON.stringify(compression)}`, LIMIT, async () => {
      assert.equal(await judged(answer, compression), undefined);
    });
  }

  it("with nothing goes on without compression", LIMIT, async () => {
    await using server = await listen("ws://127.0.0.1:0", {}, async ({ closed }) => void (await closed));
    await using connection = await connect(server.url);
    assert.equal(connection.extensions, "");
  });

  it("has asked with its offers in their order", LIMIT, async () => {
    await using server = await rawServer(async (peer) => {
      await peer.head();
      peer.socket.end("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    });
    const compression = {
      serverWindowBits: 10,
      fallbacks: [{ serverContextTakeover: false, clientWindowBits: 9 }, {}],
    };
    await assert.rejects(connect(`ws://127.0.0.1:${server.port}`, { compression }), HandshakeError);
    const offers = offersIn(server.peers[0]?.text ?? "").slice(0, 3);
    assert.deepEqual(
      offers.map((offer) => Object.fromEntries(paramsOf(offer))),
      [
        { server_max_window_bits: "10", client_max_window_bits: "" },
        { server_no_context_takeover: "", client_max_window_bits: "9" },
        { client_max_window_bits: "" },
      ],
    );
  });
});

describe("row 28, RFC 7692 7.1.2.2: a server that wants a small window of its client", () => {
  for (const bits of [8, 9, 14]) {
    it(`names ${bits} bits only to one that has said it can be asked`, LIMIT, async () => {
      const wants = { ...KEEPS, clientWindowBits: bits };
      assert.deepEqual(withoutHints(await answered(`${D}; client_max_window_bits`, wants)), {
        client_max_window_bits: `${bits}`,
      });
      for (const offer of [D, `${D}; server_max_window_bits=15`, `${D}; server_no_context_takeover`]) {
        assert.ok(!(await answered(offer, wants))?.includes("client_max_window_bits"), offer);
      }
      // The window is not larger than the client has offered.
      const less = withoutHints(await answered(`${D}; client_max_window_bits=8`, wants));
      assert.equal(less?.["client_max_window_bits"], "8");
    });
  }
});

/** S0: what bounds the opening of a connection ends with it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { attach, type Connection, connect, listen, TimeoutError } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { LOCALHOST } from "../fixtures/certificates.js";
import { RawPeer, rawServer } from "../raw-peers.js";
import { addressOf } from "./joined.js";

// Long enough for an opening on a machine that has much else to do.
const OPEN_TIMEOUT = 2_000;

const KINDS = [
  { scheme: "ws", options: {}, tls: {} },
  { scheme: "wss", options: {}, tls: LOCALHOST },
  { scheme: "tcp", options: { framing: "lines" as const }, tls: {} },
  { scheme: "tls", options: { framing: "lines" as const }, tls: LOCALHOST },
] as const;

/** Both ends can still send, and what they send arrives. */
async function alive(one: Connection, other: Connection): Promise<void> {
  assert.deepEqual([one.state, other.state], ["OPEN", "OPEN"]);
  await Promise.all([one.send("from one"), other.send("from the other")]);
  assert.equal(await other.receive(), "from one");
  assert.equal(await one.receive(), "from the other");
}

/** Resolves with the first connection that is accepted. */
function arrival(): { readonly open: (connection: Connection) => void; readonly connection: Promise<Connection> } {
  let open!: (connection: Connection) => void;
  const connection = new Promise<Connection>((resolve) => {
    open = resolve;
  });
  return { open, connection };
}

// Beside each other, since most of the time is spent waiting.
describe("S0-12 limits of the opening never survive into the connection", { concurrency: true }, () => {
  for (const { scheme, options, tls } of KINDS) {
    const ca = "cert" in tls ? { tls: { ca: tls.cert } } : {};

    it(`S0-12 on ${scheme}: five times openTimeout behind the opening, by the clock that it was given`, async () => {
      const clock = new ManualClock();
      const { open, connection } = arrival();
      const bounds = { ...options, clock, openTimeout: 2_000 };
      await using server = await listen(`${scheme}://127.0.0.1:0`, { ...bounds, tls, open });
      const client = await connect(addressOf(server), { ...bounds, ...ca });
      const accepted = await connection;
      await clock.advance(10_000);
      await alive(client as Connection, accepted);
      await clock.advance(10_000);
      await alive(client as Connection, accepted);
      await Promise.all([client.close(), accepted.close()]);
    });

    it(`S0-12 on ${scheme}: when the limits have come due for those who began to open later`, async () => {
      const { open, connection } = arrival();
      const bounds = { ...options, openTimeout: OPEN_TIMEOUT };
      await using server = await listen(`${scheme}://127.0.0.1:0`, { ...bounds, tls, open });
      await using client = await connect(addressOf(server), { ...bounds, ...ca });
      const accepted = await connection;

      // A peer that says nothing is cut, and so is a server that does not answer; but for tcp, where there is nothing to say.
      await using silent = await RawPeer.to(Number(new URL(server.url).port));
      await using mute = await rawServer(() => undefined);
      if (scheme !== "tcp") {
        const dialled = connect(`${scheme}://127.0.0.1:${mute.port}`, { ...bounds, ...ca });
        const late = assert.rejects(dialled, (error) => error instanceof TimeoutError && error.limit === "openTimeout");
        await Promise.all([late, silent.until(({ ended }) => ended)]);
      }

      await alive(client as Connection, accepted);
      void accepted.close();
    });
  }

  it("S0-12 those of a node:http server neither: for the request, for its head, and for a socket without traffic", async () => {
    const http = createServer({ connectionsCheckingInterval: 20, requestTimeout: 2_500, headersTimeout: 2_000 });
    http.setTimeout(3_000);
    const { open, connection } = arrival();
    const attached = attach(http, { open, openTimeout: OPEN_TIMEOUT });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;
    try {
      await using client = await connect(`ws://127.0.0.1:${port}`);
      const accepted = await connection;
      // Two that began later are cut by these limits: one in the middle of its request, and one before it.
      await using slow = await RawPeer.to(port);
      slow.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
      await using idle = await RawPeer.to(port);
      await Promise.all([slow, idle].map((peer) => peer.until(({ ended }) => ended)));
      assert.match(slow.text, /^HTTP\/1\.1 408 /);
      await alive(client as Connection, accepted);
    } finally {
      await attached.close();
      http.close();
      await once(http, "close");
    }
  });
});

/** S0: the limits of an opening end with the opening. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { attach, type Connection, connect, listen, TimeoutError } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { addressOf } from "../kit/connected-pair.ts";
import { RawPeer, rawServer } from "../kit/raw-peer.ts";

// Long enough for an opening on a busy machine.
const OPEN_TIMEOUT = 2_000;

const KINDS = [
  { scheme: "ws", options: {}, tls: {} },
  { scheme: "wss", options: {}, tls: LOCALHOST },
  { scheme: "tcp", options: { framing: "lines" as const }, tls: {} },
  { scheme: "tls", options: { framing: "lines" as const }, tls: LOCALHOST },
] as const;

/** Checks that both sides can still send, and that it arrives. */
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

// Concurrent, since the tests mostly wait.
describe("S0-12 limits of the opening never apply to the open connection", { concurrency: true }, () => {
  for (const { scheme, options, tls } of KINDS) {
    const ca = "cert" in tls ? { tls: { ca: tls.cert } } : {};

    it(`S0-12 on ${scheme}: five times openTimeout after the opening, by a manual clock`, async () => {
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

    it(`S0-12 on ${scheme}: after the limits of later openings have expired`, async () => {
      const { open, connection } = arrival();
      const bounds = { ...options, openTimeout: OPEN_TIMEOUT };
      await using server = await listen(`${scheme}://127.0.0.1:0`, { ...bounds, tls, open });
      await using client = await connect(addressOf(server), { ...bounds, ...ca });
      const accepted = await connection;

      // A silent client is cut, and a silent server too, except on tcp:, which has no handshake.
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

  it("S0-12 nor do those of a node:http server: for the request, for its head, and for a silent socket", async () => {
    const http = createServer({ connectionsCheckingInterval: 20, requestTimeout: 2_500, headersTimeout: 2_000 });
    http.setTimeout(3_000);
    const { open, connection } = arrival();
    // Longer than the limits of node:http, so that they expire.
    const attached = attach(http, { open, openTimeout: 60_000 });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;
    try {
      await using client = await connect(`ws://127.0.0.1:${port}`);
      const accepted = await connection;
      // Two later connections end by these limits: one inside its request, and one before it.
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

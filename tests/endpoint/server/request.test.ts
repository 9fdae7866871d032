/** Tests of the request that the `open` hook and the handler get. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import { attach, connect, listen, type UpgradeRequest } from "../../../src/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { deferred } from "../../kit/deferred.ts";

const LIMIT = { timeout: 240_000 };
const HEADERS = { "X-Color": "red", "Set-Cookie": ["a=1", "b=2"] };

describe("the request", LIMIT, () => {
  for (const [name, url] of Object.entries({ "ws:": "ws://127.0.0.1:0", "wss:": "wss://127.0.0.1:0" }) as [
    string,
    `ws:${string}`,
  ][]) {
    it(`is passed to the open hook and to the handler on ${name}`, async () => {
      const [opened, handled] = [deferred<UpgradeRequest>(), deferred<UpgradeRequest>()];
      await using server = await listen(
        url,
        { tls: LOCALHOST, open: (_, request) => opened.resolve(request) },
        (_, request) => handled.resolve(request),
      );
      const target = `${server.url.replace("127.0.0.1", "localhost")}/a?b=c`;
      const connection = await connect(target, { headers: HEADERS, subprotocols: ["x"], tls: { ca: LOCALHOST.cert } });
      const request = await opened.promise;
      assert.equal(request, await handled.promise);
      assert.equal(request.path, "/a");
      assert.equal(request.query, "b=c");
      assert.equal(request.headers["x-color"], "red");
      assert.deepEqual(request.protocols, ["x"]);
      assert.match(request.remoteAddress, /^127\.0\.0\.1$|^::1$/);
      assert.equal(request.remotePort, connection.localPort);
      assert.equal(request.raw, undefined);
      assert.equal(request.secure, name === "wss:");
      if (name === "wss:") {
        const { serverName, version, authorized, peerCertificate } = request.tls ?? {};
        assert.deepEqual([serverName, authorized, peerCertificate], ["localhost", false, undefined]);
        assert.match(version ?? "", /^TLSv1/);
      } else assert.equal(request.tls, undefined);
      assert.equal(request.signal.aborted, false);
    });
  }

  it("has the client's certificate, if TLS asked for one", async () => {
    const handled = deferred<UpgradeRequest>();
    const tls = { ...LOCALHOST, requestCert: true, ca: LOCALHOST.cert };
    await using server = await listen("wss://127.0.0.1:0", { tls }, async (connection, request) => {
      handled.resolve(request);
      await connection.closed;
    });
    await using _client = await connect(server.url.replace("127.0.0.1", "localhost"), {
      tls: { ca: LOCALHOST.cert, cert: LOCALHOST.cert, key: LOCALHOST.key },
    });
    const { tls: session } = await handled.promise;
    assert.equal(session?.peerCertificate?.subject.CN, "localhost");
    assert.equal(session?.authorized, true);
  });

  it("has the request of node:http under attach, in authorize and in the handler", async () => {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const handled = deferred<UpgradeRequest>();
    const raws: unknown[] = [];
    const server = attach(http, { authorize: ({ raw }) => void raws.push(raw?.headers["x-color"]) }, (_, request) =>
      handled.resolve(request),
    );
    await using _client = await connect(server.url, { headers: { "X-Color": "blue" } });
    assert.equal((await handled.promise).raw?.headers["x-color"], "blue");
    assert.deepEqual(raws, ["blue"]);
    await server.close();
    http.close();
  });

  it("is undefined on TCP and on clients", async () => {
    const handled = deferred<unknown>();
    await using server = await listen("tcp://127.0.0.1:0", (_, request) => handled.resolve(request));
    await using _client = await connect(server.url, { open: (_, request) => assert.equal(request, undefined) });
    assert.equal(await handled.promise, undefined);
  });
});

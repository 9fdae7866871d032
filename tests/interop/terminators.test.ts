/** Packages that end an HTTP server together with its sockets: they end the connections of `attach` too. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import { createServer as createSecure } from "node:https";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { attach } from "../../src/index.ts";
import { prepareTransports } from "../../src/transport/fast/select.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { needsPackages } from "../kit/foreign-programs.ts";

const fromPeers = createRequire(fileURLToPath(new URL("../../../.cache/peers/package.json", import.meta.url)));

/** How each package ends a server. Called before the server listens, because the packages count its sockets. */
const PACKAGES: Readonly<Record<string, (http: HttpServer) => () => Promise<unknown>>> = {
  "http-terminator": (http) => {
    const terminator = fromPeers("http-terminator").createHttpTerminator({
      server: http,
      gracefulTerminationTimeout: 200,
    });
    return () => terminator.terminate();
  },
  stoppable: (http) => {
    const stopping = fromPeers("stoppable")(http, 200);
    return () => new Promise((resolve) => stopping.stop(resolve));
  },
};

describe("an HTTP server with connections of attach", { timeout: 60_000 }, () => {
  for (const [name, prepare] of Object.entries(PACKAGES)) {
    for (const secure of [false, true]) {
      it(`is ended by ${name}, ${secure ? "with" : "without"} TLS`, async (t) => {
        if (!needsPackages(t, [name])) return;
        await prepareTransports({ secure, socketPath: undefined });
        const http = secure ? createSecure(LOCALHOST) : createServer();
        const terminate = prepare(http);
        const echo = attach(http, { message: (connection, message) => void connection.trySend(message) });
        await once(http.listen(0, "127.0.0.1"), "listening");
        const url = `${secure ? "wss" : "ws"}://127.0.0.1:${(http.address() as AddressInfo).port}`;
        const client = new WebSocket(url, { ca: LOCALHOST.cert });
        await once(client, "open");
        client.send("hello");
        assert.equal(String((await once(client, "message"))[0]), "hello");
        const [connection] = echo.connections;
        const closed = once(client, "close");
        await Promise.all([terminate(), closed, connection?.closed]);
        assert.equal(http.listening, false);
        assert.equal(echo.connections.size, 0);
      });
    }
  }
});

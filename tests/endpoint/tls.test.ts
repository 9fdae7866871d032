/** Tests of TLS between our client and our server: which certificates a client trusts, and how a server handles failures. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { createServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import {
  type Connection,
  connect,
  HandshakeError,
  isConnectionError,
  type ListenOptions,
  listen,
  type Server,
  TransportError,
} from "../../src/index.ts";
import { type Certificate, ELSEWHERE, EXPIRED, LOCALHOST } from "../fixtures/certificates.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { linesOn } from "../kit/lines-on.ts";
import { portOf, rawServer, switchingTo } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const serving = (scheme: string, certificate: Certificate, options: ListenOptions = {}): Promise<Server> =>
  listen(`${scheme}://127.0.0.1:0`, { tls: certificate, ...linesOn(scheme), ...options }, echo);

for (const scheme of ["wss", "tls"]) {
  describe(`a client of ${scheme}`, LIMIT, () => {
    const unknown = ["DEPTH_ZERO_SELF_SIGNED_CERT", "is self-signed, and is not in tls.ca"] as const;
    const elsewhere = ["ERR_TLS_CERT_ALTNAME_INVALID", "is for example.test, not for HOST"] as const;
    const distrusted: Record<string, [string, Certificate, object, readonly [code: string, text: string]]> = {
      "that signed itself": ["127.0.0.1", LOCALHOST, {}, unknown],
      "of another authority": ["127.0.0.1", LOCALHOST, { ca: ELSEWHERE.cert }, unknown],
      "of another year": ["127.0.0.1", EXPIRED, { ca: EXPIRED.cert }, ["CERT_HAS_EXPIRED", "has expired"]],
      "of another host": ["127.0.0.1", ELSEWHERE, { ca: ELSEWHERE.cert }, elsewhere],
      "of another name": ["localhost", ELSEWHERE, { ca: ELSEWHERE.cert }, elsewhere],
    };
    for (const [what, [host, certificate, tls, [code, text]]] of Object.entries(distrusted)) {
      it(`refuses a certificate ${what}, in phase tls, and leaves no socket`, async () => {
        const before = openSockets();
        await using server = await serving(scheme, certificate);
        const url = `${scheme}://${host}:${portOf(server)}`;
        await assert.rejects(connect(url, { tls, ...linesOn(scheme) }), (error: unknown) => {
          assert.ok(error instanceof HandshakeError);
          assert.equal(error.phase, "tls");
          assert.ok(error.cause instanceof TransportError);
          assert.equal(error.cause.errno, code);
          assert.equal((error.cause.cause as NodeJS.ErrnoException).code, code);
          const said = `the certificate of the server ${text.replace("HOST", host)}`;
          assert.equal(error.message, `Cannot connect: ${said} (in phase tls)`);
          return true;
        });
        await server.close();
        while (openSockets() > before) await new Promise(setImmediate);
      });
    }

    for (const host of ["127.0.0.1", "localhost"]) {
      it(`trusts the given authorities, for ${host}`, async () => {
        await using server = await serving(scheme, LOCALHOST);
        const url = `${scheme}://${host}:${portOf(server)}`;
        await using connection = await connect(url, { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) });
        assert.equal(connection.secure, true);
        await connection.send("hello");
        assert.equal(await connection.receive(), "hello");
        const [served] = server.connections;
        assert.equal(served?.secure, true);
        assert.equal(served.remoteAddress, "127.0.0.1");
      });
    }

    it("may expect another name, or skip the check of the name", async () => {
      await using server = await serving(scheme, ELSEWHERE);
      const trusting = { ca: ELSEWHERE.cert, servername: "example.test" };
      for (const tls of [trusting, { rejectUnauthorized: false }]) {
        await using connection = await connect(server.url, { tls, ...linesOn(scheme) });
        await connection.send("hello");
        assert.equal(await connection.receive(), "hello");
      }
    });

    it("sends the name of the host, but no address (RFC 6066 3)", async () => {
      const names: unknown[] = [];
      const server = createServer(LOCALHOST, (socket) => {
        names.push((socket as TLSSocket & { servername: unknown }).servername);
        socket.on("error", () => undefined);
        socket.once("data", (request) => socket.write(switchingTo(String(request)), () => socket.end()));
        if (scheme === "tls") socket.end();
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      for (const host of ["localhost", "127.0.0.1"]) {
        await using _connection = await connect(`${scheme}://${host}:${port}`, { tls: { ca: LOCALHOST.cert } });
      }
      server.close();
      await once(server, "close");
      assert.deepEqual(names, ["localhost", false]);
    });

    it("presents a certificate if the server requests one", async () => {
      const tls = { ...LOCALHOST, ca: ELSEWHERE.cert, requestCert: true, rejectUnauthorized: true };
      await using server = await serving(scheme, LOCALHOST, { tls });
      const known = { tls: { ca: LOCALHOST.cert, ...ELSEWHERE }, ...linesOn(scheme) } as const;
      await using connection = await connect(server.url, known);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      // With TLS 1.3 the client gets the refusal after its own handshake, so in the phase that follows.
      const unknown = connect(server.url, { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) });
      await assert.rejects(
        unknown.then((stranger) => stranger.receive().finally(() => stranger.terminate())),
        isConnectionError,
      );
      assert.equal(server.connections.size, 1);
    });

    it("gets an error for a reset below TLS, and the process continues", async () => {
      await using server = await serving(scheme, LOCALHOST);
      await using between = await rawServer(({ socket }) => {
        const onward = dial(portOf(server), "127.0.0.1").on("error", () => undefined);
        onward.pipe(socket).pipe(onward);
        socket.once("close", () => onward.destroy());
      });
      const url = `${scheme}://127.0.0.1:${between.port}`;
      await using connection = await connect(url, { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) });
      await connection.send("hello");
      await connection.receive();
      for (const { socket } of between.peers) socket.resetAndDestroy();
      const { code, wasClean, cause } = await connection.closed;
      assert.deepEqual([code, wasClean], [1006, false]);
      assert.ok(cause instanceof TransportError);
      assert.equal(cause.errno, "ECONNRESET");
    });
  });

  describe(`a server of ${scheme}`, LIMIT, () => {
    it("closes clients that send no TLS or leave during the handshake, and serves the others", async () => {
      const told: unknown[] = [];
      await using server = await serving(scheme, LOCALHOST, { onError: (error) => told.push(error) });
      for (const say of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", ""]) {
        const socket = dial(portOf(server), "127.0.0.1");
        socket.on("error", () => undefined);
        await once(socket, "connect");
        socket.write(say, () => socket.resetAndDestroy());
        await once(socket, "close");
      }
      await using connection = await connect(server.url, { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) });
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      assert.deepEqual(told, []);
    });

    it("survives a client that resets after the TLS handshake", async () => {
      await using server = await serving(scheme, LOCALHOST);
      const socket = tlsConnect({ port: portOf(server), host: "127.0.0.1", ca: LOCALHOST.cert });
      socket.on("error", () => undefined);
      await once(socket, "secureConnect");
      socket.destroy();
      await using connection = await connect(server.url, { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) });
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
    });

    it("survives an SNI callback that throws: only that client fails", async () => {
      const SNICallback = (): never => {
        throw new Error("no such name");
      };
      await using server = await serving(scheme, LOCALHOST, { tls: { ...LOCALHOST, SNICallback } });
      const options = { tls: { ca: LOCALHOST.cert }, ...linesOn(scheme) } as const;
      await assert.rejects(connect(`${scheme}://localhost:${portOf(server)}`, options), { phase: "tls" });
      // A literal IP address is not allowed as a server name.
      await using connection = await connect(server.url, options);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
    });

    it("is refused with an invalid certificate, at its creation", async () => {
      await assert.rejects(serving(scheme, { cert: "no", key: "no" }));
    });
  });
}

/** Tests of TLS between our own client and server: whom a client trusts, and what a server is told of it. */

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
} from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { type Certificate, ELSEWHERE, EXPIRED, LOCALHOST } from "../fixtures/certificates.js";
import { portOf, rawServer, switchingTo } from "../raw-peers.js";

const LIMIT = { timeout: 240_000 };
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const serving = (scheme: string, certificate: Certificate, options: ListenOptions = {}): Promise<Server> =>
  listen(`${scheme}://127.0.0.1:0`, { tls: certificate, framing: "lines", ...options }, echo);

for (const scheme of ["wss", "tls"]) {
  describe(`a client of ${scheme}`, LIMIT, () => {
    const distrusted: Record<string, [string, Certificate, object, RegExp]> = {
      "that signed itself": ["127.0.0.1", LOCALHOST, {}, /^DEPTH_ZERO_SELF_SIGNED_CERT$/],
      "of another authority": ["127.0.0.1", LOCALHOST, { ca: ELSEWHERE.cert }, /^DEPTH_ZERO_SELF_SIGNED_CERT$/],
      "of another year": ["127.0.0.1", EXPIRED, { ca: EXPIRED.cert }, /^CERT_HAS_EXPIRED$/],
      "of another host": ["127.0.0.1", ELSEWHERE, { ca: ELSEWHERE.cert }, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
      "of another name": ["localhost", ELSEWHERE, { ca: ELSEWHERE.cert }, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
    };
    for (const [what, [host, certificate, tls, errno]] of Object.entries(distrusted)) {
      it(`refuses a certificate ${what}, in phase tls, and leaves nothing behind`, async () => {
        const before = openSockets();
        await using server = await serving(scheme, certificate);
        const url = `${scheme}://${host}:${portOf(server)}`;
        await assert.rejects(connect(url, { tls, framing: "lines" }), (error: unknown) => {
          assert.ok(error instanceof HandshakeError);
          assert.equal(error.phase, "tls");
          assert.match((error.cause as { errno: string }).errno, errno);
          return true;
        });
        await server.close();
        while (openSockets() > before) await new Promise(setImmediate);
      });
    }

    for (const host of ["127.0.0.1", "localhost"]) {
      it(`trusts the authorities that it is told to, for ${host}`, async () => {
        await using server = await serving(scheme, LOCALHOST);
        const url = `${scheme}://${host}:${portOf(server)}`;
        await using connection = await connect(url, { tls: { ca: LOCALHOST.cert }, framing: "lines" });
        assert.equal(connection.secure, true);
        await connection.send("hello");
        assert.equal(await connection.receive(), "hello");
        const [served] = server.connections;
        assert.equal(served?.secure, true);
        assert.match(served.remoteAddress, /^127\.0\.0\.1:\d+$/);
      });
    }

    it("may expect another name, or nobody in particular", async () => {
      await using server = await serving(scheme, ELSEWHERE);
      const trusting = { ca: ELSEWHERE.cert, servername: "example.test" };
      for (const tls of [trusting, { rejectUnauthorized: false }]) {
        await using connection = await connect(server.url, { tls, framing: "lines" });
        await connection.send("hello");
        assert.equal(await connection.receive(), "hello");
      }
    });

    it("names the host that it wants, and no address (RFC 6066 3)", async () => {
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

    it("shows a certificate when it is asked for one", async () => {
      const tls = { ...LOCALHOST, ca: ELSEWHERE.cert, requestCert: true, rejectUnauthorized: true };
      await using server = await serving(scheme, LOCALHOST, { tls });
      const known = { tls: { ca: LOCALHOST.cert, ...ELSEWHERE }, framing: "lines" } as const;
      await using connection = await connect(server.url, known);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      // Under TLS 1.3 the client learns of its refusal behind its own handshake, so in whichever phase comes then.
      const unknown = connect(server.url, { tls: { ca: LOCALHOST.cert }, framing: "lines" });
      await assert.rejects(
        unknown.then((stranger) => stranger.receive().finally(() => stranger.terminate())),
        isConnectionError,
      );
      assert.equal(server.connections.size, 1);
    });

    it("is told of a reset below TLS, and the process goes on", async () => {
      await using server = await serving(scheme, LOCALHOST);
      await using between = await rawServer(({ socket }) => {
        const onward = dial(portOf(server), "127.0.0.1").on("error", () => undefined);
        onward.pipe(socket).pipe(onward);
        socket.once("close", () => onward.destroy());
      });
      const url = `${scheme}://127.0.0.1:${between.port}`;
      await using connection = await connect(url, { tls: { ca: LOCALHOST.cert }, framing: "lines" });
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
    it("is rid of clients that speak no TLS or leave in the middle of it, and serves the others", async () => {
      const told: unknown[] = [];
      await using server = await serving(scheme, LOCALHOST, { onError: (error) => told.push(error) });
      for (const say of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", ""]) {
        const socket = dial(portOf(server), "127.0.0.1");
        socket.on("error", () => undefined);
        await once(socket, "connect");
        socket.write(say, () => socket.resetAndDestroy());
        await once(socket, "close");
      }
      await using connection = await connect(server.url, { tls: { ca: LOCALHOST.cert }, framing: "lines" });
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      assert.deepEqual(told, []);
    });

    it("outlives a client that resets once TLS stands", async () => {
      await using server = await serving(scheme, LOCALHOST);
      const socket = tlsConnect({ port: portOf(server), host: "127.0.0.1", ca: LOCALHOST.cert });
      socket.on("error", () => undefined);
      await once(socket, "secureConnect");
      socket.destroy();
      await using connection = await connect(server.url, { tls: { ca: LOCALHOST.cert }, framing: "lines" });
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
    });

    it("outlives a callback for SNI that throws, at the cost of the client that asked", async () => {
      const SNICallback = (): never => {
        throw new Error("no such name");
      };
      await using server = await serving(scheme, LOCALHOST, { tls: { ...LOCALHOST, SNICallback } });
      const options = { tls: { ca: LOCALHOST.cert }, framing: "lines" } as const;
      await assert.rejects(connect(`${scheme}://localhost:${portOf(server)}`, options), { phase: "tls" });
      // A literal address is no name to ask for.
      await using connection = await connect(server.url, options);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
    });

    it("is refused a certificate that is none, when it is made", async () => {
      await assert.rejects(serving(scheme, { cert: "no", key: "no" }));
    });
  });
}

/** Tests of the certificate of `holdfast serve --tls`, with readers that are not ours: Node, and openssl if it is installed. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { connect, createServer } from "node:tls";
import { selfSigned } from "../../../src/cli/serve/certificate.ts";
import { needed, OPENSSL } from "../../kit/foreign-programs.ts";

const NOW = new Date("2026-11-30T12:00:00Z");

describe("the certificate of holdfast serve", () => {
  it("is one of X.509 for Node, and its key belongs to it", () => {
    const { cert, key, fingerprint } = selfSigned("2001:db8::7", NOW);
    const read = new X509Certificate(cert);
    assert.ok(read.checkPrivateKey(createPrivateKey(key)));
    assert.ok(read.verify(read.publicKey));
    assert.equal(read.fingerprint256, fingerprint);
    assert.equal(read.validFrom, "Nov 29 12:00:00 2026 GMT");
    assert.equal(read.validTo, "Dec 30 12:00:00 2026 GMT");
    assert.equal(read.subject, "CN=holdfast serve");
    for (const address of ["127.0.0.1", "::1", "2001:db8::7"]) assert.equal(read.checkIP(address), address);
    assert.equal(read.checkHost("localhost"), "localhost");
    assert.equal(read.checkHost("example.com"), undefined);
  });

  it("has another key and number each time, and a serial number that is positive and has no redundant byte", () => {
    const made = Array.from({ length: 50 }, () => new X509Certificate(selfSigned("localhost").cert).serialNumber);
    assert.equal(new Set(made).size, 50);
    for (const serial of made) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
  });

  for (const host of ["localhost", "0.0.0.0", "::", "fe80::1%eth0", "::ffff:192.0.2.1", "name with spaces"]) {
    it(`can be made for the host ${host}`, () => {
      assert.equal(new X509Certificate(selfSigned(host).cert).checkHost("localhost"), "localhost");
    });
  }

  it("is trusted by a client of node:tls that has it as its root, under each of its names", async () => {
    const { cert, key } = selfSigned("127.0.0.1");
    const server = createServer({ cert, key }, (socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    for (const servername of ["localhost", undefined]) {
      const socket = connect({ port, host: "127.0.0.1", ca: cert, ...(servername !== undefined && { servername }) });
      await once(socket, "secureConnect");
      assert.ok(socket.authorized);
      socket.destroy();
    }
    server.close();
  });

  it("is read by openssl", (t) => {
    const openssl = needed(t, OPENSSL);
    if (openssl === undefined) return;
    const { cert } = selfSigned("192.0.2.7", NOW);
    const text = execFileSync(openssl, ["x509", "-noout", "-text"], { input: cert, encoding: "utf8" });
    for (const part of [
      /Version: 3/,
      /Signature Algorithm: ecdsa-with-SHA256/,
      /Public Key Algorithm: id-ecPublicKey/,
      /Basic Constraints: critical\s+CA:TRUE/,
      /Key Usage: critical\s+Digital Signature, Certificate Sign/,
      /TLS Web Server Authentication/,
      /IP Address:192\.0\.2\.7/,
    ])
      assert.match(text, part);
  });
});

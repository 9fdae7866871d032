/** Addresses in little room: what comes out is what went in. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pack, unpack } from "../../src/transport/packed-address.js";

const kept = (address: string): string => unpack(...pack(address));

describe("an address in little room", () => {
  it("is what it was, wherever it leads", () => {
    for (const address of ["0.0.0.0:0", "255.255.255.255:65535", "127.0.0.1:9000", "128.0.0.1:80", "[::1]:9000", ""]) {
      assert.equal(kept(address), address);
    }
    const port = fc.integer({ min: 0, max: 65_535 });
    const address = fc.oneof(
      fc.tuple(fc.ipV4(), port),
      fc.tuple(
        fc.ipV6().map((host) => `[${host}]`),
        port,
      ),
    );
    fc.assert(fc.property(address, ([host, number]) => kept(`${host}:${number}`) === `${host}:${number}`));
  });

  it("takes two small integers where it is IPv4", () => {
    assert.deepEqual(pack("1.2.3.4:5"), [0x01_02_03_04, 5]);
    assert.deepEqual(pack("255.255.255.254:65535"), [-2, 65_535]);
  });
});

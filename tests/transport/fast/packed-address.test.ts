/** Packed addresses: unpacking returns the original. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { packAddress, unpackAddress } from "../../../src/transport/fast/packed-address.ts";

describe("a packed address", () => {
  it("is unpacked to the same address", () => {
    for (const address of ["0.0.0.0", "255.255.255.255", "127.0.0.1", "128.0.0.1", "::1", ""])
      assert.equal(unpackAddress(packAddress(address)), address);
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => unpackAddress(packAddress(address)) === address),
    );
  });

  it("is a small integer for IPv4", () => {
    assert.equal(packAddress("1.2.3.4"), 0x01_02_03_04);
    assert.equal(packAddress("255.255.255.254"), -2);
  });
});

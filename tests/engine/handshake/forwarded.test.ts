/** Tests of the client's address behind proxies: whose word is believed, and how the two fields are read. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forwardedClient, settleTrustProxy, type TrustProxy } from "../../../src/engine/handshake/forwarded.ts";

/** The client as text. `fields` are lines of the field, in their order. */
function client(trust: TrustProxy, peer: string, ...fields: readonly string[]): string | undefined {
  const trusted = settleTrustProxy(trust);
  assert.ok(trusted);
  const found = forwardedClient(
    trusted,
    fields.flatMap((line) => line.split(/: (.*)/).slice(0, 2)),
    peer,
  );
  return found && `${found.remoteAddress} ${found.remotePort ?? "-"}`;
}
const xff = (value: string): string => `X-Forwarded-For: ${value}`;
const forwarded = (value: string): string => `Forwarded: ${value}`;

describe("X-Forwarded-For", () => {
  const LIST = ["10.0.0.0/8", "2001:db8::/32"];

  it("of a peer that is in the list has the client: the last address that is not in the list", () => {
    assert.equal(client(LIST, "10.0.0.1", xff("203.0.113.7")), "203.0.113.7 -");
    assert.equal(client(LIST, "::ffff:10.0.0.1", xff("198.51.100.1, 203.0.113.7, 10.2.3.4")), "203.0.113.7 -");
    assert.equal(client(LIST, "2001:db8::9", xff("2a00::1")), "2a00::1 -");
    assert.equal(client(LIST, "10.0.0.1", xff("10.9.9.9, 10.2.3.4")), "10.9.9.9 -");
  });

  it("in several lines is one list", () => {
    assert.equal(client(LIST, "10.0.0.1", xff("198.51.100.1"), xff("203.0.113.7,10.2.3.4")), "203.0.113.7 -");
  });

  it("of any other peer is ignored", () => {
    for (const peer of ["192.0.2.1", "11.0.0.1", "", "2a00::1", "not an address"])
      assert.equal(client(LIST, peer, xff("203.0.113.7")), undefined, peer);
  });

  it("may have ports and brackets", () => {
    assert.equal(client(LIST, "10.0.0.1", xff("203.0.113.7:4711")), "203.0.113.7 4711");
    assert.equal(client(LIST, "10.0.0.1", xff("[2A00::1]:4711")), "2a00::1 4711");
    assert.equal(client(LIST, "10.0.0.1", xff("[2a00::1]")), "2a00::1 -");
    assert.equal(client(LIST, "10.0.0.1", xff("::ffff:203.0.113.7")), "203.0.113.7 -");
  });

  it("is ignored if it is missing or malformed", () => {
    assert.equal(client(LIST, "10.0.0.1"), undefined);
    for (const value of [
      ...["", "unknown", "_hidden", "203.0.113.7,", ",10.2.3.4", "203.0.113.7;10.2.3.4", "203.0.113.300"],
      ...["203.0.113.7:0", "203.0.113.7:65536", "203.0.113.7:http", "203.0.113.7:", "[203.0.113.7", "a.example"],
      ...["fe80::1%eth0", '"203.0.113.7"', "203.0.113.7 10.2.3.4", Array(65).fill("10.2.3.4").join(",")],
    ])
      assert.equal(client(LIST, "10.0.0.1", xff(value)), undefined, value);
    assert.equal(client(LIST, "10.0.0.1", xff("203.0.113.7"), "bad name: x"), undefined);
    // What is to the left of the client is its own word, and is not read.
    assert.equal(client(LIST, "10.0.0.1", xff("<script>, 203.0.113.7")), "203.0.113.7 -");
  });

  it("with a number of proxies has the client that many addresses from its end", () => {
    assert.equal(client(1, "192.0.2.1", xff("198.51.100.1, 203.0.113.7")), "203.0.113.7 -");
    assert.equal(client(2, "192.0.2.1", xff("198.51.100.1, 203.0.113.7, 10.0.0.1")), "203.0.113.7 -");
    assert.equal(client(1, "", xff("203.0.113.7")), "203.0.113.7 -");
    assert.equal(client(3, "192.0.2.1", xff("203.0.113.7, 10.0.0.1")), undefined);
    assert.equal(client(2, "192.0.2.1", xff("203.0.113.7, unknown")), undefined);
  });

  it("of the peers of a unix socket is read if the list has unix", () => {
    assert.equal(client(["unix"], "", xff("203.0.113.7")), "203.0.113.7 -");
    assert.equal(client(["unix"], "192.0.2.1", xff("203.0.113.7")), undefined);
  });
});

describe("Forwarded", () => {
  const LIST = { from: ["10.0.0.0/8"], header: "forwarded" } as const;

  it("has the client in for", () => {
    assert.equal(client(LIST, "10.0.0.1", forwarded("for=203.0.113.7;proto=https;by=10.0.0.1")), "203.0.113.7 -");
    assert.equal(client(LIST, "10.0.0.1", forwarded('proto=https; For="[2a00::1]:4711"')), "2a00::1 4711");
    assert.equal(
      client(LIST, "10.0.0.1", forwarded('for=198.51.100.1, for="203.0.113.7", for=10.3.3.3')),
      "203.0.113.7 -",
    );
    assert.equal(client({ ...LIST, from: 1 }, "192.0.2.1", forwarded("for=203.0.113.7")), "203.0.113.7 -");
  });

  it("is ignored if it is malformed, or if an element has no address", () => {
    for (const value of [
      ...["for", "for=", "for=unknown", "for=_hidden", "proto=https", "for=203.0.113.7;for=198.51.100.1"],
      ...['for="203.0.113.7', "for = 203.0.113.7", "for=203.0.113.7;", "for=203.0.113.7;=x", "for=203.0.113.7 x"],
      ...["for=203.0.113.7, proto=https", "=203.0.113.7"],
    ])
      assert.equal(client(LIST, "10.0.0.1", forwarded(value)), undefined, value);
  });

  it("and X-Forwarded-For are not mixed: a client can write the one that the proxies do not write", () => {
    assert.equal(client(LIST, "10.0.0.1", xff("203.0.113.7")), undefined);
    assert.equal(client(LIST.from, "10.0.0.1", forwarded("for=203.0.113.7")), undefined);
    assert.equal(client(LIST.from, "10.0.0.1", forwarded("for=1.1.1.1"), xff("203.0.113.7")), "203.0.113.7 -");
  });
});

describe("trustProxy", () => {
  for (const [given, name, message] of [
    [true, "TypeError", /a number of proxies or a list of addresses, got boolean/],
    ["10.0.0.1", "TypeError", /got string/],
    [null, "TypeError", /got null/],
    [{}, "TypeError", /expected a number, got undefined/],
    [0, "RangeError", /trustProxy 0/],
    [1.5, "RangeError", /trustProxy 1.5/],
    [Infinity, "RangeError", /trustProxy Infinity/],
    [["proxy.example"], "TypeError", /"proxy.example": expected an IP address/],
    [["10.0.0.0/33"], "TypeError", /10.0.0.0\/33/],
    [[10], "TypeError", /trustProxy 10/],
    [{ from: 1, header: "x-real-ip" }, "RangeError", /trustProxy.header/],
    [{ from: 1, hops: 1 }, "TypeError", /trustProxy.hops/],
  ] as const) {
    it(`is not ${JSON.stringify(given)}`, () => {
      assert.throws(() => settleTrustProxy(given as never), { name, message });
    });
  }

  it("may be absent", () => assert.equal(settleTrustProxy(undefined), undefined));
});

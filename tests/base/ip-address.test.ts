/** Tests of the parser of IP addresses and ranges, compared with Node's. */

import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatIp, isInIpRange, networkOfClient, parseIp, parseIpRange } from "../../src/base/ip-address.ts";

const shown = (text: string): string | undefined => {
  const bytes = parseIp(text);
  return bytes && formatIp(bytes);
};

describe("an IP address", () => {
  for (const [text, form] of Object.entries({
    "0.0.0.0": "0.0.0.0",
    "255.255.255.255": "255.255.255.255",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "::": "::",
    "::1": "::1",
    "2001:DB8:0:0:8:800:200C:417A": "2001:db8::8:800:200c:417a",
    "2001:db8::": "2001:db8::",
    "1:0:0:2:0:0:0:3": "1:0:0:2::3",
    "1:0:2:3:4:5:6:7": "1:0:2:3:4:5:6:7",
    "fe80::1%eth0": "fe80::1",
    "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
  })) {
    it(`${text} is ${form}`, () => assert.equal(shown(text), form));
  }

  for (const text of [
    ...["", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.a", " 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4"],
    ...[":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:2:3:4:5:6:7::8:9"],
    ...["1.2.3.4::", "::1.2.3.4:5", "::256.1.1.1", "1:2:3:4:5:6:7:1.2.3.4", "::1%a%b", "[::1]", "1:2:3:4::5:6:7:8"],
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parseIp(text), undefined));
  }

  it("is what Node takes for one, and its text form is parsed to the same address", () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.stringMatching(/^[0-9a-f:.]{0,20}$/));
    fc.assert(
      fc.property(text, (given) => {
        const bytes = parseIp(given);
        assert.equal(bytes !== undefined, isIP(given) !== 0, given);
        if (bytes !== undefined) assert.deepEqual(parseIp(formatIp(bytes)), bytes);
      }),
    );
  });
});

describe("a range of IP addresses", () => {
  it("contains what Node's BlockList contains", () => {
    const range = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.constant("ipv4" as const)),
      fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.constant("ipv6" as const)),
    );
    fc.assert(
      fc.property(range, fc.integer({ min: 0, max: 127 }), ([net, bits, family], flipped) => {
        const list = new BlockList();
        list.addSubnet(net, bits, family);
        const parsed = parseIpRange(`${net}/${bits}`);
        assert.ok(parsed);
        const bytes = [...parsed.bytes];
        // Near the range: one bit differs.
        const at = family === "ipv4" ? 96 + (flipped % 32) : flipped;
        bytes[at >> 3] = (bytes[at >> 3] as number) ^ (0x80 >> (at & 7));
        const text = formatIp(bytes);
        if (isIP(text) !== (family === "ipv4" ? 4 : 6)) return;
        assert.equal(isInIpRange(bytes, parsed), list.check(text, family), `${text} in ${net}/${bits}`);
        assert.ok(isInIpRange(parsed.bytes, parsed));
      }),
    );
  });

  it("is one address without a prefix", () => {
    const range = parseIpRange("10.0.0.1");
    assert.ok(range);
    assert.ok(isInIpRange(parseIp("::ffff:10.0.0.1") ?? [], range));
    assert.ok(!isInIpRange(parseIp("10.0.0.2") ?? [], range));
  });

  for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/8x", "x/8"]) {
    it(`is not ${text}`, () => assert.equal(parseIpRange(text), undefined));
  }
});

describe("the network that counts as one client", () => {
  for (const [address, network] of Object.entries({
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "2001:db8:0:1:2:3:4:5": "2001:db8:0:1::/64",
    "2001:DB8:0:1::": "2001:db8:0:1::/64",
    "2001:db8:0:2::1": "2001:db8:0:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "::1": "::/64",
    unknown: "unknown",
  })) {
    it(`of ${address} is ${network}`, () => assert.equal(networkOfClient(address), network));
  }
});

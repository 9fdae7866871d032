/** The flags of `holdfast connect` that are refused, before anything is connected. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONNECT_LINE } from "../../../src/cli/connect/flags.ts";
import { UsageError } from "../../../src/cli/flags.ts";

describe("the flags of holdfast connect", () => {
  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "two addresses": [["ws://a", "ws://b"], /unexpected argument "ws:\/\/b": expected only URL/],
    "a header without a colon": [["ws://a", "-H", "x"], /--header "x"/],
    "a framing that is none": [["tcp://a:1", "--framing", "xml"], /--framing "xml"/],
    "a subprotocol of TCP": [["tcp://a:1", "-s", "x"], /--subprotocol with TCP/],
    "a close code that is none": [["ws://a", "--close", "12"], /--close "12"/],
    "digits that are none": [["ws://a", "--send", "hex", "-x", "0g"], /cannot send "0g": expected hex/],
    "an encoding that is none": [["ws://a", "--send", "utf7"], /--send "utf7": expected one of text, hex, base64/],
    "two forms of output": [["ws://a", "--json", "--raw"], /--json with --raw/],
    "attempts of one": [["ws://a", "--attempts", "2"], /--attempts without --reconnect/],
    "a field that is none": [["ws://a", "--write-out", "%{x}"], /%\{x\}/],
    "a file that is none": [["ws://a", "--replay", "/nowhere/x"], /--replay "\/nowhere\/x": ENOENT/],
    "a proxy that is none": [
      ["ws://a", "--proxy", "socks4://a"],
      /--proxy "socks4:\/\/a": expected a URL such as http:.* or socks5:/,
    ],
  };
  for (const [what, [args, said]] of Object.entries(wrong)) {
    it(`are refused: ${what}`, () => {
      assert.throws(
        () => CONNECT_LINE.parse(args),
        (error) => error instanceof UsageError && said.test(error.message),
      );
    });
  }

  it("that repeat have a script without an end, for each connection anew", () => {
    const settings = CONNECT_LINE.parse(["ws://a", "-x", "a", "-x", "b", "--every", "5ms", "--repeat", "Infinity"]);
    const firstOf = (count: number): object[] => {
      const list: object[] = [];
      for (const one of settings?.script?.() ?? []) if (list.push(one) === count) break;
      return list;
    };
    const expected = [
      { message: "a", pause: 0 },
      { message: "b", pause: 5 },
      { message: "a", pause: 5 },
    ];
    assert.deepEqual(firstOf(3), expected);
    assert.deepEqual(firstOf(3), expected);
  });
});

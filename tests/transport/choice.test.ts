/** Which transport is chosen: on a Node as it is, on one that has changed, and where the choice was made already. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toldBy } from "./broken-node.js";
import type { Choice } from "./choosing.js";

const skip =
  process.platform === "linux" || process.platform === "darwin" ? false : "the fast lane is for Linux and macOS";

const choice = (broken: string, flags?: readonly string[], env?: Record<string, string>): Choice =>
  toldBy("choosing", broken, flags, env);

describe("the transport of a TCP connection", { skip }, () => {
  it("is the fast lane, for which Node gives no warning, not even one that is pending", () => {
    const chosen = choice("nothing", ["--pending-deprecation", "--throw-deprecation"]);
    assert.deepEqual(chosen, { transport: "FastLane", echoed: "hello", warnings: [] });
  });

  it("is the public one if HOLDFAST_TRANSPORT says so", () => {
    const chosen = choice("nothing", [], { HOLDFAST_TRANSPORT: "socket" });
    assert.deepEqual(chosen, { transport: "SocketTransport", echoed: "hello", warnings: [] });
  });

  for (const broken of [
    "no buffer is taken",
    "there is no call for a buffer",
    "what was read is not counted",
    "a reset is an end",
    "sockets write in another way",
    "servers accept in another way",
  ]) {
    it(`is the public one, with one warning, on a Node on which ${broken}`, () => {
      const { warnings, ...chosen } = choice(broken);
      assert.deepEqual(chosen, { transport: "SocketTransport", echoed: "hello" });
      assert.deepEqual(
        warnings.map(({ name }) => name),
        ["HoldfastWarning"],
      );
      assert.match(warnings[0]!.message, /^Holdfast's fast lane does not work on Node v\d+.*, and is not used: ./);
    });
  }

  it("is tried another time if there was no loopback, and nobody is warned", () => {
    const chosen = choice("loopback is not to be had");
    assert.deepEqual(chosen, { transport: "FastLane", echoed: "hello", warnings: [] });
  });
});
